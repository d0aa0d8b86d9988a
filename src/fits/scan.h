/*
 * scan.h - the units (HDUs) of a FITS file and the cards of their headers, from bytes of which none
 * is believed: every size is checked against the file's length before it is used, what is read into
 * memory is bounded. Any thread; nothing is written.
 *
 * What can be wrong: a header without END, with bytes that are no text, with a size that does not
 * fit into 63 bits, or with data that reach beyond the end of the file.
 */
#ifndef DAOREC_FITS_SCAN_H
#define DAOREC_FITS_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fits/header.h"

#define FITS_SCAN_AXES          9
#define FITS_SCAN_HEADER_BLOCKS 128u /* some 4600 cards; no header of ours has 300 */
#define FITS_CARD_BYTES         80u
#define FITS_TEXT_BYTES         69u /* a text on one card, and NUL */

struct fits_unit {
    uint64_t header_off, data_off;
    uint64_t data_bytes; /* without the padding */
    uint64_t end;        /* behind the padding; within the file */
    struct fits_bytes header;
    bool is_primary, is_table; /* neither: an image extension, or another kind */
    int bitpix, naxis;
    uint64_t axis[FITS_SCAN_AXES]; /* as in NAXIS1, ...; 0 beyond naxis */
    char extname[FITS_TEXT_BYTES];
};

/*
 * The unit whose header begins at `off`. 0; -ENODATA: the file ends there; -EBADMSG with a text;
 * or the errno of reading. Release with fits_unit_free(), which is safe on a zeroed one.
 */
int fits_scan_unit(struct fits_unit *ret, int fd, uint64_t file_bytes, uint64_t off,
                   struct dao_text *text);
void fits_unit_free(struct fits_unit *unit);

/* Does an extension begin at `off`, by its first bytes? */
bool fits_scan_is_extension(int fd, uint64_t file_bytes, uint64_t off);

/* In words: the last `bytes` bytes of the file belong to no HDU. */
void fits_scan_describe_behind(struct dao_text *ret, uint64_t bytes, uint64_t file_bytes);

/* Does the file begin like FITS? */
bool fits_scan_is_fits(const void *head, size_t head_bytes);

/* All `count` bytes at `off`. 0; -ENODATA: the file ends before; other errno. */
int fits_read_at(int fd, uint64_t off, void *ret_bytes, size_t count);

/* The first card of a keyword, 80 bytes, or NULL. */
const unsigned char *fits_card_find(const struct fits_bytes *header, const char *key);

/* Its value. 0; -ENOENT: there is no such card; -EINVAL: it holds no such value. *ret is untouched
 * on failure. A text is cut to what fits; one that goes on over CONTINUE cards is joined. */
int fits_card_integer(const struct fits_bytes *header, const char *key, int64_t *ret);
int fits_card_real(const struct fits_bytes *header, const char *key, double *ret);
int fits_card_text(const struct fits_bytes *header, const char *key, char *ret, size_t ret_bytes);

/* DATASUM of a header: 0; -ENOENT: undefined (blank or no card); -EINVAL: no number. */
int fits_card_datasum(const struct fits_bytes *header, uint32_t *ret);

/* Is CHECKSUM there and not blank? */
bool fits_has_checksum(const struct fits_bytes *header);

#endif
