/* state.c - see state.h. */
#include "recording/state.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "base/units.h"
#include "base/version.h"

const char *const session_condition_names[SESSION_CONDITIONS] = {
    [SESSION_IDLE] = "idle",
    [SESSION_WAITING] = "waiting",
    [SESSION_RUNNING] = "running",
    [SESSION_STOPPING] = "stopping",
};

const char *const stream_state_condition_names[STATE_CONDITIONS] = {
    [STATE_WAITING] = "waiting", [STATE_RUNNING] = "running", [STATE_GONE] = "gone",
    [STATE_UNFIT] = "unfit",     [STATE_ENDED] = "ended",
};

void state_free(struct session_state *state)
{
    for (unsigned i = 0; i < state->count; i++)
        free(state->streams[i].segment);
    free(state->streams);
    free(state->past);
    free(state->root);
    *state = (struct session_state){0};
}

char *state_format_shape(char *text, size_t bytes, const struct dao_geometry *geometry)
{
    size_t at = units_append(text, bytes, 0, "%s ", geometry->dtype->name);

    for (int i = 0; i < geometry->naxis; i++)
        at = units_append(text, bytes, at, i ? "x%u" : "%u", geometry->size[i]);
    return text;
}

/* ---- JSON ---- */

static json_t *integer(uint64_t value)
{
    return json_integer(value <= INT64_MAX ? (json_int_t)value : INT64_MAX);
}

static json_t *bytes_or_null(uint64_t value)
{
    return value == STATE_UNKNOWN ? json_null() : integer(value);
}

static json_t *utc_or_null(int64_t ns)
{
    char text[48];

    return ns ? json_sprintf("%sZ", units_format_utc(text, sizeof text, ns, 3)) : json_null();
}

static json_t *seconds(uint64_t ns)
{
    return json_real((double)ns / 1e9);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0.0;
}

/* Buckets that are not empty, each as its largest value in ns and its own count. */
static json_t *buckets(const struct latency_counts *latency)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
        if (latency->bucket[i] > 0)
            json_array_append_new(
                list, json_pack("[oo]", integer(latency_last_of(i)), integer(latency->bucket[i])));
    return list;
}

static json_t *latency_object(const struct latency_counts *latency)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "count", integer(latency->count),
                     "sum_s", seconds(latency->sum_ns), "p50_s",
                     seconds(latency_quantile(latency, 0.5)), "p99_s",
                     seconds(latency_quantile(latency, 0.99)), "p999_s",
                     seconds(latency_quantile(latency, 0.999)), "max_s",
                     seconds(latency_quantile(latency, 1.0)), "buckets_ns", buckets(latency));
}

static json_t *file_object(const struct stream_state *stream)
{
    if (stream->file[0] == '\0')
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "name", json_text_value(stream->file), "frames",
                     integer(stream->file_frames), "bytes", integer(stream->file_bytes));
}

static json_t *stream_object(const struct stream_state *stream)
{
    json_t *object = json_object(), *lost = json_object();

    for (int i = 0; i < LEDGER_CAUSES; i++)
        json_object_set_new(lost, ledger_cause_names[i], integer(stream->lost_by[i]));
    json_object_set_new(object, "name", json_text_value(stream->name));
    json_object_set_new(object, "segment", json_text_value(stream->segment));
    json_object_set_new(object, "condition",
                        json_string(stream_state_condition_names[stream->condition]));
    json_object_set_new(object, "shape",
                        stream->shape[0] ? json_text_value(stream->shape) : json_null());
    json_object_set_new(object, "frame_bytes", integer(stream->frame_bytes));
    json_object_set_new(object, "frames", integer(stream->frames));
    json_object_set_new(object, "rate_hz", json_real(stream->rate_hz));
    json_object_set_new(object, "lost", integer(stream->lost));
    json_object_set_new(object, "lost_by", lost);
    json_object_set_new(object, "gaps", integer(stream->gaps));
    json_object_set_new(object, "torn", integer(stream->torn));
    json_object_set_new(object, "fifo_depth", integer(stream->depth));
    json_object_set_new(object, "fifo_backlog", integer(stream->backlog));
    json_object_set_new(object, "buffer_bytes", integer(stream->buffer_bytes));
    json_object_set_new(object, "buffer_fill",
                        json_real(ratio(stream->buffer_used_bytes, stream->buffer_bytes)));
    json_object_set_new(object, "bytes_written", integer(stream->bytes_written));
    json_object_set_new(object, "bytes_per_s", json_real(stream->bytes_per_s));
    json_object_set_new(object, "file", file_object(stream));
    json_object_set_new(object, "files_closed", integer(stream->files_closed));
    json_object_set_new(object, "restarts", integer(stream->restarts));
    json_object_set_new(object, "latency", latency_object(&stream->latency));
    return object;
}

static json_t *session_object(const struct session_state *state)
{
    json_t *object = json_object();

    json_object_set_new(object, "program", json_string("daorec"));
    json_object_set_new(object, "version", json_string(DAOREC_VERSION));
    json_object_set_new(object, "condition",
                        json_string(session_condition_names[state->condition]));
    json_object_set_new(object, "session",
                        state->name[0] ? json_text_value(state->name) : json_null());
    json_object_set_new(object, "uuid", state->uuid[0] ? json_string(state->uuid) : json_null());
    json_object_set_new(object, "host",
                        state->host[0] ? json_text_value(state->host) : json_null());
    json_object_set_new(object, "root", state->root ? json_text_value(state->root) : json_null());
    json_object_set_new(object, "started", utc_or_null(state->start_ns));
    json_object_set_new(object, "now", utc_or_null(state->now_ns));
    json_object_set_new(object, "monotonic_ns", json_integer(state->now_mono_ns));
    json_object_set_new(object, "recording_s",
                        state->start_ns ? json_real((double)(state->now_ns - state->start_ns) / 1e9)
                                        : json_null());
    json_object_set_new(object, "bytes_written", integer(state->bytes_written));
    json_object_set_new(object, "bytes_per_s", json_real(state->bytes_per_s));
    json_object_set_new(object, "disk_free_bytes", bytes_or_null(state->disk_free_bytes));
    json_object_set_new(object, "disk_bytes", bytes_or_null(state->disk_bytes));
    json_object_set_new(object, "full_in_s",
                        state->full_in_s >= 0.0 ? json_real(state->full_in_s) : json_null());
    json_object_set_new(object, "buffer_bytes", integer(state->buffer_bytes));
    json_object_set_new(object, "buffer_fill",
                        json_real(ratio(state->buffer_used_bytes, state->buffer_bytes)));
    return object;
}

size_t state_append_full(char *line, size_t line_bytes, size_t at, double full_in_s)
{
    double minutes = full_in_s / 60.0;

    if (full_in_s < 0.0 || minutes > 60.0 * 24 * 99)
        return at;
    if (minutes < 180.0)
        return units_append(line, line_bytes, at, ", full in %.0f min", minutes);
    return units_append(line, line_bytes, at, ", full in %.0f h", minutes / 60.0);
}

char *state_to_json(const struct session_state *state)
{
    json_t *object = session_object(state), *streams = json_array();
    char *text;

    for (unsigned i = 0; i < state->count; i++)
        json_array_append_new(streams, stream_object(&state->streams[i]));
    json_object_set_new(object, "streams", streams);
    text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    return text;
}
