/* lane.c - see lane.h. */
#include "record/lane.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/place.h"
#include "lib/clock.h"
#include "record/drain.h"

#define NS_PER_S 1000000000ll

/* A stream is due so much of its rest early, where the thread is awake. */
#define EARLY_PART 4

/* Of a rest that is an eighth of what its FIFO holds (see pace.h): then it is half full. */
#define PATIENCE_RESTS 4

/* It was late by so much of its FIFO, after a rest: what it holds was nearly half of it. */
#define HURRIED_PART 3

/* What a turn, a frame, a byte cost about, to tell the parts of streams: in ns, and bytes a ns. */
#define TURN_COST    1000u
#define FRAME_COST   300u
#define BYTES_A_COST 4u

struct lane *lane_create(unsigned capacity)
{
    struct lane *lane = calloc(1, sizeof *lane);

    if (!lane)
        return NULL;
    lane->capacity = capacity;
    lane->tell_fd = -1;
    lane->seats = calloc(capacity, sizeof *lane->seats);
    if (!lane->seats || sem_init(&lane->bell, 0, 0) != 0) {
        free(lane->seats);
        free(lane);
        return NULL;
    }
    return lane;
}

void lane_destroy(struct lane *lane)
{
    if (!lane)
        return;
    sem_destroy(&lane->bell);
    free(lane->seats);
    free(lane);
}

bool lane_is_shared(const struct lane *lane)
{
    return lane->quiet;
}

/* ---- coming and going ---- */

void lane_give(struct lane *lane, struct record_stream *s)
{
    struct record_stream *last = atomic_load_explicit(&lane->arrivals, memory_order_relaxed);

    /* release: pairs with the exchange that takes them; all of the stream goes with it */
    do
        s->next_arrival = last;
    while (!atomic_compare_exchange_weak_explicit(&lane->arrivals, &last, s, memory_order_release,
                                                  memory_order_relaxed));
    sem_post(&lane->bell);
}

void lane_take_arrivals(struct lane *lane, int64_t now_ns)
{
    struct record_stream *s;

    if (!atomic_load_explicit(&lane->arrivals, memory_order_relaxed))
        return;
    /* acquire: pairs with lane_give() */
    s = atomic_exchange_explicit(&lane->arrivals, NULL, memory_order_acquire);
    for (; s; s = s->next_arrival) {
        s->has_company = lane_is_shared(lane);
        lane->seats[lane->count++] = (struct lane_seat){.stream = s,
                                                        .due_ns = now_ns,
                                                        .frames = s->account.now.counts.recorded,
                                                        .bytes = s->account.now.bytes};
    }
}

static void leave(struct lane *lane, struct lane_seat *seat)
{
    atomic_store_explicit(&seat->stream->load, 0, memory_order_relaxed);
    *seat = lane->seats[--lane->count];
    if (lane->count == 0) /* it is not weighed while it sleeps */
        atomic_store_explicit(&lane->load, 0, memory_order_relaxed);
}

/* Where it belongs now. */
static struct lane *place_of(struct lane *lane, struct record_stream *s)
{
    bool is_away = atomic_load_explicit(&s->condition, memory_order_relaxed) != STREAM_RUNNING;
    struct lane *own = atomic_load_explicit(&s->lane, memory_order_acquire);

    if (!is_away)
        return own;
    return lane_is_shared(lane) ? lane->quiet : lane;
}

/* ---- turns ---- */

struct lane_seat *lane_choose(struct lane *lane, int64_t now_ns, int64_t *ret_wake_ns)
{
    struct lane_seat *first = NULL;
    int64_t first_late_ns = INT64_MAX;

    *ret_wake_ns = INT64_MAX;
    for (struct lane_seat *seat = lane->seats; seat < lane->seats + lane->count; seat++) {
        int64_t late_ns = seat->due_ns + seat->patience_ns;

        if (seat->due_ns < *ret_wake_ns)
            *ret_wake_ns = seat->due_ns;
        if (seat->due_ns - seat->rest_ns / EARLY_PART > now_ns || late_ns >= first_late_ns)
            continue;
        first = seat;
        first_late_ns = late_ns;
    }
    return first;
}

/* A source that is silent is not late, however late it is looked at. */
static void note_late(struct lane *lane, const struct record_stream *s, uint64_t taken,
                      int64_t late_ns)
{
    double fifo_ns;

    if (taken == 0 || !lane_is_shared(lane))
        return;
    fifo_ns = s->pace.period_ns * s->shape->geometry.depth;
    if (fifo_ns > 0.0 && (double)late_ns * HURRIED_PART > fifo_ns)
        atomic_store_explicit(&lane->is_hurried, true, memory_order_relaxed);
}

/* One that has to be taken within a time has no patience beside. */
static int64_t patience_of(const struct record_stream *s, int64_t rest_ns)
{
    int64_t latency_ns = s->config.latency_ns;

    return latency_ns > 0 && rest_ns >= latency_ns ? 0 : PATIENCE_RESTS * rest_ns;
}

int64_t lane_take_turn(struct lane *lane, struct lane_seat *seat, int64_t now_ns)
{
    struct record_stream *s = seat->stream;
    uint64_t before = s->account.now.counts.recorded;
    int64_t late_ns = now_ns - seat->due_ns, rest_ns = drain_turn(s, now_ns);
    struct lane *place;

    now_ns = dao_clock_mono_ns();
    if (rest_ns == DRAIN_OVER) {
        atomic_store_explicit(&s->wants_own, false, memory_order_relaxed);
        leave(lane, seat);
        /* release: pairs with whoever reads that none is left, and frees them */
        atomic_fetch_sub_explicit(lane->streams_left, 1, memory_order_release);
        return now_ns;
    }
    seat->turns++;
    note_late(lane, s, s->account.now.counts.recorded - before, late_ns);
    place = place_of(lane, s);
    if (place != lane) {
        leave(lane, seat);
        lane_give(place, s);
        return now_ns;
    }
    seat->due_ns = now_ns + rest_ns;
    if (rest_ns > 0) {
        seat->rest_ns = rest_ns;
        seat->patience_ns = patience_of(s, rest_ns);
    }
    return now_ns;
}

/* ---- what it costs ---- */

static int64_t own_cpu_ns(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return spent.tv_sec * NS_PER_S + spent.tv_nsec;
}

/* Is its FIFO, at the pace of these frames, full so soon that it may hardly rest? */
static bool wants_own(const struct record_stream *s, uint64_t frames, int64_t passed_ns)
{
    int64_t latency_ns = s->config.latency_ns;
    double fifo_ns;

    if (!s->shape || frames == 0)
        return false;
    fifo_ns = (double)passed_ns * s->shape->geometry.depth / (double)frames;
    return s->shape->geometry.frame_bytes > LANE_OWN_BYTES || fifo_ns < PACE_PARTS * LANE_OWN_NS ||
           (latency_ns > 0 && latency_ns <= LANE_OWN_NS);
}

/* What is to become of it is decided soon. */
static void ask_for_own(const struct lane *lane, struct record_stream *s)
{
    bool is_known = atomic_exchange_explicit(&s->wants_own, true, memory_order_relaxed);

    if (!is_known && lane->tell_fd >= 0)
        eventfd_write(lane->tell_fd, 1);
}

static uint64_t cost_of(const struct lane_seat *seat)
{
    const struct account_view *now = &seat->stream->account.now;

    return seat->turns * TURN_COST + (now->counts.recorded - seat->frames) * FRAME_COST +
           (now->bytes - seat->bytes) / BYTES_A_COST;
}

static void weigh(struct lane *lane, unsigned load, uint64_t costs, int64_t passed_ns)
{
    for (struct lane_seat *seat = lane->seats; seat < lane->seats + lane->count; seat++) {
        struct record_stream *s = seat->stream;
        uint64_t frames = s->account.now.counts.recorded;

        atomic_store_explicit(&s->load,
                              costs ? (unsigned)((double)cost_of(seat) / (double)costs * load) : 0,
                              memory_order_relaxed);
        if (wants_own(s, frames - seat->frames, passed_ns))
            ask_for_own(lane, s);
        seat->turns = 0;
        seat->frames = frames;
        seat->bytes = s->account.now.bytes;
    }
}

void lane_weigh(struct lane *lane, int64_t now_ns)
{
    int64_t cpu_ns, passed_ns = now_ns - lane->weighed_ns;
    uint64_t costs = 0;
    unsigned load;

    if (!lane_is_shared(lane) || passed_ns < LANE_WEIGH_NS)
        return;
    cpu_ns = own_cpu_ns();
    load = (unsigned)((cpu_ns - lane->weighed_cpu_ns) * 1000 / passed_ns);
    for (unsigned i = 0; i < lane->count; i++)
        costs += cost_of(&lane->seats[i]);
    weigh(lane, load, costs, passed_ns);
    if (lane->count > 0) /* else it sleeps, and has none */
        atomic_store_explicit(&lane->load, load, memory_order_relaxed);
    lane->weighed_ns = now_ns;
    lane->weighed_cpu_ns = cpu_ns;
}

/* ---- the thread ---- */

/* Until then, or until the bell rings. */
static void sleep_until(struct lane *lane, int64_t wake_ns)
{
    struct timespec when = {wake_ns / NS_PER_S, wake_ns % NS_PER_S};

    if (wake_ns == INT64_MAX)
        sem_wait(&lane->bell);
    else
        sem_clockwait(&lane->bell, CLOCK_MONOTONIC, &when);
}

static void *run(void *arg)
{
    struct lane *lane = arg;
    int64_t now_ns = dao_clock_mono_ns(), wake_ns;

    prctl(PR_SET_TIMERSLACK, 1000ul); /* a rest of 20 us is to be 20 us */
    lane->weighed_ns = now_ns;
    for (;;) {
        struct lane_seat *seat;

        lane_take_arrivals(lane, now_ns);
        lane_weigh(lane, now_ns);
        seat = lane_choose(lane, now_ns, &wake_ns);
        if (seat) {
            now_ns = lane_take_turn(lane, seat, now_ns);
            continue;
        }
        if (lane->count == 0 && atomic_load_explicit(lane->is_over, memory_order_acquire))
            return NULL;
        sleep_until(lane, wake_ns);
        now_ns = dao_clock_mono_ns();
    }
}

int lane_start(struct lane *lane)
{
    int r = -pthread_create(&lane->thread, NULL, run, lane);

    lane->is_started = r == 0;
    if (r != 0)
        return r;
    pthread_setname_np(lane->thread, "drain");
    place_thread_on(lane->thread, &lane->cpus, lane->priority);
    return 0;
}

void lane_join(struct lane *lane)
{
    if (!lane->is_started)
        return;
    sem_post(&lane->bell);
    pthread_join(lane->thread, NULL);
}
