/*
 * session.h - a recording session: streams, threads, ledger, from start to the closing summary.
 *
 * A process may have one after the other, never two at once: see supervisor.h, which is what most
 * callers want. All functions: the thread that created it, unless another is named.
 */
#ifndef DAOREC_RECORD_SESSION_H
#define DAOREC_RECORD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/setting.h"
#include "io/engine.h"
#include "record/board.h"
#include "record/hooks.h"
#include "record/retention.h"
#include "record/stream.h"

struct service;

struct session_config {
    char *const *paths; /* segments */
    unsigned path_count;
    char *const *files; /* to be copied into the session */
    unsigned file_count;
    const char *root; /* output folder */
    struct stream_config stream;
    const struct stream_config *each; /* [path_count]: that of each; NULL: all have `stream` */
    cpu_set_t sink_cpus; /* of the threads that write, prepare and close files; empty: any */
    struct room_limits room;
    struct retention_limits retention;
    struct hooks_config hooks;
    int64_t wait_ns;       /* for segments to appear: 0 not at all, INT64_MAX for ever */
    bool all;              /* nothing is recorded before all of them are there */
    uint64_t buffer_bytes; /* staging memory of all streams; 0: chosen */
    enum io_engine_kind engine;
    bool lock_memory;     /* keep the process out of swap, where that is allowed */
    unsigned descriptors; /* that others of this process may have open meanwhile */
    bool json, quiet;
    struct service *service;      /* told how it goes; NULL: nobody is */
    bool stays;                   /* the process goes on when it ends */
    struct setting_list settings; /* what it was made from, to tell what changes; borrowed */
    struct board *board;          /* where it shows itself to whoever watches; NULL: nobody does */
};

struct session;

/*
 * How a session hears what is asked of it while it waits: listen() waits for `fd` (-1: none) to be
 * readable or for wait_ms, whichever is first, and may call session_stop() and the functions of
 * asking.h meanwhile.
 */
struct session_listener {
    void (*listen)(void *ctx, int fd, int wait_ms);
    void *ctx;
};

/* Memory only; config and listener are borrowed. NULL: none to be had. */
struct session *session_create(const struct session_config *config,
                               const struct session_listener *listener);

/*
 * Open the segments and begin to record. 0; or, after a line that says why, negative errno: -EINTR:
 * session_stop() was called before there was anything to record.
 */
int session_begin(struct session *session);

/* The exit status where session_begin() gave `error`. */
int session_status_of(int error);

/* After session_begin() gave 0: until the streams end by themselves (frames, duration, a disk
 * without room) or were stopped. Prints the summary (or JSON) on stdout and what happens on stderr.
 * Returns the exit status: 0; 1 failed; 3 frames were lost. Whether the summary has arrived
 * output_flush() tells. */
int session_watch(struct session *session);

/* Once session_watch() has returned: what is still telling the user's commands of this session, for
 * the caller to hooks_stop() when it likes; NULL: nothing, or no session. Where it is not taken,
 * session_destroy() waits for it. */
struct hooks *session_take_hooks(struct session *session);

/* Everything goes; NULL is allowed. Where it began, session_watch() has returned. */
void session_destroy(struct session *session);

/* Ask for the end, with this ENDCAUSE; asked again, what is still in the FIFOs is given up. */
void session_stop(struct session *session, const char *cause);
bool session_is_stopping(const struct session *session);

/* Its name; "" before it has one. */
const char *session_name(const struct session *session);

/* The summary as JSON, once session_watch() has returned; NULL without memory. */
const char *session_summary(const struct session *session);

#endif
