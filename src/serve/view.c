/* view.c - see view.h. What is read of JSON is believed to be of the right type only as jansson's
 * accessors do: another one is 0, or an empty text. */
#include "serve/view.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "recording/state.h"

/* ---- from JSON ---- */

static void copy_text(char *to, size_t bytes, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    snprintf(to, bytes, "%s", text ? text : "");
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static uint64_t count_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

static void read_latency(struct latency_counts *ret, const json_t *list)
{
    *ret = (struct latency_counts){.count = 0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *pair = json_array_get(list, i);
        json_int_t ns = json_integer_value(json_array_get(pair, 0));
        json_int_t frames = json_integer_value(json_array_get(pair, 1));

        if (ns < 0 || ns >= 1ll << LATENCY_TOP_BITS || frames <= 0)
            continue;
        ret->bucket[latency_bucket_of((uint64_t)ns)] += (uint64_t)frames;
        ret->count += (uint64_t)frames;
    }
}

/* Of the frames since the look before; 0: there were none. */
static uint64_t recent_latency(const struct latency_counts *now, const struct latency_counts *then)
{
    struct latency_counts since = {.count = 0};

    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        uint64_t added = now->bucket[i] > then->bucket[i] ? now->bucket[i] - then->bucket[i] : 0;

        since.bucket[i] = added;
        since.count += added;
    }
    return latency_quantile(&since, 0.99);
}

static void read_causes(char *to, size_t bytes, const json_t *lost_by)
{
    const char *name;
    json_t *lost;
    size_t at = 0;

    to[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)lost_by, name, lost) if (json_integer_value(lost) > 0)
        at = units_append(to, bytes, at, "%s%s %lld", at ? ", " : "", name,
                          (long long)json_integer_value(lost));
}

static void read_stream(struct view_stream *s, const json_t *json)
{
    const json_t *file = json_object_get(json, "file");

    copy_text(s->name, sizeof s->name, json, "name");
    copy_text(s->condition, sizeof s->condition, json, "condition");
    copy_text(s->shape, sizeof s->shape, json, "shape");
    copy_text(s->file, sizeof s->file, file, "name");
    read_causes(s->causes, sizeof s->causes, json_object_get(json, "lost_by"));
    s->rate_hz = number(json, "rate_hz");
    s->bytes_per_s = number(json, "bytes_per_s");
    s->fill = number(json, "buffer_fill");
    s->frames = count_of(json, "frames");
    s->lost = count_of(json, "lost");
    s->backlog = count_of(json, "fifo_backlog");
    s->depth = count_of(json, "fifo_depth");
    s->file_bytes = count_of(file, "bytes");
    s->files_closed = count_of(json, "files_closed");
    s->restarts = count_of(json, "restarts");
    read_latency(&s->latency, json_object_get(json_object_get(json, "latency"), "buckets_ns"));
}

/* What was known of it before goes on. */
static void go_on(struct view_stream *s, const struct view *before)
{
    for (unsigned i = 0; i < before->count; i++) {
        const struct view_stream *then = &before->streams[i];

        if (strcmp(then->name, s->name) != 0)
            continue;
        memcpy(s->late_ns, then->late_ns + 1, sizeof s->late_ns - sizeof s->late_ns[0]);
        s->late_ns[VIEW_HISTORY - 1] = recent_latency(&s->latency, &then->latency);
        return;
    }
}

static int read_state(struct view *view, const json_t *json, const struct view *before)
{
    const json_t *streams = json_object_get(json, "streams");
    const json_t *left = json_object_get(json, "disk_free_bytes");
    const json_t *full = json_object_get(json, "full_in_s");

    if (!json_is_object(json) || !json_is_array(streams) ||
        !json_is_string(json_object_get(json, "condition")))
        return -EBADMSG;
    copy_text(view->condition, sizeof view->condition, json, "condition");
    copy_text(view->session, sizeof view->session, json, "session");
    copy_text(view->host, sizeof view->host, json, "host");
    copy_text(view->root, sizeof view->root, json, "root");
    copy_text(view->uuid, sizeof view->uuid, json, "uuid");
    view->recording_s = number(json, "recording_s");
    view->bytes_per_s = number(json, "bytes_per_s");
    view->fill = number(json, "buffer_fill");
    view->disk_free_bytes = json_is_number(left) ? json_number_value(left) : -1.0;
    view->full_in_s = json_is_number(full) ? json_number_value(full) : -1.0;
    view->streams = calloc(json_array_size(streams) + 1, sizeof *view->streams);
    if (!view->streams)
        return -ENOMEM;
    for (; view->count < json_array_size(streams); view->count++) {
        struct view_stream *s = &view->streams[view->count];

        read_stream(s, json_array_get(streams, view->count));
        if (strcmp(view->uuid, before->uuid) == 0)
            go_on(s, before);
        view->lost += s->lost;
    }
    return 0;
}

int view_update(struct view *view, const char *json)
{
    json_t *object = json_loads(json, 0, NULL);
    struct view fresh = {.is_plain = view->is_plain};
    int r = read_state(&fresh, object, view);

    json_decref(object);
    if (r < 0) {
        view_free(&fresh);
        return r;
    }
    free(view->streams);
    *view = fresh;
    return 0;
}

void view_free(struct view *view)
{
    free(view->streams);
    *view = (struct view){.is_plain = view->is_plain};
}

enum view_tone view_tone_of(const char *condition)
{
    if (strcmp(condition, "running") == 0)
        return VIEW_GOOD;
    if (strcmp(condition, "idle") == 0 || strcmp(condition, "ended") == 0)
        return VIEW_SOFT;
    return strcmp(condition, "unfit") == 0 ? VIEW_BAD : VIEW_WARN;
}

/* ---- cells ---- */

/* A number in at most six columns: 999.8, 12.3k, 4.56M. */
static void put_scaled(struct view_cell *cell, double value)
{
    static const char units[] = " kMGTPE";
    unsigned i = 0;

    while (fabs(value) >= 999.95 && units[i + 1]) {
        value /= 1000.0;
        i++;
    }
    snprintf(cell->text, sizeof cell->text, i ? "%.*f%c" : "%.*f",
             i && value < 9.995    ? 2
             : value < 99.95 || !i ? 1
                                   : 0,
             value, units[i]);
}

static void put_count(struct view_cell *cell, uint64_t count)
{
    if (count < 100000000)
        snprintf(cell->text, sizeof cell->text, "%llu", (unsigned long long)count);
    else
        put_scaled(cell, (double)count);
}

static void put_ns(struct view_cell *cell, uint64_t ns)
{
    double value = (double)ns;

    if (ns == 0)
        snprintf(cell->text, sizeof cell->text, "-");
    else if (ns < 1000000)
        snprintf(cell->text, sizeof cell->text, "%.0fus", value / 1e3);
    else if (ns < 1000000000)
        snprintf(cell->text, sizeof cell->text, "%.*fms", value < 9.95e6 ? 1 : 0, value / 1e6);
    else
        snprintf(cell->text, sizeof cell->text, "%.1fs", value / 1e9);
}

static void put_name(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    (void)view;
    snprintf(cell->text, sizeof cell->text, "%s", s->name);
    cell->tone = view_tone_of(s->condition);
}

static void put_rate(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    (void)view;
    if (strcmp(s->condition, "running") == 0)
        put_scaled(cell, s->rate_hz);
    else
        snprintf(cell->text, sizeof cell->text, "%s", s->condition);
}

static void put_frames(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    (void)view;
    put_count(cell, s->frames);
}

static void put_lost(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    (void)view;
    if (s->lost < 1000000)
        put_count(cell, s->lost);
    else
        put_scaled(cell, (double)s->lost);
    cell->tone = s->lost ? VIEW_BAD : VIEW_PLAIN;
}

/* As long as it is full; one that is not empty shows at least a little. */
static void put_backlog(const struct view *view, const struct view_stream *s,
                        struct view_cell *cell)
{
    static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    double share = s->depth ? (double)s->backlog / (double)s->depth : 0.0;
    unsigned eighths = (unsigned)(fmin(share, 1.0) * cell->width * 8.0);
    size_t at = 0;

    if (s->backlog > 0 && eighths == 0)
        eighths = 1;
    for (unsigned i = 0; i < eighths / 8; i++)
        at = units_append(cell->text, sizeof cell->text, at, view->is_plain ? "#" : "█");
    if (eighths % 8 > 0)
        units_append(cell->text, sizeof cell->text, at, "%s",
                     view->is_plain ? "|" : parts[eighths % 8]);
    cell->tone = share > 0.8 ? VIEW_BAD : share > 0.5 ? VIEW_WARN : VIEW_GOOD;
}

static void put_buffer(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    (void)view;
    snprintf(cell->text, sizeof cell->text, "%.0f%%", 100.0 * s->fill);
    cell->tone = s->fill > 0.8 ? VIEW_BAD : s->fill > 0.5 ? VIEW_WARN : VIEW_PLAIN;
}

static void put_bytes(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    double rate = s->bytes_per_s / 1e6;

    (void)view;
    snprintf(cell->text, sizeof cell->text, "%.*f", rate < 9.995 ? 2 : rate < 999.5 ? 1 : 0, rate);
}

static void put_late(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    (void)view;
    put_ns(cell, s->late_ns[VIEW_HISTORY - 1]);
}

/* From the least to the most of what is shown, by octaves: a factor of 1000 is as visible as one of
 * two is. */
static void put_spark(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char plain[] = "_.-=+*%#";
    unsigned shown = cell->width < VIEW_HISTORY ? cell->width : VIEW_HISTORY;
    const uint64_t *late = s->late_ns + VIEW_HISTORY - shown;
    double low = INFINITY, high = 0.0;
    size_t at = 0;

    for (unsigned i = 0; i < shown; i++) {
        if (late[i] == 0)
            continue;
        low = fmin(low, log2((double)late[i]));
        high = fmax(high, log2((double)late[i]));
    }
    high = fmax(high, low + 3.0);
    for (unsigned i = 0; i < shown; i++) {
        unsigned level =
            late[i] ? (unsigned)(7.99 * (log2((double)late[i]) - low) / (high - low)) : 0;

        if (late[i] == 0)
            at = units_append(cell->text, sizeof cell->text, at, " ");
        else if (view->is_plain)
            at = units_append(cell->text, sizeof cell->text, at, "%c", plain[level]);
        else
            at = units_append(cell->text, sizeof cell->text, at, "%s", bars[level]);
    }
    cell->tone = VIEW_SOFT;
}

/* Its number, or where there is room its name. */
static void put_file(const struct view *view, const struct view_stream *s, struct view_cell *cell)
{
    const char *number_at = strrchr(s->file, '_');

    (void)view;
    cell->tone = VIEW_SOFT;
    if (s->file[0] == '\0')
        snprintf(cell->text, sizeof cell->text, "-");
    else if (strlen(s->file) <= cell->width || !number_at)
        snprintf(cell->text, sizeof cell->text, "%s", s->file);
    else
        snprintf(cell->text, sizeof cell->text, "#%ld", strtol(number_at + 1, NULL, 10));
}

/* ---- the table ---- */

static const struct column {
    const char *title;
    unsigned width, most; /* columns at 80, and where there are more */
    bool is_left;
    void (*put)(const struct view *view, const struct view_stream *s, struct view_cell *cell);
} table[VIEW_COLUMNS] = {
    {"stream", 12, 24, true, put_name},    {"rate/s", 7, 7, false, put_rate},
    {"frames", 9, 9, false, put_frames},   {"lost", 6, 6, false, put_lost},
    {"backlog", 7, 12, true, put_backlog}, {"buf", 4, 4, false, put_buffer},
    {"MB/s", 6, 6, false, put_bytes},      {"p99", 6, 6, false, put_late},
    {"latency", 8, 30, true, put_spark},   {"file", 6, 60, true, put_file},
};

/* How wide each is; those behind the last one that fits are left out. */
static unsigned fit(unsigned columns, unsigned ret[VIEW_COLUMNS])
{
    unsigned used = 0, count = 0;

    for (; count < VIEW_COLUMNS && used + table[count].width + (count > 0) <= columns; count++) {
        ret[count] = table[count].width;
        used += table[count].width + (count > 0);
    }
    for (unsigned left = columns - used, grown = 1; left > 0 && grown > 0;) {
        grown = 0;
        for (unsigned i = 0; i < count && left > 0; i++) {
            if (ret[i] >= table[i].most)
                continue;
            ret[i]++;
            left--;
            grown++;
        }
    }
    return count;
}

/* Columns of a text of UTF-8. */
static unsigned columns_of(const char *text)
{
    unsigned columns = 0;

    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

static void cut(char *text, unsigned columns)
{
    unsigned at = 0;

    for (char *c = text; *c; c++) {
        at += ((unsigned char)*c & 0xc0) != 0x80;
        if (at > columns) {
            *c = '\0';
            return;
        }
    }
}

unsigned view_row(const struct view *view, const struct view_stream *stream, unsigned columns,
                  struct view_cell ret[VIEW_COLUMNS])
{
    unsigned widths[VIEW_COLUMNS], count = fit(columns, widths), x = 0;

    for (unsigned i = 0; i < count; i++) {
        struct view_cell *cell = &ret[i];

        *cell = (struct view_cell){.x = x, .width = widths[i], .tone = VIEW_PLAIN};
        if (stream)
            table[i].put(view, stream, cell);
        else
            snprintf(cell->text, sizeof cell->text, "%s", table[i].title);
        cut(cell->text, cell->width);
        if (!table[i].is_left)
            cell->x += cell->width - columns_of(cell->text);
        x += widths[i] + 1;
    }
    return count;
}

/* ---- lines ---- */

static void put_disk(const struct view *view, struct view_cell *cell, size_t at)
{
    char left[32];

    if (view->disk_free_bytes < 0.0)
        return;
    at = units_append(cell->text, sizeof cell->text, at, ", %s free",
                      units_format_bytes(left, sizeof left, (uint64_t)view->disk_free_bytes));
    state_append_full(cell->text, sizeof cell->text, at, view->full_in_s);
}

void view_session_lines(const struct view *view, struct view_cell ret[2])
{
    char span[32] = "";
    size_t at;

    ret[0] = ret[1] = (struct view_cell){.tone = VIEW_PLAIN};
    if (view->session[0])
        units_format_duration(span, sizeof span, (int64_t)(view->recording_s * 1e9));
    units_append(ret[0].text, sizeof ret[0].text, 0, "%s%s%s%s%s%s%s", view->session,
                 view->session[0] ? ", " : "", span, view->root[0] ? "   " : "", view->host,
                 view->host[0] ? ":" : "", view->root);
    if (view->count == 0) { /* of what was before nothing is known */
        units_append(ret[1].text, sizeof ret[1].text, 0, "no session");
        return;
    }
    at = units_append(ret[1].text, sizeof ret[1].text, 0, "%u stream%s, ", view->count,
                      units_plural(view->count));
    at =
        units_append(ret[1].text, sizeof ret[1].text, at,
                     view->lost ? "LOST %llu, " : "nothing lost, ", (unsigned long long)view->lost);
    at = units_append(ret[1].text, sizeof ret[1].text, at, "%.1f MB/s, buffer %.0f%%",
                      view->bytes_per_s / 1e6, 100.0 * view->fill);
    put_disk(view, &ret[1], at);
    ret[1].tone = view->lost ? VIEW_BAD : VIEW_PLAIN;
}

void view_stream_lines(const struct view_stream *s, struct view_cell ret[2])
{
    struct view_cell p50 = {.x = 0}, p99 = {.x = 0}, most = {.x = 0};
    char size[32];
    size_t at;

    ret[0] = ret[1] = (struct view_cell){.tone = VIEW_PLAIN};
    put_ns(&p50, latency_quantile(&s->latency, 0.5));
    put_ns(&p99, latency_quantile(&s->latency, 0.99));
    put_ns(&most, latency_quantile(&s->latency, 1.0));
    at = units_append(ret[0].text, sizeof ret[0].text, 0,
                      "%s: %s, backlog %llu/%llu, latency p50 %s p99 %s max %s", s->name,
                      s->shape[0] ? s->shape : s->condition, (unsigned long long)s->backlog,
                      (unsigned long long)s->depth, p50.text, p99.text, most.text);
    if (s->restarts > 0)
        units_append(ret[0].text, sizeof ret[0].text, at, ", restarts %llu",
                     (unsigned long long)s->restarts);
    at = s->file[0] ? units_append(ret[1].text, sizeof ret[1].text, 0, "%s, %s, ", s->file,
                                   units_format_bytes(size, sizeof size, s->file_bytes))
                    : units_append(ret[1].text, sizeof ret[1].text, 0, "no file open, ");
    at = units_append(ret[1].text, sizeof ret[1].text, at, "%llu closed",
                      (unsigned long long)s->files_closed);
    if (s->causes[0])
        units_append(ret[1].text, sizeof ret[1].text, at, "; lost: %s", s->causes);
}
