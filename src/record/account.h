/*
 * account.h - one stream's bookkeeping while it records.
 *
 * The drain books; at the end of a batch it publishes a copy that others read. Publishing never
 * waits, however many read: a reader that was disturbed reads again.
 */
#ifndef DAOREC_RECORD_ACCOUNT_H
#define DAOREC_RECORD_ACCOUNT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "recording/ledger.h"

/* What happened to the source. */
enum account_event {
    ACCOUNT_BACK,      /* it came back as it was */
    ACCOUNT_RESHAPED,  /* it came back in another shape */
    ACCOUNT_RESTARTED, /* its count began anew in place */
    ACCOUNT_APPEARED,  /* it was not there when recording began, and is now */
};
#define ACCOUNT_EVENTS 4

/* What others may see of a stream. */
struct account_view {
    struct ledger_counts counts;
    uint64_t events[ACCOUNT_EVENTS]; /* how often; with the shape that there is since */
    uint64_t bytes;                  /* pixels taken */
    uint64_t backlog;                /* frames in the FIFO and not yet taken */
    double rate_hz;                  /* 0: not known yet */
    bool starved;                    /* waiting for the disk now */
    uint32_t depth;                  /* of the FIFO */
    uint64_t file_seq, file_frames;  /* of the file that is being filled; 0: none is */
    uint64_t failed_count;           /* entries of `failed` (and more): filled by account_read() */
    struct ledger_gap waiting; /* lost, as far as is known, while the drain waits for the disk: not
                                  booked yet; of count 0: none */
};

struct account {
    /* the drain's own */
    struct account_view now;
    struct ledger_gap
        gaps[LEDGER_GAPS_MAX]; /* appended, never changed: readable up to a view's count */
    struct ledger_run runs[LEDGER_RUNS_MAX];
    struct ledger_shape shapes[LEDGER_SHAPES_MAX];
    /* shared */
    _Atomic uint64_t version; /* of `shown`; odd while it is changed */
    struct account_view shown;
    pthread_mutex_t lock;   /* of what failed; not for the drain */
    uint64_t failed_frames; /* counted as recorded by the drain, then lost by a failing disk */
    struct ledger_gap failed[LEDGER_FAILED_MAX]; /* appended by keepers, under the lock */
    uint64_t failed_count;
};

void account_init(struct account *account);
void account_fini(struct account *account);

/* Drain (or before it runs): from file `first_file` on the frames have this shape. */
void account_begin_shape(struct account *account, const struct dao_geometry *geometry,
                         uint64_t first_file);

/* Drain: begin a run; `first` is the count expected first. */
void account_begin_run(struct account *account, int64_t first_cnt0);

/* Drain, while nothing of the run is booked: it begins with this count instead. */
void account_move_run(struct account *account, int64_t first_cnt0);

/* Drain: `count` frames from first_cnt0 on are lost. They are part of the run's expectation. */
void account_lose(struct account *account, enum ledger_cause cause, int64_t first_cnt0,
                  uint64_t count, int64_t time_ns);

/* Drain: so much is lost at least, and is booked once it is known how much. Others see it as lost
 * already, until anything is booked or this is called with NULL. */
void account_wait(struct account *account, const struct ledger_gap *gap);

/* Drain: what waits to be booked is booked as it is, since no more will be known of it. Returns it;
 * of count 0: there was none. */
struct ledger_gap account_settle(struct account *account);

/* Drain: this happened. Told with the next copy that is published. */
void account_note_event(struct account *account, enum account_event event);

/* Drain: a frame was taken. */
void account_take(struct account *account, int64_t cnt0, bool torn, uint64_t bytes);

/* Drain: the number of the file that is being filled, 0 for none, and the frames in it. */
void account_note_file(struct account *account, uint64_t file_seq, uint64_t frames);

/* Drain (or before it runs): publish. */
void account_publish(struct account *account);

/* Anyone: frames that the drain had counted never reached the disk. */
void account_fail(struct account *account, int64_t first_cnt0, uint64_t frames, int64_t time_ns);

/* Anyone: the numbers as last published, with failures moved from recorded to lost, and what waits
 * to be booked among what is lost. */
void account_read(struct account *account, struct account_view *ret);

#endif
