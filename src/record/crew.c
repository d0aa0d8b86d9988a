/* crew.c - see crew.h. */
#include "record/crew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pace.h"

#define STREAMS_A_LANE 16u
#define SETTLE_NS      1000000000ll  /* a whole measurement after a move */
#define AGAIN_NS       5000000000ll  /* hurried twice within it is more than a moment's stall, */
#define SAME_NS        400000000ll   /* unless both looks saw the same one */
#define REFUSED_NS     10000000000ll /* then a thread is asked for again */
#define STOP_LOOK_NS   1000000ll

/* ---- lanes ---- */

/* Made for streams such as `s`; its thread does not run yet. Each stream can have one of its own,
 * and be the first in two others. */
static struct lane *make_lane(struct crew *crew, const struct record_stream *s, struct lane *quiet)
{
    struct lane *lane = crew->lane_count < 3 * crew->count ? lane_create(crew->count) : NULL;

    if (!lane)
        return NULL;
    lane->quiet = quiet;
    lane->cpus = s->config.cpus;
    lane->priority = s->config.priority;
    lane->tell_fd = crew->tell_fd;
    lane->is_over = &crew->is_over;
    lane->streams_left = &crew->streams_left;
    crew->lanes[crew->lane_count++] = lane;
    return lane;
}

static bool fits(const struct lane *lane, const struct record_stream *s)
{
    return lane->priority == s->config.priority && CPU_EQUAL(&lane->cpus, &s->config.cpus);
}

static struct lane *lane_of(const struct record_stream *s)
{
    return atomic_load_explicit(&s->lane, memory_order_relaxed);
}

static unsigned load_of(const struct lane *lane)
{
    return atomic_load_explicit(&lane->load, memory_order_relaxed);
}

static unsigned count_members(const struct crew *crew, const struct lane *lane)
{
    unsigned count = 0;

    for (unsigned i = 0; i < crew->count; i++)
        count += lane_of(crew->streams[i]) == lane;
    return count;
}

/* ---- start ---- */

static bool is_large(const struct record_stream *s)
{
    return s->shape && s->shape->geometry.frame_bytes > LANE_OWN_BYTES;
}

static bool is_alike(const struct record_stream *a, const struct record_stream *b)
{
    return a->config.priority == b->config.priority && CPU_EQUAL(&a->config.cpus, &b->config.cpus);
}

/* Is there another that it could share with? */
static bool has_others(const struct crew *crew, const struct record_stream *s)
{
    for (unsigned i = 0; i < crew->count; i++)
        if (crew->streams[i] != s && !is_large(crew->streams[i]) && is_alike(crew->streams[i], s))
            return true;
    return false;
}

/* One that is shared by streams such as `s`, and not full; NULL: none. */
static struct lane *find_shared(const struct crew *crew, const struct record_stream *s,
                                struct lane **ret_quiet)
{
    for (unsigned i = 0; i < crew->lane_count; i++) {
        struct lane *lane = crew->lanes[i];

        if (!lane_is_shared(lane) || !fits(lane, s))
            continue;
        *ret_quiet = lane->quiet;
        if (count_members(crew, lane) < STREAMS_A_LANE)
            return lane;
    }
    return NULL;
}

static struct lane *choose_lane(struct crew *crew, const struct record_stream *s)
{
    struct lane *quiet = NULL, *lane;

    if (is_large(s) || !has_others(crew, s))
        return make_lane(crew, s, NULL);
    lane = find_shared(crew, s, &quiet);
    if (lane)
        return lane;
    if (!quiet)
        quiet = make_lane(crew, s, NULL);
    return quiet ? make_lane(crew, s, quiet) : NULL;
}

int crew_assign(struct crew *crew, struct record_stream *const *streams, unsigned count)
{
    crew->streams = streams;
    crew->count = count;
    crew->lanes = calloc(3ul * crew->count, sizeof(struct lane *));
    if (!crew->lanes)
        return -ENOMEM;
    for (unsigned i = 0; i < crew->count; i++) {
        struct lane *lane = choose_lane(crew, crew->streams[i]);

        if (!lane)
            return -ENOMEM;
        atomic_store_explicit(&crew->streams[i]->lane, lane, memory_order_relaxed);
    }
    return 0;
}

/* None of them has a stream. */
static void end_lanes(struct crew *crew)
{
    /* release: pairs with the acquire of a lane that has nothing left */
    atomic_store_explicit(&crew->is_over, true, memory_order_release);
    for (unsigned i = 0; i < crew->lane_count; i++)
        lane_join(crew->lanes[i]);
    /* Not before: one may still be ringing the bell of another, whose stream ended meanwhile. */
    for (unsigned i = 0; i < crew->lane_count; i++)
        lane_destroy(crew->lanes[i]);
    free(crew->lanes);
    crew->lanes = NULL;
    crew->lane_count = 0;
}

int crew_start(struct crew *crew, struct record_stream *const *streams, unsigned count)
{
    int r = crew_assign(crew, streams, count);

    for (unsigned i = 0; i < crew->lane_count && r == 0; i++)
        r = lane_start(crew->lanes[i]);
    if (r < 0)
        end_lanes(crew);
    return r;
}

void crew_begin(struct crew *crew)
{
    atomic_store(&crew->streams_left, crew->count);
    for (unsigned i = 0; i < crew->count; i++) {
        struct record_stream *s = crew->streams[i];
        struct lane *lane = lane_of(s);
        bool is_away = atomic_load(&s->condition) != STREAM_RUNNING;

        lane_give(is_away && lane_is_shared(lane) ? lane->quiet : lane, s);
    }
}

/* ---- while it runs ---- */

/* It goes there by itself, at its next turn. */
static void move(struct record_stream *s, struct lane *lane)
{
    /* release: pairs with the acquire of the lane that has it; `lane` is whole */
    atomic_store_explicit(&s->lane, lane, memory_order_release);
}

/* One more, for `s` and such as it, or (`quiet` NULL) for it alone. NULL: none is to be had. */
static struct lane *add_lane(struct crew *crew, const struct record_stream *s, struct lane *quiet,
                             int64_t now_ns)
{
    struct lane *lane;
    int r;

    if (now_ns < crew->refused_ns)
        return NULL;
    lane = make_lane(crew, s, quiet);
    r = lane ? lane_start(lane) : -ENOMEM;
    if (r == 0)
        return lane;
    if (lane) {
        crew->lane_count--;
        lane_destroy(lane);
    }
    crew->refused_ns = now_ns + REFUSED_NS;
    if (!crew->is_refused_said)
        log_warning("stream %s shares a thread with others and should not, but no more threads are "
                    "to be had (%s); allow more with ulimit -u, LimitNPROC or TasksMax",
                    s->name, strerror(-r));
    crew->is_refused_said = true;
    return NULL;
}

static bool part(struct crew *crew, struct record_stream *s, int64_t now_ns)
{
    struct lane *lane = add_lane(crew, s, NULL, now_ns);

    if (lane)
        move(s, lane);
    return lane;
}

/* One like it that has nobody, or a new one. */
static struct lane *find_empty(struct crew *crew, const struct lane *like,
                               const struct record_stream *s, int64_t now_ns)
{
    for (unsigned i = 0; i < crew->lane_count; i++)
        if (crew->lanes[i]->quiet == like->quiet && count_members(crew, crew->lanes[i]) == 0)
            return crew->lanes[i];
    return add_lane(crew, s, like->quiet, now_ns);
}

/* Does it take the lane's time? */
static bool is_at_work(const struct record_stream *s)
{
    return atomic_load_explicit(&s->condition, memory_order_relaxed) == STREAM_RUNNING &&
           !atomic_load_explicit(&s->is_over, memory_order_relaxed);
}

/* Every other stream of it that is at work goes to another lane. */
static bool halve(struct crew *crew, struct lane *lane, int64_t now_ns)
{
    struct lane *other = NULL;
    unsigned number = 0;

    for (unsigned i = 0; i < crew->count; i++) {
        struct record_stream *s = crew->streams[i];

        if (lane_of(s) != lane || !is_at_work(s) || number++ % 2 == 0)
            continue;
        if (!other)
            other = find_empty(crew, lane, s, now_ns);
        if (!other)
            return false;
        move(s, other);
    }
    return other;
}

static struct record_stream *find_heaviest(const struct crew *crew, const struct lane *lane)
{
    struct record_stream *heaviest = NULL;
    unsigned most = 0;

    for (unsigned i = 0; i < crew->count; i++) {
        struct record_stream *s = crew->streams[i];
        unsigned load = atomic_load_explicit(&s->load, memory_order_relaxed);

        if (lane_of(s) != lane || load <= most)
            continue;
        heaviest = s;
        most = load;
    }
    return heaviest;
}

static struct lane *find_idle(const struct crew *crew, const struct lane *busy, unsigned more)
{
    struct lane *idle = NULL;

    for (unsigned i = 0; i < crew->lane_count; i++) {
        struct lane *lane = crew->lanes[i];

        if (lane->quiet == busy->quiet && load_of(lane) + more <= CREW_BUSY &&
            count_members(crew, lane) < STREAMS_A_LANE && (!idle || load_of(lane) < load_of(idle)))
            idle = lane;
    }
    return idle;
}

/* One of its streams goes elsewhere. */
static bool relieve(struct crew *crew, struct lane *lane, int64_t now_ns)
{
    struct record_stream *s = find_heaviest(crew, lane);
    struct lane *idle;
    unsigned load;

    if (!s || count_members(crew, lane) < 2)
        return false;
    load = atomic_load_explicit(&s->load, memory_order_relaxed);
    idle = find_idle(crew, lane, load);
    if (!idle)
        idle = add_lane(crew, s, load > CREW_BUSY / 2 ? NULL : lane->quiet, now_ns);
    if (idle)
        move(s, idle);
    return idle;
}

/* Those that want a lane of their own get it. */
static bool part_all(struct crew *crew, int64_t now_ns)
{
    bool moved = false;

    for (unsigned i = 0; i < crew->count; i++) {
        struct record_stream *s = crew->streams[i];

        if (atomic_load_explicit(&s->wants_own, memory_order_relaxed) && lane_is_shared(lane_of(s)))
            moved |= part(crew, s, now_ns);
    }
    return moved;
}

/* Was it hurried now, and some time before? */
static bool is_often_hurried(struct lane *lane, int64_t now_ns)
{
    int64_t before_ns = lane->hurried_ns;

    if (!atomic_exchange_explicit(&lane->is_hurried, false, memory_order_relaxed))
        return false;
    lane->hurried_ns = now_ns;
    return before_ns > 0 && now_ns - before_ns > SAME_NS && now_ns - before_ns < AGAIN_NS;
}

static bool balance(struct crew *crew, struct lane *lane, int64_t now_ns)
{
    bool is_hurried = is_often_hurried(lane, now_ns);

    if (!lane_is_shared(lane))
        return false;
    return is_hurried ? halve(crew, lane, now_ns)
                      : load_of(lane) > CREW_BUSY && relieve(crew, lane, now_ns);
}

void crew_look(struct crew *crew, int64_t now_ns)
{
    bool moved = part_all(crew, now_ns);
    unsigned count = crew->lane_count; /* those that follow have just been given what they have */

    if (now_ns >= crew->settled_ns)
        for (unsigned i = 0; i < count; i++)
            moved |= balance(crew, crew->lanes[i], now_ns);
    if (moved)
        crew->settled_ns = now_ns + SETTLE_NS;
}

/* ---- end ---- */

void crew_stop(struct crew *crew)
{
    if (!crew->lanes)
        return;
    /* acquire: pairs with the lane that has ended one */
    while (atomic_load_explicit(&crew->streams_left, memory_order_acquire) > 0)
        pace_sleep_for(STOP_LOOK_NS);
    end_lanes(crew);
}
