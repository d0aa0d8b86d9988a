/*
 * find.c - frames by time, count and gap, from as few rows as possible. See series.h.
 *
 * Counts are no order: a source may restart. But between two frames of one run a count grows at
 * least as much as the index; where it does not, there is a restart between them, and both halves
 * are looked at by themselves. Where it grows exactly as much, nothing is missing between them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "recording/rowcheck.h"
#include "series/files.h"

/* ---- time ---- */

/* The time of a frame; of one in a file without times, the end of the one before that has them. */
static int look_time(struct series_reader *reader, uint64_t index, int64_t *ret_ns,
                     struct dao_text *text)
{
    const struct series *series = series_reader_series(reader);
    const struct series_file *file = series_file_of(series, index), *timed = file;
    struct fits_row row;
    int r;

    while (timed > series->files->file && !timed->has_times)
        timed--;
    if (timed != file || !timed->has_times) {
        *ret_ns = timed->has_times ? timed->end_ns : INT64_MIN;
        return 0;
    }
    r = series_reader_peek(reader, index, &row, text);
    if (r == 0)
        *ret_ns = rowcheck_time(&row);
    return r;
}

int series_reader_find_time(struct series_reader *reader, int64_t atime_ns, uint64_t *ret_index,
                            struct dao_text *text)
{
    const struct series *series = series_reader_series(reader);
    uint64_t low = 0, high = series->frames;

    if (!series->has_times) {
        snprintf(text->s, sizeof text->s,
                 "the frames of %.100s have no times: give an index or a count", series->stream);
        return -ENOTSUP;
    }
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        int64_t time_ns = 0;
        int r = look_time(reader, mid, &time_ns, text);

        if (r < 0)
            return r;
        if (time_ns < atime_ns)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_index = low;
    return 0;
}

/* ---- count ---- */

struct point {
    uint64_t index;
    int64_t cnt0;
};

static int look(struct series_reader *reader, uint64_t index, struct point *ret,
                struct dao_text *text)
{
    struct fits_row row;
    int r = series_reader_peek(reader, index, &row, text);

    if (r == 0)
        *ret = (struct point){index, row.cnt0};
    return r;
}

/* How much the count grew beyond the index; below 0: a restart. */
static int64_t excess(const struct point *a, const struct point *b)
{
    return (int64_t)((uint64_t)b->cnt0 - (uint64_t)a->cnt0 - (b->index - a->index));
}

struct count_search {
    struct series_reader *reader;
    int64_t cnt0;
    bool is_beyond; /* no run has it: the first that begins beyond it */
    uint64_t found; /* UINT64_MAX: not yet */
    struct dao_text *text;
};

/* Within a run: the first frame of that count or beyond it. */
static int bisect_run(struct count_search *s, struct point a, struct point b)
{
    if (s->cnt0 < a.cnt0 || s->cnt0 > b.cnt0)
        return 0;
    if (a.cnt0 == s->cnt0)
        b = a;
    while (b.index - a.index > 1) {
        struct point mid = a;
        int r = look(s->reader, a.index + (b.index - a.index) / 2, &mid, s->text);

        if (r < 0)
            return r;
        if (mid.cnt0 < s->cnt0)
            a = mid;
        else
            b = mid;
    }
    s->found = b.index;
    return 0;
}

static int search_count(struct count_search *s, struct point a, struct point b)
{
    struct point mid = a;
    int r;

    if (excess(&a, &b) >= 0)
        return s->is_beyond ? 0 : bisect_run(s, a, b);
    if (b.index - a.index <= 1) { /* b begins a run */
        if (a.cnt0 == s->cnt0 && !s->is_beyond)
            s->found = a.index;
        else if (s->is_beyond ? b.cnt0 > s->cnt0 : b.cnt0 == s->cnt0)
            s->found = b.index;
        return 0;
    }
    r = look(s->reader, a.index + (b.index - a.index) / 2, &mid, s->text);
    if (r == 0)
        r = search_count(s, a, mid);
    if (r == 0 && s->found == UINT64_MAX)
        r = search_count(s, mid, b);
    return r;
}

int series_reader_find_count_from(struct series_reader *reader, uint64_t from, int64_t cnt0,
                                  uint64_t *ret_index, struct dao_text *text)
{
    const struct series *series = series_reader_series(reader);
    struct count_search s = {.reader = reader, .cnt0 = cnt0, .found = UINT64_MAX, .text = text};
    struct point a, b;
    int r;

    *ret_index = series->frames;
    if (from >= series->frames)
        return 0;
    r = look(reader, from, &a, text);
    if (r == 0)
        r = look(reader, series->frames - 1, &b, text);
    if (r == 0)
        r = search_count(&s, a, b);
    if (r == 0 && s.found == UINT64_MAX) {
        s.is_beyond = true;
        if (a.cnt0 > cnt0)
            s.found = from;
        else
            r = search_count(&s, a, b);
    }
    if (r == 0 && s.found != UINT64_MAX)
        *ret_index = s.found;
    return r;
}

int series_reader_find_count(struct series_reader *reader, int64_t cnt0, uint64_t *ret_index,
                             struct dao_text *text)
{
    return series_reader_find_count_from(reader, 0, cnt0, ret_index, text);
}

/* ---- gaps ---- */

struct gap_search {
    struct series_reader *reader;
    bool has_lost; /* rows tell; else the counts do */
    uint64_t left; /* to go, of the number asked for */
    uint64_t seen; /* gaps found in this file */
    uint64_t found;
    struct dao_text *text;
};

/* Is this frame behind a gap? By its row where rows tell, or because its count `jumps`. */
static int note_frame(struct gap_search *s, uint64_t index, bool jumps)
{
    struct fits_row row;
    int r = series_reader_peek(s->reader, index, &row, s->text);

    if (r < 0 || !((s->has_lost && row.lost > 0) || jumps))
        return r;
    s->seen++;
    if (s->left > 0 && --s->left == 0)
        s->found = index;
    return 0;
}

/* All gaps behind a, up to b. */
static int search_gaps(struct gap_search *s, struct point a, struct point b)
{
    struct point mid = a;
    int r;

    if (excess(&a, &b) == 0)
        return 0;
    if (b.index - a.index <= 1)
        return note_frame(s, b.index, !s->has_lost && excess(&a, &b) > 0);
    r = look(s->reader, a.index + (b.index - a.index) / 2, &mid, s->text);
    if (r == 0)
        r = search_gaps(s, a, mid);
    if (r == 0)
        r = search_gaps(s, mid, b);
    return r;
}

/* Row by row: a restart and a gap may have hidden each other. */
static int scan_gaps(struct gap_search *s, const struct series_file *file)
{
    for (uint64_t i = 0; i < file->frames; i++) {
        struct fits_row row;
        int r = series_reader_row(s->reader, file->first + i, &row, s->text);

        if (r < 0)
            return r;
        if (row.lost > 0 && s->left > 0 && --s->left == 0)
            s->found = file->first + i;
    }
    return 0;
}

/* Files of others do not know of each other: does the count jump from the file before to this one?
 */
static int jumps_at_border(struct gap_search *s, const struct series_file *file,
                           const struct point *first, bool *ret)
{
    struct point last;
    int r;

    if (file->first == 0 || file->is_ours || !file->has_counts || !file[-1].has_counts)
        return 0;
    r = look(s->reader, file->first - 1, &last, s->text);
    if (r == 0)
        *ret = excess(&last, first) > 0;
    return r;
}

static int search_file(struct gap_search *s, const struct series_file *file)
{
    struct point a, b;
    uint64_t left = s->left;
    bool jumps = false;
    int r = look(s->reader, file->first, &a, s->text);

    s->has_lost = file->rows_off != 0;
    s->seen = 0;
    if (r == 0)
        r = look(s->reader, file->first + file->frames - 1, &b, s->text);
    if (r == 0)
        r = jumps_at_border(s, file, &a, &jumps);
    if (r == 0)
        r = note_frame(s, file->first, jumps);
    if (r == 0)
        r = search_gaps(s, a, b);
    if (r == 0 && file->gaps >= 0 && s->seen != (uint64_t)file->gaps) {
        s->left = left;
        s->found = UINT64_MAX;
        r = scan_gaps(s, file);
    }
    return r;
}

int series_reader_find_gap(struct series_reader *reader, uint64_t number, uint64_t *ret_index,
                           struct dao_text *text)
{
    const struct series *series = series_reader_series(reader);
    struct gap_search s = {.reader = reader, .left = number, .found = UINT64_MAX, .text = text};
    int r = 0;

    *ret_index = series->frames;
    for (size_t i = 0; i < series->files->count && r == 0 && s.found == UINT64_MAX; i++) {
        const struct series_file *file = &series->files->file[i];

        if (file->gaps >= 0 && (uint64_t)file->gaps < s.left)
            s.left -= (uint64_t)file->gaps; /* its header tells that it is not in there */
        else
            r = search_file(&s, file);
    }
    if (r == 0 && s.found != UINT64_MAX)
        *ret_index = s.found;
    return r;
}
