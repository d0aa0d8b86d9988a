/*
 * writer.h - the thread that takes blocks from all streams to the disk. See stream.h.
 *
 * For each stream: data in file order, several requests in flight; rows one request at a time, only
 * behind the data they speak of; no two requests in flight touch one page. It never calls anything
 * that blocks but the engine; files are prepared, named and closed by keepers.
 */
#ifndef DAOREC_RECORD_WRITER_H
#define DAOREC_RECORD_WRITER_H

#include "record/keeper.h"
#include "record/stream.h"

struct writer {
    struct record_stream **streams;
    unsigned stream_count;
    struct io_engine *engine;
    struct keeper *opener; /* prepares, publishes, discards */
    struct keeper *closer;
    int over_fd;    /* an eventfd, borrowed: written to when the writer ends */
    unsigned first; /* the writer's own: which stream's turn is first */
    pthread_t thread;
    struct pulse pulse;
};

/* The writer's thread function; ends when every stream is over. arg is the writer. */
void *writer_run(void *arg);

#endif
