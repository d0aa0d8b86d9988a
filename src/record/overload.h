/*
 * overload.h - what happens where the disk does not keep up: all staging blocks are in use, and
 * frames wait in the FIFO. Drain thread only.
 *
 *   drop newest   what is in memory is written, frames wait in the FIFO, and what is overwritten
 *                 there is lost to the disk; recording goes on at the oldest frame that is left
 *   decimate N    once the FIFO is half full, too, of the frames in it only those are recorded
 *                 whose count is a multiple of N (or every N-th, where counts are none), and the
 *                 others are left out (lost to the disk),
 *                 until half of the staging blocks are free: the losses are spread evenly, and
 *                 streams keep the frames of the same counts
 *   stop          before the first frame is lost to the disk the recording ends, in order: every
 *                 frame up to its end is there
 *
 * Frames that are left out are booked with the next one that is taken, or with what ends their run,
 * so that they come before whatever is lost behind them.
 */
#ifndef DAOREC_RECORD_OVERLOAD_H
#define DAOREC_RECORD_OVERLOAD_H

#include "record/stream.h"

/* No block or file is free for a frame that is there. */
void overload_note_starved(struct record_stream *s);

/* Is this candidate to be left out? */
bool overload_leaves_out(struct record_stream *s, const struct dao_take *take);

/* It was passed by (the reader is behind it). `previous`: count of the frame before it that was
 * taken or left out; `cause`: of what is missing between. */
void overload_leave_out(struct record_stream *s, const struct dao_take *take, uint64_t previous,
                        enum ledger_cause cause);

/* Book what was left out where no row follows in this file: how many they were. Else see
 * loss_book_left_out(). */
uint64_t overload_book_at_end(struct record_stream *s);

/* Is this the end, since what was lost to the disk had no frame behind it (a restart)? */
bool overload_has_ended(const struct record_stream *s);

/* Is this the end, before `take` is recorded, or what was overwritten before it is lost? */
bool overload_ends(const struct record_stream *s, const struct dao_take *take);

#endif
