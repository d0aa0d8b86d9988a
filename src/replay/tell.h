/*
 * tell.h - what a person sees of a replay: the line while it runs, the summary at its end. Main
 * thread.
 */
#ifndef DAOREC_REPLAY_TELL_H
#define DAOREC_REPLAY_TELL_H

#include <stdint.h>
#include <stdio.h>

#include "replay/feed.h"
#include "replay/player.h"

/* Borrowed views of a replay. */
struct tell_replay {
    const struct feed *feed;
    const struct player *player;
    uint64_t frames; /* to be played, all passes and streams; 0: nobody knows */
    bool is_stopped; /* by a signal or a key */
    bool is_failed;  /* the exit status says so */
};

/* What changed since the line before; zero it once. */
struct tell_live {
    uint64_t frames;
    int64_t time_ns;
};

/* One line: percent, rate, per stream frames and misses, how much is read ahead. */
void tell_format_live(struct tell_live *live, char *line, size_t line_bytes,
                      const struct tell_replay *replay, int64_t now_ns);

/* One line about the frame played last, for stepping: its index from 0, as --from takes it. */
void tell_format_step(char *line, size_t line_bytes, const struct tell_replay *replay);

/* The closing summary, once feed and player are over. */
void tell_print_summary(FILE *out, const struct tell_replay *replay);
void tell_print_json(FILE *out, const struct tell_replay *replay);

#endif
