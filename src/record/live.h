/*
 * live.h - what a person sees of a session: the live line while it runs, the summary at its end.
 */
#ifndef DAOREC_RECORD_LIVE_H
#define DAOREC_RECORD_LIVE_H

#include <stdint.h>
#include <stdio.h>

#include "record/stream.h"
#include "recording/ledger.h"

/* What changed since the line before; zero it once. */
struct live {
    uint64_t frames[64];
    uint64_t bytes;
    int64_t time_ns;
};

/* One line: MB/s and time to disk full; per stream rate, frames, lost, backlog, buffer.
 * `free_bytes`: of the output file system. now_ns: CLOCK_MONOTONIC. Cut to line_bytes. */
void live_format(struct live *live, char *line, size_t line_bytes,
                 struct record_stream *const *streams, unsigned count, uint64_t free_bytes,
                 int64_t now_ns);

/* The closing summary as a table. */
void live_print_summary(FILE *out, const struct ledger *ledger);

#endif
