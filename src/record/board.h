/*
 * board.h - where a session shows itself to whoever watches it: another thread takes a copy of how
 * it stands (recording/state.h), at any time, without disturbing it.
 *
 * A board outlives its sessions. The session's thread puts itself on it and takes itself off it;
 * the lock between it and those who look is taken by no drain, writer or keeper: what is copied of
 * them are relaxed atomics and what account_read() gives. Nobody looks at a disk here.
 */
#ifndef DAOREC_RECORD_BOARD_H
#define DAOREC_RECORD_BOARD_H

#include <pthread.h>
#include <stdint.h>

#include "record/books.h"
#include "recording/state.h"

#define BOARD_SAMPLES 5u /* two seconds of a session that looks twice a second */

/* Of one stream at one moment. */
struct board_sample {
    uint64_t frames, bytes_written;
};

/* What was told of a stream, at its most. */
struct board_told {
    uint64_t frames, lost_by[LEDGER_CAUSES];
};

struct board {
    pthread_mutex_t lock;
    struct record_stream *const *streams; /* NULL: there is no session */
    unsigned count;
    const char *root;
    const struct books *books; /* NULL: it does not record yet */
    struct room *room;
    /* in the order in which they were taken, the oldest one overwritten by the next */
    struct board_sample *samples;      /* [BOARD_SAMPLES][count]; NULL: no memory for them */
    int64_t sampled_ns[BOARD_SAMPLES]; /* monotonic */
    unsigned sample_count;
    struct board_told *told; /* [count]; NULL: no memory for them */
    unsigned past_count;
    struct stream_totals *past; /* of the streams of sessions that have ended, each name once */
};

void board_init(struct board *board);
void board_fini(struct board *board);

/* The session's thread. All of it is borrowed until board_clear(). */
/* Its segments are waited for. `root`: the output folder. */
void board_show_waiting(struct board *board, struct record_stream *const *streams, unsigned count,
                        const char *root);
/* Its streams are set up, and `books` know its name and when it began. */
void board_show_running(struct board *board, const struct books *books, struct room *room);
/* About twice a second: for the rates. */
void board_note(struct board *board, int64_t now_mono_ns);
/* There is no session any more. What was counted in it stays for counters, which may not fall. */
void board_clear(struct board *board);

/* Any thread. 0, or -ENOMEM; release it with state_free(). */
int board_take(struct board *board, struct session_state *ret);

/* The same for whoever does not know boards. The board is borrowed. */
struct state_source board_source(struct board *board);

#endif
