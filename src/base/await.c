/* await.c - see await.h. */
#include "base/await.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"

#define OPEN_POLL_MS 20

void await_block_signals(bool with_user, sigset_t *ret)
{
    struct sigaction hangup;
    sigset_t set;

    sigemptyset(&set);
    /* A terminal that is closed ends it in order, unless nohup asked for it to go on. */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (with_user)
        sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (ret)
        *ret = set;
}

int await_signals(bool with_user)
{
    sigset_t set;
    int fd;

    await_block_signals(with_user, &set);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static void say_why_not(const struct await *await, int error, const struct dao_text *text)
{
    char within[32];

    if (error == -ENODATA)
        log_error("%s%s; wait %sfor its creator with --wait, or remove it if it has none any more",
                  await->who, text->s, await->wait_ns > 0 ? "longer " : "");
    else if (error != -ENOENT)
        log_error("%s%s", await->who, text->s);
    else if (await->wait_ns == 0)
        log_error("%s%s; start its source, or wait for it with --wait", await->who, text->s);
    else
        log_error("%s%s; it did not appear within %s: start its source, or wait longer with --wait",
                  await->who, text->s, units_exact_duration(within, sizeof within, await->wait_ns));
}

static int open_segment(const struct await *await, const struct await_segment *item,
                        int64_t deadline_ns)
{
    struct dao_text text = {""};
    bool said = false;
    int64_t odd_since_ns = 0;

    for (;;) {
        int r = dao_segment_open(item->segment, item->path, DAO_ACCESS_READ, &text);
        int64_t now_ns = dao_clock_mono_ns();
        bool is_odd = r == -EMEDIUMTYPE;

        if (r == 0)
            return 0;
        /* A foreign creator's file has the wrong size for a moment. */
        odd_since_ns = !is_odd ? 0 : odd_since_ns ? odd_since_ns : now_ns;
        if ((r != -ENOENT && r != -ENODATA && !is_odd) || now_ns >= deadline_ns ||
            (is_odd && now_ns - odd_since_ns > AWAIT_BEING_MADE_NS)) {
            say_why_not(await, r, &text);
            return r;
        }
        if (!said && !await->quiet)
            log_info("waiting for %s to appear", item->path);
        said = true;
        if (await->is_end_wanted(await->ctx, OPEN_POLL_MS))
            return -EINTR;
    }
}

/* The first that is not open, or has changed since, while others were waited for; or count. */
static unsigned find_closed(const struct await_segment *segments, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct dao_segment *segment = segments[i].segment;

        if (segment->fd >= 0 &&
            (dao_segment_check(segment) < 0 || dao_segment_check_path(segment) < 0))
            dao_segment_close(segment);
        if (segment->fd < 0)
            return i;
    }
    return count;
}

static void warn_of(const struct await_segment *item)
{
    if (item->segment->ambiguous)
        log_warning("%s: two layouts fit its size; taken as %s", item->path,
                    item->segment->geo.layout->name);
    if (dao_segment_is_on_disk(item->segment))
        log_warning("%s lies on a disk file system and suffers its write-back; put segments on a "
                    "tmpfs such as /dev/shm",
                    item->path);
}

int await_segments(const struct await *await, const struct await_segment *segments, unsigned count)
{
    int64_t deadline_ns =
        await->wait_ns == INT64_MAX ? INT64_MAX : dao_clock_mono_ns() + await->wait_ns;
    unsigned i;

    while ((i = find_closed(segments, count)) < count) {
        int r = open_segment(await, &segments[i], deadline_ns);

        if (r < 0)
            return r;
    }
    for (i = 0; i < count; i++)
        warn_of(&segments[i]);
    return 0;
}
