/* screen.c - see screen.h. */
#include "measure/screen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "measure/report.h"
#include "base/shallow.h"

/* ---- text that grows ---- */

struct page {
    char *text;
    size_t bytes, used;
    unsigned rows_left;
};

/* printf at the end of what is there already; cut where it is full. */
__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *fmt, ...)
{
    va_list args;
    int n;

    if (p->used + 1 >= p->bytes)
        return;
    va_start(args, fmt);
    n = vsnprintf(p->text + p->used, p->bytes - p->used, fmt, args);
    va_end(args);
    if (n > 0)
        p->used = p->used + (size_t)n < p->bytes ? p->used + (size_t)n : p->bytes - 1;
}

/* Is there room for one more line? It is begun then. */
static bool next_line(struct page *p)
{
    if (p->rows_left == 0)
        return false;
    p->rows_left--;
    if (p->used > 0)
        put(p, "\n");
    return true;
}

/* ---- depth ---- */

void screen_depth_needed(const struct watch_view *view, bool each_frame, uint32_t *ret_usual,
                         uint32_t *ret_most)
{
    const struct histogram *late = each_frame ? &view->tally.latency : &view->delay;
    double rate_hz = tally_rate_hz(&view->tally);

    if (view->rate_hz_max > rate_hz)
        rate_hz = view->rate_hz_max;
    *ret_usual = shallow_depth_needed(rate_hz, histogram_quantile(late, 0.999));
    *ret_most = shallow_depth_needed(rate_hz, histogram_quantile(late, 1.0));
    /* Frames that come in bursts: so many were there at once. */
    if (view->backlog_max >= view->depth && view->backlog_max + 2 > *ret_most)
        *ret_most =
            view->backlog_max + 2 < UINT32_MAX ? (uint32_t)view->backlog_max + 2 : UINT32_MAX;
}

void screen_format_depth(char *ret, size_t ret_bytes, const struct watch_view *view,
                         bool each_frame)
{
    const struct histogram *late = each_frame ? &view->tally.latency : &view->delay;
    char late_ns[REPORT_NS_BYTES];
    uint32_t usual, most;

    ret[0] = '\0';
    screen_depth_needed(view, each_frame, &usual, &most);
    if (view->depth >= most || late->count == 0)
        return;
    report_format_ns(late_ns, histogram_quantile(late, 1.0), 3);
    snprintf(ret, ret_bytes,
             "depth %" PRIu32 " too shallow: %" PRIu32 " needed (p99.9: %" PRIu32
             "), up to %s late",
             view->depth, most, usual, late_ns);
}

/* ---- one stream ---- */

void screen_note(struct screen_stream *s)
{
    int64_t span_ns = s->view.time_ns - s->time_before_ns;

    if (s->time_before_ns != 0 && span_ns <= 0)
        return; /* the same view as before */
    s->rate_hz = s->time_before_ns
                     ? (double)(s->view.tally.seen - s->seen_before) * 1e9 / (double)span_ns
                     : 0.0;
    s->seen_before = s->view.tally.seen;
    s->time_before_ns = s->view.time_ns;
}

/* More may have been published since the last look than can wait. */
static uint64_t waiting(const struct watch_view *view)
{
    return view->backlog < view->depth ? view->backlog : view->depth;
}

static void put_counts(struct page *p, const struct screen_stream *s)
{
    const struct tally *t = &s->view.tally;
    char fifo[32];

    snprintf(fifo, sizeof fifo, "%" PRIu64 "/%" PRIu32, waiting(&s->view), s->view.depth);
    if (s->view.condition == WATCH_GONE)
        strcpy(fifo, "gone");
    put(p, "%-14.14s %9.*f %11" PRIu64 " %8" PRIu64 " %7" PRIu64 " %7" PRIu64 " %7" PRIu64 " %9s",
        s->name, s->rate_hz < 10000.0 ? 2 : 0, s->rate_hz, t->seen, tally_lost(t),
        t->lost_by[LEDGER_LAPPED], t->lost_by[LEDGER_SOURCE], t->lost_by[LEDGER_RESTART], fifo);
}

static void put_times(struct page *p, const struct screen_stream *s)
{
    static const double shares[] = {0.01, 0.99, 0.999, 1.0};
    const struct tally *t = &s->view.tally;
    int64_t median_ns = spread_quantile(&t->interval, 0.5);
    char text[REPORT_NS_BYTES];

    put(p, "%-14.14s", s->name);
    if (spread_count(&t->interval) == 0)
        put(p, "%9s%8s%8s%8s%8s", "-", "-", "-", "-", "-");
    else
        put(p, "%9s", report_format_ns(text, median_ns, 5));
    for (size_t i = 0; i < 4 && spread_count(&t->interval) > 0; i++)
        put(p, "%8s",
            report_format_offset(text, spread_quantile(&t->interval, shares[i]) - median_ns, 3));
    if (t->latency.count == 0) {
        put(p, "%8s%8s%8s", "-", "-", "-");
        return;
    }
    put(p, "%8s", report_format_ns(text, histogram_quantile(&t->latency, 0.5), 3));
    put(p, "%8s", report_format_ns(text, histogram_quantile(&t->latency, 0.999), 3));
    put(p, "%8s", report_format_ns(text, histogram_quantile(&t->latency, 1.0), 3));
}

/* ---- the screen ---- */

static void put_table(struct page *p, const struct screen_stream *streams, unsigned count,
                      void (*put_one)(struct page *, const struct screen_stream *))
{
    for (unsigned i = 0; i < count; i++) {
        if (p->rows_left == 1 && i + 1 < count && next_line(p)) {
            put(p, "... and %u more", count - i);
            return;
        }
        if (!next_line(p))
            return;
        put_one(p, &streams[i]);
    }
}

static void put_notes(struct page *p, const struct screen_stream *streams, unsigned count)
{
    char text[200];

    for (unsigned i = 0; i < count; i++) {
        const struct screen_stream *s = &streams[i];

        screen_format_depth(text, sizeof text, &s->view, s->each_frame);
        if (text[0] && next_line(p))
            put(p, "%s: %s", s->name, text);
        if (s->view.tally.torn && next_line(p))
            put(p, "%s: %" PRIu64 " of the frames seen are torn", s->name, s->view.tally.torn);
        if (s->view.tally.restarts && next_line(p))
            put(p, "%s: %" PRIu64 " restart%s of the source", s->name, s->view.tally.restarts,
                units_plural(s->view.tally.restarts));
        if (s->view.tally.early && next_line(p))
            put(p, "%s: %" PRIu64 " frames were taken before their ATIME: the clocks differ",
                s->name, s->view.tally.early);
    }
}

/* The newest gap that was not shown yet. Those of one stream are in the order of their times. */
static const struct tally_gap *newest_gap(const struct screen_stream *streams, unsigned count,
                                          uint64_t *left, unsigned *ret_stream)
{
    const struct tally_gap *newest = NULL;

    for (unsigned i = 0; i < count; i++) {
        const struct tally_gap *gap = left[i] ? &streams[i].view.tally.gaps[left[i] - 1] : NULL;

        if (!gap || (newest && gap->time_ns <= newest->time_ns))
            continue;
        newest = gap;
        *ret_stream = i;
    }
    if (newest)
        left[*ret_stream]--;
    return newest;
}

#define GAPS_OF 64u /* streams whose gaps are shown */

static void put_gaps(struct page *p, const struct screen_stream *streams, unsigned count)
{
    const struct tally_gap *gap;
    uint64_t left[GAPS_OF], all = 0;
    unsigned of = 0;
    char utc[48];

    count = count < GAPS_OF ? count : GAPS_OF;
    for (unsigned i = 0; i < count; i++) {
        left[i] = tally_listed(&streams[i].view.tally);
        all += left[i];
    }
    if (all == 0 || p->rows_left < 3)
        return;
    next_line(p);
    next_line(p);
    put(p, "Losses, the last ones first");
    while (p->rows_left > 0 && (gap = newest_gap(streams, count, left, &of))) {
        next_line(p);
        put(p, "%s  %-14.14s %" PRIu64 " frame%s from count %" PRId64 " on, %s",
            units_format_utc(utc, sizeof utc, gap->time_ns, 3) + 11, streams[of].name, gap->count,
            units_plural(gap->count), gap->first_cnt0, tally_cause_name(gap->cause));
    }
}

void screen_format(char *ret, size_t ret_bytes, const struct screen_stream *streams, unsigned count,
                   int64_t elapsed_ns, unsigned rows)
{
    struct page page = {.text = ret, .bytes = ret_bytes, .rows_left = rows > 2 ? rows - 1 : 1};
    bool has_times = page.rows_left >= 2 * count + 5;
    char elapsed[48];

    ret[0] = '\0';
    next_line(&page);
    put(&page, "daorec drops, %s; Ctrl-C ends it",
        units_format_duration(elapsed, sizeof elapsed, elapsed_ns));
    if (next_line(&page) && next_line(&page))
        put(&page, "%-14s %9s %11s %8s %7s %7s %7s %9s", "stream", "rate/s", "seen", "lost",
            "lapped", "source", "restart", "FIFO");
    put_table(&page, streams, count, put_counts);
    if (has_times) {
        next_line(&page);
        next_line(&page);
        put(&page, "%-14s%9s%8s%8s%8s%8s%8s%8s%8s", "", "interval", "p1", "p99", "p99.9", "max",
            streams[0].each_frame ? "latency" : "age p50", "p99.9", "max");
        put_table(&page, streams, count, put_times);
    }
    put_notes(&page, streams, count);
    put_gaps(&page, streams, count);
}

void screen_format_line(char *ret, size_t ret_bytes, const struct screen_stream *streams,
                        unsigned count)
{
    struct page page = {.text = ret, .bytes = ret_bytes};
    char text[REPORT_NS_BYTES];

    ret[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        const struct screen_stream *s = &streams[i];
        const struct tally *t = &s->view.tally;

        put(&page, "%s%s %.6g/s, %" PRIu64 " seen", i ? " | " : "", s->name, s->rate_hz, t->seen);
        if (tally_lost(t))
            put(&page, ", LOST %" PRIu64, tally_lost(t));
        if (s->view.condition == WATCH_GONE)
            put(&page, ", gone");
        else
            put(&page, ", fifo %" PRIu64 "/%" PRIu32, waiting(&s->view), s->view.depth);
        if (spread_count(&t->interval) > 0)
            put(&page, ", interval p99.9 %s",
                report_format_ns(text, spread_quantile(&t->interval, 0.999), 4));
    }
}
