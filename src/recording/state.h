/*
 * state.h - a recording session as it stands at one moment, for whoever watches it: the live line,
 * a control socket, metrics, a status page. And the same as JSON text.
 *
 * record/board.h fills one of a session of this process. It is a copy of its own: whoever has one
 * may keep it as long as he likes, in any thread, and frees it.
 */
#ifndef DAOREC_RECORDING_STATE_H
#define DAOREC_RECORDING_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/latency.h"
#include "recording/ledger.h"
#include "recording/tree.h"

#define STATE_UNKNOWN UINT64_MAX /* of bytes of a disk that does not tell */

enum session_condition {
    SESSION_IDLE,    /* there is none */
    SESSION_WAITING, /* for its segments to appear, or being set up */
    SESSION_RUNNING,
    SESSION_STOPPING, /* all of its streams come to their ends */
};
#define SESSION_CONDITIONS 4
extern const char *const session_condition_names[SESSION_CONDITIONS];

enum stream_state_condition {
    STATE_WAITING, /* its segment is not there yet */
    STATE_RUNNING,
    STATE_GONE,  /* its segment was removed, replaced or truncated, and may come back */
    STATE_UNFIT, /* it came back in a shape that cannot be recorded: its recording has ended */
    STATE_ENDED, /* its recording has ended, or is about to */
};
#define STATE_CONDITIONS 5
extern const char *const stream_state_condition_names[STATE_CONDITIONS];

struct stream_state {
    char name[FITS_STREAM_NAME_MAX + 1];
    char *segment; /* its path */
    enum stream_state_condition condition;
    char shape[64]; /* "float 64x64"; empty while it is not known */
    uint32_t depth; /* of the FIFO */
    uint64_t frame_bytes;
    uint64_t frames; /* recorded */
    uint64_t torn;   /* of them; depth 1 only */
    uint64_t lost_by[LEDGER_CAUSES], lost, gaps;
    /* The most that these have been in this session, for counters, which may not fall: frames that
     * fail on their way to the disk are taken back, and a loss may get another cause. */
    uint64_t frames_most, lost_by_most[LEDGER_CAUSES];
    uint64_t backlog; /* frames in the FIFO and not yet taken */
    uint64_t buffer_bytes, buffer_used_bytes;
    double rate_hz;             /* frames recorded a second, over the last two seconds */
    uint64_t bytes_written;     /* pixels and rows that have reached the file system */
    double bytes_per_s;         /* of them, over the last two seconds */
    char file[TREE_FILE_BYTES]; /* being written; empty: none */
    uint64_t file_frames, file_bytes;
    uint64_t files_closed;
    uint64_t restarts;             /* of its source */
    struct latency_counts latency; /* RTIME - ATIME: from publication until it was taken */
};

/* What was counted of a stream in the sessions of this process that have ended. */
struct stream_totals {
    char name[FITS_STREAM_NAME_MAX + 1];
    uint64_t frames, lost_by[LEDGER_CAUSES]; /* at their most, as above */
    uint64_t bytes_written;
    struct latency_counts latency;
};

struct session_state {
    enum session_condition condition;
    char name[TREE_SESSION_BYTES], uuid[40]; /* empty until its folder was made */
    char host[72];
    char *root;       /* the folder that holds its folder; NULL where there is no session */
    int64_t start_ns; /* POSIX; 0: not recording yet */
    int64_t now_ns, now_mono_ns;
    uint64_t bytes_written;
    double bytes_per_s;
    uint64_t disk_free_bytes, disk_bytes; /* STATE_UNKNOWN: not known */
    /* Until the disk is full but for what is to be kept free, at this rate; negative: not known, or
     * never, since it is a ring of files. */
    double full_in_s;
    uint64_t buffer_bytes, buffer_used_bytes;
    unsigned count;
    struct stream_state *streams;
    unsigned past_count;
    struct stream_totals *past; /* also where there is no session */
};

/* Where a state is to be had: what whoever watches is given. */
struct state_source {
    /* Any thread; does not wait for a disk. 0 and *ret to be released by state_free(), also where
     * there is no session; -ENOMEM. */
    int (*take)(void *ctx, struct session_state *ret);
    void *ctx;
};

/* Safe on a zeroed one. */
void state_free(struct session_state *state);

/* "float 64x64". Returns text. */
char *state_format_shape(char *text, size_t bytes, const struct dao_geometry *geometry);

/* Append ", full in 22 h" as units_append() does; nothing where that is unknown, or too far off. */
size_t state_append_full(char *line, size_t line_bytes, size_t at, double full_in_s);

/* One line of JSON text without a newline, malloc'ed; NULL without memory. The README of the
 * project tells its members; those that are there keep their meaning. */
char *state_to_json(const struct session_state *state);

#endif
