/*
 * keeper.h - threads for what blocks: preparing, naming, closing files.
 *
 * A session has two: the opener, so that a file waiting for its name never queues behind a slow
 * close, and the closer. keeper_post() may be called by any thread and does not block for long.
 */
#ifndef DAOREC_RECORD_KEEPER_H
#define DAOREC_RECORD_KEEPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/stream.h"

enum keeper_job_kind {
    KEEPER_PREPARE,
    KEEPER_OPEN,
    KEEPER_CLOSE,
    KEEPER_DISCARD,
    /* no file; not posted again before it was done */
    KEEPER_LEDGER,
    KEEPER_RETENTION,
    KEEPER_SWEEP,
};

struct keeper_job {
    enum keeper_job_kind kind;
    struct record_file *file;
    int64_t not_before_ns; /* monotonic; 0: at once */
};

/* What a keeper reports; called in its thread. */
struct keeper_events {
    void (*opened)(void *ctx, struct record_file *file);
    /* `text` is empty where all went well; it may not be although the file was closed. */
    void (*closed)(void *ctx, struct record_file *file, int result, const char *text);
    /* What was noted while it was written; as books_take_marks(). */
    unsigned (*marks)(void *ctx, struct record_file *file, struct fits_mark ret[FITS_MARK_CARDS],
                      uint64_t *ret_more);
    /* A file could not be opened, and is tried again; at each try. */
    void (*trouble)(void *ctx, struct record_file *file, const char *text);
    void (*ledger)(void *ctx);    /* it is to be written */
    void (*retention)(void *ctx); /* are there files to be removed? */
    void (*sweep)(void *ctx);     /* their blocks are to be given back */
    void *ctx;
};

struct keeper {
    pthread_t thread;
    struct pulse pulse;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct keeper_job *jobs;
    unsigned job_count, job_max;
    bool ending;
    const struct keeper_events *events;
    pthread_mutex_t *files_lock; /* serialises producers of the streams' free_files */
};

/* Room for the files of `streams` streams. 0 or negative errno. */
int keeper_start(struct keeper *keeper, unsigned streams, const struct keeper_events *events,
                 pthread_mutex_t *files_lock);
void keeper_post(struct keeper *keeper, enum keeper_job_kind kind, struct record_file *file);
/* Do what was posted, then end the thread. */
void keeper_stop(struct keeper *keeper);

#endif
