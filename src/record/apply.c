/* apply.c - see apply.h. */
#include "record/apply.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/units.h"
#include "record/session_inside.h"

enum kind {
    KIND_COUNT,
    KIND_BYTES,
    KIND_NS,
    KIND_PERCENT,
    KIND_INT,
    KIND_FLAG,
    KIND_TEXT,
    KIND_CPUS
};

struct setting {
    const char *name; /* as the option is called */
    enum kind kind;
    size_t offset;
    bool may_change, is_retention;
};

/* What matters only when a session begins (wait, all) is not here: it is for the next one. */
#define AT(member) offsetof(struct session_config, member)

static const struct setting of_session[] = {
    {"output", KIND_TEXT, AT(root), false, false},
    {"keep-free", KIND_BYTES, AT(room.keep_bytes), true, false},
    {"keep-free", KIND_PERCENT, AT(room.keep_percent), true, false},
    {"keep-files", KIND_COUNT, AT(retention.files), true, true},
    {"keep-size", KIND_BYTES, AT(retention.bytes), true, true},
    {"keep-time", KIND_NS, AT(retention.time_ns), true, true},
    {"buffer", KIND_BYTES, AT(buffer_bytes), false, false},
    {"io", KIND_INT, AT(engine), false, false},
    {"sink_affinity", KIND_CPUS, AT(sink_cpus), false, false},
    {"on-file-closed", KIND_TEXT, AT(hooks.commands[HOOK_FILE_CLOSED]), false, false},
    {"on-loss", KIND_TEXT, AT(hooks.commands[HOOK_LOSS]), false, false},
    {"on-low-disk", KIND_TEXT, AT(hooks.commands[HOOK_LOW_DISK]), false, false},
    {"low-disk", KIND_BYTES, AT(hooks.low_bytes), false, false},
    {"low-disk", KIND_PERCENT, AT(hooks.low_percent), false, false},
    {"lock-memory", KIND_FLAG, AT(lock_memory), false, false},
    {0},
};

/* Of the process: no session changes them. */
static const struct setting of_process[] = {
    {"control", KIND_TEXT, AT(process.control), false, false},
    {"metrics", KIND_TEXT, AT(process.metrics), false, false},
    {"metrics-file", KIND_TEXT, AT(process.metrics_file), false, false},
    {0},
};
#undef AT

#define AT(member) offsetof(struct stream_keywords, member)

static const struct setting of_keywords[] = {
    {"keywords.ORIGIN", KIND_TEXT, AT(origin), false, false},
    {"keywords.TELESCOP", KIND_TEXT, AT(telescope), false, false},
    {"keywords.INSTRUME", KIND_TEXT, AT(instrument), false, false},
    {"keywords.OBSERVER", KIND_TEXT, AT(observer), false, false},
    {"keywords.OBJECT", KIND_TEXT, AT(object), false, false},
    {0},
};
#undef AT

#define AT(member) offsetof(struct stream_config, member)

static const struct setting of_stream[] = {
    {"roll-frames", KIND_COUNT, AT(rolling.frames), true, false},
    {"roll-size", KIND_BYTES, AT(rolling.bytes), true, false},
    {"roll-time", KIND_NS, AT(rolling.time_ns), true, false},
    {"roll-together", KIND_FLAG, AT(rolling.together), true, false},
    {"latency", KIND_NS, AT(latency_ns), true, false},
    {"frames", KIND_COUNT, AT(frames_wanted), false, false},
    {"duration", KIND_NS, AT(duration_ns), false, false},
    {"backlog", KIND_FLAG, AT(backlog), false, false},
    {"name", KIND_TEXT, AT(name), false, false},
    {"unit", KIND_TEXT, AT(unit), false, false},
    {"overload", KIND_INT, AT(overload), false, false},
    {"decimate", KIND_COUNT, AT(each), false, false},
    {"cpu", KIND_CPUS, AT(cpus), false, false},
    {"priority", KIND_INT, AT(priority), false, false},
    {"no-direct", KIND_FLAG, AT(want_direct), false, false},
    {0},
};
#undef AT

/* NULL is as good as "". */
static const char *text_at(const void *value)
{
    const char *text = *(const char *const *)value;

    return text ? text : "";
}

static bool is_same(const struct setting *setting, const void *a, const void *b)
{
    switch (setting->kind) {
    case KIND_FLAG:
        return *(const bool *)a == *(const bool *)b;
    case KIND_INT:
        return *(const int *)a == *(const int *)b;
    case KIND_TEXT:
        return strcmp(text_at(a), text_at(b)) == 0;
    case KIND_CPUS:
        return CPU_EQUAL((const cpu_set_t *)a, (const cpu_set_t *)b);
    case KIND_PERCENT:
        return *(const double *)a == *(const double *)b;
    default:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    }
}

static void format(const struct setting *setting, const void *value, char *text, size_t bytes)
{
    switch (setting->kind) {
    case KIND_FLAG:
        snprintf(text, bytes, "%s", *(const bool *)value ? "yes" : "no");
        break;
    case KIND_INT:
        snprintf(text, bytes, "%d", *(const int *)value);
        break;
    case KIND_TEXT:
        snprintf(text, bytes, "%s", *text_at(value) ? text_at(value) : "none");
        break;
    case KIND_CPUS:
        snprintf(text, bytes, "%d CPUs", CPU_COUNT((const cpu_set_t *)value));
        break;
    case KIND_PERCENT:
        snprintf(text, bytes, "%g%%", *(const double *)value);
        break;
    case KIND_NS:
        if (*(const int64_t *)value == 0)
            snprintf(text, bytes, "none");
        else
            units_format_duration(text, bytes, *(const int64_t *)value);
        break;
    case KIND_BYTES:
        if (*(const uint64_t *)value == 0)
            snprintf(text, bytes, "none");
        else
            units_format_bytes(text, bytes, *(const uint64_t *)value);
        break;
    case KIND_COUNT:
        snprintf(text, bytes, "%llu", (unsigned long long)*(const uint64_t *)value);
        break;
    }
}

static void append(json_t *list, const char *of, const struct setting *setting, const void *a,
                   const void *b, const char *behind)
{
    char before[300], after[300], line[1200];

    format(setting, a, before, sizeof before);
    format(setting, b, after, sizeof after);
    snprintf(line, sizeof line, "%.400s%s%s: %s -> %s%s", of ? of : "", of ? " " : "",
             setting->name, before, after, behind);
    json_array_append_new(list, json_text_value(line));
}

static bool is_same_list(char *const *a, unsigned a_count, char *const *b, unsigned b_count)
{
    for (unsigned i = 0; i < a_count && a_count == b_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return a_count == b_count;
}

static bool has_same_paths(const struct session_config *a, const struct session_config *b)
{
    return is_same_list(a->paths, a->path_count, b->paths, b->path_count);
}

static const struct stream_config *stream_of(const struct session_config *config, unsigned i)
{
    return config->each ? &config->each[i] : &config->stream;
}

/* The cards that all streams have. */
static const struct stream_keywords *keywords_of(const struct session_config *config)
{
    static const struct stream_keywords none;
    const struct stream_keywords *keywords =
        config->path_count > 0 ? stream_of(config, 0)->keywords : NULL;

    return keywords ? keywords : &none;
}

/* Two structs that the settings lie in; `of`: the segment that they are about, or NULL. */
static void compare(struct apply_lists *lists, const struct setting *settings, const void *now,
                    const void *fresh, bool has_retention, const char *of)
{
    const char *remedy = settings == of_process ? " (restart daorec)" : " (stop and start)";

    for (const struct setting *setting = settings; setting->name; setting++) {
        const void *a = (const unsigned char *)now + setting->offset;
        const void *b = (const unsigned char *)fresh + setting->offset;
        bool may_change = setting->may_change && (!setting->is_retention || has_retention);

        if (!is_same(setting, a, b))
            append(may_change ? lists->changed : lists->unchanged, of, setting, a, b,
                   may_change ? "" : remedy);
    }
}

struct apply_lists apply_compare(const struct session_config *now,
                                 const struct session_config *fresh, bool has_retention)
{
    struct apply_lists lists = {json_array(), json_array()};

    if (!has_same_paths(now, fresh) ||
        !is_same_list(now->files, now->file_count, fresh->files, fresh->file_count))
        json_array_append_new(lists.unchanged, json_string("sources (stop and start)"));
    compare(&lists, of_session, now, fresh, has_retention, NULL);
    compare(&lists, of_keywords, keywords_of(now), keywords_of(fresh), has_retention, NULL);
    compare(&lists, of_process, now, fresh, has_retention, NULL);
    for (unsigned i = 0; i < now->path_count && has_same_paths(now, fresh); i++)
        compare(&lists, of_stream, stream_of(now, i), stream_of(fresh, i), has_retention,
                now->path_count > 1 ? now->paths[i] : NULL);
    return lists;
}

/* ---- taking it ---- */

static void wish(struct record_stream *s, const struct stream_config *fresh)
{
    pthread_mutex_lock(&s->wish_lock);
    s->wished_rolling = fresh->rolling;
    s->wished_latency_ns = fresh->latency_ns;
    atomic_store_explicit(&s->has_wishes, true, memory_order_relaxed); /* the lock orders it */
    pthread_mutex_unlock(&s->wish_lock);
}

json_t *apply_config(struct session *session, const struct session_config *fresh)
{
    bool has_retention = session->retention.root != NULL;
    struct apply_lists lists = apply_compare(&session->own, fresh, has_retention);

    session->own.room = fresh->room;
    /* By the new one is compared from here on: what did not change is told again each time. */
    for (unsigned i = 0; i < session->count && has_same_paths(&session->own, fresh); i++) {
        struct record_stream *s = session->streams[i];

        wish(s, stream_of(fresh, i));
        session->taken[i].rolling = stream_of(fresh, i)->rolling;
        session->taken[i].latency_ns = stream_of(fresh, i)->latency_ns;
    }
    room_keep(&session->room, fresh->room.keep_bytes, fresh->room.keep_percent);
    if (has_retention) {
        session->own.retention = fresh->retention;
        retention_set_limits(&session->retention, &fresh->retention);
    }
    return json_pack("{s:o, s:o}", "changed", lists.changed, "unchanged", lists.unchanged);
}

bool apply_is_taken(struct session *session)
{
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];

        if (atomic_load(&s->has_wishes) && !atomic_load(&s->is_over))
            return false;
    }
    return true;
}
