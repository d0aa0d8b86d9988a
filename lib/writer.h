/*
 * writer.h - publishing frames, in the order of stores that no reader can misread.
 *
 * write = 1, release fence, payload, atime, cnt0 (release), write = 0 (release), head (release),
 * semaphores. One writer at a time is the user's affair. No state outside shared memory: the
 * functions may be called through any handle of the segment opened DAO_ACCESS_WRITE.
 *
 * The order is checked exhaustively: tests/model/ has these stores, those of the field's writer and
 * the reader's loads as a model for spin, which tries every interleaving (`make model`). Each
 * release left out makes a reader there see a torn frame or a false overwrite.
 */
#ifndef DAO_WRITER_H
#define DAO_WRITER_H

#include <stdint.h>

#include "lib/segment.h"

/* Where the next frame goes, between begin and publish. */
struct dao_write {
    uint32_t slot;
    uint64_t cnt0; /* count the frame will get: that of the slot before it, plus 1 */
    void *pixels;  /* geo.frame_bytes bytes to be filled in place */
};

/* What a packet tells about itself. */
struct dao_packet {
    uint32_t position; /* of its first element in the frame */
    uint32_t count;    /* elements */
    uint16_t id;       /* below DAO_PACKETS_MAX */
    uint16_t total;    /* packets in a frame */
    uint64_t frame;    /* the source's number of the frame */
};

#define DAO_PACKETS_MAX 512u /* entries of lastNbArray */

/* Start a frame, or go on with the one started: raises the slot's write flag. 0; -EROFS: opened
 * read-only; -ESTALE: gone; -EBADMSG: fifo_last_written or fifo_size holds garbage. */
int dao_writer_begin(struct dao_segment *seg, struct dao_write *ret);

/* Note in the slot's metadata that a packet's pixels were written, after dao_writer_begin(). */
void dao_writer_note_packet(struct dao_segment *seg, const struct dao_write *w,
                            const struct dao_packet *packet);

/* The frame in this slot is written whole, not by packets: what older packets left is void. */
void dao_writer_note_whole(struct dao_segment *seg, const struct dao_write *w);

/* The frame's other counters, as a source that has them stamps them. */
void dao_writer_note_counters(struct dao_segment *seg, const struct dao_write *w, uint64_t cnt1,
                              uint64_t cnt2);

/* For atime_ns: the frame has no time, and its slot shall say 0. */
#define DAO_ATIME_NONE INT64_MIN

/* Stamp (atime_ns 0: now, CLOCK_REALTIME) and publish a frame begun; cnt0 as in `w` (a caller may
 * have changed it: sources that stamp their own). Does not post semaphores. */
void dao_writer_publish(struct dao_segment *seg, const struct dao_write *w, int64_t atime_ns);

/* Leave off a frame begun at depth 1, where the slot is the only one and is not to look unfinished
 * for ever: write = 0, no count, nothing published. */
void dao_writer_leave(struct dao_segment *seg, const struct dao_write *w);

/* Stamp the frame at the head anew: atime now, cnt0 that of the slot before plus 1 (depth 1: its
 * own plus 1), write 0. Errors as dao_writer_begin(). */
int dao_writer_stamp(struct dao_segment *seg);

#endif
