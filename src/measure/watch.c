/* watch.c - see watch.h. */
#include "measure/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/pace.h"
#include "lib/clock.h"
#include "recording/find.h"
#include "recording/tree.h"

#define BATCH_FRAMES         4096u
#define REFUSALS_MAX         4u
#define SLEEP_MAX_NS         20000000ll  /* between looks, however deep the FIFO is */
#define PUBLISH_NS           250000000ll /* a view is some 130 KB to copy */
#define RATE_NS              1000000000ll
#define PATH_CHECK_NS        100000000ll
#define RETURN_SLEEP_NS      2000000ll /* between looks for a segment that went away */
#define REFUSED_SLEEP_MIN_NS 20000ll
#define REFUSED_SLEEP_MAX_NS 1000000ll
#define STOP_PATIENCE_NS     1000000000ll
#define EACH_WAIT_NS         20000000ll /* then the loop looks around */

enum step {
    STEP_TOOK,    /* frames were taken, and there may be more */
    STEP_AGAIN,   /* something happened, look again */
    STEP_REFUSED, /* a frame changed under the look, or its write flag is up */
    STEP_NOTHING, /* no frame there */
    STEP_GONE,    /* the segment is */
};

/* How the thread's loop stands. */
struct loop {
    int64_t now_ns;       /* of this look */
    int64_t asked_ns;     /* sleep that was asked for before it; -1: none was */
    int64_t look_ns;      /* the look before */
    int64_t path_look_ns; /* when the path was last compared */
    int64_t taken_ns;     /* when there was a frame last, while stopping */
};

/* ---- one frame ---- */

static void book(struct watch *w, const struct dao_take *take, uint64_t previous, int64_t taken_ns)
{
    struct tally_frame frame = {
        .cnt0 = (int64_t)take->cnt0,
        .atime_ns = take->atime_ns,
        .taken_ns = taken_ns,
        .is_torn = take->torn,
    };

    tally_lose(&w->now.tally, take->jumped ? LEDGER_SOURCE : LEDGER_LAPPED, (int64_t)(previous + 1),
               take->missing, taken_ns);
    tally_take(&w->now.tally, &frame);
}

/* The source restarted: what is known of the old run is counted, a new run begins. */
static void restart(struct watch *w, const struct dao_take *take)
{
    tally_lose(&w->now.tally, LEDGER_RESTART, (int64_t)take->restart_first, take->restart_lost,
               dao_clock_real_ns());
    tally_begin_run(&w->now.tally, (int64_t)w->reader.cnt0 + 1, TALLY_RESTART);
    w->now.events[WATCH_RESTART]++;
    w->finished = w->stopping; /* what was wanted is gone, and counted */
}

/* What was there at the request to stop and cannot be had any more is lost; the work is done. */
static void give_up_wanted(struct watch *w, unsigned cause)
{
    uint64_t after = w->reader.cnt0;

    if (w->last_wanted_cnt0 > after)
        tally_lose(&w->now.tally, cause, (int64_t)(after + 1), w->last_wanted_cnt0 - after,
                   dao_clock_real_ns());
    w->finished = true;
}

static enum step take_frame(struct watch *w)
{
    uint64_t previous = w->reader.cnt0;
    struct dao_take take;
    int64_t taken_ns;

    switch (dao_reader_begin(&w->reader, &take)) {
    case DAO_READ_NONE:
        return STEP_NOTHING;
    case DAO_READ_FRAME:
        break;
    case DAO_READ_RESTART:
        restart(w, &take);
        return STEP_AGAIN;
    default:
        return STEP_GONE;
    }
    if (w->stopping && take.cnt0 > w->last_wanted_cnt0) {
        give_up_wanted(w, take.jumped ? LEDGER_SOURCE : LEDGER_LAPPED);
        return STEP_AGAIN;
    }
    taken_ns = dao_clock_real_ns();
    if (dao_reader_finish(&w->reader, &take) != 1)
        return STEP_REFUSED;
    book(w, &take, previous, taken_ns);
    if (w->stopping && take.cnt0 >= w->last_wanted_cnt0)
        w->finished = true;
    return STEP_TOOK;
}

/* Why it ended; STEP_TOOK only where there may be more. */
static enum step drain(struct watch *w, int64_t now_ns)
{
    uint64_t seen = w->now.tally.seen, before = w->reader.cnt0;
    enum step step = STEP_NOTHING;
    unsigned refused = 0;

    for (unsigned i = 0; i < BATCH_FRAMES && !w->finished; i++) {
        step = take_frame(w);
        if (step == STEP_TOOK)
            refused = 0;
        else if (step != STEP_AGAIN && (step != STEP_REFUSED || ++refused > REFUSALS_MAX))
            break;
    }
    if (w->now.tally.seen > seen)
        w->now.frame_ns = now_ns;
    if (w->reader.cnt0 > before || step == STEP_NOTHING)
        pace_note(&w->pace, w->reader.cnt0 > before ? w->reader.cnt0 - before : 0,
                  step == STEP_NOTHING, now_ns);
    return step;
}

/* ---- one look ---- */

/* Counts that the source left out are no frames. */
static void note_backlog(struct watch *w, uint64_t backlog, uint64_t jumped)
{
    backlog -= jumped < backlog ? jumped : backlog;
    if (backlog > w->backlog_lately)
        w->backlog_lately = backlog;
    if (backlog > w->now.backlog_max)
        w->now.backlog_max = backlog;
}

/* Looked at now and then while no frames come: does the path lead to another file, or nowhere? */
static bool is_replaced(const struct watch *w, struct loop *loop)
{
    if (loop->now_ns - loop->path_look_ns < PATH_CHECK_NS)
        return false;
    loop->path_look_ns = loop->now_ns;
    return dao_segment_check_path(&w->segment) < 0;
}

/* What a removed segment still holds is taken first; whoever removed it has published before. */
static enum step look(struct watch *w, struct loop *loop)
{
    uint64_t seen = w->now.tally.seen, *jumps = &w->now.tally.lost_by[LEDGER_SOURCE];
    enum step step = STEP_GONE;

    w->now.looks++;
    if (w->now.condition == WATCH_RUNNING && dao_reader_look(&w->reader) >= 0) {
        bool is_over = is_replaced(w, loop);
        uint64_t backlog = dao_reader_backlog(&w->reader), jumped = *jumps;

        step = drain(w, loop->now_ns);
        note_backlog(w, backlog, *jumps - jumped);
        if (w->now.tally.seen > seen)
            loop->path_look_ns = loop->now_ns;
        else if (is_over && (step == STEP_NOTHING || step == STEP_REFUSED))
            step = STEP_GONE;
    }
    if (step == STEP_GONE) {
        watch_gone_step(w);
        loop->path_look_ns = loop->now_ns;
    }
    if (step == STEP_GONE || w->now.tally.seen > seen || !w->stopping)
        loop->taken_ns = loop->now_ns;
    return step;
}

/* ---- the loop ---- */

static void begin_stop(struct watch *w)
{
    w->stopping = true;
    w->last_wanted_cnt0 = w->reader.cnt0;
    if (w->now.condition != WATCH_RUNNING)
        return; /* what came back meanwhile is dealt with where it is waited for */
    dao_reader_look(&w->reader);
    w->last_wanted_cnt0 = w->reader.newest_seen;
    w->finished = w->last_wanted_cnt0 <= w->reader.cnt0 && !dao_reader_is_ready(&w->reader);
}

static void check_for_stop(struct watch *w, const struct loop *loop)
{
    bool is_due =
        w->config.duration_ns > 0 && loop->now_ns - w->now.begin_ns >= w->config.duration_ns;

    /* acquire: what was set before the request is seen after it */
    if (!w->stopping && (is_due || atomic_load_explicit(&w->stop_requested, memory_order_acquire)))
        begin_stop(w);
    /* Frames that were there at the request cannot be had any more: do not wait for ever. */
    if (w->stopping && !w->finished &&
        (atomic_load(&w->hurry) || loop->now_ns - loop->taken_ns > STOP_PATIENCE_NS))
        give_up_wanted(w, LEDGER_LAPPED);
}

/* A source may pause, and a mean over its pauses says too little. */
static void note_rate(struct watch *w, int64_t now_ns)
{
    const struct tally *t = &w->now.tally;
    uint64_t published = tally_expected(t) - t->lost_by[LEDGER_SOURCE];
    int64_t span_ns = now_ns - w->second_ns;
    double rate_hz;

    if (span_ns < RATE_NS)
        return;
    rate_hz = (double)(published - w->published_before) * 1e9 / (double)span_ns;
    if (rate_hz > w->now.rate_hz_max)
        w->now.rate_hz_max = rate_hz;
    w->second_ns = now_ns;
    w->published_before = published;
}

/* Never waits for who reads, but at the end. */
static void publish(struct watch *w, int64_t now_ns, bool is_last)
{
    if (!is_last && now_ns - w->published_ns < PUBLISH_NS)
        return;
    if (is_last)
        pthread_mutex_lock(&w->lock);
    else if (pthread_mutex_trylock(&w->lock) != 0)
        return;
    w->now.backlog = w->backlog_lately;
    w->now.time_ns = now_ns;
    w->shown = w->now;
    pthread_mutex_unlock(&w->lock);
    w->published_ns = now_ns;
    w->backlog_lately = 0;
}

/* Until there is a frame, or a little while. A restart and a segment that went away end it, too. */
static void wait_for_frame(struct watch *w)
{
    static const struct dao_wait_policy policy = {
        .spin_ns = 20000, .sleep_ns = 20000, .sleep_max_ns = 500000};

    dao_reader_wait(&w->reader, dao_clock_mono_ns() + EACH_WAIT_NS, &policy, &w->cadence);
}

/* A writer that died under a frame leaves it refused for ever: look less and less often. */
static int64_t refused_sleep(struct watch *w, enum step step)
{
    if (step != STEP_REFUSED)
        w->refused_sleep_ns = 0;
    else if (w->refused_sleep_ns < REFUSED_SLEEP_MIN_NS)
        w->refused_sleep_ns = REFUSED_SLEEP_MIN_NS;
    else if (w->refused_sleep_ns < REFUSED_SLEEP_MAX_NS)
        w->refused_sleep_ns *= 2;
    return w->refused_sleep_ns;
}

static void rest(struct watch *w, enum step step, struct loop *loop)
{
    int64_t refused_ns = refused_sleep(w, step);

    loop->asked_ns = -1;
    if (step == STEP_REFUSED) {
        pace_sleep_for(refused_ns);
    } else if (step == STEP_GONE) {
        pace_sleep_for(RETURN_SLEEP_NS);
    } else if (step == STEP_NOTHING && w->config.each_frame) {
        wait_for_frame(w);
    } else if (step == STEP_NOTHING) {
        loop->asked_ns =
            pace_sleep_ns(&w->pace, w->segment.geo.depth, w->segment.geo.frame_bytes, loop->now_ns);
        pace_sleep_for(loop->asked_ns);
    }
}

/* By how much this look is later than it should be; what the look before took counts, too. */
static void note_delay(struct watch *w, const struct loop *loop)
{
    if (loop->asked_ns >= 0)
        histogram_add(&w->now.delay, loop->now_ns - loop->look_ns - loop->asked_ns);
}

void *watch_run(void *arg)
{
    struct watch *w = arg;
    struct loop loop = {.now_ns = dao_clock_mono_ns(), .asked_ns = -1};
    uint64_t one = 1;

    prctl(PR_SET_TIMERSLACK, 1000ul); /* a sleep of 20 us is to be 20 us */
    w->now.begin_ns = w->now.frame_ns = w->second_ns = loop.now_ns;
    loop.path_look_ns = loop.taken_ns = loop.now_ns;
    for (;;) {
        enum step step;

        loop.look_ns = loop.now_ns;
        loop.now_ns = dao_clock_mono_ns();
        note_delay(w, &loop);
        check_for_stop(w, &loop);
        if (w->finished)
            break;
        step = look(w, &loop);
        note_rate(w, loop.now_ns);
        publish(w, loop.now_ns, false);
        if (!w->finished)
            rest(w, step, &loop);
    }
    publish(w, loop.now_ns, true);
    atomic_store_explicit(&w->is_over, true, memory_order_release);
    while (write(w->over_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    return NULL;
}

/* ---- around it ---- */

struct watch *watch_create(const char *path, const struct watch_config *config, int over_fd)
{
    struct watch *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->path = path;
    w->config = *config;
    w->over_fd = over_fd;
    w->segment.fd = w->segment.guard_index = -1;
    w->fresh.fd = w->fresh.guard_index = -1;
    w->pace.sleep_max_ns = SLEEP_MAX_NS;
    w->now.tally.gaps = w->gaps;
    w->now.tally.gaps_most = WATCH_GAPS_MAX;
    pthread_mutex_init(&w->lock, NULL);
    _Static_assert(sizeof w->name > FITS_STREAM_NAME_MAX, "a stream's name must fit");
    if (tree_stream_name(w->name, path) < 0) {
        strncpy(w->name, find_base_of(path), sizeof w->name - 1);
        w->name[strcspn(w->name, ".")] = '\0';
    }
    return w;
}

void watch_destroy(struct watch *w)
{
    if (!w)
        return;
    dao_segment_close(&w->fresh);
    dao_segment_close(&w->segment);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

int watch_attach(struct watch *w)
{
    if (dao_reader_init(&w->reader, &w->segment, DAO_LAP_OLDEST, false) < 0)
        return -ESTALE;
    tally_begin_run(&w->now.tally, (int64_t)w->reader.cnt0 + 1, TALLY_START);
    w->now.geometry = w->segment.geo;
    w->now.depth = w->segment.geo.depth;
    w->now.begin_ns = w->now.frame_ns = w->now.time_ns = dao_clock_mono_ns();
    w->shown = w->now;
    return 0;
}

void watch_read(struct watch *w, struct watch_view *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = w->shown;
    pthread_mutex_unlock(&w->lock);
    spread_settle(&ret->tally.interval);
}
