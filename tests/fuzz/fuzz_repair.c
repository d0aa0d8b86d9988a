/*
 * fuzz_repair.c - what `daorec repair --apply` does to an unfinished file, any bytes.
 *
 * What must hold: no crash; without --apply nothing changes; what is planned is done; what is
 * refused is left as it is; no frame that is kept loses a byte; a file with a unit, or bytes behind
 * the last one, that repair does not know is not cut, unless its headers were restored; a second
 * repair changes nothing; nothing outside the stream's folder is touched, and nothing but the one
 * file in it.
 */
#include "recording/reading.h"
#include "repair/repair.h"
#include "tests/fuzz/scene.h"

#define PART  "s_000001.fits.part"
#define FINAL "s_000001.fits"

static unsigned count_names(int dir_fd)
{
    DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    unsigned count = 0;

    FUZZ_MUST(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static bool has_bytes(int dir_fd, const char *name, const uint8_t *data, size_t size)
{
    size_t now_size = 0;
    uint8_t *now = scene_read(dir_fd, name, &now_size);
    bool same = now && now_size == size && memcmp(now, data, size) == 0;

    free(now);
    return same;
}

/* Is all of it in units that a recording has? */
static bool is_understood(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"FRAMES", "SHMKW", "SPARE", "FILLER"};
    struct fits_unit unit = {0};
    struct dao_text text;
    char path[64];
    int fd = fuzz_file(path, data, size);
    uint64_t off = 0;
    bool fine = true;

    while (fine && fits_scan_unit(&unit, fd, size, off, &text) == 0) {
        fine = off == 0;
        for (unsigned i = 0; i < 4; i++)
            fine = fine || strcmp(unit.extname, known[i]) == 0;
        off = unit.end;
        fits_unit_free(&unit);
    }
    close(fd);
    return fine && off == size;
}

/* The pixels of the frames that the repaired file has are those of the file before. */
static void check_pixels(int dir_fd, const uint8_t *data, size_t size)
{
    int fd = openat(dir_fd, FINAL, O_RDONLY | O_CLOEXEC);
    struct reading *reading = calloc(1, sizeof *reading);
    struct dao_text text = {""};
    size_t now_size = 0;
    uint8_t *now = scene_read(dir_fd, FINAL, &now_size);
    uint64_t end;

    FUZZ_MUST(fd >= 0 && reading && now);
    FUZZ_MUST(reading_open(reading, fd, &text) == 0);
    FUZZ_MUST(reading->rows == reading->planes);
    end = reading->cube_off + reading->planes * reading->frame_bytes;
    FUZZ_MUST(end <= size && end <= now_size);
    FUZZ_MUST(memcmp(now + reading->cube_off, data + reading->cube_off,
                     (size_t)(end - reading->cube_off)) == 0);
    reading_close(reading);
    free(reading);
    free(now);
    close(fd);
}

static void repair_twice(int dir_fd, const uint8_t *data, size_t size)
{
    struct repair_file would, did, again;
    uint8_t *repaired;
    size_t repaired_size = 0;
    int planned, r;

    planned = repair_file(&would, dir_fd, PART, false, &sink_backend_system, NULL);
    FUZZ_MUST(count_names(dir_fd) == 1 && has_bytes(dir_fd, PART, data, size));
    r = repair_file(&did, dir_fd, PART, true, &sink_backend_system, NULL);
    FUZZ_MUST(count_names(dir_fd) == 1);
    FUZZ_MUST(planned == r);
    if (r < 0) {
        FUZZ_MUST(did.verdict == REPAIR_REFUSED && did.text.s[0]);
        FUZZ_MUST(has_bytes(dir_fd, PART, data, size));
        return;
    }
    FUZZ_MUST(did.verdict == would.verdict);
    FUZZ_MUST(faccessat(dir_fd, PART, F_OK, 0) != 0);
    FUZZ_MUST(did.restored == would.restored && strcmp(did.cards, would.cards) == 0);
    FUZZ_MUST((did.restored > 0) == (did.cards[0] != '\0'));
    if (did.restored == 0) {
        FUZZ_MUST(did.verdict != REPAIR_CLOSE || is_understood(data, size));
        FUZZ_MUST(did.verdict != REPAIR_RENAME || has_bytes(dir_fd, FINAL, data, size));
    }
    check_pixels(dir_fd, data, size);
    /* As if it had died just before the name was changed. */
    repaired = scene_read(dir_fd, FINAL, &repaired_size);
    FUZZ_MUST(repaired && renameat(dir_fd, FINAL, dir_fd, PART) == 0);
    r = repair_file(&again, dir_fd, PART, true, &sink_backend_system, NULL);
    FUZZ_MUST(r == 0 && again.verdict == REPAIR_RENAME);
    FUZZ_MUST(has_bytes(dir_fd, FINAL, repaired, repaired_size));
    free(repaired);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene scene;
    int dir_fd;

    scene_begin(&scene);
    scene_write(scene.stream, PART, data, size);
    dir_fd = open(scene.stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_MUST(dir_fd >= 0);
    repair_twice(dir_fd, data, size);
    close(dir_fd);
    scene_end(&scene);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_fits(data, size, max_size, seed);
}
