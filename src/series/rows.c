/*
 * rows.c - rows by index, also while the file is closed under the reader. See series.h.
 *
 * Some are read at once while they are asked for in order; a look at a single one reads no more
 * than that one. Rows of a file that is closed meanwhile move after its primary header has changed;
 * so that is looked at again after they were read.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "series/reader.h"

#define ROWS_AT_FIRST 16u

/* `count` rows from `first` on into reader->rows. */
static int load_rows(struct series_reader *reader, uint64_t first, uint64_t count)
{
    for (unsigned attempt = 0; attempt < SERIES_SWITCHES_MOST; attempt++) {
        int changed = 0, r;

        reader->rows_count = 0;
        r = fits_read_at(reader->fd, reader->rows_off + first * FITS_ROW_BYTES, reader->rows,
                         (size_t)count * FITS_ROW_BYTES);
        if (reader->file->is_part)
            changed = series_reader_has_moved(reader);
        if (changed < 0)
            return changed;
        if (changed == 0 && r == 0) {
            reader->rows_first = first;
            reader->rows_count = count;
        }
        if (changed == 0)
            return r;
        r = series_reader_find_rows(reader);
        if (r < 0)
            return r;
    }
    return -EAGAIN;
}

static bool has_row(const struct series_reader *reader, uint64_t at)
{
    return at >= reader->rows_first && at - reader->rows_first < reader->rows_count;
}

/* Row `at` of the open file. `want`: as many may be read from there on. */
static int get_row(struct series_reader *reader, uint64_t at, uint64_t want, struct fits_row *ret)
{
    uint64_t left = reader->file->frames - at;
    int r = want > 0 ? 0 : -EINVAL;

    if (r == 0 && !has_row(reader, at))
        r = load_rows(reader, at, want < left ? want : left);
    if (r == 0)
        fits_row_unpack(ret, reader->rows + (at - reader->rows_first) * FITS_ROW_BYTES);
    return r;
}

/* The same, for who goes backwards. */
static int get_row_back(struct series_reader *reader, uint64_t at, struct fits_row *ret)
{
    uint64_t first = at < SERIES_ROWS_AT_ONCE ? 0 : at - SERIES_ROWS_AT_ONCE + 1;
    int r = has_row(reader, at) ? 0 : load_rows(reader, first, at - first + 1);

    return r < 0 ? r : get_row(reader, at, 1, ret);
}

/* The stretch of missing rows that `at` is in, and what is around it: found once for all of it. */
static int find_hole(struct series_reader *reader, uint64_t at)
{
    struct fits_row before = {0}, behind = {0};
    uint64_t begin = at, end = at + 1;
    int r = 0;

    if (at >= reader->hole_begin && at < reader->hole_end)
        return 0;
    for (; r == 0 && end < reader->file->frames; end++) {
        r = get_row(reader, end, SERIES_ROWS_AT_ONCE, &behind);
        if (behind.rtime_ns != 0)
            break;
    }
    for (; r == 0 && begin > 0; begin--) {
        r = get_row_back(reader, begin - 1, &before);
        if (before.rtime_ns != 0)
            break;
    }
    if (r < 0)
        return r;
    reader->hole_begin = begin;
    reader->hole_end = end;
    reader->hole_before = before;
    reader->hole_behind = behind;
    return 0;
}

/* A frame whose row a power cut has left out, between others that are there: what repair would
 * write, but for DSUM. The last row of the file is there. */
static int make_up_row(struct series_reader *reader, uint64_t at, struct fits_row *ret)
{
    int r = find_hole(reader, at);
    const struct fits_row *before = &reader->hole_before, *behind = &reader->hole_behind;

    if (r < 0)
        return r;
    *ret = (struct fits_row){.time_s = (double)NAN, .cnt1 = -1, .cnt2 = -1, .slot = -1};
    ret->flags = FITS_FLAG_TORN | FITS_FLAG_RECOVERED | FITS_FLAG_BADTIME;
    ret->rtime_ns = behind->rtime_ns ? behind->rtime_ns : 1;
    if (before->rtime_ns != 0)
        ret->cnt0 = (int64_t)((uint64_t)before->cnt0 + (at - reader->hole_begin + 1));
    else
        ret->cnt0 =
            (int64_t)((uint64_t)behind->cnt0 - (uint64_t)behind->lost - (reader->hole_end - at));
    return 0;
}

static void row_of_unit(struct fits_row *ret, const struct series_unit *unit)
{
    *ret = (struct fits_row){
        .time_s = (double)NAN,
        .atime_ns = unit->atime_ns,
        .cnt0 = unit->cnt0,
        .cnt1 = unit->cnt1,
        .cnt2 = unit->cnt2,
        .rtime_ns = unit->rtime_ns,
        .lost = unit->lost,
        .flags = unit->flags,
        .slot = unit->slot,
    };
}

static int read_row(struct series_reader *reader, uint64_t index, uint64_t want,
                    struct fits_row *ret, struct dao_text *text)
{
    const struct series_file *file = series_file_of(reader->series, index);
    uint64_t at = index - file->first;
    struct fits_row row = {
        .time_s = (double)NAN, .cnt0 = (int64_t)index + 1, .rtime_ns = 1, .slot = -1};
    int r = 0;

    if (index >= reader->series->frames) {
        snprintf(text->s, sizeof text->s, "there is no frame %" PRIu64, index);
        return -ERANGE;
    }
    if (file->units) {
        row_of_unit(&row, &file->units[at]);
        if (!file->has_counts)
            row.cnt0 = (int64_t)index + 1;
    } else if (file->rows_off) {
        r = series_reader_open_file(reader, file, text);
        if (r < 0)
            return r;
        r = get_row(reader, at, want, &row);
        if (r == 0 && row.rtime_ns == 0)
            r = make_up_row(reader, at, &row);
        if (at == 0 && file->missing > 0 && !reader->keeps_lost) {
            row.lost = row.lost > INT32_MAX - file->missing ? INT32_MAX : row.lost + file->missing;
            row.flags |= FITS_FLAG_GAP;
        }
    }
    if (r < 0)
        return series_reader_fail(file, r, text);
    *ret = row;
    return 0;
}

int series_reader_peek(struct series_reader *reader, uint64_t index, struct fits_row *ret,
                       struct dao_text *text)
{
    return read_row(reader, index, 1, ret, text);
}

void series_reader_keep_lost(struct series_reader *reader)
{
    reader->keeps_lost = true;
}

int series_reader_row(struct series_reader *reader, uint64_t index, struct fits_row *ret,
                      struct dao_text *text)
{
    const struct series_file *file = reader->file;
    uint64_t next = file ? file->first + reader->rows_first + reader->rows_count : 0;

    /* Twice as many as the last time while they are asked for in order. Looking for a frame reads
     * single rows and leaves no step behind. */
    if (!file || reader->rows_step == 0 || index < file->first + reader->rows_first || index > next)
        reader->rows_step = ROWS_AT_FIRST;
    else if (index == next && reader->rows_step < SERIES_ROWS_AT_ONCE)
        reader->rows_step *= 2;
    if (reader->rows_step > SERIES_ROWS_AT_ONCE)
        reader->rows_step = SERIES_ROWS_AT_ONCE;
    return read_row(reader, index, reader->rows_step, ret, text);
}
