/* header.c - cards by cfitsio's memory files. See header.h. */
#include "fits/header.h"

#include <errno.h>
#include <fitsio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "base/version.h"
#include "fits/keywords.h"
#include "fits/rows.h"
#include "fits/sum.h"

void fits_bytes_free(struct fits_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct fits_bytes){0};
}

int fits_bytes_copy(struct fits_bytes *ret, const struct fits_bytes *from)
{
    unsigned char *data = malloc(from->length);

    if (!data)
        return -ENOMEM;
    memcpy(data, from->data, from->length);
    *ret = (struct fits_bytes){data, from->length};
    return 0;
}

#define NAME_TAIL  12  /* characters of "_000001.fits" */
#define STRING_MAX 60u /* with quotes doubled and a comment, what is sure to fit on one card */

/* ---- memory files ---- */

static fitsfile *memory_file(int *status)
{
    fitsfile *file = NULL;

    fits_create_file(&file, "mem://", status);
    return file;
}

/* Take the current header out as padded bytes and throw the memory file away. `size_key` is the
 * axis that was declared large: set back to 0 so that cfitsio does not allocate the data. */
static int take_header(struct fits_bytes *ret, fitsfile *file, const char *size_key, int *status,
                       struct dao_text *text)
{
    char *cards = NULL, message[FLEN_ERRMSG] = "";
    LONGLONG zero = 0;
    int count = 0, failed, ignored = 0;

    fits_hdr2str(file, 0, NULL, 0, &cards, &count, status);
    failed = *status;
    if (failed)
        fits_get_errstatus(failed, message);
    if (file) {
        fits_update_key(file, TLONGLONG, size_key, &zero, NULL, &ignored);
        fits_delete_file(file, &ignored);
    }
    fits_clear_errmsg();
    if (!failed) {
        size_t used = strlen(cards);

        ret->length = fits_pad(used);
        ret->data = malloc(ret->length);
        if (ret->data) {
            memset(ret->data, ' ', ret->length);
            memcpy(ret->data, cards, used);
        }
    }
    ignored = 0;
    if (cards)
        fits_free_memory(cards, &ignored);
    if (failed) {
        snprintf(text->s, sizeof text->s, "cfitsio refused a header: %s", message);
        return -EINVAL;
    }
    return ret->data ? 0 : -ENOMEM;
}

/* ---- single cards; a NULL string means no card ---- */

static void put_string(fitsfile *file, const char *key, const char *value, const char *comment,
                       int *status)
{
    if (value && strlen(value) > STRING_MAX)
        fits_write_key_longwarn(file, status); /* once; the convention asks for it */
    if (value)
        fits_update_key_longstr(file, key, value, comment, status);
}

static void put_integer(fitsfile *file, const char *key, int64_t value, const char *comment,
                        int *status)
{
    LONGLONG wide = value;

    fits_update_key(file, TLONGLONG, key, &wide, comment, status);
}

static void put_utc(fitsfile *file, const char *key, int64_t ns, int decimals, const char *comment,
                    int *status)
{
    char utc[40];

    units_format_utc(utc, sizeof utc, ns, decimals);
    fits_update_key_str(file, key, utc, comment, status);
}

static void put_mjd(fitsfile *file, const char *key, int64_t ns, const char *comment, int *status)
{
    double mjd = 40587.0 + (double)ns / 86400e9;

    fits_update_key_fixdbl(file, key, mjd, 10, comment, status);
}

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

static void put_checksums(fitsfile *file, int *status)
{
    fits_update_key_str(file, "CHECKSUM", "                ", "HDU checksum", status);
    fits_update_key_str(file, "DATASUM", "0         ", "data unit checksum", status);
}

/* The value field of a card, or NULL. Headers are ours: no card is missing. */
static unsigned char *card_value(struct fits_bytes *header, const char *key)
{
    char name[9];

    snprintf(name, sizeof name, "%-8s", key);
    for (size_t at = 0; at + 80 <= header->length; at += 80)
        if (memcmp(header->data + at, name, 8) == 0)
            return header->data + at + 10;
    return NULL;
}

/* Fill CHECKSUM and DATASUM for data of this sum, or blank both (the convention's "undefined"). */
static void set_checksums(struct fits_bytes *header, const uint32_t *data_sum)
{
    unsigned char *checksum = card_value(header, "CHECKSUM");
    unsigned char *datasum = card_value(header, "DATASUM");
    char ascii[17], number[13];
    uint32_t sum;

    if (!data_sum) {
        memcpy(datasum, "'          '", 12);
        return;
    }
    snprintf(number, sizeof number, "'%-10u'", *data_sum);
    memcpy(datasum, number, 12);
    memcpy(checksum, "'0000000000000000'", 18);
    sum = fits_sum_add(fits_sum_bytes(header->data, header->length), *data_sum);
    fits_encode_chksum(sum, 1, ascii);
    memcpy(checksum + 1, ascii, 16);
}

/* ---- the primary header ---- */

static int image_code(const struct dao_dtype *dtype)
{
    int bits = 8 * dtype->word_bytes;

    if (dtype->is_float)
        return -bits;
    if (bits == 8)
        return dtype->is_unsigned ? BYTE_IMG : SBYTE_IMG;
    if (!dtype->is_unsigned)
        return bits;
    return bits == 16 ? USHORT_IMG : bits == 32 ? ULONG_IMG : ULONGLONG_IMG;
}

/* The axes a FITS reader sees: a complex pair first, then `size` reversed, frames last (as 0: the
 * count is put into its card afterwards). Returns their number. */
static int image_axes(const struct dao_geometry *geometry, LONGLONG axes[5])
{
    int count = 0;

    if (geometry->dtype->is_complex)
        axes[count++] = 2;
    for (int i = geometry->naxis - 1; i >= 0; i--)
        axes[count++] = geometry->size[i];
    axes[count++] = 0;
    return count;
}

static void put_dates(fitsfile *file, const struct fits_state *state, int *status)
{
    /* A date must be a date: until the end is known it is the beginning. */
    int64_t begin_ns = state->begin_ns ? state->begin_ns : state->written_ns;
    int64_t end_ns = state->end_ns ? state->end_ns : begin_ns;

    put_utc(file, "DATE", state->written_ns, 0, "when this header was written", status);
    put_utc(file, "DATE-OBS", begin_ns, 9, "first frame", status);
    put_utc(file, "DATE-BEG", begin_ns, 9, "first frame", status);
    put_utc(file, "DATE-END", end_ns, 9, "last frame", status);
    put_mjd(file, "MJD-BEG", begin_ns, "first frame", status);
    put_mjd(file, "MJD-END", end_ns, "last frame", status);
}

static void put_identity(fitsfile *file, const struct fits_facts *facts,
                         const struct fits_state *state, int *status)
{
    const struct dao_geometry *geometry = facts->geometry;
    char key[FLEN_KEYWORD];

    put_string(file, "EXTNAME", facts->stream, "stream", status);
    put_string(file, "BUNIT", facts->bunit, "unit of the pixels", status);
    if (geometry->dtype->is_complex) {
        put_string(file, "CTYPE1", "COMPLEX", "real part, imaginary part", status);
        fits_update_key_fixdbl(file, "CRPIX1", 1.0, 1, NULL, status);
        fits_update_key_fixdbl(file, "CRVAL1", 1.0, 1, NULL, status);
        fits_update_key_fixdbl(file, "CDELT1", 1.0, 1, NULL, status);
    }
    put_dates(file, state, status);
    put_string(file, "TIMESYS", "UTC", "time scale", status);
    put_string(file, "TIMEUNIT", "s", "unit of times", status);
    put_string(file, "CREATOR", "daorec", "program that made this file", status);
    put_string(file, "RECVERS", DAOREC_VERSION, "its version", status);
    put_string(file, "RECHOST", facts->host, "where it ran", status);
    put_string(file, "RECUUID", facts->session, "session", status);
    put_string(file, "ORIGIN", facts->origin, NULL, status);
    put_string(file, "TELESCOP", facts->telescope, NULL, status);
    put_string(file, "INSTRUME", facts->instrument, NULL, status);
    put_string(file, "OBSERVER", facts->observer, NULL, status);
    put_string(file, "OBJECT", facts->object, NULL, status);
    put_string(file, "SHMNAME", facts->shm_path, "segment", status);
    put_string(file, "SHMTYPE", geometry->dtype->dao_name, "type of its elements", status);
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "SHMSIZ%d", i + 1);
        put_integer(file, key, i < geometry->naxis ? geometry->size[i] : 0, "size[] of the segment",
                    status);
    }
    put_integer(file, "FIFOSIZE", geometry->depth, "slots of the FIFO", status);
}

static void put_accounts(fitsfile *file, const char *stream, const struct fits_state *state,
                         int *status)
{
    fits_update_key_str(file, "RECSTAT", state->status, "OPEN, CLOSED or RECOVERD", status);
    put_integer(file, "FILESEQ", (int64_t)state->file_seq, "number of this file in its stream",
                status);
    /* One card each, always: at most FITS_STREAM_NAME_MAX + 12 characters. */
    put_neighbour(file, "PREVFILE", state->previous, stream, "file before", status);
    put_neighbour(file, "NEXTFILE", state->next, stream, "file after", status);
    put_integer(file, "FRAME0", (int64_t)state->frame0, "first frame's index in the session",
                status);
    put_integer(file, "NFRAMES", (int64_t)state->frames, "frames in this file", status);
    put_integer(file, "CNT0BEG", state->cnt0_begin, "CNT0 of the first frame", status);
    put_integer(file, "CNT0END", state->cnt0_end, "CNT0 of the last frame", status);
    fits_update_key_fixdbl(file, "FPS", isfinite(state->fps) ? state->fps : 0.0, 6,
                           "[Hz] measured frame rate", status);
    put_integer(file, "NLOST", (int64_t)state->lost, "frames lost, this file", status);
    put_integer(file, "NGAPS", (int64_t)state->gaps, "gaps, this file", status);
    put_integer(file, "NTORN", (int64_t)state->torn, "torn frames, this file", status);
    put_integer(file, "SESLOST", (int64_t)state->session_lost, "frames lost, session so far",
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
            put_integer(file, name, keyword->value.numl, comment, status);
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
    int status = 0, count = image_axes(facts->geometry, axes), r;
    fitsfile *file = memory_file(&status);
    char frame_axis[FLEN_KEYWORD];

    fits_create_imgll(file, image_code(facts->geometry->dtype), count, axes, &status);
    snprintf(frame_axis, sizeof frame_axis, "NAXIS%d", count);
    put_integer(file, frame_axis, (int64_t)state->planes, "frames", &status);
    put_identity(file, facts, state, &status);
    put_accounts(file, facts->stream, state, &status);
    put_checksums(file, &status);
    put_keywords(file, facts, &status);
    r = take_header(ret, file, frame_axis, &status, text);
    if (r == 0)
        set_checksums(ret, checksum_of_data);
    return r;
}

/* A memory file whose header has the cards of these bytes. */
static fitsfile *file_of_cards(const struct fits_bytes *header, int *status)
{
    fitsfile *file = memory_file(status);

    for (size_t at = 0; at + 80 <= header->length; at += 80) {
        char card[FLEN_CARD] = "";

        memcpy(card, header->data + at, 80);
        if (strncmp(card, "END     ", 8) == 0)
            break;
        fits_write_record(file, card, status);
    }
    return file;
}

/* Take the header out of `file` and put it in the place of one of the same length. */
static int replace_header(struct fits_bytes *header, fitsfile *file, const char *size_key,
                          const uint32_t *checksum_of_data, int *status, struct dao_text *text)
{
    struct fits_bytes fresh = {0};
    int r = take_header(&fresh, file, size_key, status, text);

    if (r < 0)
        return r;
    if (fresh.length != header->length) {
        snprintf(text->s, sizeof text->s, "the header would change its length");
        fits_bytes_free(&fresh);
        return -EPROTO;
    }
    set_checksums(&fresh, checksum_of_data);
    fits_bytes_free(header);
    *header = fresh;
    return 0;
}

int fits_update_primary(struct fits_bytes *header, const char *stream,
                        const struct fits_state *state, const uint32_t *checksum_of_data,
                        struct dao_text *text)
{
    char frame_axis[FLEN_KEYWORD] = "NAXIS1";
    int status = 0, axes = 0;
    fitsfile *file = file_of_cards(header, &status);

    fits_read_key(file, TINT, "NAXIS", &axes, NULL, &status);
    snprintf(frame_axis, sizeof frame_axis, "NAXIS%d", axes);
    put_integer(file, frame_axis, (int64_t)state->planes, "frames", &status);
    put_dates(file, state, &status);
    put_accounts(file, stream, state, &status);
    put_checksums(file, &status);
    return replace_header(header, file, frame_axis, checksum_of_data, &status, text);
}

int fits_update_frames(struct fits_bytes *header, uint64_t rows, const uint32_t *checksum_of_data,
                       struct dao_text *text)
{
    int status = 0;
    fitsfile *file = file_of_cards(header, &status);

    put_integer(file, "NAXIS2", (int64_t)rows, "number of rows in table", &status);
    put_checksums(file, &status);
    return replace_header(header, file, "NAXIS2", checksum_of_data, &status, text);
}

/* ---- the extensions ---- */

/* A memory file standing in a new extension behind an empty primary unit. */
static fitsfile *table_file(const char *extname, int columns, const struct fits_column *column,
                            int *status)
{
    const char *ttype[FITS_ROW_COLUMNS], *tform[FITS_ROW_COLUMNS], *tunit[FITS_ROW_COLUMNS];
    fitsfile *file = memory_file(status);

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

    put_integer(file, "NAXIS2", (int64_t)rows, "number of rows in table", &status);
    put_string(file, "TIMESYS", "UTC", "time scale", &status);
    put_string(file, "TIMEUNIT", "s", "unit of TIME", &status);
    put_utc(file, "DATEREF", dateref_ns, 9, "TIME counts from here", &status);
    for (int i = 0; i < FITS_FLAG_COUNT; i++) {
        char key[FLEN_KEYWORD];

        snprintf(key, sizeof key, "FLG%d", i);
        put_string(file, key, fits_flag_meaning[i], NULL, &status);
    }
    put_checksums(file, &status);
    r = take_header(ret, file, "NAXIS2", &status, text);
    if (r == 0)
        set_checksums(ret, checksum_of_data);
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

    put_integer(file, "NAXIS2", facts->keyword_count, "number of rows in table", &status);
    put_checksums(file, &status);
    r = take_header(&header, file, "NAXIS2", &status, text);
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
    set_checksums(&header, &sum);
    memcpy(ret->data, header.data, header.length);
    fits_bytes_free(&header);
    return 0;
}

int fits_build_filler(struct fits_bytes *ret, const char *extname, uint64_t data_bytes,
                      struct dao_text *text)
{
    LONGLONG axis = 0;
    int status = 0, r;
    fitsfile *file = memory_file(&status);

    fits_create_imgll(file, BYTE_IMG, 0, &axis, &status);
    fits_create_imgll(file, BYTE_IMG, 1, &axis, &status);
    put_integer(file, "NAXIS1", (int64_t)data_bytes, "bytes held free for closing the file",
                &status);
    put_string(file, "EXTNAME", extname, "no content", &status);
    put_checksums(file, &status);
    r = take_header(ret, file, "NAXIS1", &status, text);
    if (r == 0)
        set_checksums(ret, NULL);
    return r;
}
