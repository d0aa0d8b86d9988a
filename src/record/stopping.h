/*
 * stopping.h - how a stream comes to its end: when it is time for it, what of the frames that were
 * there by then is still wanted, and the last messages. For drain.c only, in the thread of the
 * stream's lane; nothing here waits. None of it is done for each frame: once a turn, or once a
 * stream.
 */
#ifndef DAOREC_RECORD_STOPPING_H
#define DAOREC_RECORD_STOPPING_H

#include "record/stream.h"

/* Each turn: is it to end, since it was told to, its time is up, or there is no room for more? What
 * is there by then is wanted still: s->stopping, up to s->last_wanted_cnt0. */
void stopping_check(struct record_stream *s, int64_t now_ns);

/* The recording ends with the frame last taken, as was asked for. A file that was filled waits for
 * its successor still. `why` is told to the session. */
void stopping_end_here(struct record_stream *s, atomic_bool *why);

/* What was there at the request to stop and cannot be taken any more is lost, to this cause; the
 * work is done. */
void stopping_give_up(struct record_stream *s, enum ledger_cause cause);

/* s->finished: its last file is handed over, RECORD_DONE is the last message. */
void stopping_finish(struct record_stream *s);

#endif
