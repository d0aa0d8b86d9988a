/* tell.c - see tell.h. */
#include "replay/tell.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"

static const char *name_of(const struct tell_replay *replay, unsigned stream)
{
    return replay->feed->streams[stream].series->stream;
}

/* acquire: pairs with the release in book_frame() (player.c) */
static uint64_t played_of(const struct player_stream *s)
{
    return atomic_load_explicit(&s->played, memory_order_acquire);
}

static uint64_t missed_of(const struct player_stream *s)
{
    return atomic_load_explicit(&s->missed, memory_order_relaxed);
}

/* ---- while it runs ---- */

void tell_format_live(struct tell_live *live, char *line, size_t line_bytes,
                      const struct tell_replay *replay, int64_t now_ns)
{
    const struct player *player = replay->player;
    double span_s = live->time_ns ? (double)(now_ns - live->time_ns) / 1e9 : 0.0;
    uint64_t played = 0;
    size_t at = 0;

    for (unsigned i = 0; i < player->count; i++)
        played += played_of(&player->streams[i]);
    if (replay->frames > 0)
        at = units_append(line, line_bytes, at, "%.1f %% ",
                          100.0 * (double)played / (double)replay->frames);
    at = units_append(line, line_bytes, at, "%.0f/s, %u %% read ahead",
                      span_s > 0.0 ? (double)(played - live->frames) / span_s : 0.0,
                      ring_full_percent(player->ring));
    for (unsigned i = 0; i < player->count; i++) {
        const struct player_stream *s = &player->streams[i];

        at = units_append(line, line_bytes, at, " | %s %" PRIu64, name_of(replay, i), played_of(s));
        if (missed_of(s) > 0)
            at = units_append(line, line_bytes, at, " MISSED %" PRIu64, missed_of(s));
    }
    live->frames = played;
    live->time_ns = now_ns;
}

void tell_format_step(char *line, size_t line_bytes, const struct tell_replay *replay)
{
    const struct player *player = replay->player;
    unsigned stream = atomic_load_explicit(&player->last_stream, memory_order_relaxed);
    const struct player_stream *s = &player->streams[stream];
    const struct feed_stream *feed = &replay->feed->streams[stream];
    int64_t atime_ns;
    char utc[40];
    size_t at;

    if (played_of(s) == 0) {
        snprintf(line, line_bytes, "space or right: next frame, q: end");
        return;
    }
    at = units_append(
        line, line_bytes, 0, "%s: frame %" PRIu64 " (%" PRIu64 " to %" PRIu64 "), count %" PRIu64,
        name_of(replay, stream), atomic_load_explicit(&s->index, memory_order_relaxed), feed->begin,
        feed->end - 1, atomic_load_explicit(&s->cnt0, memory_order_relaxed));
    atime_ns = atomic_load_explicit(&s->atime_ns, memory_order_relaxed);
    if (atime_ns > 0)
        units_append(line, line_bytes, at, ", %s UTC",
                     units_format_utc(utc, sizeof utc, atime_ns, 6));
}

/* ---- the summary ---- */

static bool is_timed(const struct tell_replay *replay)
{
    return replay->player->pace == PLAYER_TIMED;
}

static const char *format_us(char *text, size_t bytes, const struct histogram *h, double share)
{
    return units_format_duration(text, bytes, histogram_quantile(h, share));
}

static void print_times(FILE *out, const struct player_stream *s)
{
    char p50[32], p99[32], p999[32], max[32];

    if (s->error_ns.count > 0)
        fprintf(out, "    interval error: p50 %s, p99 %s, p99.9 %s, max %s\n",
                format_us(p50, sizeof p50, &s->error_ns, 0.5),
                format_us(p99, sizeof p99, &s->error_ns, 0.99),
                format_us(p999, sizeof p999, &s->error_ns, 0.999),
                format_us(max, sizeof max, &s->error_ns, 1.0));
    if (s->late_ns.count > 0)
        fprintf(out, "    late: p50 %s, p99 %s, p99.9 %s, max %s\n",
                format_us(p50, sizeof p50, &s->late_ns, 0.5),
                format_us(p99, sizeof p99, &s->late_ns, 0.99),
                format_us(p999, sizeof p999, &s->late_ns, 0.999),
                format_us(max, sizeof max, &s->late_ns, 1.0));
}

static void print_tally(FILE *out, const struct feed *feed, const struct feed_tally *tally)
{
    const struct {
        uint64_t count;
        const char *what;
    } lines[] = {
        {tally->unreadable, "left out: not readable"},
        {tally->damaged, "played although the checksum does not fit"},
        {tally->torn, "recorded as torn"},
        {tally->renumbered, "numbered on: the recorded count does not rise"},
    };

    if (tally->gaps > 0)
        fprintf(out, "    %" PRIu64 " frame%s lost in %" PRIu64 " gap%s of the recording, %s\n",
                tally->lost, tally->lost == 1 ? "" : "s", tally->gaps, tally->gaps == 1 ? "" : "s",
                feed->rules.close_gaps ? "closed" : "kept");
    if (tally->restarts + tally->reshapes > 0)
        fprintf(out,
                "    made anew: %" PRIu64 " time%s for a restart of the source, %" PRIu64
                " for another shape\n",
                tally->restarts, tally->restarts == 1 ? "" : "s", tally->reshapes);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (lines[i].count > 0)
            fprintf(out, "    %" PRIu64 " frame%s %s\n", lines[i].count,
                    lines[i].count == 1 ? "" : "s", lines[i].what);
}

static double elapsed_s(const struct tell_replay *replay)
{
    return (double)(replay->player->end_ns - replay->player->begin_ns) * 1e-9;
}

static uint64_t bytes_of(const struct tell_replay *replay)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < replay->player->count; i++)
        bytes += replay->player->streams[i].bytes;
    return bytes;
}

void tell_print_summary(FILE *out, const struct tell_replay *replay)
{
    const struct player *player = replay->player;
    char text[32], rate[32];

    for (unsigned i = 0; i < player->count; i++) {
        const struct player_stream *s = &player->streams[i];
        uint64_t played = played_of(s);

        fprintf(out, "%s -> %s: %" PRIu64 " frame%s", name_of(replay, i), s->target->path, played,
                played == 1 ? "" : "s");
        if (played > 0)
            fprintf(out, ", counts %" PRIu64 " to %" PRIu64, s->first_cnt0,
                    atomic_load_explicit(&s->cnt0, memory_order_relaxed));
        if (is_timed(replay))
            fprintf(out, ", %" PRIu64 " missed their deadline", missed_of(s));
        fprintf(out, "\n");
        print_times(out, s);
        print_tally(out, replay->feed, &replay->feed->streams[i].tally);
    }
    fprintf(out, "%s after %s",
            replay->is_failed    ? "ended"
            : replay->is_stopped ? "stopped"
                                 : "done",
            units_format_duration(text, sizeof text, player->end_ns - player->begin_ns));
    if (elapsed_s(replay) > 0.0)
        fprintf(out, ", %s/s",
                units_format_bytes(rate, sizeof rate,
                                   (uint64_t)((double)bytes_of(replay) / elapsed_s(replay))));
    if (player->held_ns > 0)
        fprintf(out, "; the clock was held for %s",
                units_format_duration(text, sizeof text, player->held_ns));
    if (replay->feed->cut_ns > 0)
        fprintf(out, "; pauses were cut by %s",
                units_format_duration(text, sizeof text, replay->feed->cut_ns));
    fprintf(out, "\n");
}

static json_t *quantiles(const struct histogram *h)
{
    if (h->count == 0)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I}", "p50", (json_int_t)histogram_quantile(h, 0.5), "p99",
                     (json_int_t)histogram_quantile(h, 0.99), "p99.9",
                     (json_int_t)histogram_quantile(h, 0.999), "max", (json_int_t)h->max);
}

static json_t *stream_json(const struct tell_replay *replay, unsigned stream)
{
    const struct player_stream *s = &replay->player->streams[stream];
    const struct feed_tally *tally = &replay->feed->streams[stream].tally;
    uint64_t played = played_of(s);
    uint64_t last = atomic_load_explicit(&s->cnt0, memory_order_relaxed);

    return json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
        name_of(replay, stream), "segment", s->target->path, "frames", (json_int_t)played,
        "cnt0_first", (json_int_t)s->first_cnt0, "cnt0_last", (json_int_t)last, "missed",
        is_timed(replay) ? json_integer((json_int_t)missed_of(s)) : json_null(),
        "interval_error_ns", quantiles(&s->error_ns), "late_ns", quantiles(&s->late_ns), "gaps",
        (json_int_t)tally->gaps, "lost_in_recording", (json_int_t)tally->lost, "restarts",
        (json_int_t)tally->restarts, "reshapes", (json_int_t)tally->reshapes, "unreadable",
        (json_int_t)tally->unreadable, "damaged", (json_int_t)tally->damaged, "torn",
        (json_int_t)tally->torn, "renumbered", (json_int_t)tally->renumbered);
}

void tell_print_json(FILE *out, const struct tell_replay *replay)
{
    json_t *streams = json_array(), *summary;
    bool is_good = streams != NULL;

    for (unsigned i = 0; i < replay->player->count; i++)
        is_good = json_array_append_new(streams, stream_json(replay, i)) == 0 && is_good;
    summary = json_pack("{s:o, s:b, s:f, s:f, s:f, s:I}", "streams", streams, "stopped",
                        replay->is_stopped, "elapsed_s", elapsed_s(replay), "held_s",
                        (double)replay->player->held_ns * 1e-9, "pauses_cut_s",
                        (double)replay->feed->cut_ns * 1e-9, "bytes", (json_int_t)bytes_of(replay));
    if (!summary || !is_good ||
        json_dumpf(summary, out, JSON_COMPACT | JSON_REAL_PRECISION(12)) < 0)
        log_error("replay: the summary cannot be written as JSON: are the paths UTF-8?");
    fprintf(out, "\n");
    json_decref(summary);
}
