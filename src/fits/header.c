/* header.c - cards by cfitsio's memory files. See header.h. */
#include "fits/header.h"

#include <errno.h>
#include <fitsio.h>
#include <math.h>
#include <string.h>

#include "base/version.h"
#include "fits/cards.h"
#include "fits/keywords.h"
#include "fits/rows.h"
#include "fits/sum.h"

const char *const fits_end_causes[] = {"",        "ROLL",    "STOP",  "SIGNAL",
                                       "SHMGONE", "RESHAPE", "ERROR", NULL};

const char *fits_find_end_cause(const char *name)
{
    for (size_t i = 1; fits_end_causes[i]; i++)
        if (strcmp(fits_end_causes[i], name) == 0)
            return fits_end_causes[i];
    return NULL;
}

#define NAME_TAIL 12 /* characters of "_000001.fits" */

/* A file's name, or none, in the width of the stream's names: a power cut may leave a header half
 * rewritten, at a boundary of sectors, and the card must be a legal one then, too. (Numbers stand
 * so far right in their cards that no boundary divides one of less than 15 digits.) */
static void put_neighbour(fitsfile *file, const char *key, const char *name, const char *stream,
                          const char *comment, int *status)
{
    char padded[FLEN_VALUE];

    snprintf(padded, sizeof padded, "%-*.68s", (int)strlen(stream) + NAME_TAIL, name);
    fits_update_key_str(file, key, padded, comment, status);
}

/* ---- the primary header ---- */

static void put_dates(fitsfile *file, const struct fits_state *state, int *status)
{
    /* A date must be a date: until the end is known it is the beginning. */
    int64_t begin_ns = state->begin_ns ? state->begin_ns : state->written_ns;
    int64_t end_ns = state->end_ns ? state->end_ns : begin_ns;

    fits_put_utc(file, "DATE", state->written_ns, 0, "when this header was written", status);
    fits_put_span(file, begin_ns, end_ns, status);
}

static void put_identity(fitsfile *file, const struct fits_facts *facts,
                         const struct fits_state *state, int *status)
{
    const struct dao_geometry *geometry = facts->geometry;
    char key[FLEN_KEYWORD];

    fits_put_string(file, "EXTNAME", facts->stream, "stream", status);
    fits_put_string(file, "BUNIT", facts->bunit, "unit of the pixels", status);
    if (geometry->dtype->is_complex)
        fits_put_complex_axis(file, status);
    put_dates(file, state, status);
    fits_put_string(file, "TIMESYS", "UTC", "time scale", status);
    fits_put_string(file, "TIMEUNIT", "s", "unit of times", status);
    fits_put_string(file, "CREATOR", "daorec", "program that made this file", status);
    fits_put_string(file, "RECVERS", DAOREC_VERSION, "its version", status);
    fits_put_string(file, "RECHOST", facts->host, "where it ran", status);
    fits_put_string(file, "RECUUID", facts->session, "session", status);
    fits_put_string(file, "ORIGIN", facts->origin, NULL, status);
    fits_put_string(file, "TELESCOP", facts->telescope, NULL, status);
    fits_put_string(file, "INSTRUME", facts->instrument, NULL, status);
    fits_put_string(file, "OBSERVER", facts->observer, NULL, status);
    fits_put_string(file, "OBJECT", facts->object, NULL, status);
    fits_put_string(file, "SHMNAME", facts->shm_path, "segment", status);
    fits_put_string(file, "SHMTYPE", geometry->dtype->dao_name, "type of its elements", status);
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "SHMSIZ%d", i + 1);
        fits_put_integer(file, key, i < geometry->naxis ? geometry->size[i] : 0,
                         "size[] of the segment", status);
    }
    fits_put_integer(file, "FIFOSIZE", geometry->depth, "slots of the FIFO", status);
}

static void put_accounts(fitsfile *file, const char *stream, const struct fits_state *state,
                         int *status)
{
    fits_update_key_str(file, "RECSTAT", state->status, "OPEN, CLOSED or RECOVERD", status);
    fits_put_integer(file, "FILESEQ", (int64_t)state->file_seq, "number of this file in its stream",
                     status);
    /* One card each, always: at most FITS_STREAM_NAME_MAX + 12 characters. */
    put_neighbour(file, "PREVFILE", state->previous, stream, "file before", status);
    put_neighbour(file, "NEXTFILE", state->next, stream, "file after", status);
    fits_put_integer(file, "FRAME0", (int64_t)state->frame0, "first frame's index in the session",
                     status);
    fits_put_counts(file, state->frames, state->cnt0_begin, state->cnt0_end, status);
    fits_update_key_fixdbl(file, "FPS", isfinite(state->fps) ? state->fps : 0.0, 6,
                           "[Hz] rate of the frames in this file", status);
    fits_put_integer(file, "NLOST", (int64_t)state->lost, "frames lost, this file", status);
    fits_put_integer(file, "NGAPS", (int64_t)state->gaps, "gaps, this file", status);
    fits_put_integer(file, "NTORN", (int64_t)state->torn, "torn frames, this file", status);
    fits_put_integer(file, "SESLOST", (int64_t)state->session_lost, "frames lost, session so far",
                     status);
    fits_update_key_str(file, "ENDCAUSE", state->end_cause, "why the file ended", status);
}

/* The user's keywords behind ours. The first of a name wins. */
static void put_keywords(fitsfile *file, const struct fits_facts *facts, int *status)
{
    unsigned cards = 0;

    for (unsigned i = 0; i < facts->keyword_count && cards < FITS_KEYWORD_CARDS_MAX; i++) {
        const IMAGE_KEYWORD *keyword = &facts->keywords[i];
        char name[17], comment[81], value[17], card[FLEN_CARD];
        int absent = 0;

        if (!fits_keyword_is_card(keyword))
            continue;
        fits_keyword_clean(name, keyword->name, 16);
        fits_keyword_clean(comment, keyword->comment, 80);
        if (!*status && fits_read_card(file, name, card, &absent) == 0)
            continue;
        cards++;
        if (keyword->type == 'L') {
            fits_put_integer(file, name, keyword->value.numl, comment, status);
        } else if (keyword->type == 'D') {
            fits_update_key_dbl(file, name, keyword->value.numf, -16, comment, status);
        } else {
            fits_keyword_clean(value, keyword->value.valstr, 16);
            fits_update_key_str(file, name, value, comment, status);
        }
    }
    fits_clear_errmsg();
}

int fits_build_primary(struct fits_bytes *ret, const struct fits_facts *facts,
                       const struct fits_state *state, const uint32_t *checksum_of_data,
                       struct dao_text *text)
{
    LONGLONG axes[5];
    int status = 0, count = fits_image_axes(facts->geometry, axes), r;
    fitsfile *file = fits_cards_begin(&status);
    char frame_axis[FLEN_KEYWORD];

    fits_create_imgll(file, fits_image_code(facts->geometry->dtype), count, axes, &status);
    snprintf(frame_axis, sizeof frame_axis, "NAXIS%d", count);
    fits_put_integer(file, frame_axis, (int64_t)state->planes, "frames", &status);
    put_identity(file, facts, state, &status);
    put_accounts(file, facts->stream, state, &status);
    fits_put_checksums(file, &status);
    put_keywords(file, facts, &status);
    r = fits_cards_take(ret, file, frame_axis, &status, text);
    if (r == 0)
        r = fits_marks_reserve(ret, FITS_MARK_CARDS);
    if (r == 0)
        fits_set_checksums(ret, checksum_of_data);
    return r;
}

/* A memory file whose header has the cards of these bytes. */
static fitsfile *file_of_cards(const struct fits_bytes *header, bool without_marks, int *status)
{
    fitsfile *file = fits_cards_begin(status);

    for (size_t at = 0, end = fits_marks_begin(header, without_marks) * 80u; at < end; at += 80) {
        char card[FLEN_CARD] = "";

        memcpy(card, header->data + at, 80);
        fits_write_record(file, card, status);
    }
    return file;
}

/* Take the header out of `file` and put it in the place of one of the same length. */
static int replace_header(struct fits_bytes *header, fitsfile *file, const char *size_key,
                          const struct fits_state *state, const uint32_t *checksum_of_data,
                          int *status, struct dao_text *text)
{
    struct fits_bytes fresh = {0};
    int r = fits_cards_take(&fresh, file, size_key, status, text);

    if (r == 0 && state)
        r = fits_marks_put(&fresh, header, state->marks, state->mark_count, state->marks_more);
    if (r < 0) {
        fits_bytes_free(&fresh);
        return r;
    }
    if (fresh.length != header->length) {
        snprintf(text->s, sizeof text->s, "the header would change its length");
        fits_bytes_free(&fresh);
        return -EPROTO;
    }
    fits_set_checksums(&fresh, checksum_of_data);
    fits_bytes_free(header);
    *header = fresh;
    return 0;
}

int fits_update_primary(struct fits_bytes *header, const char *stream,
                        const struct fits_state *state, const uint32_t *checksum_of_data,
                        struct dao_text *text)
{
    char frame_axis[FLEN_KEYWORD] = "NAXIS1";
    bool has_marks = state->mark_count > 0 || state->marks_more > 0;
    int status = 0, axes = 0;
    fitsfile *file = file_of_cards(header, has_marks, &status);

    fits_read_key(file, TINT, "NAXIS", &axes, NULL, &status);
    snprintf(frame_axis, sizeof frame_axis, "NAXIS%d", axes);
    fits_put_integer(file, frame_axis, (int64_t)state->planes, "frames", &status);
    put_dates(file, state, &status);
    put_accounts(file, stream, state, &status);
    fits_put_checksums(file, &status);
    return replace_header(header, file, frame_axis, state, checksum_of_data, &status, text);
}

int fits_update_frames(struct fits_bytes *header, uint64_t rows, const uint32_t *checksum_of_data,
                       struct dao_text *text)
{
    int status = 0;
    fitsfile *file = file_of_cards(header, false, &status);

    fits_put_integer(file, "NAXIS2", (int64_t)rows, "number of rows in table", &status);
    fits_put_checksums(file, &status);
    return replace_header(header, file, "NAXIS2", NULL, checksum_of_data, &status, text);
}

/* ---- the extensions ---- */

/* A memory file standing in a new extension behind an empty primary unit. */
static fitsfile *table_file(const char *extname, int columns, const struct fits_column *column,
                            int *status)
{
    const char *ttype[FITS_ROW_COLUMNS], *tform[FITS_ROW_COLUMNS], *tunit[FITS_ROW_COLUMNS];
    fitsfile *file = fits_cards_begin(status);

    for (int i = 0; i < columns; i++) {
        ttype[i] = column[i].ttype;
        tform[i] = column[i].tform;
        tunit[i] = column[i].tunit;
    }
    fits_create_tbl(file, BINARY_TBL, 0, columns, (char **)(uintptr_t)ttype,
                    (char **)(uintptr_t)tform, (char **)(uintptr_t)tunit, extname, status);
    for (int i = 0; i < columns; i++) {
        char key[FLEN_KEYWORD];

        snprintf(key, sizeof key, "TTYPE%d", i + 1);
        fits_modify_comment(file, key, column[i].comment, status);
    }
    return file;
}

int fits_build_frames(struct fits_bytes *ret, uint64_t rows, int64_t dateref_ns,
                      const uint32_t *checksum_of_data, struct dao_text *text)
{
    int status = 0, r;
    fitsfile *file = table_file("FRAMES", FITS_ROW_COLUMNS, fits_row_columns, &status);

    fits_put_integer(file, "NAXIS2", (int64_t)rows, "number of rows in table", &status);
    fits_put_string(file, "TIMESYS", "UTC", "time scale", &status);
    fits_put_string(file, "TIMEUNIT", "s", "unit of TIME", &status);
    fits_put_utc(file, "DATEREF", dateref_ns, 9, "TIME counts from here", &status);
    for (int i = 0; i < FITS_FLAG_COUNT; i++) {
        char key[FLEN_KEYWORD];

        snprintf(key, sizeof key, "FLG%d", i);
        fits_put_string(file, key, fits_flag_meaning[i], NULL, &status);
    }
    fits_put_checksums(file, &status);
    r = fits_cards_take(ret, file, "NAXIS2", &status, text);
    if (r == 0)
        fits_set_checksums(ret, checksum_of_data);
    return r;
}

int fits_build_shmkw(struct fits_bytes *ret, const struct fits_facts *facts, struct dao_text *text)
{
    static const struct fits_column columns[] = {
        {"NAME", "16A", "", "keyword"},       {"TYPE", "1A", "", "N, L, D or S"},
        {"LVAL", "1K", "", "value where L"},  {"DVAL", "1D", "", "value where D"},
        {"SVAL", "16A", "", "value where S"}, {"COMMENT", "80A", "", "comment"},
    };
    uint64_t rows_bytes = (uint64_t)facts->keyword_count * FITS_SHMKW_ROW_BYTES;
    struct fits_bytes header = {0};
    int status = 0, r;
    fitsfile *file = table_file("SHMKW", 6, columns, &status);
    uint32_t sum;

    fits_put_integer(file, "NAXIS2", facts->keyword_count, "number of rows in table", &status);
    fits_put_checksums(file, &status);
    r = fits_cards_take(&header, file, "NAXIS2", &status, text);
    if (r)
        return r;
    ret->length = header.length + fits_pad(rows_bytes);
    ret->data = calloc(1, ret->length);
    if (!ret->data) {
        fits_bytes_free(&header);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < facts->keyword_count; i++)
        fits_keyword_pack(ret->data + header.length + (size_t)i * FITS_SHMKW_ROW_BYTES,
                          &facts->keywords[i]);
    sum = fits_sum_bytes(ret->data + header.length, rows_bytes);
    fits_set_checksums(&header, &sum);
    memcpy(ret->data, header.data, header.length);
    fits_bytes_free(&header);
    return 0;
}

int fits_build_filler(struct fits_bytes *ret, const char *extname, uint64_t data_bytes,
                      struct dao_text *text)
{
    LONGLONG axis = 0;
    int status = 0, r;
    fitsfile *file = fits_cards_begin(&status);

    fits_create_imgll(file, BYTE_IMG, 0, &axis, &status);
    fits_create_imgll(file, BYTE_IMG, 1, &axis, &status);
    fits_put_integer(file, "NAXIS1", (int64_t)data_bytes, "bytes held free for closing the file",
                     &status);
    fits_put_string(file, "EXTNAME", extname, "no content", &status);
    fits_put_checksums(file, &status);
    r = fits_cards_take(ret, file, "NAXIS1", &status, text);
    if (r == 0)
        fits_set_checksums(ret, NULL);
    return r;
}
