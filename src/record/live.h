/*
 * live.h - what a person sees of a session: the live line while it runs, the summary at its end.
 */
#ifndef DAOREC_RECORD_LIVE_H
#define DAOREC_RECORD_LIVE_H

#include <stdint.h>
#include <stdio.h>

#include "recording/ledger.h"
#include "recording/state.h"

/* What changed since the line before; zero it once. */
struct live {
    uint64_t frames[64];
    uint64_t bytes;
    int64_t time_ns;
};

/* One line: MB/s (since the line before, of the last two seconds at least) and time to disk full;
 * per stream rate since the line before, frames, lost, backlog, buffer. Cut to line_bytes. */
void live_format(struct live *live, char *line, size_t line_bytes,
                 const struct session_state *state);

/* The closing summary as a table. took_ns: by a clock that nobody sets. */
void live_print_summary(FILE *out, const struct ledger *ledger, int64_t took_ns);

#endif
