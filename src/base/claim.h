/*
 * claim.h - making sure, before a segment is created, that nobody else writes to its path: who asks
 * for the writer's lock holds it, and programs that know of no lock move the count.
 *
 * For sources (sim, replay), before they begin; one thread. Several paths are watched at once, so
 * that a session of many streams waits for one second, not for one a stream. What writes without a
 * lock and slower than once in ten seconds is not seen.
 */
#ifndef DAOREC_BASE_CLAIM_H
#define DAOREC_BASE_CLAIM_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/segment.h"

struct claim {
    struct dao_segment old; /* what is at the path; map NULL: nothing */
    uint64_t cnt0;          /* its newest count when it was looked at */
};

/*
 * Look at what is at `path`, and take its writer's lock. 0, also where nothing is there; -EBUSY:
 * somebody holds the lock; -EEXIST: the path is a file that is no segment; others from opening.
 * With a text. `claim` needs no initialisation and is safe to release after failure.
 */
int claim_take(struct claim *claim, const char *path, struct dao_text *text);

/* Wait for a second whether a count moves, or for up to ten where a segment's last frames tell of a
 * slow source that may be alive; not at all where no path has a segment. 0; -EBUSY: one does, with
 * a text; -ECANCELED: *stop was set meanwhile. */
int claim_watch(const struct claim *claims, size_t count, const volatile sig_atomic_t *stop,
                struct dao_text *text);

/* Let go, before the segment is created: the lock belongs to the file. */
void claim_release(struct claim *claim);

/* Take the writer's lock of a segment that was created. 0, -EBUSY or other, with a text. Somebody
 * who only looks holds it for an instant: that is waited out. */
int claim_lock(struct dao_segment *segment, struct dao_text *text);

#endif
