/*
 * replay.h - recordings played back into segments, from the opening to the closing summary.
 *
 *     series --feed thread--> ring --player thread--> segments        main thread: keys, signals,
 *                                              |                      what is told
 *                                         maker thread: segments made anew
 *
 * What can go wrong, and where it is dealt with: nothing to play, no name for a segment, two
 * streams for one segment, somebody else writing to it, no room (here, before anything is created,
 * but for the last); frames that cannot be read (feed.h); reading that falls behind, segments that
 * vanish (player.h). Memory: the ring, and what the readers take.
 */
#ifndef DAOREC_REPLAY_REPLAY_H
#define DAOREC_REPLAY_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay/player.h"

struct replay_config {
    char *const *paths;
    size_t path_count;
    const char *const *streams; /* NULL-terminated; NULL: all */
    unsigned frame_axis;        /* of cubes of others; 0: the last */
    const char *to, *prefix;    /* NULL: where the segments were */
    enum player_pace pace;
    double rate_hz; /* 0: as recorded */
    double speed;
    uint32_t depth;           /* 0: as recorded */
    uint64_t passes;          /* 0: for ever */
    const char *from, *until; /* as range.h and daytime.h understand them; NULL: all */
    bool close_gaps;
    bool recorded_atime;
    int64_t pause_ns_max;
    uint64_t buffer_bytes; /* 0: the default */
    int cpu, priority;     /* of the player; -1, 0: as it is */
    bool hold;             /* begin at SIGUSR1, or at a key */
    bool remove;           /* the segments at the end */
    bool json, quiet;
};

/* The program's exit status. Catches SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGCONT. Called once. */
int replay_run(const struct replay_config *config);

#endif
