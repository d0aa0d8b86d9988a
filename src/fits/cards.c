/* cards.c - see cards.h. */
#include "fits/cards.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "fits/sum.h"

#define STRING_MAX 60u /* with quotes doubled and a comment, what is sure to fit on one card */

/* ---- memory files ---- */

fitsfile *fits_cards_begin(int *status)
{
    fitsfile *file = NULL;

    fits_create_file(&file, "mem://", status);
    return file;
}

/* Take the current header out as padded bytes and throw the memory file away. `size_key` is the
 * axis that was declared large: set back to 0 so that cfitsio does not allocate the data. */
int fits_cards_take(struct fits_bytes *ret, fitsfile *file, const char *size_key, int *status,
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

/* ---- single cards ---- */

void fits_put_string(fitsfile *file, const char *key, const char *value, const char *comment,
                     int *status)
{
    if (value && strlen(value) > STRING_MAX)
        fits_write_key_longwarn(file, status); /* once; the convention asks for it */
    if (value)
        fits_update_key_longstr(file, key, value, comment, status);
}

void fits_put_integer(fitsfile *file, const char *key, int64_t value, const char *comment,
                      int *status)
{
    LONGLONG wide = value;

    fits_update_key(file, TLONGLONG, key, &wide, comment, status);
}

void fits_put_utc(fitsfile *file, const char *key, int64_t ns, int decimals, const char *comment,
                  int *status)
{
    char utc[40];

    units_format_utc(utc, sizeof utc, ns, decimals);
    fits_update_key_str(file, key, utc, comment, status);
}

void fits_put_mjd(fitsfile *file, const char *key, int64_t ns, const char *comment, int *status)
{
    double mjd = 40587.0 + (double)ns / 86400e9;

    fits_update_key_fixdbl(file, key, mjd, 10, comment, status);
}

void fits_put_span(fitsfile *file, int64_t begin_ns, int64_t end_ns, int *status)
{
    fits_put_utc(file, "DATE-OBS", begin_ns, 9, "first frame", status);
    fits_put_utc(file, "DATE-BEG", begin_ns, 9, "first frame", status);
    fits_put_utc(file, "DATE-END", end_ns, 9, "last frame", status);
    fits_put_mjd(file, "MJD-BEG", begin_ns, "first frame", status);
    fits_put_mjd(file, "MJD-END", end_ns, "last frame", status);
}

void fits_put_counts(fitsfile *file, uint64_t frames, int64_t cnt0_begin, int64_t cnt0_end,
                     int *status)
{
    fits_put_integer(file, "NFRAMES", (int64_t)frames, "frames in this file", status);
    fits_put_integer(file, "CNT0BEG", cnt0_begin, "CNT0 of the first frame", status);
    fits_put_integer(file, "CNT0END", cnt0_end, "CNT0 of the last frame", status);
}

void fits_put_complex_axis(fitsfile *file, int *status)
{
    fits_put_string(file, "CTYPE1", "COMPLEX", "real part, imaginary part", status);
    fits_update_key_fixdbl(file, "CRPIX1", 1.0, 1, NULL, status);
    fits_update_key_fixdbl(file, "CRVAL1", 1.0, 1, NULL, status);
    fits_update_key_fixdbl(file, "CDELT1", 1.0, 1, NULL, status);
}

void fits_put_checksums(fitsfile *file, int *status)
{
    fits_update_key_str(file, "CHECKSUM", "                ", "HDU checksum", status);
    fits_update_key_str(file, "DATASUM", "0         ", "data unit checksum", status);
}

/* The value field of a card, or NULL. Headers are ours: no card is missing. */
unsigned char *fits_card_value(struct fits_bytes *header, const char *key)
{
    char name[9];

    snprintf(name, sizeof name, "%-8s", key);
    for (size_t at = 0; at + 80 <= header->length; at += 80)
        if (memcmp(header->data + at, name, 8) == 0)
            return header->data + at + 10;
    return NULL;
}

/* Fill CHECKSUM and DATASUM for data of this sum, or blank both (the convention's "undefined"). */
void fits_set_checksums(struct fits_bytes *header, const uint32_t *data_sum)
{
    unsigned char *checksum = fits_card_value(header, "CHECKSUM");
    unsigned char *datasum = fits_card_value(header, "DATASUM");
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

/* ---- images ---- */

int fits_image_code(const struct dao_dtype *dtype)
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
int fits_image_axes(const struct dao_geometry *geometry, LONGLONG axes[5])
{
    int count = 0;

    if (geometry->dtype->is_complex)
        axes[count++] = 2;
    for (int i = geometry->naxis - 1; i >= 0; i--)
        axes[count++] = geometry->size[i];
    axes[count++] = 0;
    return count;
}
