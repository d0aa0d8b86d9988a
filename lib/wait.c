/*
 * wait.c - waiting for a frame by looking at its count.
 *
 * Between two looks the thread sleeps in ppoll(2) with the caller's signal mask, and everything
 * else of the wait runs with signals blocked: a handler runs in the sleep, and so ends it, or
 * before the wait began. Faults stay unblocked, the SIGBUS guard needs them.
 */
#include "lib/clock.h"
#include "lib/wait.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "lib/shared.h"

#define NS_PER_S       1000000000ll
#define PATH_CHECK_NS  100000000ll /* without a frame for this long: is the path still ours? */
#define SIGNAL_LOOK_NS 1000000ll   /* while spinning, handlers get a chance this often */

static void block_signals(sigset_t *ret_before)
{
    static const int kept[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all;

    sigfillset(&all);
    for (unsigned i = 0; i < sizeof kept / sizeof kept[0]; i++)
        sigdelset(&all, kept[i]);
    pthread_sigmask(SIG_BLOCK, &all, ret_before);
}

/* Sleep, 0 ns allowed. 0, or -EINTR where a handler ran. */
static int sleep_ns(int64_t ns, const sigset_t *mask)
{
    struct timespec time = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    return ppoll(NULL, 0, &time, mask) < 0 && errno == EINTR ? -EINTR : 0;
}

/* dao_reader_peek(), which at depth 1 also keeps when there was nothing yet, as begin() does: from
 * then on the age of the frame that comes is counted. */
static int peek(struct dao_reader *r)
{
    int64_t look_ns = r->seg->geo.depth == 1 ? dao_clock_mono_ns() : 0;
    int what = dao_reader_peek(r);

    if (what == DAO_READ_NONE)
        r->unchanged_ns = look_ns;
    return what;
}

/* What has happened so far, as dao_reader_wait() returns it; 0: nothing. */
static int look(struct dao_reader *r, int64_t now_ns, int64_t *path_check_ns)
{
    int what = dao_reader_look(r);

    if (what < 0)
        return what;
    what = peek(r);
    if (what != DAO_READ_NONE)
        return what < 0 ? what : 1;
    if (now_ns < *path_check_ns)
        return 0;
    *path_check_ns = now_ns + PATH_CHECK_NS;
    return dao_segment_check_path(r->seg);
}

/* Poll until a frame is there or the spinning time is over. 1, 0, -EINTR, -ESTALE. */
static int spin(struct dao_reader *r, int64_t until_ns, const sigset_t *mask)
{
    int64_t now_ns = dao_clock_mono_ns(), signal_look_ns = now_ns + SIGNAL_LOOK_NS;

    for (; now_ns < until_ns; now_ns = dao_clock_mono_ns()) {
        int what = peek(r);

        if (what != DAO_READ_NONE)
            return what < 0 ? what : 1;
        if (now_ns >= signal_look_ns) {
            if (sleep_ns(0, mask) < 0)
                return -EINTR;
            signal_look_ns = now_ns + SIGNAL_LOOK_NS;
        }
        dao_cpu_relax();
    }
    return 0;
}

static int64_t add_capped(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int wait_masked(struct dao_reader *r, int64_t deadline_ns,
                       const struct dao_wait_policy *policy, const sigset_t *mask)
{
    int64_t now_ns = dao_clock_mono_ns(), path_check_ns = now_ns + PATH_CHECK_NS;
    int64_t spin_until_ns = add_capped(now_ns, policy->spin_ns);

    for (;;) {
        /* Spinning too looks at size and path once in a while. */
        int64_t stop_ns = now_ns + PATH_CHECK_NS, left_ns;
        int what;

        stop_ns = stop_ns < spin_until_ns ? stop_ns : spin_until_ns;
        stop_ns = stop_ns < deadline_ns ? stop_ns : deadline_ns;
        what = spin(r, stop_ns, mask);
        now_ns = dao_clock_mono_ns();
        if (what == 0)
            what = look(r, now_ns, &path_check_ns);
        if (what != 0 || now_ns >= deadline_ns)
            return what;
        if (now_ns < spin_until_ns)
            continue;
        left_ns = deadline_ns - now_ns;
        what = sleep_ns(left_ns < policy->sleep_ns ? left_ns : policy->sleep_ns, mask);
        if (what < 0)
            return what;
        now_ns = dao_clock_mono_ns();
    }
}

int dao_reader_wait(struct dao_reader *r, int64_t deadline_ns, const struct dao_wait_policy *policy)
{
    int what = peek(r);
    sigset_t mask;

    if (what != DAO_READ_NONE)
        return what < 0 ? what : 1;
    block_signals(&mask);
    what = wait_masked(r, deadline_ns, policy, &mask);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return what;
}
