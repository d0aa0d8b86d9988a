/*
 * api_sem.c - the semaphore functions of dao.h.
 *
 * Posting: any thread. Waiting: any number of threads, but those on one index steal each other's
 * posts. A semaphore says nothing about its segment, so a wait looks at that once in a while.
 */
#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/dao.h"
#include "lib/handle.h"
#include "lib/log.h"

#define NS_PER_S 1000000000ll
#define SLICE_NS 100000000ll /* between looks at the segment */

static int_fast8_t create_semaphores(IMAGE *image, long NBsem, const char *function)
{
    struct dao_handle *h = dao_handle_get(image, function);
    struct dao_text text = {""};

    if (!h)
        return DAO_ERROR;
    if (NBsem < 1 || NBsem > IMAGE_NB_SEMAPHORE)
        dao_text_set(&text, "%s: NBsem is %ld, allowed are 1 to %d", h->seg.path, NBsem,
                     IMAGE_NB_SEMAPHORE);
    else if (h->seg.is_private)
        dao_text_set(&text, "%s: private memory has no semaphores: create it with shared = 1",
                     h->seg.path);
    else if (dao_semset_renew(&h->sems, h->seg.path, (int)NBsem, &text) == 0) {
        if (h->seg.access == DAO_ACCESS_WRITE)
            __atomic_store_n(&image->md->sem, (uint16_t)NBsem, __ATOMIC_RELAXED);
        image->semlog = h->sems.semlog;
        return DAO_SUCCESS;
    }
    dao_log(DAO_LOG_ALWAYS, function, "%s", text.s);
    return DAO_ERROR;
}

int_fast8_t daoShmImageCreateSem(IMAGE *image, long NBsem)
{
    return create_semaphores(image, NBsem, __func__);
}

int_fast8_t daoImageCreateSem(IMAGE *image, long NBsem)
{
    return create_semaphores(image, NBsem, __func__);
}

/* ---- posting ---- */

/* The semaphore, or NULL after a message. */
static sem_t *find_semaphore(const struct dao_handle *h, int32_t semNb, const char *function)
{
    sem_t *sem = NULL;

    if (semNb < 0 || semNb >= IMAGE_NB_SEMAPHORE)
        dao_log(DAO_LOG_ALWAYS, function, "%s: semNb is %d, allowed are 0 to %d", h->seg.path,
                (int)semNb, IMAGE_NB_SEMAPHORE - 1);
    else if (h->seg.is_private)
        dao_log(DAO_LOG_ALWAYS, function, "%s: private memory has no semaphores", h->seg.path);
    else {
        sem = h->sems.sem[semNb];
        if (!sem)
            dao_log(DAO_LOG_ALWAYS, function,
                    "%s: semaphore %d is not open: call daoShmImageCreateSem", h->seg.path,
                    (int)semNb);
    }
    return sem;
}

int_fast8_t daoSemPost(IMAGE *image, int32_t semNb)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    if (!h || !find_semaphore(h, semNb, __func__))
        return DAO_ERROR;
    dao_semset_post(&h->sems, semNb);
    return DAO_SUCCESS;
}

int_fast8_t daoSemPostAll(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    if (!h || !find_semaphore(h, 0, __func__))
        return DAO_ERROR;
    dao_semset_post(&h->sems, DAO_SEMSET_ALL);
    return DAO_SUCCESS;
}

int_fast8_t daoSemLogPost(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    if (!h)
        return DAO_ERROR;
    if (!h->sems.semlog) {
        log_error("%s: the log semaphore is not open", h->seg.path);
        return DAO_ERROR;
    }
    dao_semset_post(&h->sems, DAO_SEMSET_LOG);
    return DAO_SUCCESS;
}

/* ---- waiting ---- */

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* Nanoseconds from now until a time, as the clock that may be stepped has it; capped at a slice. */
static int64_t slice_until(const struct timespec *timeout)
{
    int64_t now_ns = dao_clock_real_ns(), then_ns;

    if (__builtin_mul_overflow((int64_t)timeout->tv_sec, NS_PER_S, &then_ns) ||
        __builtin_add_overflow(then_ns, (int64_t)timeout->tv_nsec, &then_ns))
        then_ns = timeout->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    if (then_ns <= now_ns)
        return 0;
    return then_ns - now_ns < SLICE_NS ? then_ns - now_ns : SLICE_NS;
}

/* Removed, replaced, truncated; or, which a reader's look tells, filled with another shape. A
 * reader without the image's tail, which may be another thread's at this moment. */
static bool is_gone(const struct dao_handle *h)
{
    struct dao_reader look = {
        .seg = &h->seg,
        .creation_bits = atomic_load_explicit(&h->creation_bits, memory_order_relaxed),
    };

    return dao_handle_is_stale(h) || dao_reader_look(&look) < 0;
}

/* One slice. 0: the post was taken; or -errno. */
static int wait_slice(sem_t *sem, int64_t ns)
{
    struct timespec until = timespec_of(dao_clock_mono_ns() + ns);

    if (ns == 0)
        return sem_trywait(sem) == 0 ? 0 : errno == EAGAIN ? -ETIMEDOUT : -errno;
    return sem_clockwait(sem, CLOCK_MONOTONIC, &until) == 0 ? 0 : -errno;
}

static int_fast8_t wait_for_semaphore(struct dao_handle *h, int32_t semNb,
                                      const struct timespec *timeout, const char *function)
{
    sem_t *sem = find_semaphore(h, semNb, function);

    if (!sem)
        return DAO_ERROR;
    for (;;) {
        int64_t ns = timeout ? slice_until(timeout) : SLICE_NS;
        int error;

        if (is_gone(h))
            return dao_handle_fail_stale(h, function);
        error = wait_slice(sem, ns);
        if (error == 0)
            return DAO_SUCCESS;
        if (error == -EINTR) {
            dao_log(DAO_INFO, function, "%s: a signal ended the wait", h->seg.path);
            errno = EINTR;
            return DAO_TIMEOUT;
        }
        if (error != -ETIMEDOUT) {
            dao_log(DAO_LOG_ALWAYS, function, "%s: semaphore %d: %s", h->seg.path, (int)semNb,
                    strerror(-error));
            return DAO_ERROR;
        }
        if (ns == 0) {
            errno = ETIMEDOUT;
            return DAO_TIMEOUT;
        }
    }
}

int_fast8_t daoShmWaitForSemaphore(IMAGE *image, int32_t semNb)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    return h ? wait_for_semaphore(h, semNb, NULL, __func__) : DAO_ERROR;
}

int_fast8_t daoShmWaitForSemaphoreTimeout(IMAGE *image, int32_t semNb,
                                          const struct timespec *timeout)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    if (!h)
        return DAO_ERROR;
    if (!timeout || timeout->tv_nsec < 0 || timeout->tv_nsec >= NS_PER_S) {
        log_error("%s: timeout is %s: an absolute time (CLOCK_REALTIME) with 0 <= tv_nsec < 1e9 "
                  "is needed",
                  h->seg.path, timeout ? "out of range" : "NULL");
        return DAO_ERROR;
    }
    return wait_for_semaphore(h, semNb, timeout, __func__);
}
