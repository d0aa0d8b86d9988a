/* asking.c - see asking.h. */
#include "record/asking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"
#include "record/apply.h"
#include "record/session_inside.h"

void asked_free(struct asked *asked)
{
    free(asked->is_over);
    json_decref(asked->changes);
    *asked = (struct asked){0};
}

static json_t *say(bool *ret_ok, const char *error)
{
    *ret_ok = false;
    return json_pack("{s:s}", "error", error);
}

/* ---- roll ---- */

void asking_roll(struct session *session)
{
    for (unsigned i = 0; i < session->count; i++)
        atomic_store(&session->streams[i]->roll_requested, true);
}

static json_t *begin_roll(struct session *session, struct asked *asked, bool *ret_ok)
{
    asked->is_over = calloc(session->count, sizeof *asked->is_over);
    if (!asked->is_over)
        return say(ret_ok, "no memory");
    for (unsigned i = 0; i < session->count; i++)
        asked->is_over[i] = atomic_load(&session->streams[i]->is_over);
    asking_roll(session);
    if (!session->own.quiet)
        log_info("ctl roll: the next files begin");
    return NULL;
}

/* Of one stream, once it has happened. A file that was ended is closed, and the one that follows it
 * has its name. */
static bool roll_is_done(struct session *session, const struct asked *asked, unsigned i,
                         json_t *ret)
{
    struct record_stream *s = session->streams[i];
    char name[TREE_FILE_BYTES], next[TREE_FILE_BYTES];
    uint64_t seq, closed;
    enum books_file state;

    json_object_set_new(ret, "name", json_string(s->name));
    if (asked->is_over[i] || (atomic_load(&s->is_over) && atomic_load(&s->roll_requested))) {
        json_object_set_new(ret, "note", json_string("its recording has ended"));
        return true;
    }
    /* acquire: pairs with the release in answer_roll() of handover.c */
    if (atomic_load_explicit(&s->roll_requested, memory_order_acquire))
        return false;
    seq = atomic_load_explicit(&s->rolled_seq, memory_order_relaxed);
    if (seq == 0) {
        json_object_set_new(ret, "note",
                            json_string(atomic_load(&s->condition) == STREAM_AWAITED
                                            ? "its segment has not appeared yet"
                                            : "no frame since its last file"));
        return true;
    }
    tree_file_name(name, s->name, seq, 0);
    tree_file_name(next, s->name, seq + 1, 0);
    /* acquire: pairs with the release in close_file() of keeper.c */
    closed = atomic_load_explicit(&s->closed_file, memory_order_acquire);
    if (closed / 2 < seq)
        return false;
    if (closed / 2 == seq && closed % 2 == 1 &&
        books_find(&session->books, i, next) == BOOKS_NO_FILE)
        return false;
    state = books_find(&session->books, i, name);
    json_object_set_new(ret, "closed", json_string(name));
    if (state == BOOKS_FAILED_FILE)
        json_object_set_new(ret, "error", json_string("it could not be closed as it should"));
    if (closed / 2 > seq || closed % 2 == 1)
        json_object_set_new(ret, "next", json_string(next));
    else
        json_object_set_new(ret, "note", json_string("no frame since"));
    return true;
}

static json_t *look_at_roll(struct session *session, const struct asked *asked, bool is_last,
                            bool *ret_ok)
{
    json_t *streams = json_array(), *answer;
    bool is_done = true;

    for (unsigned i = 0; i < session->count; i++) {
        json_t *stream = json_object();
        bool is_ready = roll_is_done(session, asked, i, stream);

        if (!is_ready)
            json_object_set_new(stream, "error",
                                json_string("its file is not closed, or the next not open yet"));
        if (json_object_get(stream, "error"))
            *ret_ok = false;
        is_done = is_done && is_ready;
        json_array_append_new(streams, stream);
    }
    answer = json_pack("{s:s, s:o}", "session", session->id, "streams", streams);
    if (is_done || is_last)
        return answer;
    *ret_ok = true;
    json_decref(answer);
    return NULL;
}

/* ---- mark ---- */

static json_t *begin_mark(struct session *session, struct asked *asked, bool *ret_ok)
{
    asked->time_ns = dao_clock_real_ns();
    asked->mark_number = books_add_mark(&session->books, asked->time_ns, asked->order.text);
    if (asked->mark_number == 0)
        return say(ret_ok, "there is no room for another mark in this session");
    disk_ask_for_ledger(&session->disk);
    if (!session->own.quiet)
        log_info("ctl mark: number %llu, %s", (unsigned long long)asked->mark_number,
                 asked->order.text);
    return NULL;
}

static json_t *look_at_mark(struct session *session, const struct asked *asked, bool is_last,
                            bool *ret_ok)
{
    bool is_written = atomic_load(&session->books.marks_written) >= asked->mark_number;
    json_t *files = json_array(), *answer;
    char utc[40];

    if (!is_written && !is_last) {
        json_decref(files);
        return NULL;
    }
    for (unsigned i = 0; i < session->count; i++) {
        char name[TREE_FILE_BYTES];

        if (books_current(&session->books, i, name))
            json_array_append_new(files, json_string(name));
    }
    answer = json_pack("{s:s, s:s, s:s, s:I, s:o}", "session", session->id, "time",
                       units_format_utc(utc, sizeof utc, asked->time_ns, 9), "text",
                       asked->order.text, "number", (json_int_t)asked->mark_number, "files", files);
    if (!is_written) {
        *ret_ok = false;
        json_object_set_new(answer, "error",
                            json_string("it is noted, but session.json could not be written yet"));
    }
    return answer;
}

/* ---- reload ---- */

static void say_list(const json_t *changes, const char *key, const char *before)
{
    const json_t *list = json_object_get(changes, key);

    for (size_t i = 0; i < json_array_size(list); i++)
        log_info("%s %s", before, json_string_value(json_array_get(list, i)));
}

static void say_changes(const json_t *changes)
{
    size_t changed = json_array_size(json_object_get(changes, "changed"));
    size_t unchanged = json_array_size(json_object_get(changes, "unchanged"));

    if (changed + unchanged == 0)
        log_info("the configuration was read again: nothing has changed");
    else
        log_info("the configuration was read again: %zu changed, %zu cannot change now", changed,
                 unchanged);
    say_list(changes, "changed", "changed");
    say_list(changes, "unchanged", "not changed:");
}

static void book_changes(struct session *session, const json_t *changes)
{
    const json_t *list = json_object_get(changes, "changed");
    int64_t now_ns = dao_clock_real_ns();

    for (size_t i = 0; i < json_array_size(list); i++)
        books_add_change(&session->books, now_ns, json_string_value(json_array_get(list, i)));
    if (json_array_size(list) > 0)
        disk_ask_for_ledger(&session->disk);
}

/* What has changed is told to all; a new reference. */
static json_t *apply_and_say(struct session *session, const struct session_config *fresh)
{
    json_t *changes = apply_config(session, fresh);

    say_changes(changes);
    book_changes(session, changes);
    return changes;
}

static json_t *begin_reload(struct session *session, struct asked *asked)
{
    asked->changes = apply_and_say(session, asked->config);
    return NULL;
}

static json_t *look_at_reload(struct session *session, const struct asked *asked, bool is_last,
                              bool *ret_ok)
{
    bool is_taken = apply_is_taken(session);

    if (!is_taken && !is_last)
        return NULL;
    if (!is_taken) {
        *ret_ok = false;
        json_object_set_new(asked->changes, "error",
                            json_string("a stream has not taken it yet, and will"));
    }
    return json_incref(asked->changes);
}

void asking_apply_and_say(struct session *session, const struct session_config *fresh)
{
    struct apply_lists lists;
    json_t *changes;

    if (session) {
        json_decref(apply_and_say(session, fresh));
        return;
    }
    lists = apply_compare(&fresh->settings, &fresh->settings, false);
    log_info("the configuration was read again: the next session begins with it");
    changes = json_pack("{s:o, s:o}", "changed", lists.changed, "unchanged", lists.unchanged);
    say_list(changes, "unchanged", "not changed:");
    json_decref(changes);
}

/* ---- all of them ---- */

static json_t *begin(struct session *session, struct asked *asked, bool *ret_ok)
{
    switch (asked->order.verb) {
    case ORDER_ROLL:
        return begin_roll(session, asked, ret_ok);
    case ORDER_MARK:
        return begin_mark(session, asked, ret_ok);
    case ORDER_RELOAD:
        return begin_reload(session, asked);
    default:
        return say(ret_ok, "it is not for a session");
    }
}

json_t *asking_look(struct session *session, struct asked *asked, bool is_last, bool *ret_ok)
{
    json_t *answer = NULL;

    *ret_ok = true;
    if (!asked->has_begun && is_last)
        return say(ret_ok, "its turn did not come before the session ended, or its time was up");
    if (!asked->has_begun) {
        asked->has_begun = true;
        answer = begin(session, asked, ret_ok);
    }
    if (answer)
        return answer;
    if (asked->order.verb == ORDER_ROLL)
        return look_at_roll(session, asked, is_last, ret_ok);
    if (asked->order.verb == ORDER_MARK)
        return look_at_mark(session, asked, is_last, ret_ok);
    return look_at_reload(session, asked, is_last, ret_ok);
}

/* ---- the end ---- */

json_t *asking_end(const struct session *session, int status)
{
    json_t *json = session->summary ? json_loads(session->summary, 0, NULL)
                                    : json_pack("{s:s}", "note", "there was nothing to record yet");

    json_object_set_new(json, "exit_status", json_integer(status));
    return json;
}
