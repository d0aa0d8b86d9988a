/*
 * fuzz_series.c - what replay and extract make of a file, any bytes, finished or not: opened as a
 * series, every row and every frame of some of it read, frames looked for.
 *
 * What must hold: no crash, no endless loop, memory within bounds; a series that was opened has
 * frames, parts that make it up, and rows or errors for all of them.
 */
#include <math.h>

#include "base/log.h"
#include "series/series.h"
#include "tests/fuzz/scene.h"

#define FRAME_MOST 200000u /* bytes; larger ones are not read */
#define LOOKS_MOST 60u

static void look_at_parts(const struct series *series)
{
    uint64_t frames = 0;

    FUZZ_MUST(series->frames > 0 && series->part_count > 0);
    for (unsigned i = 0; i < series->part_count; i++) {
        const struct series_part *part = &series->parts[i];

        FUZZ_MUST(part->first == frames && part->frames > 0);
        FUZZ_MUST(series_part_of(series, frames) == part);
        FUZZ_MUST(part->geometry.frame_bytes > 0 && part->geometry.naxis >= 1);
        FUZZ_MUST(part->keyword_count == 0 || part->keywords);
        frames += part->frames;
    }
    FUZZ_MUST(frames == series->frames);
}

static void look_at_frames(const struct series *series, struct series_reader *reader)
{
    uint64_t step = series->frames / LOOKS_MOST + 1;
    struct dao_text text = {""};

    for (uint64_t i = 0; i < series->frames; i += i < 4 ? 1 : step) {
        const struct series_part *part = series_part_of(series, i);
        struct fits_row row = {0};
        unsigned char *pixels;

        if (series_reader_row(reader, i, &row, &text) == 0)
            FUZZ_MUST(row.rtime_ns != 0);
        if (part->geometry.frame_bytes > FRAME_MOST)
            continue;
        pixels = malloc(part->geometry.frame_bytes);
        FUZZ_MUST(pixels);
        if (series_reader_pixels(reader, i, pixels, &text) < 0)
            FUZZ_MUST(text.s[0] != '\0');
        free(pixels);
    }
    FUZZ_MUST(series_reader_pixels(reader, series->frames, &text, &text) < 0);
}

static void look_for(const struct series *series, struct series_reader *reader)
{
    static const int64_t values[] = {0, 1, -1, 20, INT64_MAX, INT64_MIN, 1764000000000000000};
    struct dao_text text = {""};
    uint64_t index;

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        index = 0;
        if (series_reader_find_time(reader, values[i], &index, &text) == 0)
            FUZZ_MUST(index <= series->frames);
        if (series_reader_find_count(reader, values[i], &index, &text) == 0)
            FUZZ_MUST(index <= series->frames);
    }
    for (uint64_t gap = 1; gap < 4; gap++)
        if (series_reader_find_gap(reader, gap, &index, &text) == 0)
            FUZZ_MUST(index <= series->frames);
}

static void look(char *path, unsigned frame_axis)
{
    struct series_options options = {.frame_axis = frame_axis};
    struct dao_text text = {""};
    struct series_set set;

    if (series_set_open(&set, &path, 1, &options, &text) < 0) {
        FUZZ_MUST(text.s[0] != '\0' && memchr(text.s, 0, sizeof text.s));
        return;
    }
    FUZZ_MUST(set.count > 0);
    for (size_t i = 0; i < set.count; i++) {
        struct series_reader *reader = NULL;

        look_at_parts(&set.series[i]);
        FUZZ_MUST(series_reader_open(&reader, &set.series[i], 65536, &text) == 0);
        look_at_frames(&set.series[i], reader);
        look_for(&set.series[i], reader);
        series_reader_close(reader);
    }
    series_set_close(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene scene;
    char path[400];

    log_set_level(LOG_ERROR);
    scene_begin(&scene);
    scene_write(scene.stream, "s_000001.fits", data, size);
    scene_write(scene.stream, "s_000002.fits.part", data, size);
    snprintf(path, sizeof path, "%s/s_000001.fits", scene.stream);
    look(path, size % 5);
    snprintf(path, sizeof path, "%s", scene.stream);
    look(path, 0);
    scene_end(&scene);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return fuzz_mutate_fits(data, size, max_size, seed);
}
