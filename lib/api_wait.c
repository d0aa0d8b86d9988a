/*
 * api_wait.c - the functions of dao.h that wait for frames by their counts. Semaphores are
 * api_sem.c. One thread at a time on one IMAGE.
 */
#include <errno.h>

#include "lib/dao.h"
#include "lib/handle.h"
#include "lib/log.h"

/* For a source whose cadence is not known, or that has none. */
static const struct dao_wait_policy policy = {
    .spin_ns = 20000, .sleep_ns = 20000, .sleep_max_ns = 500000};

static int64_t deadline_of(const struct timespec *time)
{
    int64_t ns;

    if (__builtin_mul_overflow((int64_t)time->tv_sec, (int64_t)1000000000, &ns) ||
        __builtin_add_overflow(ns, (int64_t)time->tv_nsec, &ns))
        return time->tv_sec < 0 ? INT64_MIN : DAO_WAIT_FOREVER;
    return ns;
}

static bool check_deadline(const struct dao_handle *h, const struct timespec *deadline,
                           const char *function)
{
    if (deadline && deadline->tv_nsec >= 0 && deadline->tv_nsec < 1000000000)
        return true;
    dao_log(DAO_LOG_ALWAYS, function,
            "%s: deadline is %s: an absolute time (CLOCK_MONOTONIC) with 0 <= tv_nsec < 1e9 is "
            "needed",
            h->seg.path, deadline ? "out of range" : "NULL");
    return false;
}

/* What a wait of the core came to, as dao.h has it. */
static int_fast8_t tell(struct dao_handle *h, int what, const char *function)
{
    switch (what) {
    case 0: /* a loop of short waits is a long one: it must find out too */
        return dao_handle_is_stale(h) ? dao_handle_fail_stale(h, function) : DAO_TIMEOUT;
    case 1:
        return DAO_SUCCESS;
    case DAO_WAIT_RESTARTED:
        return DAO_OVERWRITE;
    case -EINTR:
        dao_log(DAO_INFO, function, "%s: a signal ended the wait", h->seg.path);
        errno = EINTR;
        return DAO_ERROR;
    default:
        return dao_handle_fail_stale(h, function);
    }
}

static int_fast8_t wait_for_next(IMAGE *image, struct dao_handle *h, int64_t deadline_ns,
                                 const char *function)
{
    struct dao_reader reader = dao_image_reader(image, h, DAO_LAP_NEWEST);

    return tell(h, dao_reader_wait(&reader, deadline_ns, &policy, &h->cadence), function);
}

int_fast8_t daoShmWaitForNextSegment(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get_reading(image, __func__);

    return h ? wait_for_next(image, h, DAO_WAIT_FOREVER, __func__) : DAO_ERROR;
}

int_fast8_t daoShmWaitForNextSegmentUntil(IMAGE *image, const struct timespec *deadline)
{
    struct dao_handle *h = dao_handle_get_reading(image, __func__);

    if (!h || !check_deadline(h, deadline, __func__))
        return DAO_ERROR;
    return wait_for_next(image, h, deadline_of(deadline), __func__);
}

static int_fast8_t wait_for_target(struct dao_handle *h, const uint64_t *target,
                                   int64_t deadline_ns, const char *function)
{
    if (dao_handle_is_reshaped(h))
        return dao_handle_fail_stale(h, function);
    return tell(h, dao_newest_wait(&h->seg, target, deadline_ns, &policy, &h->cadence), function);
}

int_fast8_t daoShmWaitForCounter(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    return h ? wait_for_target(h, NULL, DAO_WAIT_FOREVER, __func__) : DAO_ERROR;
}

int_fast8_t daoShmWaitForTargetCounter(IMAGE *image, uint64_t targetCnt0)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    return h ? wait_for_target(h, &targetCnt0, DAO_WAIT_FOREVER, __func__) : DAO_ERROR;
}

int_fast8_t daoShmWaitForTargetCounterUntil(IMAGE *image, uint64_t targetCnt0,
                                            const struct timespec *deadline)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    if (!h || !check_deadline(h, deadline, __func__))
        return DAO_ERROR;
    return wait_for_target(h, &targetCnt0, deadline_of(deadline), __func__);
}
