/* cards.c - what the primary header of a finished file says, against its rows. See
 * verify.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "verify/verify.h"

static void expect(struct verify_file *file, const char *key, int64_t says, uint64_t rows_say)
{
    if ((uint64_t)says != rows_say)
        verify_doubts_add(&file->doubts, -1, "%s is %lld, but the rows say %lld", key,
                          (long long)says, (long long)rows_say);
}

/* What a failing disk swallowed may have been counted before. */
static void expect_counted(struct verify_file *file, const char *key, int64_t says,
                           uint64_t rows_say)
{
    bool failed = strcmp(file->end_cause, "ERROR") == 0 && !file->is_recovered;

    if (!failed || says < 0 || (uint64_t)says < rows_say)
        expect(file, key, says, rows_say);
}

/* Frames lost behind the last row are counted where a stream ends, or its disk failed. */
static void check_losses(struct verify_file *file, const struct reading_cards *cards)
{
    uint64_t rows_say = file->totals.lost;
    bool is_exact = strcmp(cards->end_cause, "ROLL") == 0 ||
                    strcmp(cards->end_cause, "SHMGONE") == 0 ||
                    strcmp(cards->end_cause, "RESHAPE") == 0;

    if (is_exact && file->totals.saturated == 0)
        expect(file, "NLOST", cards->lost, rows_say);
    else if (cards->lost < 0 || (uint64_t)cards->lost < rows_say)
        verify_doubts_add(&file->doubts, -1, "NLOST is %lld, but the rows say at least %llu",
                          (long long)cards->lost, (unsigned long long)rows_say);
    if (cards->session_lost < 0)
        verify_doubts_add(&file->doubts, -1, "SESLOST is negative");
}

static void check_time(struct verify_file *file, const char *key, int64_t says_ns, int64_t ns)
{
    char utc[48], row_utc[48];

    if (says_ns != ns)
        verify_doubts_add(&file->doubts, -1, "%s is %s, but the rows say %s", key,
                          units_format_utc(utc, sizeof utc, says_ns, 9),
                          units_format_utc(row_utc, sizeof row_utc, ns, 9));
}

static void check_mjd(struct verify_file *file, const struct reading *reading, const char *key,
                      int64_t ns)
{
    double says = 0.0, mjd = 40587.0 + (double)ns / 86400e9;

    if (fits_card_real(&reading->unit[READING_CUBE].header, key, &says) < 0 ||
        fabs(says - mjd) > 2e-9)
        verify_doubts_add(&file->doubts, -1, "%s does not fit its date", key);
}

static void check_times(struct verify_file *file, const struct reading *reading)
{
    const struct reading_cards *cards = &reading->cards;
    const struct fits_bytes *header = &reading->unit[READING_CUBE].header;
    double span_s = (double)(cards->end_ns - cards->begin_ns) / 1e9, fps = 0.0;
    char utc[FITS_TEXT_BYTES] = "", begin[48];

    /* Rows that repair has filled in know no time. */
    if (!(file->first.flags & FITS_FLAG_RECOVERED))
        check_time(file, "DATE-BEG", cards->begin_ns, rowcheck_time(&file->first));
    if (!(file->last.flags & (FITS_FLAG_RECOVERED | FITS_FLAG_BADTIME)))
        check_time(file, "DATE-END", cards->end_ns, rowcheck_time(&file->last));
    units_format_utc(begin, sizeof begin, cards->begin_ns, 9);
    if (fits_card_text(header, "DATE-OBS", utc, sizeof utc) < 0 || strcmp(utc, begin) != 0)
        verify_doubts_add(&file->doubts, -1, "DATE-OBS is not DATE-BEG");
    check_mjd(file, reading, "MJD-BEG", cards->begin_ns);
    check_mjd(file, reading, "MJD-END", cards->end_ns);
    if (file->frames > 1 && span_s > 0.0)
        fps = (double)(file->frames - 1) / span_s;
    if (fabs(cards->fps - fps) > 1e-6 + 1e-9 * fps)
        verify_doubts_add(&file->doubts, -1, "FPS is %.6f, but the rows say %.6f", cards->fps, fps);
}

static void check_texts(struct verify_file *file, const struct reading *reading)
{
    static const char *const wanted[] = {"TIMESYS", "TIMEUNIT", "CREATOR", "RECVERS",
                                         "RECHOST", "RECUUID",  "SHMNAME"};
    const struct fits_bytes *header = &reading->unit[READING_CUBE].header;
    char value[FITS_TEXT_BYTES];

    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (fits_card_text(header, wanted[i], value, sizeof value) < 0)
            verify_doubts_add(&file->doubts, -1, "the primary header has no %s", wanted[i]);
    if (!fits_find_end_cause(reading->cards.end_cause))
        verify_doubts_add(&file->doubts, -1, "ENDCAUSE is '%.20s', which is no cause",
                          reading->cards.end_cause);
    if (fits_card_find(header, "ATIME"))
        verify_doubts_add(&file->doubts, -1, "the primary header has an ATIME");
}

void verify_cards(struct verify_file *file, const struct reading *reading)
{
    const struct reading_cards *cards = &reading->cards;

    check_texts(file, reading);
    if (file->frames == 0)
        return;
    expect(file, "NFRAMES", cards->frames, reading->rows);
    expect(file, "CNT0END", cards->cnt0_end, (uint64_t)file->last.cnt0);
    expect_counted(file, "NGAPS", cards->gaps, file->totals.gaps);
    expect_counted(file, "NTORN", cards->torn, file->totals.torn);
    if (cards->cnt0_begin != file->first.cnt0)
        verify_doubts_add(&file->doubts, 0, "frame 0 (CNT0 %lld): CNT0BEG is %lld",
                          (long long)file->first.cnt0, (long long)cards->cnt0_begin);
    check_losses(file, cards);
    check_times(file, reading);
}
