/*
 * fake_series.h - a series in memory in place of one in files: for tests of what reads frames.
 *
 * Include once. The functions of series.h that are defined here take the place of the real ones.
 * Pixels are the ramp of a frame's count.
 */
#ifndef TESTS_FAKE_SERIES_H
#define TESTS_FAKE_SERIES_H

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "series/series.h"
#include "tests/support/ramp.h"

struct fake_series {
    struct series series;
    struct series_part parts[4];
    struct fits_row *rows;
    bool unreadable_first; /* the pixels of frame 0 cannot be had */
    uint64_t unreadable;   /* index of a frame whose pixels cannot be had; 0: none */
    uint64_t damaged;      /* ... whose DSUM does not fit; 0: none */
    atomic_uint_fast64_t pixels_read;
};

struct series_reader {
    struct fake_series *fake;
};

/* `rows` are borrowed; one part of `rows`, with this geometry. */
static inline void fake_series_init(struct fake_series *fake, const char *stream,
                                    const struct dao_geometry *geometry, struct fits_row *rows,
                                    uint64_t count)
{
    memset(fake, 0, sizeof *fake);
    fake->rows = rows;
    fake->parts[0] = (struct series_part){.frames = count, .geometry = *geometry};
    fake->series.frames = count;
    fake->series.parts = fake->parts;
    fake->series.part_count = 1;
    fake->series.has_times = fake->series.has_counts = true;
    fake->series.files = (struct series_files *)(void *)fake;
    strncpy(fake->series.stream, stream, sizeof fake->series.stream - 1);
}

const struct series_part *series_part_of(const struct series *series, uint64_t index)
{
    for (unsigned i = 0; i < series->part_count; i++)
        if (index - series->parts[i].first < series->parts[i].frames)
            return &series->parts[i];
    return NULL;
}

int series_reader_open(struct series_reader **ret, const struct series *series,
                       uint64_t ahead_bytes, struct dao_text *text)
{
    (void)ahead_bytes;
    (void)text;
    *ret = calloc(1, sizeof **ret);
    (*ret)->fake = (struct fake_series *)(void *)series->files;
    return 0;
}

void series_reader_close(struct series_reader *reader)
{
    free(reader);
}

void series_reader_set_end(struct series_reader *reader, uint64_t end)
{
    (void)reader;
    (void)end;
}

int series_reader_row(struct series_reader *reader, uint64_t index, struct fits_row *ret,
                      struct dao_text *text)
{
    (void)text;
    *ret = reader->fake->rows[index];
    return 0;
}

int series_reader_pixels(struct series_reader *reader, uint64_t index, void *ret_pixels,
                         struct dao_text *text)
{
    struct fake_series *fake = reader->fake;
    const struct dao_geometry *geo = &series_part_of(&fake->series, index)->geometry;

    fake->pixels_read++;
    if (index == 0 ? fake->unreadable_first : index == fake->unreadable) {
        dao_text_set(text, "frame %llu cannot be read", (unsigned long long)index);
        return -EIO;
    }
    ramp_fill(ret_pixels, geo->dtype->atype, (uint64_t)fake->rows[index].cnt0, geo->nelement);
    if (fake->damaged && index == fake->damaged) {
        dao_text_set(text, "frame %llu is damaged", (unsigned long long)index);
        return -EBADMSG;
    }
    return 0;
}

int series_reader_find_time(struct series_reader *reader, int64_t atime_ns, uint64_t *ret_index,
                            struct dao_text *text)
{
    struct fake_series *fake = reader->fake;

    (void)text;
    for (*ret_index = 0; *ret_index < fake->series.frames; (*ret_index)++)
        if (fake->rows[*ret_index].atime_ns >= atime_ns)
            break;
    return 0;
}

int series_reader_find_count_from(struct series_reader *reader, uint64_t from, int64_t cnt0,
                                  uint64_t *ret_index, struct dao_text *text)
{
    struct fake_series *fake = reader->fake;

    (void)text;
    for (*ret_index = from; *ret_index < fake->series.frames; (*ret_index)++)
        if (fake->rows[*ret_index].cnt0 >= cnt0)
            break;
    return 0;
}

int series_reader_find_count(struct series_reader *reader, int64_t cnt0, uint64_t *ret_index,
                             struct dao_text *text)
{
    return series_reader_find_count_from(reader, 0, cnt0, ret_index, text);
}

#endif
