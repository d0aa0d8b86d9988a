/*
 * booking.h - rows of FRAMES, one after the other, into a tally: what they say was lost, and what
 * only the session's ledger can tell (frames that a failing disk swallowed, what was lost behind
 * the last row, runs without a frame). Pure logic; one thread a booking.
 *
 * A ledger is used where it is finished and all files that it names are here; its numbers are then
 * found again: what rows and ledger both know is counted once. Without one, counts that jump and no
 * row explains are lost to a cause unknown, but between files that do not follow each other: those
 * frames are in files that are not here. Rows that contradict each other begin a new run, so that
 * expected = seen + lost holds whatever they say.
 */
#ifndef DAOREC_MEASURE_BOOKING_H
#define DAOREC_MEASURE_BOOKING_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/rows.h"
#include "measure/tally.h"
#include "recording/ledger.h"

struct booking {
    struct tally *tally;
    const struct ledger_stream *ledger; /* NULL: none, or it does not fit the rows */
    bool *is_used;                      /* its gaps that were found */
    uint64_t ledger_run;                /* its run that is the current one */
    bool has_ledger_failed;             /* there was one, and it did not fit */
};

/* ledger: NULL, or one whose runs are all listed; borrowed. 0 or -ENOMEM. */
int booking_begin(struct booking *b, struct tally *tally, const struct ledger_stream *ledger);

/* The next row. is_behind_hole: it is the first of a file that does not follow the one before. */
void booking_row(struct booking *b, const struct fits_row *row, bool is_behind_hole);

/* Nothing more comes: what the ledger knows beyond the last row. */
void booking_end(struct booking *b);
void booking_free(struct booking *b); /* safe on a zeroed one */

/* Can a ledger's entry be used at all? Its runs must all be listed. */
bool booking_is_ledger_whole(const struct ledger_stream *ledger);

#endif
