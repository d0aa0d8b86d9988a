/*
 * writer.h - publishing frames, in the order of stores that no reader can misread.
 *
 * write = 1, release fence, payload, atime, cnt0 (release), write = 0 (release), head (release),
 * semaphores. One writer at a time is the user's affair. No state outside shared memory: the
 * functions may be called through any handle of the segment opened DAO_ACCESS_WRITE.
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

/* Start a frame: raises the slot's write flag. 0; -EROFS: opened read-only; -ESTALE: gone;
 * -EBADMSG: fifo_last_written holds garbage. */
int dao_writer_begin(struct dao_segment *seg, struct dao_write *ret);

/* Stamp (atime_ns 0: now, CLOCK_REALTIME) and publish a frame begun; cnt0 as in `w` (a caller may
 * have changed it: sources that stamp their own). Does not post semaphores. */
void dao_writer_publish(struct dao_segment *seg, const struct dao_write *w, int64_t atime_ns);

#endif
