/*
 * keywords.h - the segment's keywords on their way into a file: which may become cards, and the
 * rows of SHMKW. Pure functions, any thread.
 */
#ifndef DAOREC_FITS_KEYWORDS_H
#define DAOREC_FITS_KEYWORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/dao.h"

#define FITS_SHMKW_ROW_BYTES 129u

/* May a keyword of this name and value be a card of the primary header? Not where the name is no
 * legal FITS name, or is mandatory, reserved, a table's or one of ours; nor NaN, nor infinity. */
bool fits_keyword_is_card(const IMAGE_KEYWORD *keyword);

/* Copy at most `count` characters up to the first NUL, printable ASCII only (others become '?'),
 * without trailing blanks. dst holds count + 1. */
void fits_keyword_clean(char *dst, const char *src, unsigned count);

/* One row of SHMKW: NAME 16A, TYPE 1A, LVAL 1K, DVAL 1D, SVAL 16A, COMMENT 80A. */
void fits_keyword_pack(unsigned char dst[FITS_SHMKW_ROW_BYTES], const IMAGE_KEYWORD *keyword);
void fits_keyword_unpack(IMAGE_KEYWORD *ret, const unsigned char src[FITS_SHMKW_ROW_BYTES]);

/* Is a name one that FITS, or a recording, has given a meaning to, so that no keyword of a segment
 * becomes a card of that name, or the other way round? */
bool fits_keyword_is_taken(const char *name);

#endif
