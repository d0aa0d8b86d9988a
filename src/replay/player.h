/*
 * player.h - the thread that publishes: frame after frame out of the ring, at its due time.
 *
 * Each frame has an absolute deadline, CLOCK_MONOTONIC. It is slept for until shortly before, then
 * waited for by looking at the clock; at depths of 2 and more the pixels are in their slot by then.
 * The thread does nothing that takes time otherwise: no file is read, nothing allocated or printed.
 *
 * A frame that comes late is published at once, and counted as missed where it is later than its
 * stream's usual interval. None is skipped. Where one is more than PLAYER_HOLD_NS late (reading
 * fell behind, the process was stopped), the clock is held for as long: what follows keeps its
 * distance, instead of coming all at once. Around a segment that is made anew PLAYER_SETTLE_NS go
 * by at least, so that readers take what there was and find out. Making it is another thread's
 * (maker.h); this one waits for it when it comes to the next frame of that stream.
 *
 * The segment is truncated, removed or replaced: the end, with an error.
 *
 * One thread for all streams. With one a stream, 32 streams at 1 kHz took three times the CPU, and
 * frames that belong to one instant came 20 times later (median, two cores).
 */
#ifndef DAOREC_REPLAY_PLAYER_H
#define DAOREC_REPLAY_PLAYER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "replay/maker.h"
#include "replay/ring.h"
#include "replay/target.h"

#define PLAYER_HOLD_NS   20000000ll
#define PLAYER_SETTLE_NS 100000000ll

enum player_pace {
    PLAYER_TIMED, /* by due times */
    PLAYER_ASAP,
    PLAYER_STEP, /* one frame for each post of `step` */
};

struct player_stream {
    struct target *target; /* borrowed */
    /* read by others while it runs, relaxed: */
    _Atomic uint64_t played, missed;
    _Atomic uint64_t index, cnt0; /* of the frame played last */
    _Atomic int64_t atime_ns;     /* as recorded */
    /* valid at the end: */
    uint64_t first_cnt0;
    uint64_t bytes;
    struct histogram error_ns; /* |interval between publications - between deadlines| */
    struct histogram late_ns;  /* publication - deadline */
    /* the player's own: */
    int64_t published_ns, deadline_ns; /* of the frame before; 0: none that counts */
    int64_t settled_ns;                /* after its segment was made anew: not before */
    int64_t checked_ns;
    struct maker_order order; /* target NULL: none, or dealt with */
};

struct player {
    enum player_pace pace;
    bool recorded_atime; /* else frames are stamped with the time they are published */
    struct ring *ring;   /* borrowed, as are streams and what follows */
    struct maker *maker;
    struct player_stream *streams;
    unsigned count;
    const atomic_bool *stop, *feed_is_over;
    pthread_t thread;
    sem_t step;
    /* the player's own: */
    int64_t epoch_ns;               /* monotonic: due time 0 */
    int64_t credit_ns, credited_ns; /* that may be spun; when it was last added to */
    /* read by others while it runs, relaxed: */
    _Atomic unsigned last_stream; /* whose frame was played last */
    /* valid once is_over (acquire): */
    int64_t begin_ns, end_ns; /* monotonic */
    int64_t held_ns;
    int error; /* negative errno, with `text` */
    struct dao_text text;
    atomic_bool is_over;
};

/* The thread's function; ctx is a player whose members are set down to `step` (initialised). */
void *player_run(void *ctx);

#endif
