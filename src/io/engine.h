/*
 * engine.h - writes and syncs in flight: io_uring, or plain pwrite where it is not to be had.
 *
 * One thread (the writer) creates, submits and reaps; io_engine_kick() may be called by any. A
 * request is owned by the caller and must stay put until it is done. Short writes (of direct I/O
 * from the last whole page on) and EINTR/EAGAIN are continued here; `result` is 0 or negative
 * errno. No allocation after creation.
 */
#ifndef DAOREC_IO_ENGINE_H
#define DAOREC_IO_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/pool.h"
#include "io/sink.h"

enum io_engine_kind {
    IO_ENGINE_AUTO, /* io_uring where it works */
    IO_ENGINE_URING,
    IO_ENGINE_PWRITE,
};

enum io_request_kind { IO_REQUEST_WRITE, IO_REQUEST_DATASYNC };

struct io_request {
    enum io_request_kind kind;
    struct sink *sink;
    const unsigned char *data;
    size_t bytes;
    uint64_t off;
    int buffer_index; /* of a registered block that `data` lies in, or -1 */
    unsigned stuck;   /* the engine's: writes in a row that got no whole page out */
    int result;       /* set when done */
    void (*done)(struct io_request *request);
    void *owner; /* the caller's */
};

struct io_engine;

/* At most `depth` requests in flight. -ENOSYS, -EPERM, ...: io_uring was asked for and cannot be
 * had (AUTO falls back instead); `ret_why` (may be NULL) is the errno that made AUTO fall back. */
int io_engine_create(struct io_engine **ret, enum io_engine_kind kind, unsigned depth,
                     int *ret_why);
void io_engine_destroy(struct io_engine *engine); /* nothing may be in flight; NULL is fine */

enum io_engine_kind io_engine_kind(const struct io_engine *engine);

/* Register the blocks of these pools as far as limits allow; sets their buffer_index. Returns how
 * many were registered (0: none; not an error). */
unsigned io_engine_register(struct io_engine *engine, struct io_pool *const *pools, unsigned count);

/* How many requests the kernel gave back undone since it could start no thread for them: they were
 * done as with pwrite, by the thread that reaps. Any thread. */
unsigned io_engine_refusals(const struct io_engine *engine);

/* How many more requests may be submitted now. */
unsigned io_engine_room(const struct io_engine *engine);

/* Only with room. With pwrite the request is done before this returns. */
void io_engine_submit(struct io_engine *engine, struct io_request *request);

/* Pass on what was submitted and call done() for what has finished. Returns how many. */
unsigned io_engine_reap(struct io_engine *engine);

/*
 * Sleeping without losing a kick: arm; look for work once more; then wait (until a request is done
 * or somebody kicks) or disarm. A kick while nobody is armed costs one load.
 */
void io_engine_arm(struct io_engine *engine);
void io_engine_disarm(struct io_engine *engine);
void io_engine_wait(struct io_engine *engine);
/* For who is in no hurry: until somebody kicks and all requests are done, or some time has passed.
 * With nothing in flight, or pwrite, the same as io_engine_wait(). */
void io_engine_wait_for_all(struct io_engine *engine, int64_t most_ns);
void io_engine_kick(struct io_engine *engine);

#endif
