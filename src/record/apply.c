/* apply.c - see apply.h. */
#include "record/apply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "record/session_inside.h"

/* ---- comparing ---- */

/* The setting of this key, or NULL. Two lists are alike for the greater part: it is looked for
 * behind the one that was found last, and `*at` is left there. */
static const struct setting *find(const struct setting_list *list, const char *key, size_t *at)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t k = (*at + i) % list->count;

        if (strcmp(list->items[k].key, key) != 0)
            continue;
        *at = k + 1;
        return &list->items[k];
    }
    return NULL;
}

__attribute__((format(printf, 2, 3))) static void append(json_t *list, const char *format, ...)
{
    char line[1200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    json_array_append_new(list, json_text_value(line));
}

static bool is_taken(const struct setting *setting, bool has_ring)
{
    return setting->when == SETTING_AT_ONCE || (setting->when == SETTING_OF_RING && has_ring);
}

static void compare(struct apply_lists *lists, const struct setting *now,
                    const struct setting *fresh, bool has_ring)
{
    bool is_of_program = fresh->when == SETTING_OF_PROGRAM;
    const char *before = is_of_program && fresh->began ? fresh->began : now->value;
    bool taken = is_taken(fresh, has_ring);

    if (!fresh->value || strcmp(before, fresh->value) == 0 ||
        (now->is_inherited && fresh->is_inherited))
        return;
    append(taken ? lists->changed : lists->unchanged, "%.400s: %.300s -> %.300s%s", fresh->key,
           before, fresh->value,
           taken           ? ""
           : is_of_program ? " (end the program and start it again)"
                           : " (stop and start)");
}

struct apply_lists apply_compare(const struct setting_list *now, const struct setting_list *fresh,
                                 bool has_ring)
{
    struct apply_lists lists = {json_array(), json_array()};
    size_t at = 0;

    for (size_t i = 0; i < fresh->count; i++) {
        const struct setting *setting = &fresh->items[i], *before = find(now, setting->key, &at);

        if (before)
            compare(&lists, before, setting, has_ring);
        else if (!setting->value)
            append(lists.unchanged, "sources: %.400s is new (stop and start)", setting->key);
    }
    at = 0;
    for (size_t i = 0; i < now->count; i++)
        if (!now->items[i].value && !find(fresh, now->items[i].key, &at))
            append(lists.unchanged, "sources: %.400s is left out (stop and start)",
                   now->items[i].key);
    return lists;
}

/* ---- taking it ---- */

static const struct stream_config *find_stream(const struct session_config *config,
                                               const char *path)
{
    for (unsigned i = 0; i < config->path_count; i++)
        if (strcmp(config->paths[i], path) == 0)
            return config->each ? &config->each[i] : &config->stream;
    return NULL;
}

static void wish(struct record_stream *s, const struct stream_config *taken)
{
    pthread_mutex_lock(&s->wish_lock);
    s->wished_rolling = taken->rolling;
    s->wished_latency_ns = taken->latency_ns;
    atomic_store_explicit(&s->has_wishes, true, memory_order_relaxed); /* the lock orders it */
    pthread_mutex_unlock(&s->wish_lock);
}

/* By the new one is compared from here on: what did not change is told again each time. */
static void note_taken(struct session *session, const struct setting_list *fresh, bool has_ring)
{
    size_t at = 0;

    for (size_t i = 0; i < session->own.settings.count; i++) {
        struct setting *own = &session->settings[i];
        const struct setting *now = find(fresh, own->key, &at);

        if (now && is_taken(own, has_ring))
            *own = *now;
    }
}

int apply_check(const struct session *session, const struct session_config *fresh,
                struct dao_text *text)
{
    return session->retention.root ? retention_check(&session->retention, &fresh->retention, text)
                                   : 0;
}

json_t *apply_config(struct session *session, const struct session_config *fresh)
{
    bool has_ring = session->retention.root != NULL;
    struct apply_lists lists = apply_compare(&session->own.settings, &fresh->settings, has_ring);

    session->own.room = fresh->room;
    if (has_ring)
        session->own.retention = fresh->retention;
    for (unsigned i = 0; i < session->count; i++) {
        const struct stream_config *config = find_stream(fresh, session->streams[i]->path);

        if (!config)
            continue;
        session->taken[i].rolling = config->rolling;
        session->taken[i].latency_ns = config->latency_ns;
        /* by the limits and the streams of this session, whatever the fresh one would have */
        retention_fit_files(&session->own.retention, session->count, &session->taken[i].rolling);
        wish(session->streams[i], &session->taken[i]);
    }
    room_keep(&session->room, fresh->room.keep_bytes, fresh->room.keep_percent);
    if (has_ring)
        retention_set_limits(&session->retention, &fresh->retention, session->taken);
    note_taken(session, &fresh->settings, has_ring);
    return json_pack("{s:o, s:o}", "changed", lists.changed, "unchanged", lists.unchanged);
}

bool apply_uses(const struct session *session, const struct session_config *config)
{
    const struct setting_list *own = &session->own.settings, *other = &config->settings;

    if (session->own.paths == config->paths)
        return true;
    for (size_t i = 0; i < own->count; i++)
        for (size_t k = 0; k < other->count; k++)
            if (own->items[i].key == other->items[k].key) /* the same memory */
                return true;
    return false;
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
