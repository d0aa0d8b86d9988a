/*
 * drain.h - the thread that takes frames out of a segment. See stream.h for how threads share a
 * stream.
 */
#ifndef DAOREC_RECORD_DRAIN_H
#define DAOREC_RECORD_DRAIN_H

#include "record/stream.h"

/* The drain's thread function; `stream` is a struct record_stream * that is set up, its reader
 * attached. Returns NULL when the stream has ended: RECORD_DONE is then the last message. */
void *stream_drain(void *stream);

#endif
