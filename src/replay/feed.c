/* feed.c - see feed.h. */
#include "replay/feed.h"

#include <errno.h>
#include <math.h>
#include <time.h>

#include "base/log.h"
#include "base/units.h"

#define FULL_SLEEP_NS    500000   /* while there is no room */
#define PATIENCE_NS      1000000  /* where no usual interval is known */
#define PASS_INTERVAL_NS 10000000 /* likewise, between two passes */
#define PAUSES_TOLD      3u

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static bool is_even(const struct feed *feed)
{
    return feed->rules.rate_hz > 0.0;
}

/* ---- the next event of a stream ---- */

/* The source began anew before this frame, as the recorder saw it. */
static bool is_restart(const struct feed *feed, const struct feed_stream *s)
{
    return s->has_last && !s->begins_pass && !feed->rules.close_gaps &&
           (s->row.flags & FITS_FLAG_RESET);
}

static void renumber(struct feed_stream *s)
{
    s->tally.renumbered++;
    if (!s->told_renumbered)
        log_warning("stream %s: the count of frame %llu is not above that of the one before; it is "
                    "numbered on from there",
                    s->series->stream, (unsigned long long)s->next);
    s->told_renumbered = true;
    s->cnt0 = s->last_cnt0 + 1;
}

static void number_frame(const struct feed *feed, struct feed_stream *s)
{
    uint64_t recorded = (uint64_t)s->row.cnt0;
    bool is_count = s->row.cnt0 > 0;

    if (!s->has_last || is_restart(feed, s))
        s->cnt0 = is_count ? recorded : 1;
    else if (feed->rules.close_gaps || s->begins_pass)
        s->cnt0 = s->last_cnt0 + 1;
    else if (!is_count || s->row.cnt0 <= s->recorded_cnt0)
        renumber(s);
    else
        s->cnt0 = recorded + s->shift;
    s->shift = s->cnt0 - recorded;
    s->recorded_cnt0 = s->row.cnt0;
    s->seed = s->cnt0 - 1;
    /* A new run whose first frames were all lost: that they are missing is to be seen again. */
    if (is_restart(feed, s) && s->row.lost > 0 && (uint64_t)s->row.lost == s->seed)
        s->seed = 0;
}

static int64_t key_of_frame(const struct feed *feed, const struct feed_stream *s)
{
    if (is_even(feed))
        return (int64_t)fminl((long double)s->ordinal * 1e9L / (long double)feed->rules.rate_hz,
                              4e18L);
    return add_clamped(s->when_ns, feed->pass_shift_ns);
}

static void leave_out(struct feed_stream *s, const char *why)
{
    s->tally.unreadable++;
    if (!s->told_unreadable)
        log_error("stream %s: frame %llu is left out: %s", s->series->stream,
                  (unsigned long long)s->next, why);
    s->told_unreadable = true;
    s->next++;
}

/* Look at row s->next, or one behind it where that cannot be read. */
static void look_ahead(struct feed *feed, struct feed_stream *s)
{
    struct dao_text text = {""};

    while (s->next < s->end && series_reader_row(s->reader, s->next, &s->row, &text) < 0)
        leave_out(s, text.s);
    if (s->next >= s->end)
        return;
    s->when_ns = timeline_next(&s->timeline, &s->row, feed->rules.close_gaps && feed->count == 1);
    number_frame(feed, s);
    s->key_ns = key_of_frame(feed, s);
    s->needs_segment = series_part_of(s->series, s->next) != s->part || is_restart(feed, s);
    /* Midway, so that readers have half of the time to take what is there, and half of it to find
     * out. */
    if (s->needs_segment && s->has_last && s->key_ns > s->last_key_ns)
        s->key_ns = s->last_key_ns + (s->key_ns - s->last_key_ns) / 2;
}

/* ---- all streams together ---- */

static struct feed_stream *next_stream(struct feed *feed)
{
    struct feed_stream *first = NULL;

    for (unsigned i = 0; i < feed->count; i++) {
        struct feed_stream *s = &feed->streams[i];

        if (s->next < s->end && (!first || s->key_ns < first->key_ns ||
                                 (s->key_ns == first->key_ns && s->ordinal < first->ordinal)))
            first = s;
    }
    return first;
}

static void begin_stream(struct feed *feed, struct feed_stream *s)
{
    s->next = s->begin;
    s->timeline = (struct timeline){0};
    s->begins_pass = true;
    look_ahead(feed, s);
}

/* All streams from their beginnings again. False: it was the last pass. */
static bool begin_pass(struct feed *feed)
{
    int64_t interval_ns = 0, span_ns = feed->last_ns - feed->pass_first_ns;
    uint64_t ordinal = 0;

    feed->pass++;
    if (feed->pass == feed->rules.passes || !feed->has_first)
        return false;
    for (unsigned i = 0; i < feed->count; i++) {
        const struct feed_stream *s = &feed->streams[i];

        ordinal = s->ordinal > ordinal ? s->ordinal : ordinal;
        if (s->timeline.usual_ns > 0 && (interval_ns == 0 || s->timeline.usual_ns < interval_ns))
            interval_ns = s->timeline.usual_ns;
    }
    span_ns = add_clamped(span_ns, interval_ns ? interval_ns : PASS_INTERVAL_NS);
    feed->pass_shift_ns = add_clamped(feed->pass_shift_ns, span_ns);
    feed->pass_first_ns = add_clamped(feed->pass_first_ns, span_ns);
    for (unsigned i = 0; i < feed->count; i++) {
        feed->streams[i].ordinal = ordinal;
        begin_stream(feed, &feed->streams[i]);
    }
    return true;
}

static void cut_pause(struct feed *feed, int64_t pause_ns)
{
    char cut[32], kept[32];

    feed->cut_ns += pause_ns - feed->rules.pause_ns_max;
    if (feed->pauses_told++ < PAUSES_TOLD)
        log_info("a pause of %s is played as %s (--max-pause)",
                 units_format_duration(cut, sizeof cut, pause_ns),
                 units_format_duration(kept, sizeof kept, feed->rules.pause_ns_max));
}

static int64_t begin_or_clamp(struct feed *feed, int64_t key_ns)
{
    if (!feed->has_first)
        feed->first_ns = feed->last_ns = feed->pass_first_ns = key_ns;
    feed->has_first = true;
    return key_ns < feed->last_ns ? feed->last_ns : key_ns;
}

/* After the beginning. */
static int64_t due_of_key(const struct feed *feed, int64_t key_ns)
{
    double due_ns;

    if (is_even(feed))
        return key_ns;
    due_ns = (double)(key_ns - feed->first_ns - feed->cut_ns) / feed->rules.speed;
    return due_ns < 4e18 ? (int64_t)due_ns : (int64_t)4e18;
}

/* Called once for each frame, as find_segment_due() for each segment, in the order of their keys. A
 * pause is what lies between two frames, whatever is made anew in it. */
static int64_t find_frame_due(struct feed *feed, int64_t key_ns)
{
    key_ns = begin_or_clamp(feed, key_ns);
    if (!is_even(feed) && key_ns - feed->last_ns > feed->rules.pause_ns_max)
        cut_pause(feed, key_ns - feed->last_ns);
    feed->last_ns = key_ns;
    return due_of_key(feed, key_ns);
}

/* Of a pause that will be cut, half goes by before it: the frame behind it gets what is left. */
static int64_t find_segment_due(struct feed *feed, int64_t key_ns)
{
    int64_t most_ns = feed->rules.pause_ns_max / 2;

    key_ns = begin_or_clamp(feed, key_ns);
    if (!is_even(feed) && key_ns - feed->last_ns > most_ns)
        key_ns = feed->last_ns + most_ns;
    return due_of_key(feed, key_ns);
}

/* ---- into the ring ---- */

static bool is_stopped(const struct feed *feed)
{
    return atomic_load_explicit(feed->stop, memory_order_relaxed);
}

/* Wait for room. NULL: stopped. */
static void *reserve(struct feed *feed, uint64_t bytes, uint64_t *ret_end)
{
    const struct timespec rest = {0, FULL_SLEEP_NS};
    void *room;

    while (!(room = ring_reserve(feed->ring, bytes, ret_end))) {
        atomic_store_explicit(&feed->is_ahead, true, memory_order_relaxed);
        if (is_stopped(feed))
            return NULL;
        nanosleep(&rest, NULL);
    }
    return is_stopped(feed) ? NULL : room;
}

static int64_t patience_of(const struct feed *feed, const struct feed_stream *s)
{
    if (is_even(feed))
        return (int64_t)(1e9 / feed->rules.rate_hz);
    return s->timeline.usual_ns > 0 ? (int64_t)((double)s->timeline.usual_ns / feed->rules.speed)
                                    : PATIENCE_NS;
}

static bool send_segment(struct feed *feed, struct feed_stream *s)
{
    struct ring_item item = {
        .what = RING_RECREATE,
        .stream = (unsigned)(s - feed->streams),
        .cnt0 = s->seed,
        .part = series_part_of(s->series, s->next),
    };

    if (!reserve(feed, 0, &item.end))
        return false;
    item.due_ns = find_segment_due(feed, s->key_ns);
    ring_push(feed->ring, &item);
    /* Parts may differ in keywords alone: those of a source that was restarted with others. */
    if (!dao_geometry_same_shape(&item.part->geometry, &s->part->geometry))
        s->tally.reshapes++;
    else
        s->tally.restarts++;
    s->part = item.part;
    s->needs_segment = false;
    s->key_ns = key_of_frame(feed, s);
    return true;
}

/* Pixels into their room. False: there are none. */
static bool read_pixels(struct feed_stream *s, void *room)
{
    struct dao_text text = {""};
    int r = series_reader_pixels(s->reader, s->next, room, &text);

    if (r == -EBADMSG) {
        s->tally.damaged++;
        if (!s->told_damaged && !(s->row.flags & (FITS_FLAG_TORN | FITS_FLAG_RECOVERED)))
            log_warning("stream %s: frame %llu is played as it is: %s", s->series->stream,
                        (unsigned long long)s->next, text.s);
        s->told_damaged = true;
        return true;
    }
    if (r < 0)
        leave_out(s, text.s);
    return r == 0;
}

static void book_frame(struct feed_stream *s)
{
    if (s->row.lost > 0 && s->has_last && !s->begins_pass) {
        s->tally.gaps++;
        s->tally.lost += (uint64_t)s->row.lost;
    }
    s->tally.torn += (s->row.flags & FITS_FLAG_TORN) != 0;
    s->last_cnt0 = s->cnt0;
    s->last_key_ns = s->key_ns;
    s->has_last = true;
    s->begins_pass = false;
    s->ordinal++;
    s->next++;
}

static bool send_frame(struct feed *feed, struct feed_stream *s)
{
    struct ring_item item = {
        .what = RING_FRAME,
        .stream = (unsigned)(s - feed->streams),
        .index = s->next,
        .cnt0 = s->cnt0,
        .cnt1 = (uint64_t)s->row.cnt1,
        .cnt2 = (uint64_t)s->row.cnt2,
        .atime_ns = s->row.atime_ns > 0 ? add_clamped(s->row.atime_ns, feed->pass_shift_ns) : 0,
        .patience_ns = patience_of(feed, s),
        .part = s->part,
    };
    void *room = reserve(feed, s->part->geometry.frame_bytes, &item.end);

    if (!room)
        return false;
    if (read_pixels(s, room)) {
        item.pixels = room;
        item.due_ns = find_frame_due(feed, s->key_ns);
        ring_push(feed->ring, &item);
        book_frame(s);
    }
    look_ahead(feed, s);
    return true;
}

/* ---- the thread, and what is around it ---- */

void *feed_run(void *ctx)
{
    struct feed *feed = ctx;
    bool goes_on = true;

    for (unsigned i = 0; i < feed->count; i++)
        begin_stream(feed, &feed->streams[i]);
    while (goes_on) {
        struct feed_stream *s = next_stream(feed);

        if (!s)
            goes_on = begin_pass(feed);
        else
            goes_on = s->needs_segment ? send_segment(feed, s) : send_frame(feed, s);
    }
    atomic_store_explicit(&feed->is_ahead, true, memory_order_relaxed);
    /* release: the last item before it; pairs with the acquire in wait_for_item() (player.c) */
    atomic_store_explicit(&feed->is_over, true, memory_order_release);
    return NULL;
}

int feed_stream_open(struct feed_stream *s, const struct series *series, uint64_t ahead_bytes,
                     struct dao_text *text)
{
    *s = (struct feed_stream){.series = series, .end = series->frames};
    return series_reader_open(&s->reader, series, ahead_bytes, text);
}

void feed_stream_close(struct feed_stream *s)
{
    series_reader_close(s->reader);
    s->reader = NULL;
}

int feed_stream_limit(struct feed_stream *s, const struct range *range, int64_t first_ns,
                      struct dao_text *text)
{
    struct fits_row row;
    int r = range_find(range, s->series, s->reader, first_ns, &s->begin, &s->end, text);

    if (r < 0 || s->begin == s->end)
        return r;
    r = series_reader_row(s->reader, s->begin, &row, text);
    if (r < 0)
        return r;
    s->first_cnt0 = row.cnt0 > 0 ? (uint64_t)row.cnt0 : 1;
    s->part = series_part_of(s->series, s->begin);
    series_reader_set_end(s->reader, s->end);
    return 0;
}
