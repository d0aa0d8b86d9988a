/* crew.c - see crew.h. */
#include "record/crew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pace.h"

#define STREAMS_A_LANE 32u
#define SETTLE_NS      (2 * LANE_WEIGH_NS) /* a whole measurement after a move */
#define STOP_LOOK_NS   1000000ll

/* ---- lanes ---- */

/* Made for streams such as `s`; its thread does not run yet. Each stream can have one of its own, and
 * be the first in two others. */
static struct lane *make_lane(struct crew *crew, const struct record_stream *s, struct lane *quiet)
{
    struct lane *lane = crew->lane_count < 3 * crew->count ? lane_create(crew->count) : NULL;

    if (!lane)
        return NULL;
    lane->quiet = quiet;
    lane->cpus = s->config.cpus;
    lane->priority = s->config.priority;
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
    for (unsigned i = 0; i < crew->lane_count; i++) {
        lane_join(crew->lanes[i]);
        lane_destroy(crew->lanes[i]);
    }
    free(crew->lanes);
    crew->lanes = NULL;
    crew->lane_count = 0;
}

static void give_all(struct crew *crew)
{
    atomic_store(&crew->streams_left, crew->count);
    for (unsigned i = 0; i < crew->count; i++) {
        struct record_stream *s = crew->streams[i];
        struct lane *lane = lane_of(s);
        bool is_away = atomic_load(&s->condition) != STREAM_RUNNING;

        lane_give(is_away && lane_is_shared(lane) ? lane->quiet : lane, s);
    }
}

int crew_start(struct crew *crew, struct record_stream *const *streams, unsigned count)
{
    int r = crew_assign(crew, streams, count);

    for (unsigned i = 0; i < crew->lane_count && r == 0; i++)
        r = lane_start(crew->lanes[i]);
    if (r == 0)
        give_all(crew);
    else
        end_lanes(crew);
    return r;
}

/* ---- while it runs ---- */

/* It goes there by itself, at its next turn. */
static void move(struct record_stream *s, struct lane *lane)
{
    /* release: pairs with the acquire of the lane that has it; `lane` is whole */
    atomic_store_explicit(&s->lane, lane, memory_order_release);
}

/* One more beside `lane`, for `s` and such as it, or for it alone. NULL: there is none to be had. */
static struct lane *add_lane(struct crew *crew, const struct record_stream *s, struct lane *quiet)
{
    struct lane *lane;
    int r;

    if (crew->is_refused)
        return NULL;
    lane = make_lane(crew, s, quiet);
    r = lane ? lane_start(lane) : -ENOMEM;
    if (r == 0)
        return lane;
    if (lane) {
        crew->lane_count--;
        lane_destroy(lane);
    }
    crew->is_refused = true;
    log_warning("stream %s: no thread for it alone is to be had (%s); going on without", s->name,
                strerror(-r));
    return NULL;
}

static void part(struct crew *crew, struct record_stream *s)
{
    struct lane *lane = add_lane(crew, s, NULL);

    if (lane)
        move(s, lane);
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
            (!idle || load_of(lane) < load_of(idle)))
            idle = lane;
    }
    return idle;
}

/* One of its streams goes elsewhere. */
static bool relieve(struct crew *crew, struct lane *lane)
{
    struct record_stream *s = find_heaviest(crew, lane);
    struct lane *idle;
    unsigned load;

    if (!s || count_members(crew, lane) < 2)
        return false;
    load = atomic_load_explicit(&s->load, memory_order_relaxed);
    idle = find_idle(crew, lane, load);
    if (!idle)
        idle = add_lane(crew, s, load > CREW_BUSY / 2 ? NULL : lane->quiet);
    if (idle)
        move(s, idle);
    return idle;
}

void crew_look(struct crew *crew, int64_t now_ns)
{
    bool moved = false;

    for (unsigned i = 0; i < crew->count; i++) {
        struct record_stream *s = crew->streams[i];

        if (atomic_load_explicit(&s->wants_own, memory_order_relaxed) &&
            lane_is_shared(lane_of(s))) {
            part(crew, s);
            moved = true;
        }
    }
    for (unsigned i = 0; i < crew->lane_count && !moved && now_ns >= crew->settled_ns; i++)
        if (lane_is_shared(crew->lanes[i]) && load_of(crew->lanes[i]) > CREW_BUSY)
            moved = relieve(crew, crew->lanes[i]);
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
