/*
 * fuzz_verify.c - what `daorec verify` makes of a file, any bytes, finished or not.
 *
 * What must hold: no crash, no endless loop, memory within bounds; what cannot be read is doubted;
 * a file that is doubted by nothing has as many frames as fit into it.
 */
#include "verify/verify.h"
#include "tests/fuzz/scene.h"

static void check(const struct verify_file *file, size_t size)
{
    FUZZ_MUST(file->doubts.kept_count <= VERIFY_DOUBTS_KEPT);
    FUZZ_MUST(file->doubts.kept_count <= file->doubts.count);
    for (size_t i = 0; i < file->doubts.kept_count; i++)
        FUZZ_MUST(memchr(file->doubts.kept[i].text, 0, sizeof file->doubts.kept[i].text));
    if (file->state == VERIFY_UNREADABLE || file->state == VERIFY_UNFINISHED)
        FUZZ_MUST(file->doubts.count > 0);
    if (file->state == VERIFY_FINISHED)
        FUZZ_MUST(file->file_bytes == size && file->frames <= size / FITS_ROW_BYTES);
}

static void look(const char *path, size_t size)
{
    struct verify_file file;

    verify_file(&file, path, NULL);
    FUZZ_MUST(file.state != VERIFY_BEING_WRITTEN);
    check(&file, size);
    verify_file_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene scene;
    char path[400];

    scene_begin(&scene);
    scene_write(scene.stream, "s_000001.fits", data, size);
    scene_write(scene.stream, "s_000002.fits.part", data, size);
    snprintf(path, sizeof path, "%s/s_000001.fits", scene.stream);
    look(path, size);
    snprintf(path, sizeof path, "%s/s_000002.fits.part", scene.stream);
    look(path, size);
    scene_end(&scene);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_fits(data, size, max_size, seed);
}
