/*
 * loss.h - frames that are lost where no frame of the same run tells of them: between two runs, or
 * before a segment that came back could be read. They are booked, and the next row has them in its
 * LOST and FLAGS. Drain thread only.
 */
#ifndef DAOREC_RECORD_LOSS_H
#define DAOREC_RECORD_LOSS_H

#include "record/stream.h"

/* What FLAGS say of a row behind a loss: FITS_FLAG_*. */
int32_t loss_flags(enum ledger_cause cause);

/* `count` frames from `first` on (of the run that is being booked) are lost; 0: nothing is. */
void loss_book(struct record_stream *s, enum ledger_cause cause, uint64_t first, uint64_t count);

/* Frames that were left out since the disk did not keep up (record/overload.h), so that the next
 * row tells of them. */
void loss_book_left_out(struct record_stream *s);

/* A run is over, and `count` frames behind the one last taken, `first` the first of them, are known
 * never to be taken: those that are known to have been lapped while the disk was waited for are
 * lost to it, the rest to the restart. */
void loss_book_end_of_run(struct record_stream *s, uint64_t first, uint64_t count);

#endif
