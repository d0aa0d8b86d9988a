/*
 * session.h - a recording session: streams, threads, ledger, from start to the closing summary.
 */
#ifndef DAOREC_RECORD_SESSION_H
#define DAOREC_RECORD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "io/engine.h"
#include "record/board.h"
#include "record/hooks.h"
#include "record/retention.h"
#include "record/stream.h"

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
    uint64_t buffer_bytes; /* staging memory of all streams; 0: chosen */
    enum io_engine_kind engine;
    bool lock_memory; /* keep the process out of swap, where that is allowed */
    bool json, quiet;
    struct board *board; /* where it shows itself to whoever watches; NULL: nobody does */
};

/*
 * Record until the streams end by themselves (frames, duration, a disk without room) or a signal
 * asks for it; a second signal gives up what is still in the FIFOs. Blocks, handles SIGINT, SIGTERM
 * and SIGUSR1 while it runs. Prints the summary (or JSON) on stdout and
 * what happens on stderr. Returns the exit status: 0; 1 failed; 2 wrong usage; 3 frames were lost.
 */
int session_run(const struct session_config *config);

#endif
