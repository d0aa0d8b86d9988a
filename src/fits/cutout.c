/* cutout.c - see cutout.h. */
#include "fits/cutout.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fits/cards.h"
#include "fits/scan.h"

#define CARD_BYTES 80u

/* ---- what is taken over ---- */

/* Cards that are of the file, or of its frames, and not of what they show. */
static bool is_replaced(const char *name, bool has_times)
{
    static const char *const names[] = {
        "RECSTAT", "FILESEQ", "PREVFILE", "NEXTFILE", "FRAME0",  "NFRAMES",  "CNT0BEG", "CNT0END",
        "FPS",     "NLOST",   "NGAPS",    "NTORN",    "SESLOST", "ENDCAUSE", "DATE",    "ATIME",
        "CNT0",    "CNT1",    "CNT2",     "RTIME",    "LOST",    "FLAGS",    "SLOT",    "LONGSTRN",
        "SIMPLE",  "EXTEND",  "XTENSION", "INHERIT",  NULL};
    static const char *const dates[] = {"DATE-OBS", "DATE-BEG", "DATE-END", "DATE-AVG",
                                        "MJD-OBS",  "MJD-BEG",  "MJD-END",  "MJD-AVG",
                                        "TIMESYS",  "TIMEUNIT", NULL};

    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    for (int i = 0; has_times && dates[i]; i++)
        if (strcmp(name, dates[i]) == 0)
            return true;
    return false;
}

static bool is_taken_over(const struct fits_cutout *cutout, char *card, bool is_empty)
{
    char name[9] = "";

    memcpy(name, card, 8);
    name[strcspn(name, " ")] = '\0';
    if (is_replaced(name, cutout->has_times))
        return false;
    switch (fits_get_keyclass(card)) {
    case TYP_NULL_KEY: /* integers stay what they were stored as */
        return strcmp(name, "BLANK") == 0 && !cutout->geometry->dtype->is_float && !is_empty;
    case TYP_STRUC_KEY:
    case TYP_CMPRS_KEY:
    case TYP_SCAL_KEY:
    case TYP_DIM_KEY:
    case TYP_RANG_KEY:
    case TYP_HDUID_KEY:
    case TYP_CKSUM_KEY:
        return false;
    case TYP_WCS_KEY:
        return cutout->keeps_axes && !is_empty;
    case TYP_UNIT_KEY:
        return !is_empty;
    default:
        return true;
    }
}

static void take_cards(fitsfile *file, const struct fits_cutout *cutout, bool is_empty, int *status)
{
    const struct fits_bytes *origin = cutout->origin;
    bool is_taken = false, is_long = false;

    for (size_t at = 0; at + CARD_BYTES <= origin->length; at += CARD_BYTES) {
        char card[FLEN_CARD] = "";

        memcpy(card, origin->data + at, CARD_BYTES);
        if (strncmp(card, "END     ", 8) == 0)
            break;
        if (strspn(card, " ") == CARD_BYTES)
            continue; /* held free */
        if (strncmp(card, "CONTINUE", 8) != 0)
            is_taken = is_taken_over(cutout, card, is_empty);
        else if (is_taken && !is_long)
            is_long = true;
        if (is_taken)
            fits_write_record(file, card, status);
    }
    if (is_long)
        fits_write_key_longwarn(file, status);
}

/* ---- coordinates ---- */

static bool read_double(fitsfile *file, const char *key, double *ret)
{
    int status = 0;

    fits_write_errmark();
    fits_read_key(file, TDOUBLE, key, ret, NULL, &status);
    fits_clear_errmark();
    return status == 0;
}

static void update_double(fitsfile *file, const char *key, double value, int *status)
{
    fits_update_key(file, TDOUBLE, key, &value, NULL, status);
}

/* Axis `axis` begins `from` pixels later, and takes every n-th. */
static void move_axis(fitsfile *file, int axis, double from, double every, int *status)
{
    for (int letter = 'A' - 1; letter <= 'Z'; letter++) {
        char key[FLEN_KEYWORD], alternate[2] = {letter < 'A' ? '\0' : (char)letter, '\0'};
        double value;

        snprintf(key, sizeof key, "CRPIX%d%s", axis, alternate);
        if (read_double(file, key, &value))
            update_double(file, key, (value - 1.0 - from) / every + 1.0, status);
        snprintf(key, sizeof key, "CDELT%d%s", axis, alternate);
        if (every > 1.0 && read_double(file, key, &value))
            update_double(file, key, value * every, status);
    }
}

static void move_coordinates(fitsfile *file, const struct fits_cutout *cutout, int *status)
{
    const struct dao_geometry *geometry = cutout->geometry;
    int axis = geometry->dtype->is_complex ? 2 : 1;

    if (!cutout->keeps_axes)
        return;
    for (int i = geometry->naxis - 1; i >= 0; i--, axis++)
        if (cutout->region_from[i] > 0)
            move_axis(file, axis, cutout->region_from[i], 1.0, status);
    if (cutout->first > 0 || cutout->every > 1)
        move_axis(file, axis, (double)cutout->first, (double)cutout->every, status);
}

/* ---- what is said anew ---- */

static void put_origin(fitsfile *file, const struct fits_cutout *cutout, bool is_empty, int *status)
{
    const struct dao_geometry *geometry = cutout->geometry;
    char key[FLEN_KEYWORD];
    double ignored;

    fits_put_string(file, "EXTNAME", cutout->stream, "stream", status);
    if (geometry->dtype->is_complex && !is_empty)
        fits_put_complex_axis(file, status);
    if (!read_double(file, "SHMSIZ1", &ignored))
        return;
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "SHMSIZ%d", i + 1);
        fits_put_integer(file, key, i < geometry->naxis ? geometry->size[i] : 0,
                         "size[] of a segment for these frames", status);
    }
}

static void put_state(fitsfile *file, const struct fits_cutout *cutout,
                      const struct fits_cutout_state *state, int *status)
{
    fits_put_utc(file, "DATE", state->written_ns, 0, "when this header was written", status);
    if (cutout->has_times) {
        fits_put_span(file, state->begin_ns, state->end_ns, status);
        fits_put_string(file, "TIMESYS", "UTC", "time scale", status);
        fits_put_string(file, "TIMEUNIT", "s", "unit of times", status);
    }
    fits_put_counts(file, state->planes, state->cnt0_begin, state->cnt0_end, status);
    fits_update_key_fixdbl(file, "FPS", isfinite(state->fps) ? state->fps : 0.0, 6,
                           "[Hz] rate of these frames", status);
    fits_put_integer(file, "NLOST", (int64_t)state->lost, "lost before these frames", status);
    fits_put_integer(file, "NGAPS", (int64_t)state->gaps, "gaps before these frames", status);
    fits_put_integer(file, "NTORN", (int64_t)state->torn, "torn frames among these", status);
    for (int i = 0; cutout->history[i]; i++)
        fits_write_history(file, cutout->history[i], status);
    fits_put_checksums(file, status);
}

int fits_build_cutout(struct fits_bytes *ret, const struct fits_cutout *cutout,
                      const struct fits_cutout_state *state, bool is_empty,
                      const uint32_t *checksum_of_data, struct dao_text *text)
{
    LONGLONG axes[5];
    int status = 0, count = fits_image_axes(cutout->geometry, axes), r;
    fitsfile *file = fits_cards_begin(&status);
    char frame_axis[FLEN_KEYWORD];

    if (is_empty)
        fits_create_imgll(file, BYTE_IMG, 0, axes, &status);
    else
        fits_create_imgll(file, fits_image_code(cutout->geometry->dtype), count, axes, &status);
    snprintf(frame_axis, sizeof frame_axis, "NAXIS%d", count);
    if (!is_empty)
        fits_put_integer(file, frame_axis, (int64_t)state->planes, "frames", &status);
    take_cards(file, cutout, is_empty, &status);
    if (!is_empty)
        move_coordinates(file, cutout, &status);
    put_origin(file, cutout, is_empty, &status);
    put_state(file, cutout, state, &status);
    r = fits_cards_take(ret, file, is_empty ? "NAXIS" : frame_axis, &status, text);
    if (r == 0)
        fits_set_checksums(ret, checksum_of_data);
    return r;
}

/* ---- units ---- */

/* The cards of a frame, and what they say. */
#define ROW(member) offsetof(struct fits_row, member)
static const struct {
    const char *key, *comment;
    size_t offset;
    bool is_small; /* int32_t, else int64_t */
} unit_cards[] = {
    {"ATIME", "[ns] publication, POSIX time", ROW(atime_ns), false},
    {"CNT0", "frame counter", ROW(cnt0), false},
    {"CNT1", "second counter", ROW(cnt1), false},
    {"CNT2", "third counter (frame id)", ROW(cnt2), false},
    {"RTIME", "[ns] taken by the recorder", ROW(rtime_ns), false},
    {"LOST", "frames lost just before this one", ROW(lost), true},
    {"FLAGS", "bits, see FRAMES of a recording", ROW(flags), true},
    {"SLOT", "FIFO slot", ROW(slot), true},
};
#define UNIT_CARDS (sizeof unit_cards / sizeof unit_cards[0])

int fits_build_unit(struct fits_bytes *ret, const struct fits_cutout *cutout, struct dao_text *text)
{
    const struct dao_geometry *geometry = cutout->geometry;
    char last_axis[FLEN_KEYWORD];
    LONGLONG axes[5], none = 0;
    int status = 0, count = fits_image_axes(geometry, axes) - 1;
    int64_t blank;
    LONGLONG length = axes[count - 1]; /* `size` reversed: the first of size[] is the last axis */
    fitsfile *file = fits_cards_begin(&status);

    axes[count - 1] = 0;
    snprintf(last_axis, sizeof last_axis, "NAXIS%d", count);
    fits_create_imgll(file, BYTE_IMG, 0, &none, &status);
    fits_create_imgll(file, fits_image_code(geometry->dtype), count, axes, &status);
    fits_put_integer(file, last_axis, length, NULL, &status);
    fits_put_string(file, "EXTNAME", cutout->stream, "stream", &status);
    fits_put_integer(file, "EXTVER", 1, "number of the frame in this file", &status);
    if (geometry->dtype->is_complex)
        fits_put_string(file, "CTYPE1", "COMPLEX", "real part, imaginary part", &status);
    if (!geometry->dtype->is_float && fits_card_integer(cutout->origin, "BLANK", &blank) == 0)
        fits_put_integer(file, "BLANK", blank, "stored where there is no value", &status);
    for (size_t i = 0; i < UNIT_CARDS; i++)
        fits_put_integer(file, unit_cards[i].key, 0, unit_cards[i].comment, &status);
    fits_put_checksums(file, &status);
    return fits_cards_take(ret, file, last_axis, &status, text);
}

static void fill_integer(struct fits_bytes *header, const char *key, int64_t value)
{
    char number[24];

    snprintf(number, sizeof number, "%20lld", (long long)value);
    memcpy(fits_card_value(header, key), number, 20);
}

void fits_fill_unit(struct fits_bytes *header, uint64_t number, const struct fits_row *row)
{
    uint32_t sum = row->dsum;

    fill_integer(header, "EXTVER", (int64_t)number);
    for (size_t i = 0; i < UNIT_CARDS; i++) {
        const unsigned char *from = (const unsigned char *)row + unit_cards[i].offset;
        int64_t wide = 0;
        int32_t small = 0;

        if (unit_cards[i].is_small)
            memcpy(&small, from, sizeof small);
        else
            memcpy(&wide, from, sizeof wide);
        fill_integer(header, unit_cards[i].key, unit_cards[i].is_small ? small : wide);
    }
    fits_set_checksums(header, &sum);
}
