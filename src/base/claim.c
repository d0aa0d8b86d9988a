/* claim.c - see claim.h. */
#include "base/claim.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/reader.h"

#define NS_PER_S      1000000000ll
#define WATCH_NS      NS_PER_S /* how long a count must stand still before we start */
#define WATCH_STEP_NS 10000000ll
#define LOCK_TRIES    20
#define LOCK_RETRY_NS 10000000ll

static void sleep_until(int64_t mono_ns)
{
    struct timespec when = {mono_ns / NS_PER_S, mono_ns % NS_PER_S};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
}

int claim_lock(struct dao_segment *segment, struct dao_text *text)
{
    int r = -EWOULDBLOCK;

    for (int i = 0; i < LOCK_TRIES; i++) {
        r = dao_segment_lock_writer(segment);
        if (r != -EWOULDBLOCK)
            break;
        sleep_until(dao_clock_mono_ns() + LOCK_RETRY_NS);
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

int claim_watch(const struct claim *claims, size_t count, const volatile sig_atomic_t *stop,
                struct dao_text *text)
{
    int64_t start = dao_clock_mono_ns(), now = start;
    size_t existing = 0;

    for (size_t i = 0; i < count; i++)
        existing += claims[i].old.map != NULL;
    while (existing > 0 && now < start + WATCH_NS) {
        int r;

        now += WATCH_STEP_NS;
        sleep_until(now);
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
