/*
 * handover.h - the drain's side of files and queues: planning files, handing blocks to the writer,
 * ending one file and beginning the next. Drain thread only (handover_plan() also before it runs).
 * Nothing here waits or allocates. `now_ns` is monotonic time; `cause` an ENDCAUSE, a literal.
 */
#ifndef DAOREC_RECORD_HANDOVER_H
#define DAOREC_RECORD_HANDOVER_H

#include "record/stream.h"

/* Put a message into one of the stream's queues, which have room for all there can be, and wake the
 * writer. */
void handover_send(struct record_stream *s, struct io_queue *queue, struct record_message message);

/* Hand on the blocks of the current file that are full; with `force` also what is begun. */
void handover_blocks(struct record_stream *s, bool force);

/* Ask for what is filled to be written now, then its rows, then a datasync. */
void handover_flush(struct record_stream *s);

/* Plan the next file ahead (s->next is NULL, and then it) and have it prepared. The last one that
 * is free may hold more than a limit in time says: as much as there is memory for. s->next stays
 * NULL where no file is free, and where there is no room for it: then s->no_room is set. */
void handover_plan(struct record_stream *s);

/* In a ring of files, without a file and without room for one: is it worth while to wait? A file
 * that is being closed may be all that an older one waits for to go, and what is free is looked at
 * twice a second. */
bool handover_awaits_room(struct record_stream *s);

/* A file to put the next frame in, which was published at atime_ns (POSIX), as s->current; one that
 * such a frame is not for any more is ended, where another is free. False: none is free, or there
 * is no room for one (s->no_room). */
bool handover_ensure_file(struct record_stream *s, int64_t atime_ns);

/* Drain: take what was wished for (s->has_wishes), between two frames. */
void handover_take_wishes(struct record_stream *s);

/* Everything of the current file, which has frames, is handed on; it waits as s->ending. */
void handover_end_current(struct record_stream *s, const char *cause, int64_t now_ns);

/* End the current file, drop what was prepared, give back all blocks. Only a file that waits as
 * s->ending is left. */
void handover_retire(struct record_stream *s, const char *cause, int64_t now_ns);

/* The file that was ending (there is one) may be closed now; has_next: another one follows it. */
void handover_end_pending(struct record_stream *s, bool has_next);

/* Do files have to be smaller than they were planned? Once in a while, between two frames. */
void handover_heed(struct record_stream *s);

/* End the current file where a limit, a signal or an error says so; plan the next one in time;
 * close an ended one that nothing follows. While none is free to go on in, since the disk stands
 * still, only a full file or an error ends one: a limit in time, a boundary and who asked wait. */
void handover_roll_if_due(struct record_stream *s, int64_t now_ns);

#endif
