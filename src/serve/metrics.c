/* metrics.c - see metrics.h. */
#include "serve/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/version.h"

/* The buckets that are told: 2^10 - 1 ns (a microsecond) to 2^34 - 1 ns (17 s), by twos. What is
 * counted is counted in finer ones, which end exactly there. */
#define OCTAVE_FIRST 10u
#define OCTAVE_LAST  34u

#define LABEL_BYTES (2 * FITS_STREAM_NAME_MAX + 1)

char *metrics_escape(char *text, size_t bytes, const char *value)
{
    size_t at = 0;

    for (; *value; value++) {
        char escape = *value == '\n' ? 'n' : *value == '\\' || *value == '"' ? *value : '\0';

        if (at + (escape ? 2 : 1) >= bytes)
            break;
        if (escape)
            text[at++] = '\\';
        text[at++] = escape ? escape : *value;
    }
    text[at] = '\0';
    return text;
}

/* ---- samples ----
 *
 * Counters count since the program began: what is scraped after a session has ended has all of it,
 * its last seconds, too, and the next one goes on from there. A counter that falls is one that has
 * begun anew to Prometheus, which then adds all of it to what was counted before. */

struct metric {
    const char *name, *type, *help;
    /* One stream's, `stream` being its label's value; NULL: it is not of a stream. */
    void (*put)(FILE *out, const char *name, const char *stream, const struct stream_state *state);
    void (*put_session)(FILE *out, const char *name, const struct session_state *state);
};

static void put_count(FILE *out, const char *name, const char *stream, uint64_t value)
{
    fprintf(out, "%s{stream=\"%s\"} %llu\n", name, stream, (unsigned long long)value);
}

static void put_recorded(FILE *out, const char *name, const char *stream,
                         const struct stream_state *state)
{
    put_count(out, name, stream, state->frames_most);
}

static void put_lost(FILE *out, const char *name, const char *stream,
                     const struct stream_state *state)
{
    for (int i = 0; i < LEDGER_CAUSES; i++)
        fprintf(out, "%s{stream=\"%s\",reason=\"%s\"} %llu\n", name, stream, ledger_cause_names[i],
                (unsigned long long)state->lost_by_most[i]);
}

static void put_bytes(FILE *out, const char *name, const char *stream,
                      const struct stream_state *state)
{
    put_count(out, name, stream, state->bytes_written);
}

static void put_backlog(FILE *out, const char *name, const char *stream,
                        const struct stream_state *state)
{
    put_count(out, name, stream, state->backlog);
}

static void put_fill(FILE *out, const char *name, const char *stream,
                     const struct stream_state *state)
{
    double fill =
        state->buffer_bytes ? (double)state->buffer_used_bytes / (double)state->buffer_bytes : 0.0;

    fprintf(out, "%s{stream=\"%s\"} %.6g\n", name, stream, fill);
}

static void put_latency(FILE *out, const char *name, const char *stream,
                        const struct stream_state *state)
{
    const struct latency_counts *latency = &state->latency;
    unsigned long long seen = 0;
    uint32_t i = 0;

    for (unsigned octave = OCTAVE_FIRST; octave <= OCTAVE_LAST; octave++) {
        uint64_t last = (1ull << octave) - 1;

        for (; i < LATENCY_BUCKETS && latency_last_of(i) <= last; i++)
            seen += latency->bucket[i];
        fprintf(out, "%s_bucket{stream=\"%s\",le=\"%.11g\"} %llu\n", name, stream,
                (double)last / 1e9, seen);
    }
    fprintf(out, "%s_bucket{stream=\"%s\",le=\"+Inf\"} %llu\n", name, stream,
            (unsigned long long)latency->count);
    fprintf(out, "%s_sum{stream=\"%s\"} %.9f\n", name, stream, (double)latency->sum_ns / 1e9);
    fprintf(out, "%s_count{stream=\"%s\"} %llu\n", name, stream,
            (unsigned long long)latency->count);
}

static void put_free(FILE *out, const char *name, const struct session_state *state)
{
    if (state->disk_free_bytes != STATE_UNKNOWN)
        fprintf(out, "%s %llu\n", name, (unsigned long long)state->disk_free_bytes);
}

static void put_build(FILE *out, const char *name, const struct session_state *state)
{
    (void)state;
    fprintf(out, "%s{version=\"%s\"} 1\n", name, DAOREC_VERSION);
}

static const struct metric metrics[] = {
    {"daorec_frames_recorded_total", "counter",
     "Frames that were taken from the segment and not lost since.", put_recorded, NULL},
    {"daorec_frames_lost_total", "counter",
     "Frames that are in no file, by the reason that the ledger has.", put_lost, NULL},
    {"daorec_bytes_written_total", "counter",
     "Bytes of pixels and rows that were written into files.", put_bytes, NULL},
    {"daorec_fifo_backlog_frames", "gauge",
     "Frames that were published in the segment and not taken yet.", put_backlog, NULL},
    {"daorec_buffer_fill_ratio", "gauge",
     "The part of the stream's staging memory that waits for the disk, 0 to 1.", put_fill, NULL},
    {"daorec_frame_latency_seconds", "histogram",
     "How long after its time stamp a frame was taken, RTIME - ATIME.", put_latency, NULL},
    {"daorec_disk_free_bytes", "gauge", "Bytes that are free on the file system recorded to.", NULL,
     put_free},
    {"daorec_build_info", "gauge", "The program, as labels; the value is 1.", NULL, put_build},
};

/* ---- over all sessions ---- */

static const struct stream_totals *find_past(const struct session_state *state, const char *name)
{
    for (unsigned i = 0; i < state->past_count; i++)
        if (strcmp(state->past[i].name, name) == 0)
            return &state->past[i];
    return NULL;
}

static bool is_in_session(const struct session_state *state, const char *name)
{
    for (unsigned i = 0; i < state->count; i++)
        if (strcmp(state->streams[i].name, name) == 0)
            return true;
    return false;
}

static void add_past(struct stream_state *to, const struct stream_totals *past)
{
    to->frames_most += past->frames;
    for (int i = 0; i < LEDGER_CAUSES; i++)
        to->lost_by_most[i] += past->lost_by[i];
    to->bytes_written += past->bytes_written;
    latency_merge(&to->latency, &past->latency);
}

/* With what was counted in earlier sessions, where it counts. */
static void put_stream(FILE *out, const struct metric *metric, const struct session_state *state,
                       const struct stream_state *stream)
{
    const struct stream_totals *past = find_past(state, stream->name);
    struct stream_state sum = *stream;
    char label[LABEL_BYTES];

    if (past)
        add_past(&sum, past);
    metric->put(out, metric->name, metrics_escape(label, sizeof label, stream->name), &sum);
}

static void put_past(FILE *out, const struct metric *metric, const struct session_state *state,
                     bool has_session)
{
    for (unsigned i = 0; i < state->past_count; i++) {
        struct stream_state none = {0};

        if (has_session && is_in_session(state, state->past[i].name))
            continue;
        memcpy(none.name, state->past[i].name, sizeof none.name);
        put_stream(out, metric, state, &none);
    }
}

static void put_metric(FILE *out, const struct metric *metric, const struct session_state *state)
{
    /* A stream whose segment is waited for has nothing to tell yet, but of earlier sessions. */
    bool has_session = state->start_ns != 0, has_past = strcmp(metric->type, "gauge") != 0;

    if (metric->put && !has_session && !(has_past && state->past_count > 0))
        return;
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
            metric->type);
    if (metric->put_session)
        metric->put_session(out, metric->name, state);
    for (unsigned i = 0; i < state->count && metric->put && has_session; i++)
        put_stream(out, metric, state, &state->streams[i]);
    if (metric->put && has_past)
        put_past(out, metric, state, has_session);
}

char *metrics_format(const struct session_state *state, size_t *ret_bytes)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_bytes);
    bool failed;

    if (!out)
        return NULL;
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
        put_metric(out, &metrics[i], state);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
