/*
 * marks.h - what a person noted while a file was recorded, as HISTORY cards of its primary header:
 *
 *     HISTORY MARK 2026-11-26T05:04:08.123456 loop closed
 *     HISTORY      and what does not fit on one line
 *
 * A header is built with blank cards in front of END for them, so that it keeps its length.
 * HISTORY, since such a card is a legal one also where a power cut left the half of it blank. Any
 * thread.
 */
#ifndef DAOREC_FITS_MARKS_H
#define DAOREC_FITS_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/bytes.h"

#define FITS_MARK_CARDS 18u  /* kept free in a header */
#define FITS_MARK_BYTES 201u /* of a text, with its NUL */

struct fits_mark {
    int64_t time_ns;            /* POSIX */
    char text[FITS_MARK_BYTES]; /* UTF-8 on one line; what is no ASCII becomes '?' in a card */
};

/* Make room for so many cards between the last card and END. 0 or -ENOMEM. */
int fits_marks_reserve(struct fits_bytes *header, unsigned cards);

/* The card, counted from 0, behind the last one that is neither blank nor END; `anew`: behind those
 * that are no marks either. */
unsigned fits_marks_begin(const struct fits_bytes *header, bool anew);

/*
 * Give `header` the room that `old`, whose cards it has been given anew, has in front of its END,
 * and put marks into it: as many of `count` as fit whole; a last card tells of those that do not,
 * and of `more`. 0 or -ENOMEM.
 */
int fits_marks_put(struct fits_bytes *header, const struct fits_bytes *old,
                   const struct fits_mark *marks, unsigned count, uint64_t more);

/* The marks that any header's cards tell of, their times to the microsecond; *ret_more: how many
 * had no room there. Returns how many there are. */
unsigned fits_marks_read(const struct fits_bytes *header, struct fits_mark ret[FITS_MARK_CARDS],
                         uint64_t *ret_more);

#endif
