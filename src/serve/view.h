/*
 * view.h - what a person sees of a recorder on a terminal: its state, as JSON, made into cells of a
 * table that fits into so many columns. No terminal here: cli/top.c has it. One thread.
 */
#ifndef DAOREC_SERVE_VIEW_H
#define DAOREC_SERVE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/latency.h"

#define VIEW_HISTORY    60u /* looks whose latencies are shown */
#define VIEW_TEXT_BYTES 320u
#define VIEW_COLUMNS    10u

enum view_tone { VIEW_PLAIN, VIEW_SOFT, VIEW_GOOD, VIEW_WARN, VIEW_BAD };

struct view_stream {
    char name[80], condition[16], shape[64], file[120], causes[120];
    double rate_hz, bytes_per_s, fill;
    uint64_t frames, lost, backlog, depth, file_bytes, files_closed, restarts;
    struct latency_counts latency;
    /* p99 of what came between two looks, in ns; 0: nothing did. The newest is the last one. */
    uint64_t late_ns[VIEW_HISTORY];
};

struct view {
    char condition[16], session[32], host[80], root[200], uuid[48];
    double recording_s, bytes_per_s, fill;
    double disk_free_bytes, full_in_s; /* -1: not known, or never */
    uint64_t lost;
    struct view_stream *streams;
    unsigned count;
    bool is_plain; /* draw with ASCII only */
};

/* Part of a line: text of at most `width` columns, to stand at column x. */
struct view_cell {
    char text[VIEW_TEXT_BYTES];
    unsigned x, width;
    enum view_tone tone;
};

/* Take over a state (recording/state.h). 0; -EBADMSG: it is none, and nothing has changed; -ENOMEM.
 * Zero a view before, release it with view_free(). */
int view_update(struct view *view, const char *json);
void view_free(struct view *view);

/* The line of titles (stream NULL) or of a stream, for so many columns. How many cells. */
unsigned view_row(const struct view *view, const struct view_stream *stream, unsigned columns,
                  struct view_cell ret[VIEW_COLUMNS]);

/* Two lines about the session, and two about one stream. */
void view_session_lines(const struct view *view, struct view_cell ret[2]);
void view_stream_lines(const struct view_stream *stream, struct view_cell ret[2]);

/* The tone of a condition. */
enum view_tone view_tone_of(const char *condition);

#endif
