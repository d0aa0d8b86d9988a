/*
 * retention_which.h - which files of a ring go next, and what the rest of them take. For
 * retention.c and retention_going.c only. Keepers' threads.
 */
#ifndef DAOREC_RECORD_RETENTION_WHICH_H
#define DAOREC_RECORD_RETENTION_WHICH_H

#include "record/retention_state.h"
#include "recording/retire.h"

#define RETENTION_NO_STREAM UINT32_MAX

/* Files of one session and stream, oldest first. */
struct retention_batch {
    unsigned stream;
    struct kept_file files[RETIRE_MANY];
    struct retire olds[RETIRE_MANY];
    size_t count;
};

/* The recording begins. */
void retention_start_clock(struct retention *retention);

/* The wall clock, as if it had never been set since then. */
int64_t retention_steady_ns(const struct retention *retention);

/* ---- with retention->lock held ---- */

/* What crashes left unfinished. */
uint64_t retention_part_bytes(const struct retention *retention);

/* All that is finished, or claimed by what is being written. */
uint64_t retention_bytes(const struct retention *retention);

/* The oldest of all, taken from each stream in its order; of no stream that has not more than
 * `least`. NULL: there is none. */
struct kept_file *retention_oldest(const struct retention *retention, uint64_t least,
                                   unsigned *ret_stream);

/* Whenever files came or went, or limits did. */
void retention_note_ring(const struct retention *retention);

/* ---- without it ---- */

/* Is one beyond the limits, where a file is to be made for `stream` (or RETENTION_NO_STREAM)? */
bool retention_has_surplus(struct retention *retention, unsigned stream);

/* Those beyond the limits that go next; they are not counted from here on. False: none. */
bool retention_pick(struct retention *retention, unsigned stream, struct retention_batch *ret);

/* The one that goes next since the disk is full. False: none may. */
bool retention_pick_spare(struct retention *retention, struct retention_batch *ret);

#endif
