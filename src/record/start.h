/*
 * start.h - what a session does before its first frame: open the segments, share out memory, make
 * folders and first files. Every function logs what went wrong, in one line, and returns negative
 * errno then.
 */
#ifndef DAOREC_RECORD_START_H
#define DAOREC_RECORD_START_H

#include <stdbool.h>

#include "base/await.h"
#include "record/retention.h"
#include "record/session.h"

/* May this process have as many files open as so many streams take, and `others` beside them? Its
 * soft limit is raised as far as that is allowed. Before anything is opened. */
int start_check_descriptors(unsigned streams, unsigned others);

/* Name the streams and open their segments, waiting for them to appear where that was asked for:
 * for `all` of them, or for one; then those that are not there, are no segments (yet), or may not
 * be opened, are in the condition STREAM_AWAITED. -EMEDIUMTYPE: none of them is one, or may be
 * opened. -EINTR: the end is wanted. -EEXIST: two of them would be streams of one name. */
int start_open_segments(struct record_stream *const *streams, unsigned count, bool all,
                        const struct await *await);

/* Blocks and queues, by the size of the streams' frames; host and uuid are borrowed. */
int start_allocate(struct record_stream *const *streams, unsigned count, uint64_t buffer_bytes,
                   const char *host, const char *uuid);

/* The engine, with the streams' blocks registered. */
int start_engine(struct record_stream *const *streams, unsigned count, enum io_engine_kind kind,
                 struct io_engine **ret);

/* Say so, in one line, where recorders that do not live any more left files below the root. */
void start_offer_repair(const char *root);

/* A folder a stream, below the session's. */
int start_make_folders(struct record_stream *const *streams, unsigned count, int session_fd);

/* Where files are to be removed (retention->root is set): find those that are there. -ERANGE: the
 * limits are too narrow. */
int start_retention(struct retention *retention, struct record_stream *const *streams,
                    unsigned count);

/* The first file of every stream is ready before the first frame is looked for. */
int start_first_files(struct record_stream *const *streams, unsigned count);

/* All that are there are attached to, at one moment as nearly as can be. One that was truncated
 * since it was opened is awaited as one that was never there; with the same shape its first file is
 * there already. */
void start_attach(struct record_stream *const *streams, unsigned count);

#endif
