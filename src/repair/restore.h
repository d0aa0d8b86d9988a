/*
 * restore.h - the headers of an unfinished file as they should be, where bits of them were flipped.
 * Repair's; blocking, any thread, one file each. Looking changes nothing.
 *
 * Headers of unfinished files have no checksums yet. But every card of them follows from a few
 * numbers, and most of these stand in several places: the type and shape in SHMTYPE and SHMSIZn, in
 * BITPIX, BZERO and NAXISn, in where the tables lie and in the ledger; the number of planes in
 * NAXISn, in FRAMES and in the file's length; DATEREF in every row; the session in the files
 * beside it (see witness.h). So the headers are built anew from what most of these say, and
 * compared card by card.
 *
 * What can be wrong, and what is done:
 *
 *   a card differs from the one built anew by a few     it is restored
 *   bits, or is no legal card
 *   it differs by more, and is legal                    a person's, or another version's: it stays
 *   a value that stands nowhere else is no value        refused, the card named
 *   it is nearly, not quite, what one witness says,     refused, both named
 *   and there is no other
 *   no headers like ours, or nothing like a recording   nothing is restored; whoever opens it says
 *                                                       what is wrong
 *   a header with a CHECKSUM that fits                  stays as it is
 *
 * A value that stands nowhere else and is still a value is believed: README tells which these are.
 */
#ifndef DAOREC_REPAIR_RESTORE_H
#define DAOREC_REPAIR_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/sink.h"
#include "recording/reading.h"

struct restore_header {
    uint64_t off;
    struct fits_bytes bytes; /* as they should be; empty where nothing is known of it */
    bool is_changed;
};

struct restore {
    struct restore_header header[READING_UNITS];
    unsigned count;  /* cards restored, of all headers */
    char cards[192]; /* their names: "NAXIS3, FRAMES TFORM4, ..." */
};

/* Look at the file behind fd, which is `name` in dir_fd. 0, also where nothing is wrong or nothing
 * can be told; -EBADMSG with a text; other errno. Release with restore_free() in any case. */
int restore_look(struct restore *ret, int fd, int dir_fd, const char *name, struct dao_text *text);

/* reading_open(), with the headers as they should be. */
int restore_open(const struct restore *restore, struct reading *ret, int fd, struct dao_text *text);

/* Write the headers that changed into the file, and sync. 0 or negative errno. */
int restore_apply(const struct restore *restore, struct sink *sink);

void restore_free(struct restore *restore); /* safe on a zeroed one */

#endif
