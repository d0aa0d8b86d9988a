/*
 * drain.h - what takes frames out of a segment, a turn at a time. See stream.h for how threads
 * share a stream. The thread of its lane only (lane.h): a drain may be handed from one to another
 * between two turns.
 */
#ifndef DAOREC_RECORD_DRAIN_H
#define DAOREC_RECORD_DRAIN_H

#include "record/stream.h"

#define DRAIN_OVER (-1)

/*
 * One look at the segment, with all that is to be done beside: takes 64 frames at most, and no more
 * than 1 MiB (one frame at least) where s->has_company. `s` is set up, its reader attached. Returns
 * how long it may rest, in ns, counted from the end of the turn; 0: there is more to do at once; or
 * DRAIN_OVER: the stream has ended, RECORD_DONE was the last message. Never waits.
 *
 * With s->has_company a segment that went away is not waited for here, since that takes longer than
 * a turn may: the condition is STREAM_GONE then, and nothing happens before a turn without company.
 */
int64_t drain_turn(struct record_stream *s, int64_t now_ns);

#endif
