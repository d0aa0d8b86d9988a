/*
 * await.h - what programs that run until they are stopped have in common: the signals that stop
 * them, and segments that are still to come. Main thread.
 *
 * What can fail: a segment is not there in time, is none, or may not be opened; it was opened and
 * has changed while others were waited for: then it is opened again.
 */
#ifndef DAOREC_BASE_AWAIT_H
#define DAOREC_BASE_AWAIT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/segment.h"

/* Longer than that no creator leaves a file unfinished. */
#define AWAIT_BEING_MADE_NS 1000000000ll

/* The first half of await_signals(), for who has something to undo: what comes from here on is kept
 * for it. ret: the set, or NULL. */
void await_block_signals(bool with_user, sigset_t *ret);

/* Block SIGINT, SIGTERM, SIGHUP (unless it is ignored: nohup) and, `with_user`, SIGUSR1 in this
 * thread and those that it starts. A signalfd that does not block, to be closed; or negative
 * errno. */
int await_signals(bool with_user);

struct await {
    const char *who; /* before what is said of an error: "" or "drops: " */
    int64_t wait_ns; /* for the segments to appear; 0: not at all, INT64_MAX: for ever */
    bool quiet;      /* say errors and warnings only */
    /* Wait so long; did a signal ask for the end? */
    bool (*is_end_wanted)(void *ctx, int wait_ms);
    void *ctx;
};

/* One of them; borrowed. Not open yet: segment->fd is -1. */
struct await_segment {
    struct dao_segment *segment;
    const char *path;
};

/* Open all of them, read-only. 0; -EINTR: the end is wanted; other negative errno after a line that
 * says why. Those that are open then are for the caller to close. */
int await_segments(const struct await *await, const struct await_segment *segments, unsigned count);

#endif
