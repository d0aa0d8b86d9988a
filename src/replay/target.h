/*
 * target.h - the segment that a stream is played into: its name, its creation, its frames.
 *
 * What can go wrong: nobody may write there meanwhile (base/claim.h); the folder is missing or full
 * (a text names it); the segment is truncated, removed or replaced while it is written to
 * (-ESTALE). One thread at a time: who sets up, who publishes, or who makes it anew (maker.h).
 */
#ifndef DAOREC_REPLAY_TARGET_H
#define DAOREC_REPLAY_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/segment.h"
#include "lib/semset.h"
#include "lib/writer.h"
#include "series/series.h"

#define TARGET_PATH_BYTES 4096

struct target {
    char path[TARGET_PATH_BYTES];
    uint32_t depth; /* that was asked for, 0: as recorded */
    struct dao_segment segment;
    struct dao_semset semaphores;
};

/* What is asked for by --to and --prefix; NULL: not. */
struct target_naming {
    const char *to;
    const char *prefix;
};

/*
 * Where a stream goes: `to`; or `prefix`, a folder (one that is there, or ends in '/'), or the
 * beginning of a name, in the folder that it names, else in the one where the segment was; or where
 * the segment was. ret of TARGET_PATH_BYTES. 0; -EINVAL: nothing tells where, -ENAMETOOLONG.
 */
int target_choose_path(char *ret, const struct series *series, const struct target_naming *naming,
                       struct dao_text *text);

/* Prepare a target that has nothing yet. Closing it is safe from here on. */
void target_init(struct target *target, uint32_t depth);

/* The geometry of the segment that a part of a series becomes. 0 or -EINVAL with a text. */
int target_geometry(struct dao_geometry *ret, const struct series_part *part, uint32_t depth,
                    struct dao_text *text);

/*
 * Create the segment, or make it anew, for a part: shape, type, depth, keywords; cnt0 is that of
 * the slot before the first frame. Its semaphores are there before, and the writer's lock is taken.
 * 0 or negative errno with a text.
 */
int target_create(struct target *target, const struct series_part *part, uint64_t cnt0,
                  struct dao_text *text);

/* A whole frame into the next slot, not published. As dao_writer_begin(). */
int target_fill(struct target *target, const void *pixels, struct dao_write *ret);

/* Publish it: w->cnt0 is the caller's to set. atime_ns as for dao_writer_publish(). */
void target_publish(struct target *target, const struct dao_write *w, uint64_t cnt1, uint64_t cnt2,
                    int64_t atime_ns);

/* Is the segment whole, and still the one that its path names? 0 or -ESTALE. */
int target_check(const struct target *target);

/* Close; with `remove` the segment and its semaphores vanish, if the path still leads to ours. */
void target_close(struct target *target, bool remove);

#endif
