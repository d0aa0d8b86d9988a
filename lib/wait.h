/*
 * wait.h - waiting for frames by looking at counts: no semaphore, no burnt core.
 *
 * A wait is for one thread. It sleeps, or spins, as its policy says; with a cadence, which it
 * learns from the frames it has waited for, it sleeps until shortly before the next one is due and
 * spins from there, as long as the source is regular enough for that to cost little.
 */
#ifndef DAO_WAIT_H
#define DAO_WAIT_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/reader.h"

#define DAO_CADENCE_INTERVALS 9u

/*
 * When frames come, as seen by one who waits for them. Zeroed, nothing is known yet. The members
 * are atomic so that copies of an IMAGE may share one; they are predictions, so no order between
 * them is needed.
 */
struct dao_cadence {
    _Atomic int64_t arrival_ns;  /* CLOCK_MONOTONIC of a frame that was waited for, 0: none */
    _Atomic uint64_t cnt0;       /* its count */
    _Atomic int64_t interval_ns; /* between frames, their median; 0: not known */
    _Atomic int64_t jitter_ns;   /* median deviation from that */
    _Atomic int64_t intervals_ns[DAO_CADENCE_INTERVALS]; /* the last ones, round and round */
    _Atomic unsigned intervals;                          /* seen so far */
    _Atomic int64_t late_ns; /* by which a sleep outlasts what was asked for, smoothed */
    /* depth 1 only: at this time a wait still saw that this count had not come */
    _Atomic int64_t empty_ns;
    _Atomic uint64_t empty_cnt0;
};

struct dao_wait_policy {
    int64_t spin_ns;      /* poll without sleeping for this long first */
    int64_t sleep_ns;     /* then sleep this long between looks (CLOCK_MONOTONIC) ... */
    int64_t sleep_max_ns; /* ... and longer the longer nothing comes, up to this; 0: no longer */
};

#define DAO_WAIT_FOREVER INT64_MAX

/*
 * Wait until a frame or a restart is there. deadline_ns: CLOCK_MONOTONIC, or DAO_WAIT_FOREVER.
 * `cadence` may be NULL.
 * 1: begin() has something to say. 0: deadline. -EINTR: a signal handler ran. -ESTALE: truncated,
 * replaced or gone (the path is compared after 100 ms without a frame, then every 100 ms).
 */
int dao_reader_wait(struct dao_reader *r, int64_t deadline_ns, const struct dao_wait_policy *policy,
                    struct dao_cadence *cadence);

#define DAO_WAIT_RESTARTED 2

/*
 * Wait until the newest frame's count is at least `*target` (NULL: until there is a newer one), in
 * the run that there is at the call.
 * 1: it is; DAO_WAIT_RESTARTED: the source restarted, or its count went back; else as above.
 */
int dao_newest_wait(const struct dao_segment *seg, const uint64_t *target, int64_t deadline_ns,
                    const struct dao_wait_policy *policy, struct dao_cadence *cadence);

#endif
