/* engine.c - see engine.h. */
#include "io/engine.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFERS_MAX 1024u /* what kernels before 5.13 take */
#define STUCK_MAX   16u   /* then a disk that takes less than a page at a time has failed */

struct io_engine {
    struct io_uring ring;
    bool has_ring;
    bool is_enabled;  /* by the thread that submits */
    bool is_disabled; /* there is a ring, and it may not be enabled: pwrite */
    unsigned depth, in_flight;
    int event_fd;
    bool event_poll_pending; /* a poll of event_fd is in the ring */
    atomic_bool armed;       /* the writer is about to sleep, or sleeps */
    atomic_uint refusals;
};

/* Some sandboxes allow a ring, but not to change it: one that is created disabled would stay so. */
static bool may_register(struct io_uring *ring)
{
    struct io_uring_probe *probe = calloc(1, sizeof *probe);
    bool may = probe && io_uring_register_probe(ring, probe, 0) != -EPERM;

    free(probe);
    return may;
}

/* Ring flags that spare interrupts and wake-ups, best first; kernels before 6.1 and 5.19 refuse
 * those they do not know. With the first the writer is woken only by as much as it waits for. Such
 * a ring belongs to the thread that enables it; it is created, and its buffers registered, by
 * another one. */
static int open_ring(struct io_uring *ring, unsigned depth)
{
    static const unsigned flag_sets[] = {IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                                             IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
                                         IORING_SETUP_COOP_TASKRUN, 0};
    int r = -ENOSYS;

    for (size_t i = 0; i < sizeof flag_sets / sizeof flag_sets[0]; i++) {
        struct io_uring_params params = {.flags = flag_sets[i]};

        r = io_uring_queue_init_params(depth + 2, ring, &params);
        if (r == 0 && (params.flags & IORING_SETUP_R_DISABLED) && !may_register(ring)) {
            io_uring_queue_exit(ring);
            continue;
        }
        if (r != -EINVAL)
            break;
    }
    return r;
}

int io_engine_create(struct io_engine **ret, enum io_engine_kind kind, unsigned depth, int *ret_why)
{
    struct io_engine *engine = calloc(1, sizeof *engine);
    int r;

    if (!engine)
        return -ENOMEM;
    engine->depth = depth;
    engine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->event_fd < 0) {
        r = -errno;
        goto fail;
    }
    if (kind != IO_ENGINE_PWRITE) {
        r = open_ring(&engine->ring, depth);
        engine->has_ring = r == 0;
        if (r < 0 && kind == IO_ENGINE_URING)
            goto fail;
        if (r < 0 && ret_why)
            *ret_why = r;
    }
    *ret = engine;
    return 0;
fail:
    io_engine_destroy(engine);
    return r;
}

void io_engine_destroy(struct io_engine *engine)
{
    if (!engine)
        return;
    if (engine->has_ring || engine->is_disabled)
        io_uring_queue_exit(&engine->ring);
    if (engine->event_fd >= 0)
        close(engine->event_fd);
    free(engine);
}

enum io_engine_kind io_engine_kind(const struct io_engine *engine)
{
    return engine->has_ring ? IO_ENGINE_URING : IO_ENGINE_PWRITE;
}

unsigned io_engine_register(struct io_engine *engine, struct io_pool *const *pools, unsigned count)
{
    struct iovec vectors[BUFFERS_MAX];
    struct io_block *blocks[BUFFERS_MAX];
    unsigned found = 0;

    if (!engine->has_ring)
        return 0;
    /* The first blocks of every pool first: they are the ones in use while things go well. */
    for (uint32_t i = 0, more = 1; more && found < BUFFERS_MAX; i++) {
        more = 0;
        for (unsigned p = 0; p < count && found < BUFFERS_MAX; p++) {
            if (i >= pools[p]->count)
                continue;
            more = 1;
            blocks[found] = &pools[p]->blocks[i];
            vectors[found] = (struct iovec){blocks[found]->data, pools[p]->block_bytes};
            found++;
        }
    }
    /* Locked memory is limited: take what is granted. */
    while (found > 0 && io_uring_register_buffers(&engine->ring, vectors, found) != 0)
        found /= 2;
    for (unsigned i = 0; i < found; i++)
        blocks[i]->buffer_index = (int)i;
    return found;
}

/* ---- requests ---- */

/* In the thread that submits and reaps, before anything else. Is there a ring to be used? */
static bool enable(struct io_engine *engine)
{
    if (!engine->has_ring || engine->is_enabled)
        return engine->has_ring;
    /* liburing 2.3 declares the function for it, and does not export it. */
    if ((engine->ring.flags & IORING_SETUP_R_DISABLED) &&
        syscall(__NR_io_uring_register, engine->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
                0) != 0) {
        engine->is_disabled = true;
        engine->has_ring = false;
    }
    engine->is_enabled = true;
    return engine->has_ring;
}

static void prepare(struct io_engine *engine, struct io_request *request)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring); /* depth + 2 entries: never NULL */
    int fd = request->sink->fd;

    if (request->kind == IO_REQUEST_DATASYNC)
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    else if (request->buffer_index >= 0)
        io_uring_prep_write_fixed(sqe, fd, request->data, (unsigned)request->bytes, request->off,
                                  request->buffer_index);
    else
        io_uring_prep_write(sqe, fd, request->data, (unsigned)request->bytes, request->off);
    io_uring_sqe_set_data(sqe, request);
}

/* True where the request is done; false where the rest of it has to go out again. */
static bool advance(struct io_request *request, int result)
{
    if (result == -EINTR || result == -EAGAIN)
        return false;
    if (result < 0 || request->kind == IO_REQUEST_DATASYNC) {
        request->result = result < 0 ? result : 0;
        return true;
    }
    if (result == 0 && request->bytes > 0) {
        request->result = -EIO;
        return true;
    }
    if (request->sink->direct && (size_t)result < request->bytes) {
        result -= result % (int)SINK_PAGE; /* it takes whole pages only: that one goes out again */
        request->stuck = result > 0 ? 0 : request->stuck + 1;
        if (request->stuck > STUCK_MAX) {
            request->result = -EIO;
            return true;
        }
    }
    request->data += result;
    request->bytes -= (size_t)result;
    request->off += (uint64_t)result;
    request->result = 0;
    return request->bytes == 0;
}

static void run_now(struct io_request *request)
{
    const struct sink_backend *backend = request->sink->backend;
    int fd = request->sink->fd, result;

    do {
        if (request->kind == IO_REQUEST_DATASYNC)
            result = backend->datasync(backend->ctx, fd);
        else
            result = (int)backend->write_at(backend->ctx, fd, request->data, request->bytes,
                                            (off_t)request->off);
        if (result < 0)
            result = -errno;
    } while (!advance(request, result));
    request->done(request);
}

unsigned io_engine_refusals(const struct io_engine *engine)
{
    return atomic_load_explicit(&engine->refusals, memory_order_relaxed);
}

unsigned io_engine_room(const struct io_engine *engine)
{
    return engine->depth - engine->in_flight;
}

void io_engine_submit(struct io_engine *engine, struct io_request *request)
{
    if (!enable(engine)) {
        run_now(request);
        return;
    }
    engine->in_flight++;
    prepare(engine, request);
}

static int result_of(const struct io_request *request, int result)
{
    const struct sink_backend *backend = request->sink->backend;
    bool is_write = request->kind == IO_REQUEST_WRITE;

    if (backend->completed)
        result = backend->completed(backend->ctx, request->sink->fd,
                                    is_write ? (off_t)request->off : -1, result);
    return result;
}

unsigned io_engine_reap(struct io_engine *engine)
{
    struct io_uring_cqe *cqe;
    unsigned finished = 0;

    if (!enable(engine))
        return 0;
    if (io_uring_sq_ready(&engine->ring) > 0)
        io_uring_submit(&engine->ring);
    while (io_uring_peek_cqe(&engine->ring, &cqe) == 0) {
        struct io_request *request = io_uring_cqe_get_data(cqe);
        int result = cqe->res;

        io_uring_cqe_seen(&engine->ring, cqe);
        if (!request) { /* the poll of event_fd */
            engine->event_poll_pending = false;
            continue;
        }
        result = result_of(request, result);
        if (result == -ECANCELED) { /* nobody cancels: no worker could be started for it */
            atomic_fetch_add_explicit(&engine->refusals, 1, memory_order_relaxed);
            engine->in_flight--;
            finished++;
            run_now(request);
            continue;
        }
        if (!advance(request, result)) {
            prepare(engine, request);
            io_uring_submit(&engine->ring);
            continue;
        }
        engine->in_flight--;
        finished++;
        request->done(request);
    }
    return finished;
}

/* ---- sleeping ---- */

void io_engine_arm(struct io_engine *engine)
{
    /* Sequentially consistent against the fence in io_engine_kick(): either the kicker sees
     * `armed`, or the writer, looking for work after this, sees what was queued. */
    atomic_store(&engine->armed, true);
}

void io_engine_disarm(struct io_engine *engine)
{
    atomic_store(&engine->armed, false);
}

static void take_event(struct io_engine *engine)
{
    uint64_t value;

    if (read(engine->event_fd, &value, sizeof value) < 0) {
        /* nothing was there: woken by a signal, or a request that finished */
    }
}

static void wait_for_event(struct io_engine *engine)
{
    struct pollfd event = {.fd = engine->event_fd, .events = POLLIN};

    poll(&event, 1, -1);
    take_event(engine);
}

/* Until `count` requests are done, of which a kick is one. most_ns 0: however long it takes. */
static void wait_for_ring(struct io_engine *engine, unsigned count, int64_t most_ns)
{
    struct __kernel_timespec most = {.tv_sec = most_ns / 1000000000,
                                     .tv_nsec = most_ns % 1000000000};
    struct io_uring_cqe *cqe;

    if (!engine->event_poll_pending) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);

        io_uring_prep_poll_add(sqe, engine->event_fd, POLLIN);
        io_uring_sqe_set_data(sqe, NULL);
        engine->event_poll_pending = true;
    }
    if (most_ns == 0)
        io_uring_submit_and_wait(&engine->ring, count);
    else
        io_uring_submit_and_wait_timeout(&engine->ring, &cqe, count, &most, NULL);
    if (io_uring_peek_cqe(&engine->ring, &cqe) == 0)
        take_event(engine);
}

void io_engine_wait(struct io_engine *engine)
{
    if (enable(engine))
        wait_for_ring(engine, 1, 0);
    else
        wait_for_event(engine);
    io_engine_disarm(engine);
}

void io_engine_wait_for_all(struct io_engine *engine, int64_t most_ns)
{
    if (enable(engine) && engine->in_flight > 0)
        wait_for_ring(engine, engine->in_flight + 1, most_ns);
    else if (engine->has_ring)
        wait_for_ring(engine, 1, 0);
    else
        wait_for_event(engine);
    io_engine_disarm(engine);
}

void io_engine_kick(struct io_engine *engine)
{
    uint64_t one = 1;

    atomic_thread_fence(memory_order_seq_cst); /* see io_engine_arm() */
    if (!atomic_load_explicit(&engine->armed, memory_order_relaxed))
        return;
    if (!atomic_exchange(&engine->armed, false))
        return;
    if (write(engine->event_fd, &one, sizeof one) < 0) {
        /* the counter is at its top: it is readable anyway */
    }
}
