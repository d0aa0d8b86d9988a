/* live.c - see live.h. */
#include "record/live.h"

#include <string.h>

#include "base/units.h"

#define LIVE_STREAMS (sizeof((struct live *)0)->frames / sizeof(uint64_t))
#define RATE_SPAN_S  2.0

/* MB/s and, where it is known, when the disk will be full: first, so that it is never cut off. */
static size_t format_disk(char *line, size_t line_bytes, double byte_rate, double full_in_s)
{
    size_t at = units_append(line, line_bytes, 0, "%.1f MB/s", byte_rate / 1e6);

    return state_append_full(line, line_bytes, at, full_in_s);
}

static size_t format_stream(struct live *live, char *line, size_t line_bytes, size_t at,
                            const struct stream_state *s, unsigned index, double span_s)
{
    double rate = 0.0;

    if (index < LIVE_STREAMS) {
        if (span_s > 0.0 && s->frames > live->frames[index])
            rate = (double)(s->frames - live->frames[index]) / span_s;
        live->frames[index] = s->frames;
    }
    at = units_append(line, line_bytes, at, " | %s %.0f/s %llu", s->name, rate,
                      (unsigned long long)s->frames);
    if (s->lost)
        at = units_append(line, line_bytes, at, " LOST %llu", (unsigned long long)s->lost);
    return units_append(
        line, line_bytes, at, " fifo %llu/%u buf %u%%", (unsigned long long)s->backlog, s->depth,
        s->buffer_bytes ? (unsigned)(100 * s->buffer_used_bytes / s->buffer_bytes) : 0);
}

/* What a block does not fill reaches the disk once a second: between two lines that come sooner
 * there may be nothing, or all of that second. */
static double byte_rate_of(const struct live *live, const struct session_state *state,
                           double span_s)
{
    return span_s < RATE_SPAN_S ? state->bytes_per_s
                                : (double)(state->bytes_written - live->bytes) / span_s;
}

void live_format(struct live *live, char *line, size_t line_bytes,
                 const struct session_state *state)
{
    double span_s = live->time_ns ? (double)(state->now_mono_ns - live->time_ns) / 1e9 : 0.0;
    size_t at = format_disk(line, line_bytes, byte_rate_of(live, state, span_s), state->full_in_s);

    for (unsigned i = 0; i < state->count; i++)
        at = format_stream(live, line, line_bytes, at, &state->streams[i], i, span_s);
    live->bytes = state->bytes_written;
    live->time_ns = state->now_mono_ns;
}

/* From `*at` on: gaps of one cause that adjoin are one to who reads it. *at is then behind them. */
static struct ledger_gap join_gaps(const struct ledger_stream *stream, uint64_t gap_count,
                                   uint64_t *at)
{
    struct ledger_gap joined = stream->gaps[(*at)++];

    for (; *at < gap_count; (*at)++) {
        const struct ledger_gap *next = &stream->gaps[*at];

        if (next->cause != joined.cause ||
            next->first_cnt0 != joined.first_cnt0 + (int64_t)joined.count)
            break;
        joined.count += next->count;
    }
    return joined;
}

static void print_gaps(FILE *out, const struct ledger_stream *stream)
{
    uint64_t all = stream->counts.gap_count, at = 0, more;
    uint64_t kept = all < LEDGER_GAPS_MAX ? all : LEDGER_GAPS_MAX;

    for (int shown = 0; shown < 5 && at < kept; shown++) {
        struct ledger_gap gap = join_gaps(stream, kept, &at);
        char utc[40];

        fprintf(out, "    gap: %llu from count %lld, %s, noticed %s\n",
                (unsigned long long)gap.count, (long long)gap.first_cnt0,
                ledger_cause_names[gap.cause], units_format_utc(utc, sizeof utc, gap.time_ns, 3));
    }
    for (more = all - kept; at < kept; more++)
        join_gaps(stream, kept, &at);
    if (more > 0)
        fprintf(out, "    ... and %llu more gap%s, see session.json\n", (unsigned long long)more,
                units_plural(more));
}

void live_print_summary(FILE *out, const struct ledger *ledger, int64_t took_ns)
{
    char text[64];

    fprintf(out, "session %s/%s, %s\n", ledger->root, ledger->session,
            units_format_duration(text, sizeof text, took_ns));
    fprintf(out, "%-20s %12s %12s %12s %6s  %s\n", "stream", "expected", "recorded", "lost",
            "files", "lost by");
    for (size_t i = 0; i < ledger->stream_count; i++) {
        const struct ledger_stream *stream = &ledger->streams[i];
        const struct ledger_counts *counts = &stream->counts;
        const char *separator = "";

        fprintf(out, "%-20s %12llu %12llu %12llu %6zu  ", stream->name,
                (unsigned long long)ledger_expected(counts), (unsigned long long)counts->recorded,
                (unsigned long long)ledger_lost(counts), stream->file_count);
        for (int c = 0; c < LEDGER_CAUSES; c++) {
            if (counts->lost_by[c]) {
                fprintf(out, "%s%s %llu", separator, ledger_cause_names[c],
                        (unsigned long long)counts->lost_by[c]);
                separator = ", ";
            }
        }
        fprintf(out, "%s\n", *separator ? "" : "-");
        if (counts->torn)
            fprintf(out, "    torn (recorded, flagged): %llu\n", (unsigned long long)counts->torn);
        if (stream->removed.files > 0)
            fprintf(out, "    removed to keep within the limits: %llu file%s with %llu frame%s\n",
                    (unsigned long long)stream->removed.files, units_plural(stream->removed.files),
                    (unsigned long long)stream->removed.frames,
                    units_plural(stream->removed.frames));
        if (counts->run_count > 1)
            fprintf(out, "    restarts of the source: %llu\n",
                    (unsigned long long)(counts->run_count - 1));
        print_gaps(out, stream);
    }
}
