/* sim.c - see sim.h. */
#include "source/sim.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/pace.h"
#include "base/claim.h"
#include "lib/clock.h"
#include "lib/writer.h"

#define NS_PER_S     1000000000ll
#define SLEEP_NS_MAX 100000000ll /* a signal between look and sleep is seen after this */
#define PATH_LOOK_NS NS_PER_S    /* how often the path is looked at */
#define SEED         20260101u

/* ---- open and close ---- */

int sim_open(struct sim *sim, const struct sim_setup *setup, const volatile sig_atomic_t *stop,
             struct dao_text *text)
{
    struct claim claim;
    int r;

    *sim = (struct sim){.setup = *setup, .segment = {.fd = -1}};
    r = claim_take(&claim, setup->path, text);
    if (r == 0)
        r = claim_watch(&claim, 1, stop, text);
    if (r < 0)
        goto out;
    r = pattern_init(&sim->pattern, setup->pattern, &setup->geometry, SEED);
    if (r < 0) {
        snprintf(text->s, sizeof(text->s), "cannot prepare the pattern '%.40s': %s", setup->pattern,
                 strerror(-r));
        goto out;
    }
    /* Semaphores first: a path that they cannot be named by leaves no segment behind. */
    r = dao_semset_open(&sim->semaphores, setup->path, true, text);
    if (r < 0)
        goto out;
    r = dao_segment_create(&sim->segment, setup->path, &setup->geometry, text);
    if (r < 0)
        goto out;
    claim_release(&claim); /* the lock belongs to the file: the old handle must let it go first */
    r = claim_lock(&sim->segment, text);
out:
    claim_release(&claim);
    if (r < 0) {
        if (!sim->segment.map)
            dao_semset_undo(&sim->semaphores);
        sim_close(sim, false);
    }
    return r;
}

void sim_close(struct sim *sim, bool remove)
{
    bool ours = remove && sim->segment.map && dao_segment_check_path(&sim->segment) == 0;

    dao_semset_close(&sim->semaphores);
    if (ours) {
        unlink(sim->segment.path);
        dao_semset_unlink(sim->segment.path);
    }
    dao_segment_close(&sim->segment);
    pattern_fini(&sim->pattern);
}

/* ---- frames ---- */

static int tell_failure(const struct sim *sim, int error, struct dao_text *text)
{
    const char *what = error == -ESTALE    ? "was truncated, removed or replaced by another program"
                       : error == -EBADMSG ? "another program wrote garbage into its header"
                                           : strerror(-error);

    snprintf(text->s, sizeof(text->s), "%.200s: %s", sim->segment.path, what);
    return error;
}

static int publish_frame(struct sim *sim, uint64_t ordinal, uint64_t *ret_cnt0,
                         struct dao_text *text)
{
    struct dao_write w;
    int r = dao_writer_begin(&sim->segment, &w);

    if (r < 0)
        return tell_failure(sim, r, text);
    if (ordinal == 1)
        w.cnt0 = sim->setup.start_count;
    if (ordinal == sim->setup.jump_at)
        w.cnt0 += sim->setup.jump_by;
    pattern_fill(&sim->pattern, w.pixels, w.cnt0);
    dao_writer_publish(&sim->segment, &w, 0);
    dao_semset_post(&sim->semaphores, DAO_SEMSET_ALL);
    *ret_cnt0 = w.cnt0;
    return 0;
}

/* When frame `index` (0, 1, ...) is due, in ns after the first. Each one is computed from the
 * start, so that roundings do not add up. */
static int64_t due_ns(double rate_hz, uint64_t index)
{
    long double ns;

    if (rate_hz <= 0.0)
        return 0;
    ns = (long double)index * (long double)NS_PER_S / (long double)rate_hz;
    return ns < 4e18L ? (int64_t)llrintl(ns) : (int64_t)4e18;
}

/* Sleep until the deadline. False: *stop was set. */
static bool wait_until(int64_t deadline_ns, const volatile sig_atomic_t *stop)
{
    for (;;) {
        int64_t now = dao_clock_mono_ns();

        if (*stop)
            return false;
        if (now >= deadline_ns)
            return true;
        pace_sleep_until(deadline_ns - now > SLEEP_NS_MAX ? now + SLEEP_NS_MAX : deadline_ns);
    }
}

static int check_path(const struct sim *sim, struct dao_text *text)
{
    int r = dao_segment_check(&sim->segment);

    if (r == 0)
        r = dao_segment_check_path(&sim->segment);
    return r < 0 ? tell_failure(sim, r, text) : 0;
}

/* Book a frame published at `now`, `due` where it had a deadline. */
static void book_frame(struct sim_report *report, int64_t now, int64_t due, int64_t period)
{
    int64_t delay = now - due;

    if (delay > report->late_ns_max)
        report->late_ns_max = delay;
    if (delay > period)
        report->late++;
}

int sim_run(struct sim *sim, const volatile sig_atomic_t *stop, struct sim_report *report,
            struct dao_text *text)
{
    const struct sim_setup *setup = &sim->setup;
    bool paced = setup->rate_hz > 0.0;
    int64_t start = dao_clock_mono_ns(), now = start, next_look = start, first_ns = start;
    int r = 0;

    *report = (struct sim_report){0};
    prctl(PR_SET_TIMERSLACK, 1ul); /* wake at the deadline, not 50 us behind it */
    while (report->frames < setup->frames) {
        int64_t due = due_ns(setup->rate_hz, report->frames);

        if ((paced ? due : now - start) >= setup->duration_ns || !wait_until(start + due, stop))
            break;
        if (now >= next_look) {
            r = check_path(sim, text);
            if (r < 0)
                break;
            next_look = now + PATH_LOOK_NS;
        }
        r = publish_frame(sim, report->frames + 1, &report->last_cnt0, text);
        if (r < 0)
            break;
        now = dao_clock_mono_ns();
        if (report->frames++ == 0) {
            report->first_cnt0 = report->last_cnt0;
            first_ns = now;
        }
        if (paced)
            book_frame(report, now - start, due, due_ns(setup->rate_hz, 1));
    }
    report->elapsed_ns = dao_clock_mono_ns() - start;
    if (report->frames > 1 && now > first_ns)
        report->rate_hz = (double)(report->frames - 1) * 1e9 / (double)(now - first_ns);
    return r;
}
