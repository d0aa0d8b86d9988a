/*
 * watch.h - one living segment, watched: a thread of its own reads it as a sequential reader does,
 * and counts. It takes no pixels, only each frame's metadata and the proof that it was whole, and
 * writes nothing.
 *
 *     segment --watch_run()--> tally, delays --every 250 ms, never waiting--> view --> who shows it
 *
 * What can happen: the reader is lapped, or the source's count jumps: counted as lost. The source
 * restarts, the segment is removed, replaced, truncated, comes back as it was or in another shape
 * (watch_gone.c): what is known to be lost is counted, and watching goes on. A writer that died
 * under a frame: looked at less and less often. At the end what is in the FIFO is still looked at,
 * and what was there and is not any more is lost.
 */
#ifndef DAOREC_MEASURE_WATCH_H
#define DAOREC_MEASURE_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/pace.h"
#include "lib/comeback.h"
#include "lib/wait.h"
#include "measure/tally.h"

#define WATCH_GAPS_MAX 10000u

enum watch_condition {
    WATCH_RUNNING,
    WATCH_GONE, /* removed, replaced or truncated: waited for */
};

/* What happened to the source, counted. */
enum watch_event {
    WATCH_BACK,     /* it came back as it was */
    WATCH_RESHAPED, /* it came back in another shape */
    WATCH_RESTART,  /* its count began anew in place */
};
#define WATCH_EVENTS 3

/* What others may see. */
struct watch_view {
    struct tally tally;     /* its gaps: appended, never changed */
    struct histogram delay; /* ns by which looks were later than they should have been */
    uint64_t looks;
    uint64_t backlog;     /* frames published since the look before, the most of late: the FIFO
                             may hold fewer */
    uint64_t backlog_max; /* and ever */
    double rate_hz_max;   /* published in a second, the most; 0: none was watched for so long */
    int64_t begin_ns;     /* monotonic */
    int64_t time_ns;      /* monotonic: when this was so */
    int64_t frame_ns;     /* monotonic: when there was a frame last; the beginning: none yet */
    uint32_t depth;
    struct dao_geometry geometry;
    enum watch_condition condition;
    uint64_t events[WATCH_EVENTS];
};

struct watch_config {
    int64_t duration_ns; /* 0: no end */
    bool each_frame;     /* wait for each frame, and take it at once */
};

struct watch {
    /* fixed before the thread starts */
    const char *path;
    char name[128];
    struct watch_config config;
    int over_fd; /* an eventfd, told when the thread has ended */
    /* the thread's own, once it runs */
    pthread_t thread;
    struct dao_segment segment;
    struct dao_reader reader;
    struct dao_cadence cadence;
    struct pace pace;
    struct watch_view now;
    struct tally_gap gaps[WATCH_GAPS_MAX];
    struct dao_segment fresh; /* what came back; fd -1: nothing yet */
    struct dao_comeback comeback;
    uint64_t backlog_lately;
    int64_t refused_sleep_ns;
    int64_t published_ns;
    int64_t second_ns;         /* monotonic: when the second began that is measured */
    uint64_t published_before; /* frames published until then, as far as is known */
    bool stopping, finished;
    uint64_t last_wanted_cnt0; /* while stopping: the newest at the request */
    /* shared */
    atomic_bool stop_requested;
    atomic_bool hurry; /* what is still in the FIFO is given up */
    atomic_bool is_over;
    pthread_mutex_t lock;
    struct watch_view shown;
};

/* For a path, which is borrowed. NULL: no memory. */
struct watch *watch_create(const char *path, const struct watch_config *config, int over_fd);
void watch_destroy(struct watch *w); /* its thread must have ended; NULL is allowed */

/* The segment is open: stand at its newest frame. 0 or -ESTALE. Before the thread starts. */
int watch_attach(struct watch *w);

/* The thread's function; `watch` is attached. Returns NULL. */
void *watch_run(void *watch);

/* Anyone: a copy of what was published last, its intervals settled. ret is large. */
void watch_read(struct watch *w, struct watch_view *ret);

/* In watch_gone.c, for the thread: one look for a segment that went away. To be called again and
 * again with a little rest while the condition is WATCH_GONE, and once to begin with. */
void watch_gone_step(struct watch *w);

#endif
