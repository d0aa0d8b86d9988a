/*
 * setup.h - what a replay does before its first frame: find the streams, limit them to what is
 * wanted, name their segments, make sure that nobody writes there, create them, take memory. Every
 * function logs what went wrong, in one line, and returns negative errno then. Main thread.
 */
#ifndef DAOREC_REPLAY_SETUP_H
#define DAOREC_REPLAY_SETUP_H

#include <signal.h>

#include "replay/feed.h"
#include "replay/replay.h"

/* The parts of a replay that the threads work on. Zeroed before the first function. */
struct replay_parts {
    struct series_set set;
    struct feed_stream *streams;
    struct target *targets;
    struct player_stream *players;
    unsigned count; /* of each of them */
    struct ring ring;
    uint64_t frames; /* of all streams in one pass */
    uint64_t bytes, frame_bytes_max;
};

/* Open series and streams, find ranges, choose names. -EINVAL: an option does not fit what is
 * there; -ENODATA: there is nothing to play. */
int setup_open(struct replay_parts *parts, const struct replay_config *config);

/* Make sure of the paths, and create the segments. -ECANCELED: *stop was set meanwhile. On failure
 * segments that were not there before are removed. */
int setup_create_segments(struct replay_parts *parts, const volatile sig_atomic_t *stop);

/* Memory for what is read ahead. */
int setup_allocate(struct replay_parts *parts, const struct replay_config *config);

/* Safe on parts that were zeroed, or in any state of being set up. */
void setup_close(struct replay_parts *parts, bool remove_segments);

#endif
