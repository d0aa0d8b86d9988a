/* claim.c - see claim.h. */
#include "base/claim.h"

#include <errno.h>
#include <string.h>

#include "base/pace.h"
#include "lib/clock.h"
#include "lib/reader.h"

#define NS_PER_S        1000000000ll
#define WATCH_NS        NS_PER_S /* how long a count must stand still before we start, at least */
#define WATCH_NS_MAX    (10 * NS_PER_S)
#define INTERVAL_NS_MAX (60 * NS_PER_S) /* a longer one was a pause, not a source's interval */
#define WATCH_STEP_NS   10000000ll
#define LOCK_TRIES      20
#define LOCK_RETRY_NS   10000000ll

int claim_lock(struct dao_segment *segment, struct dao_text *text)
{
    int r = -EWOULDBLOCK;

    for (int i = 0; i < LOCK_TRIES; i++) {
        r = dao_segment_lock_writer(segment);
        if (r != -EWOULDBLOCK)
            break;
        pace_sleep_until(dao_clock_mono_ns() + LOCK_RETRY_NS);
    }
    if (r == -EWOULDBLOCK) {
        dao_text_set(text,
                     "%.200s: another program holds its writer's lock; stop that one, or choose "
                     "another path",
                     segment->path);
        return -EBUSY;
    }
    if (r < 0)
        dao_text_set(text, "%.200s: cannot lock it: %s", segment->path, strerror(-r));
    return r;
}

int claim_take(struct claim *claim, const char *path, struct dao_text *text)
{
    uint32_t slot;
    int r;

    *claim = (struct claim){.old = {.fd = -1, .guard_index = -1}};
    r = dao_segment_open(&claim->old, path, DAO_ACCESS_WRITE, text);
    if (r == -ENOENT)
        return 0;
    if (r == -EMEDIUMTYPE || r == -ENODATA) {
        struct dao_text found = *text;

        dao_text_set(text, "%.320s; remove it, or choose another path", found.s);
        return -EEXIST;
    }
    if (r == 0)
        r = claim_lock(&claim->old, text);
    if (r == 0)
        dao_segment_newest(&claim->old, &slot, &claim->cnt0);
    return r;
}

static int look_at_counts(const struct claim *claims, size_t count, struct dao_text *text)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t cnt0;
        uint32_t slot;

        if (!claims[i].old.map)
            continue;
        dao_segment_newest(&claims[i].old, &slot, &cnt0);
        if (cnt0 == claims[i].cnt0)
            continue;
        dao_text_set(text,
                     "%.200s: its count is moving, so another program writes to it; stop that one, "
                     "or choose another path",
                     claims[i].old.path);
        return -EBUSY;
    }
    return 0;
}

/* How long to watch a segment: where its last frame is recent, until a slow source's next one would
 * have come in twice the interval between the last two. */
static int64_t find_watch_ns(const struct dao_segment *segment)
{
    struct dao_take last, before;
    int64_t interval_ns, age_ns, left_ns;
    uint64_t cnt0;
    uint32_t slot;

    if (!segment->map || segment->geo.depth < 2)
        return WATCH_NS;
    dao_segment_newest(segment, &slot, &cnt0);
    dao_segment_snapshot(segment, slot, &last);
    dao_segment_snapshot(segment, (slot ? slot : segment->geo.depth) - 1, &before);
    if (before.cnt0 == 0 || before.cnt0 >= cnt0 || before.atime_ns <= 0 ||
        last.atime_ns <= before.atime_ns)
        return WATCH_NS;
    interval_ns = last.atime_ns - before.atime_ns;
    age_ns = dao_clock_real_ns() - last.atime_ns;
    if (interval_ns > INTERVAL_NS_MAX || age_ns < 0)
        return WATCH_NS;
    left_ns = 2 * interval_ns - age_ns;
    return left_ns < WATCH_NS ? WATCH_NS : left_ns > WATCH_NS_MAX ? WATCH_NS_MAX : left_ns;
}

int claim_watch(const struct claim *claims, size_t count, const volatile sig_atomic_t *stop,
                struct dao_text *text)
{
    int64_t start = dao_clock_mono_ns(), now = start, watch_ns = 0;

    for (size_t i = 0; i < count; i++) {
        int64_t wanted_ns = claims[i].old.map ? find_watch_ns(&claims[i].old) : 0;

        watch_ns = wanted_ns > watch_ns ? wanted_ns : watch_ns;
    }
    while (now < start + watch_ns) {
        int r;

        now += WATCH_STEP_NS;
        pace_sleep_until(now);
        if (*stop)
            return -ECANCELED;
        r = look_at_counts(claims, count, text);
        if (r < 0)
            return r;
    }
    return 0;
}

void claim_release(struct claim *claim)
{
    dao_segment_close(&claim->old);
}
