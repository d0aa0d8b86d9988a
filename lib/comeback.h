/*
 * comeback.h - a segment that went away (removed, replaced, truncated) and was opened again: where
 * a reader goes on, and which frames are known to be lost between. The reader's thread only.
 *
 * The segment that came back is either the same run (its path led away and back, a mount was
 * changed), whose frames up to the newest that was seen are dealt with already; or a new run, whose
 * counts began at 0, or at its seed while that can be seen, unless they are so large that they
 * cannot have.
 *
 *     dao_comeback_open(&c, &back, path, now)     as often as one likes, until it is there
 *     dao_comeback_look(&c, &back);               as often as one likes, while it is not read
 *     dao_comeback_attach(&c, &reader, &back..)   go on in it
 *     dao_comeback_skip(&c, &reader)              behind what it had overwritten when it was opened
 *     dao_comeback_unseen(&c, &reader, &back..)   or: it is given up, and has published so much
 */
#ifndef DAO_COMEBACK_H
#define DAO_COMEBACK_H

#include <stdint.h>

#include "lib/reader.h"

struct dao_comeback {
    uint64_t newest; /* count published in it, as far as is known; the seed: none */
    /* when it was opened */
    uint64_t seed;          /* count that it was created with */
    uint64_t opened_newest; /* what it had published; the seed: nothing */
    uint64_t lapped;        /* frames up to this count were overwritten; the seed: none */
    uint32_t lapped_slot;   /* where that one was */
    /* while it cannot be opened */
    int64_t open_after_ns; /* monotonic: it is not tried before */
    int64_t open_rest_ns;  /* how long to rest after it was refused */
};

/*
 * Try to open what is at `path` for reading, and begin with it; `now_ns`: monotonic. What is
 * refused for its rights, say, is tried less and less often, down to ten times a second; what is
 * not there, or is being made, each time. `c` is all zero before the first try.
 * 0; -EAGAIN: not tried yet; other negative errno: it cannot be opened, `back` is not touched.
 */
int dao_comeback_open(struct dao_comeback *c, struct dao_segment *back, const char *path,
                      int64_t now_ns);

/* The same with one that was opened otherwise, as soon as it is open. */
void dao_comeback_begin(struct dao_comeback *c, const struct dao_segment *back);

/* What has it published by now? */
void dao_comeback_look(struct dao_comeback *c, const struct dao_segment *back);

/* How many frames it is known to have published that `reader`, which stands where it stood when the
 * segment went away, will never see, if this one is not read; *ret_first: count of the first. */
uint64_t dao_comeback_unseen(const struct dao_comeback *c, const struct dao_reader *reader,
                             const struct dao_segment *back, uint64_t *ret_first);

/*
 * Move the reader from where it stood when the segment went away into `back`, which must outlive
 * it. *ret_first: the first count expected of this run; frames from there up to reader->cnt0 (none
 * where that is smaller) were published meanwhile and are lost.
 * 0; -ESTALE: it is gone already, the reader stands where it stood.
 */
int dao_comeback_attach(const struct dao_comeback *c, struct dao_reader *reader,
                        const struct dao_segment *back, uint64_t *ret_first);

/* After attaching: move a reader that stands at the start of a new run behind the frames that were
 * overwritten already when the segment was opened. How many these are; 0 in the same run. */
uint64_t dao_comeback_skip(const struct dao_comeback *c, struct dao_reader *reader);

#endif
