/*
 * crew.h - the lanes of a session: few threads for many streams. The session's thread only.
 *
 * Streams that run on the same CPUs with the same priority share lanes, up to 16 of them one,
 * beside a quiet one for those whose segment is away. Alone in a lane is a stream that has nobody
 * to share with, one whose frames are larger than a MiB, and one that says later on that it needs a
 * lane of its own (lane.h). What was parted stays so: a stream that was fast once may be so again.
 *
 * A lane that needs more than CREW_BUSY of a core gives the stream that needs most to one that has
 * time for it, or to a new one; a lane that is hurried again and again gives half of its streams to
 * a new one. Both once a second: what a move has changed is to be seen first.
 *
 * What can fail: no more threads are to be had. At the start that is an error; later the streams go
 * on as they are, a line says so once, and it is tried again every ten seconds.
 */
#ifndef DAOREC_RECORD_CREW_H
#define DAOREC_RECORD_CREW_H

#include <stdatomic.h>
#include <stdint.h>

#include "record/lane.h"

#define CREW_BUSY 300u /* of a core, per mille */

struct crew {
    struct record_stream *const *streams;
    unsigned count;
    struct lane **lanes;
    unsigned lane_count;
    _Atomic unsigned streams_left;
    atomic_bool is_over;
    int tell_fd;        /* an event, where crew_look() is wanted soon; -1: none. Borrowed */
    int64_t settled_ns; /* monotonic: loads are as they are since then */
    int64_t refused_ns; /* monotonic: until then no thread is asked for */
    bool is_refused_said;
};

/*
 * The threads that are to drain these streams; the array is borrowed. 0 or negative errno. `crew`
 * is zeroed, but for tell_fd.
 */
int crew_start(struct crew *crew, struct record_stream *const *streams, unsigned count);

/* The first half of it, also for tests: lanes are made, and s->lane is where each belongs; nothing
 * runs. 0 or -ENOMEM, and crew_stop() in either case. */
int crew_assign(struct crew *crew, struct record_stream *const *streams, unsigned count);

/* Begin to drain them all: their readers are attached, or their condition is STREAM_AWAITED. */
void crew_begin(struct crew *crew);

/* Once or twice a second, and when tell_fd is readable: does a stream need another lane? */
void crew_look(struct crew *crew, int64_t now_ns);

/* Once the streams were asked to end or have ended, or it was never begun: until they have, and
 * their threads, too. Nothing where it was not started. */
void crew_stop(struct crew *crew);

#endif
