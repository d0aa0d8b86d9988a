/*
 * flips.h - cards of which a bit may be wrong: how far are they from what they should be, and what
 * do they say all the same? For headers without a checksum; used by repair. Pure functions, any
 * thread.
 *
 * A value is read as it stands where it is written the way cfitsio writes it. Otherwise each single
 * bit of its field is flipped back in turn: where that makes one proper value, and no other, that
 * is the value.
 */
#ifndef DAOREC_FITS_FLIPS_H
#define DAOREC_FITS_FLIPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fits/header.h"

/* What differs by no more bits than that is damaged; by more it is another card, or text. */
#define FITS_FLIPS_MAX 8u

#define FITS_FLIPS_TEXT 81 /* a value on one card, and NUL */

/* Bits that differ. */
unsigned fits_flips(const void *a, const void *b, size_t bytes);
/* The same for two texts, the shorter one filled up with blanks. */
unsigned fits_flips_of_texts(const char *a, const char *b);

/* Is the card END, but for some bits? */
bool fits_is_nearly_end(const unsigned char *card);

/* Is it a card that a standard reader takes: text, a legal keyword, a value that is one? */
bool fits_card_is_legal(const unsigned char *card);

/*
 * The value of a card, whatever its keyword. 0; -ENOENT: none as cfitsio writes it; -EINVAL: more
 * than one that it could have been. An integer is right-adjusted to column 30. A text is followed
 * by this comment ("" for none) where it is not too long; is_fit (may be NULL) says which values
 * are possible. A text on more than one card is not read. *ret is untouched on failure.
 */
int fits_flipped_integer(const unsigned char *card, int64_t *ret);
int fits_flipped_text(const unsigned char *card, const char *comment,
                      bool (*is_fit)(const char *value), char ret[FITS_FLIPS_TEXT]);

/* Has the header a CHECKSUM and a DATASUM that fit each other and itself? */
bool fits_header_sums_up(const struct fits_bytes *header, uint32_t *ret_datasum);

#endif
