/*
 * lane.h - a thread that drains streams: one, or many that have little to do.
 *
 *     lane_give() --arrivals--> seats: whose turn is it? --> drain_turn() --> rest, or
 *                                 lane_give() to s->lane, or to `quiet`
 *
 * Turns are short (drain.h), and the stream whose FIFO would overflow first has the next one: one
 * that is fast, or comes with a backlog, keeps none of the others waiting for longer than a turn.
 * Who is awake anyway looks after those, too, that would be due soon: streams of about the same
 * pace come to be looked at together, and the thread wakes little more often than for one of them.
 *
 * What could go wrong:
 *   a turn takes long (opening a segment, cutting memory anew): streams that are away go to another
 *     lane, `quiet`, where only such wait, and come back
 *   a stream has frames of MiB, a FIFO of a few milliseconds, or a latency of less: it says so
 *     (wants_own), and crew.c gives it a lane of its own
 *   all of them together need much: `load` tells, and crew.c moves some
 *   the machine has too little time for this thread, and a stall concerns all of its streams:
 *     is_hurried tells, and crew.c halves the lane; in the end each stream has a thread, which the
 *     scheduler gives a share of its own
 *   it is handed over while it has its turn: it is not, only its lane hands it on, between turns
 *   handed over to a lane that sleeps: giving rings its bell
 */
#ifndef DAOREC_RECORD_LANE_H
#define DAOREC_RECORD_LANE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/stream.h"

/* A stream that may rest for no more, at the pace at which its frames came, wants a lane of its
 * own, and one whose frames are larger. */
#define LANE_OWN_NS    1000000ll
#define LANE_OWN_BYTES (1u << 20)

/* A stream in its lane. */
struct lane_seat {
    struct record_stream *stream;
    int64_t due_ns;      /* monotonic */
    int64_t rest_ns;     /* the last one that was any */
    int64_t patience_ns; /* it may wait for so long when it is due */
    /* since the lane was weighed */
    uint64_t turns;
    /* when it was */
    uint64_t frames, bytes;
};

struct lane {
    /* fixed before it starts */
    struct lane *quiet; /* for streams that are away; NULL: they stay */
    cpu_set_t cpus;     /* empty: anywhere */
    int priority;       /* SCHED_FIFO, 0: none */
    int tell_fd;        /* an eventfd, where crew_look() is wanted soon; -1: none. Borrowed */
    const atomic_bool *is_over;     /* no stream comes any more: the thread ends once it has none */
    _Atomic unsigned *streams_left; /* less by one with each that has ended */
    pthread_t thread;
    bool is_started;
    int64_t hurried_ns; /* crew.c: monotonic: when that was seen last; 0: never */
    /* its thread's */
    struct lane_seat *seats; /* [capacity] */
    unsigned count, capacity;
    int64_t weighed_ns, weighed_cpu_ns;
    /* shared */
    sem_t bell;
    _Atomic(struct record_stream *) arrivals; /* the last one first */
    _Atomic unsigned load;  /* of a core, per mille; of a lane with `quiet`, as the next */
    atomic_bool is_hurried; /* a FIFO was half full when its stream's turn came; crew.c takes it */
};

/* Memory only, for `capacity` streams at once, to be filled in and started. NULL: none is left. */
struct lane *lane_create(unsigned capacity);

/* Start its thread where cpus and priority have it. 0 or negative errno. */
int lane_start(struct lane *lane);

/* After *is_over was set: until its thread has ended, if it was started. */
void lane_join(struct lane *lane);
void lane_destroy(struct lane *lane);

/* Any thread; the stream is nobody else's. From here on it is the lane's. */
void lane_give(struct lane *lane, struct record_stream *s);

/* Is it one for many, which are not away? Any thread. */
bool lane_is_shared(const struct lane *lane);

/* The rest is its thread's, or for tests before it starts. */

/* Whose turn is it? NULL: nobody's before *ret_wake_ns, INT64_MAX: nobody sits there. */
struct lane_seat *lane_choose(struct lane *lane, int64_t now_ns, int64_t *ret_wake_ns);

/* What was given. */
void lane_take_arrivals(struct lane *lane, int64_t now_ns);

/* One turn, and what follows of it: it rests, has gone elsewhere or has ended. Returns the time. */
int64_t lane_take_turn(struct lane *lane, struct lane_seat *seat, int64_t now_ns);

/* What the lane costs, and each stream's part of it, once LANE_WEIGH_NS have passed. */
#define LANE_WEIGH_NS 200000000ll
void lane_weigh(struct lane *lane, int64_t now_ns);

#endif
