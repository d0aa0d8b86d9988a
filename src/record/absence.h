/*
 * absence.h - the segment went away: the drain waits for it, and goes on with what comes back.
 * Drain thread only.
 */
#ifndef DAOREC_RECORD_ABSENCE_H
#define DAOREC_RECORD_ABSENCE_H

#include "record/stream.h"

/* The segment is found gone: what that means for what was seen of it is booked. Nothing else, and
 * nothing at all where that is known already. */
void absence_begin(struct record_stream *s, int64_t now_ns);

/* One look; begins as above. To be called again and again, with a little rest, while the condition
 * is STREAM_GONE or STREAM_AWAITED, and once to begin with when the segment is found gone. Nothing
 * else may look at the segment meanwhile. */
void absence_step(struct record_stream *s, int64_t now_ns);

/* The drain, while the segment is not there: how long until the next look, in ns. One that is away
 * for long is looked for less often: a look costs some tens of microseconds. */
int64_t absence_sleep_ns(const struct record_stream *s, int64_t now_ns);

#endif
