/* mend.c - see mend.h. */
#include "repair/mend.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits/sum.h"

#define LOST_MOST  (1ull << 30) /* twice that fits into LOST; more is no loss, but a restart */
#define FLAGS_HALF (FITS_FLAG_TORN | FITS_FLAG_RECOVERED)

/* ---- what is there ---- */

static void set_half(struct mend_survey *survey, uint64_t i)
{
    survey->is_half[i / 8] |= (unsigned char)(1u << (i % 8));
}

static bool is_half(const struct mend_survey *survey, uint64_t i)
{
    return survey->is_half[i / 8] & (1u << (i % 8));
}

struct look {
    struct mend_survey *survey;
    const struct reading *reading;
    struct reading_cursor cursor;
    uint32_t sum; /* of the planes so far */
    uint64_t rows, half;
    bool is_unproven; /* nothing fits, and yet the first frame is to be kept */
};

static int on_frame(void *ctx, uint64_t index, uint32_t sum)
{
    struct look *look = ctx;
    struct mend_survey *survey = look->survey;
    struct fits_row row;
    int error = 0;
    const unsigned char *packed = reading_cursor_row(&look->cursor, index, &error);

    if (!packed)
        return error;
    fits_row_unpack(&row, packed);
    look->sum = fits_sum_add(look->sum, fits_sum_at(sum, index * look->reading->frame_bytes));
    look->rows += row.rtime_ns != 0;
    if (row.rtime_ns == 0 || row.dsum != sum) {
        set_half(survey, index);
        look->half++;
    }
    if (look->is_unproven || (row.rtime_ns != 0 && row.dsum == sum)) {
        survey->frames = index + 1;
        survey->flagged = look->half;
        survey->data_sum = look->sum;
    }
    return 0;
}

/* The last row that is there, at a price of reading the rows alone. */
static int find_last_row(struct look *look, uint64_t *ret_count)
{
    *ret_count = 0;
    for (uint64_t i = 0; i < look->reading->rows; i++) {
        struct fits_row row;
        int error = 0;
        const unsigned char *packed = reading_cursor_row(&look->cursor, i, &error);

        if (!packed)
            return error;
        fits_row_unpack(&row, packed);
        if (row.rtime_ns == 0)
            continue;
        *ret_count = i + 1;
        look->survey->last_known = row.cnt0;
        look->survey->has_last_known = true;
    }
    return 0;
}

static int run_look(struct look *look)
{
    struct reading_visitor visitor = {on_frame, NULL, look};
    struct mend_survey *survey = look->survey;
    uint64_t count = 0;
    int r;

    reading_cursor_init(&look->cursor, look->reading);
    r = find_last_row(look, &count);
    if (r < 0)
        return r;
    count = count ? count : 1;
    survey->is_half = calloc(count / 8 + 1, 1);
    if (!survey->is_half)
        return -ENOMEM;
    r = reading_visit_frames(look->reading, 0, count, &visitor);
    if (r < 0)
        return r;
    survey->no_rows = look->rows == 0;
    if (survey->frames == 0) {
        look->is_unproven = true;
        look->sum = 0;
        look->half = 0;
        r = reading_visit_frames(look->reading, 0, 1, &visitor);
    }
    survey->dropped = count > survey->frames ? count - survey->frames : 0;
    return r;
}

int mend_look(struct mend_survey *ret, const struct reading *reading)
{
    struct look *look = calloc(1, sizeof *look);
    int r = look ? 0 : -ENOMEM;

    *ret = (struct mend_survey){0};
    if (r == 0) {
        *look = (struct look){.survey = ret, .reading = reading};
        r = run_look(look);
    }
    free(look);
    if (r < 0)
        mend_survey_free(ret);
    return r;
}

void mend_survey_free(struct mend_survey *survey)
{
    free(survey->is_half);
    survey->is_half = NULL;
}

/* ---- rows ---- */

struct mend {
    const struct mend_survey *survey;
    struct recording_file *file;
    const struct reading *reading;
    const int64_t *before_cnt0;
    /* the stretch of rows that is being made up */
    uint64_t first, end;
    struct fits_row next; /* the row behind it, where there is one */
    bool has_next;
    int64_t cnt0;    /* of the first one */
    int32_t lost[2]; /* before the first, before the last one */
    bool is_reset;   /* the first one begins a run */
};

static int get_row(const struct mend *mend, uint64_t i, struct fits_row *ret)
{
    unsigned char packed[FITS_ROW_BYTES];
    int r = reading_rows(mend->reading, i, 1, packed);

    if (r == 0)
        fits_row_unpack(ret, packed);
    return r;
}

static int put_row(const struct mend *mend, uint64_t i, const struct fits_row *row)
{
    unsigned char packed[FITS_ROW_BYTES];

    fits_row_pack(packed, row);
    return sink_write(&mend->file->sink, mend->reading->rows_off + i * FITS_ROW_BYTES, packed,
                      sizeof packed);
}

/* One row of the stretch; `sum` is its plane's. */
static int make_up_row(void *ctx, uint64_t index, uint32_t sum)
{
    const struct mend *mend = ctx;
    uint64_t k = index - mend->first;
    bool is_last = index + 1 == mend->end;
    int64_t begin_ns = mend->reading->cards.begin_ns;
    struct fits_row row = {
        .time_s = (double)NAN,
        .cnt0 = (int64_t)((uint64_t)mend->cnt0 + k),
        .cnt1 = -1,
        .cnt2 = -1,
        .rtime_ns = mend->has_next ? mend->next.rtime_ns
                    : begin_ns > 0 ? begin_ns
                                   : 1,
        .lost = (k == 0 ? mend->lost[0] : 0) + (is_last ? mend->lost[1] : 0),
        .flags = FLAGS_HALF | FITS_FLAG_BADTIME,
        .slot = -1,
        .dsum = sum,
    };

    if (is_last)
        row.cnt0 = (int64_t)((uint64_t)row.cnt0 + (uint64_t)mend->lost[1]);
    if (row.lost > 0)
        row.flags |= FITS_FLAG_GAP | FITS_FLAG_OVERWRITE;
    if (k == 0 && mend->is_reset)
        row.flags |= FITS_FLAG_RESET;
    return put_row(mend, index, &row);
}

/* What the first row of a file follows, if the file before can tell. */
static void place_first(struct mend *mend)
{
    int64_t begin = mend->file->state.cnt0_begin;
    uint64_t step = mend->before_cnt0 ? (uint64_t)begin - (uint64_t)*mend->before_cnt0 : 1;

    mend->cnt0 = begin;
    if (step == 0 || step > LOST_MOST)
        mend->is_reset = true;
    else
        mend->lost[0] = (int32_t)(step - 1);
}

/* Counts for the stretch from those on either side of it. */
static void place_stretch(struct mend *mend, int64_t before)
{
    uint64_t count = mend->end - mend->first, between;

    mend->lost[0] = mend->lost[1] = 0;
    mend->is_reset = false;
    mend->cnt0 = (int64_t)((uint64_t)before + 1);
    if (mend->first == 0)
        place_first(mend);
    if (!mend->has_next || mend->next.flags & FITS_FLAG_RESET || mend->next.lost < 0)
        return;
    /* frames, also lost ones, from the first of the stretch up to what the next row covers */
    between = (uint64_t)mend->next.cnt0 - (uint64_t)mend->next.lost - (uint64_t)mend->cnt0;
    if (between >= count && between - count < LOST_MOST) {
        mend->lost[1] = (int32_t)(between - count);
        return;
    }
    /* The count went back in here, or jumped beyond all measure: a restart, nobody knows where. */
    mend->is_reset = true;
    mend->lost[0] = 0;
    mend->cnt0 = (int64_t)((uint64_t)mend->next.cnt0 - (uint64_t)mend->next.lost - count);
}

static int make_up_stretch(struct mend *mend)
{
    struct reading_visitor visitor = {make_up_row, NULL, mend};
    struct fits_row before = {0};
    int r = 0;

    if (mend->first > 0)
        r = get_row(mend, mend->first - 1, &before);
    if (r == 0) {
        place_stretch(mend, before.cnt0);
        r = reading_visit_frames(mend->reading, mend->first, mend->end - mend->first, &visitor);
    }
    return r;
}

/* From a row that is not there on: how far does that go? */
static int find_stretch(struct mend *mend, uint64_t first)
{
    uint64_t frames = mend->survey->frames;
    int r = 0;

    mend->first = first;
    mend->has_next = false;
    for (mend->end = first + 1; mend->end < frames; mend->end++) {
        r = get_row(mend, mend->end, &mend->next);
        if (r < 0 || mend->next.rtime_ns != 0)
            break;
    }
    mend->has_next = mend->end < frames;
    return r;
}

int mend_rows(const struct mend_survey *survey, struct recording_file *file,
              const struct reading *reading, const int64_t *before_cnt0)
{
    struct mend mend = {
        .survey = survey, .file = file, .reading = reading, .before_cnt0 = before_cnt0};
    bool changed = false;
    int r = 0;

    for (uint64_t i = 0; i < survey->frames && r == 0; i++) {
        struct fits_row row;

        if (!is_half(survey, i))
            continue;
        r = get_row(&mend, i, &row);
        if (r < 0)
            break;
        if (row.rtime_ns == 0) {
            r = find_stretch(&mend, i);
            if (r == 0)
                r = make_up_stretch(&mend);
            i = mend.end - 1;
        } else if ((row.flags & FLAGS_HALF) != FLAGS_HALF) {
            row.flags |= FLAGS_HALF;
            r = put_row(&mend, i, &row);
        } else {
            continue;
        }
        changed = true;
    }
    return r == 0 && changed ? sink_sync(&file->sink) : r;
}
