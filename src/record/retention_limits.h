/*
 * retention_limits.h - what the limits of a ring of files ask for, against the files of its streams
 * and the disk. For retention.h and whoever plans a recording; any thread.
 */
#ifndef DAOREC_RECORD_RETENTION_LIMITS_H
#define DAOREC_RECORD_RETENTION_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "record/room.h"
#include "record/stream.h"

struct retention_limits {
    uint64_t files;  /* finished ones of a stream; 0: no limit */
    uint64_t bytes;  /* of all streams together, with what is being written; 0: no limit */
    int64_t time_ns; /* since a file was finished; 0: no limit */
};

/* Of a stream, where bytes or the disk are the limit: one is being written, one is prepared, and
 * one at least is to be had to read. */
#define RETENTION_RING_FILES 4u

bool retention_is_wanted(const struct retention_limits *limits);

/* The largest file that a limit in bytes lets a stream have, where nothing else is asked for. */
uint64_t retention_file_bytes(const struct retention_limits *limits, unsigned streams);

/* Where nobody asked for a size of files: the default, or the smaller one that this ring wants. For
 * a session that has one (limits of nothing: the default). */
void retention_fit_files(const struct retention_limits *limits, unsigned streams,
                         struct rolling_limits *rolling);

/* What is known of a stream's files when a recording begins. */
struct retention_stream {
    struct fits_parts parts;
    bool is_known;                 /* else its segment was not there */
    struct rolling_limits rolling; /* as it is now */
};

/* So much they allow, by bytes, or by files with the one that is being written; UINT64_MAX: not
 * known. */
uint64_t retention_limits_most(const struct retention_limits *limits,
                               const struct retention_stream *streams, unsigned count);

/* 0, or -ERANGE with a text: too little for these streams. */
int retention_limits_check(const struct retention_limits *limits,
                           const struct retention_stream *streams, unsigned count,
                           struct dao_text *text);

/* One warning, where the disk has not room for what they allow (room->ring_limit). `part_bytes`: of
 * unfinished files that count as well. */
void retention_limits_say(const struct retention_limits *limits, const char *root,
                          const struct room *room, uint64_t part_bytes);

#endif
