/*
 * reader.h - the sequential reader of a FIFO segment: the one core behind daoShmGetNextSegment
 * and behind the recorder.
 *
 * A reader keeps a position (slot and count of the frame last taken) in its own memory. It maps
 * read-only, posts and waits on no semaphore, never blocks on a write flag. Taking a frame is
 * start, use in place, finish, so that a consumer may encode straight out of shared memory:
 *
 *     switch (dao_reader_begin(r, &take)) {
 *     case DAO_READ_FRAME:                     // candidate: copy take.pixels somewhere
 *         if (dao_reader_finish(r, &take) > 0) // proven: the copy is frame take.cnt0
 *             keep(copy);                      // else drop the copy and begin again
 *     ...
 *
 * One reader is for one thread; any number of readers may share a segment.
 *
 * tests/model/ has this reader beside our writer and the field's as a model for spin: whatever the
 * interleaving, at depths 2 to 4 no torn frame is taken, none twice, none called overwritten that
 * was not, none lost unnoticed. It fails when a check or the order of the loads is taken out.
 * `make model` runs it; a change here or in writer.c belongs in it, too.
 */
#ifndef DAO_READER_H
#define DAO_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/segment.h"

#define DAO_TORN_LOOK_NS 5000u /* depth 1: pause before the second look */

enum dao_lap_policy {
    DAO_LAP_OLDEST, /* after a lap resume at the oldest frame that can still be proven */
    DAO_LAP_NEWEST, /* after a lap resume at the newest frame (what the DAO API promises) */
};

struct dao_reader {
    const struct dao_segment *seg;
    enum dao_lap_policy lap_policy;
    uint32_t slot;          /* slot of the frame last taken */
    uint64_t cnt0;          /* its count */
    uint64_t newest_seen;   /* largest count seen published in this run */
    uint64_t creation_bits; /* creation_time of this run, as bits */
    uint32_t margin;        /* slots left free behind the oldest provable one at the next resume */
    uint32_t clean_frames;  /* frames accepted since the last lap */
    /* depth 1 only */
    uint32_t torn_look_ns; /* pause before the second look */
    int64_t unchanged_ns; /* CLOCK_MONOTONIC when the slot was last seen to hold the frame before */
    int64_t atime_ns;     /* of the frame last taken, 0: none */
};

enum dao_read {
    DAO_READ_NONE = 0,    /* nothing new */
    DAO_READ_FRAME = 1,   /* a candidate; finish() decides */
    DAO_READ_RESTART = 2, /* the source restarted; the position was moved; begin again */
};

/* A candidate, filled by begin() and completed by finish(). */
struct dao_take {
    const void *pixels; /* in shared memory, geo.frame_bytes bytes; may change under you */
    uint32_t slot;
    uint64_t cnt0, cnt1, cnt2;
    int64_t atime_ns; /* POSIX time, ns, CLOCK_REALTIME of the writer */
    bool partial;     /* packets are missing in this frame */
    bool lapped;      /* frames were overwritten before this one */
    bool jumped;      /* the source itself skipped counts before this one */
    bool torn;        /* set by finish(), depth 1 only: taken, but not whole */
    uint64_t missing; /* counts between the frame last taken and this one */
    /* with DAO_READ_RESTART: */
    uint64_t restart_lost;  /* frames of the old run known to be published and never taken */
    uint64_t restart_first; /* count of the first of them; meaningless where restart_lost is 0 */
};

/*
 * Attach at the newest frame: the first begin() gives the next one published.
 * With `backlog`, at the oldest frame that can be proven, so that it is the first one given.
 * `seg` must outlive the reader. 0, or -ESTALE.
 */
int dao_reader_init(struct dao_reader *r, const struct dao_segment *seg, enum dao_lap_policy policy,
                    bool backlog);

/*
 * Stand where creation leaves a segment: slot N-1, count 0, or that of its seed while it can still
 * be seen. For a segment that was created anew while nobody looked: whatever it has published is
 * then given, or found to be missing.
 */
void dao_reader_rewind(struct dao_reader *r);

/*
 * Look for the next frame. Never blocks. DAO_READ_*; -ESTALE: the segment was truncated, replaced
 * or is gone, open it again. DAO_READ_RESTART is returned once per restart, with restart_lost and
 * restart_first filled; the reader stands before the first frame of the new run
 * (r->cnt0 + 1 is the first count expected of it).
 * A begin() without finish() changes nothing: the position moves only in finish().
 */
int dao_reader_begin(struct dao_reader *r, struct dao_take *take);

/*
 * Between begin() and the copy, of small frames that have piled up: ask the memory for one that
 * comes a few frames later. Only for what was seen to be published, so that the writer finds its
 * cache lines where they were; a hint, which changes nothing.
 */
void dao_reader_prefetch(const struct dao_reader *r, const struct dao_take *take);

/*
 * After the copy: prove that it was of one whole frame, by the rules of the protocol (count,
 * head, the count of the slot before, write flag), and move the position.
 * 1: taken (depth 1: take->torn tells whether it is whole). 0: refused, position unmoved, call
 * begin() again; the frame will show up as lapped.
 */
int dao_reader_finish(struct dao_reader *r, struct dao_take *take);

/*
 * What a reader does at every wake besides looking at the next slot: file size, creation_time,
 * count of the slot last taken, newest count. Updates r->newest_seen.
 * 0; 1: a restart is pending (begin() will report it); -ESTALE.
 */
int dao_reader_look(struct dao_reader *r);

/* Of that only the newest count, without a system call: after a restart frames up to r->newest_seen
 * are known to have been published. */
void dao_reader_note_newest(struct dao_reader *r);

/* Is a frame (or a restart) waiting? One or two loads; for polling loops. It can say yes where
 * begin() still says DAO_READ_NONE: a frame stamped and not yet published. */
bool dao_reader_is_ready(const struct dao_reader *r);

/* What begin() would return now, changing nothing at all. */
int dao_reader_peek(const struct dao_reader *r);

/* Frames published and not yet taken, by count; 0 where counts went back. At most what a 64-bit
 * difference of counts says, so it can exceed the depth (then frames are already lost). */
uint64_t dao_reader_backlog(const struct dao_reader *r);

/* The newest frame: the head's, unless its count is below that of the slot before it (its stamp
 * is still to come): then that slot's. Fresh segment: slot N-1, count 0. */
void dao_segment_newest(const struct dao_segment *seg, uint32_t *ret_slot, uint64_t *ret_cnt0);

/* The count that the segment was created with (struct dao_seed), as long as slot N-1, which carries
 * it, holds no frame; else 0. */
uint64_t dao_segment_seed(const struct dao_segment *seg);

/* Snapshot of a slot's metadata by relaxed loads (slot < depth): fills cnt0..2, atime_ns, partial,
 * slot, pixels of `take`; leaves the rest alone. No proof of consistency. */
void dao_segment_snapshot(const struct dao_segment *seg, uint32_t slot, struct dao_take *take);

#endif
