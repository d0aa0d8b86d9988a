/*
 * setup.h - making and unmaking a stream: segment, buffers, queues, first file.
 */
#ifndef DAOREC_RECORD_SETUP_H
#define DAOREC_RECORD_SETUP_H

#include "record/stream.h"

/* Name the stream as its configuration has it, or after its segment, s->path. 0, or -ENAMETOOLONG
 * with a text. */
int stream_name(struct record_stream *s, struct dao_text *text);

/* Allocate blocks and queues within `buffer_bytes` (or a little more: two frames always fit) for
 * the open segment. 0, or -ENOMEM with a text; stream_close() releases what there is then. */
int stream_allocate(struct record_stream *s, uint64_t buffer_bytes, struct dao_text *text);

/* What a stream of such frames takes of the memory that nobody asked for. */
uint64_t stream_buffer_most(uint64_t frame_bytes);

/* The same for a segment that is not there yet, whose frames are taken to be of this size: the
 * memory is cut anew when it appears, which takes next to no time where that was right. */
int stream_allocate_later(struct record_stream *s, uint64_t frame_bytes, uint64_t buffer_bytes,
                          struct dao_text *text);
void stream_describe_later(struct record_stream *s, const char *host, const char *session);

/* Fix what all files of the stream have in common, from the segment that is open; host and session
 * (its uuid) are borrowed. 0; -ENOMEM or what recording_measure_parts() says, with a text. */
int stream_describe(struct record_stream *s, const char *host, const char *session,
                    struct dao_text *text);

/* The drain: how often to look is to be found out. */
void stream_set_pace(struct record_stream *s);

/* The drain, about the segment that came back (s->fresh): is it of the shape being recorded, with
 * the keywords that stand in its files? */
bool stream_is_same_shape(const struct record_stream *s);
bool stream_has_same_keywords(const struct record_stream *s);

/* The drain, once it has handed on everything: is nobody at work on it any more? */
bool stream_is_quiet(struct record_stream *s);

/* The drain: are there files of shapes before the one being recorded that are not closed or
 * discarded yet, so that their room on the disk may come back? */
bool stream_has_old_files(const struct record_stream *s);

/*
 * The drain, while the stream is quiet: buffers and facts for the segment in s->fresh. Allocates
 * and builds headers, which takes some milliseconds. 0 or negative errno with a text; then the
 * stream cannot go on.
 */
int stream_reshape(struct record_stream *s, struct dao_text *text);

/* Everything goes, also files that were prepared and got no name. Once its threads have ended; safe
 * on a half-built stream whose descriptors are -1. */
void stream_close(struct record_stream *s);

#endif
