/*
 * supervisor_orders.c - see supervisor_orders.h. What can go wrong with an order:
 *
 *   its asker goes away           it is done all the same, the answer goes nowhere
 *   what it waits for takes long  at its deadline it is answered with what is known
 *   too many at a time            refused where it is posted
 *   it comes while a session is   status and stop are heard; the others are refused
 *   being set up
 *   a stop, and frames are lost   the answer has the session's exit status
 *   it is heard after its time    refused: nobody waits for it any more
 *   a reload is refused           the configuration was not read, or nothing of it was taken
 */
#include "record/supervisor_orders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/log.h"
#include "lib/clock.h"
#include "record/apply.h"
#include "record/supervisor_inside.h"

static void refuse(struct supervisor *sv, const struct order *order, const char *text)
{
    order_refuse(sv->setup->orders, order, "%s", text);
}

static void answer(struct supervisor *sv, const struct order *order, bool ok, json_t *json)
{
    order_answer(sv->setup->orders, order, ok, json);
}

/* ---- one that is heard ---- */

/* How the session stands, or that there is none. A new reference; NULL without memory. */
static json_t *status_of(struct supervisor *sv)
{
    struct session_state state;
    json_t *json;
    char *text;

    if (board_take(sv->board, &state) < 0)
        return NULL;
    text = state_to_json(&state);
    state_free(&state);
    json = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    if (json)
        json_object_set_new(json, "pid", json_integer(getpid()));
    return json;
}

static void begin_asked(struct supervisor *sv, const struct order *order)
{
    if (sv->asked_count == ORDERS_MAX) {
        refuse(sv, order, "too much is asked at a time; try again");
        return;
    }
    sv->asked[sv->asked_count++] = (struct asked){.order = *order};
}

static void hear_start(struct supervisor *sv, const struct order *order)
{
    if (sv->is_ending) {
        refuse(sv, order, "the recorder is ending");
        return;
    }
    if (sv->is_running) {
        order_refuse(sv->setup->orders, order, "session %s is recording; stop it first",
                     session_name(sv->session));
        return;
    }
    if (sv->session || sv->is_wanted) {
        refuse(sv, order, "a session is being started");
        return;
    }
    sv->is_wanted = sv->start_waits = sv->was_asked = true;
    sv->start = *order;
    if (!sv->config->quiet)
        log_info("ctl start: a session begins");
}

static void hear_stop(struct supervisor *sv, const struct order *order)
{
    if (!sv->session) {
        refuse(sv, order, "no session is recording");
        return;
    }
    sv->was_asked = true;
    if (!sv->config->quiet)
        log_info("ctl stop: the session ends");
    if (!session_is_stopping(sv->session))
        session_stop(sv->session, "STOP");
    begin_asked(sv, order);
}

/* Does it go with what is recorded? */
static bool is_taken(struct supervisor *sv, const struct session_config *fresh, char *why)
{
    struct dao_text text = {""};

    if (!sv->is_running || apply_check(sv->session, fresh, &text) == 0)
        return true;
    snprintf(why, ORDER_WHY_BYTES, "%s", text.s);
    return false;
}

const struct session_config *supervisor_read_again(struct supervisor *sv, char *why)
{
    const struct session_config *fresh;

    if (sv->setup && sv->setup->reload) {
        fresh = sv->setup->reload(sv->setup->ctx, why);
        if (fresh && fresh != sv->first)
            configs_add(&sv->configs, fresh);
        sv->may_release = true;
        if (!fresh || !is_taken(sv, fresh, why))
            return NULL;
        sv->config = fresh;
        return fresh;
    }
    snprintf(why, ORDER_WHY_BYTES,
             "there is nothing to read again: this recorder was started without a configuration "
             "file");
    return NULL;
}

/* While it records the file is read when the order's turn comes: one that is refused has read
 * nothing, and what is applied last is what was read last. */
static void hear_reload(struct supervisor *sv, const struct order *order)
{
    char why[ORDER_WHY_BYTES] = "";
    const struct session_config *fresh;
    struct apply_lists lists;

    if (sv->is_running) {
        begin_asked(sv, order);
        return;
    }
    fresh = supervisor_read_again(sv, why);
    if (!fresh) {
        refuse(sv, order, why);
        return;
    }
    asking_apply_and_say(NULL, fresh);
    lists = apply_compare(&fresh->settings, &fresh->settings, false);
    answer(sv, order, true,
           json_pack("{s:o, s:o, s:s}", "changed", lists.changed, "unchanged", lists.unchanged,
                     "note",
                     sv->session ? "the session that waits for segments begins as it was asked "
                                   "for; the next one begins with this"
                                 : "no session is recording: the next one begins with it"));
}

static void hear_order(struct supervisor *sv, const struct order *order)
{
    if (dao_clock_mono_ns() >= order->deadline_ns) {
        refuse(sv, order, "the recorder was busy until its time was up: it was not done");
        return;
    }
    switch (order->verb) {
    case ORDER_STATUS:
        answer(sv, order, true, status_of(sv));
        break;
    case ORDER_START:
        hear_start(sv, order);
        break;
    case ORDER_STOP:
        hear_stop(sv, order);
        break;
    case ORDER_RELOAD:
        hear_reload(sv, order);
        break;
    case ORDER_ROLL:
    case ORDER_MARK:
        if (sv->is_running)
            begin_asked(sv, order);
        else
            refuse(sv, order, "no session is recording");
        break;
    }
}

void supervisor_hear_orders(struct supervisor *sv)
{
    struct order order;

    while (order_take(sv->setup->orders, &order))
        hear_order(sv, &order);
}

/* ---- those that are under way ---- */

static void drop_asked(struct supervisor *sv, unsigned i)
{
    asked_free(&sv->asked[i]);
    sv->may_release = true;
    sv->asked_count--;
    memmove(&sv->asked[i], &sv->asked[i + 1], (sv->asked_count - i) * sizeof sv->asked[0]);
}

static bool is_first_of_its_verb(const struct supervisor *sv, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (sv->asked[k].order.verb == sv->asked[i].order.verb)
            return false;
    return true;
}

/* As asking_look(), after what a reload needs first. */
static json_t *look(struct supervisor *sv, struct asked *asked, bool is_late, bool *ret_ok)
{
    char why[ORDER_WHY_BYTES] = "";

    if (asked->order.verb == ORDER_RELOAD && !asked->config && !is_late) {
        asked->config = supervisor_read_again(sv, why);
        if (!asked->config) {
            *ret_ok = false;
            return json_pack("{s:o}", "error", json_text_value(why));
        }
    }
    return asking_look(sv->session, asked, is_late, ret_ok);
}

void supervisor_go_on(struct supervisor *sv)
{
    int64_t now_ns = dao_clock_mono_ns();

    if (sv->start_waits && now_ns >= sv->start.deadline_ns) {
        sv->start_waits = false;
        refuse(sv, &sv->start, "there is nothing to record yet, and it goes on waiting");
    }
    for (unsigned i = 0; i < sv->asked_count;) {
        struct asked *asked = &sv->asked[i];
        bool is_late = now_ns >= asked->order.deadline_ns, ok = true;
        json_t *json = NULL;

        if (asked->order.verb != ORDER_STOP && is_first_of_its_verb(sv, i))
            json = look(sv, asked, is_late, &ok);
        if (json) {
            answer(sv, &asked->order, ok, json);
        } else if (is_late) {
            refuse(sv, &asked->order, "it is not done yet, and goes on; ask for the status");
        } else {
            i++;
            continue;
        }
        drop_asked(sv, i);
    }
}

bool supervisor_is_under_way(const struct supervisor *sv)
{
    for (unsigned i = 0; i < sv->asked_count; i++)
        if (sv->asked[i].order.verb != ORDER_STOP)
            return true;
    return false;
}

/* ---- a session's beginning and end ---- */

void supervisor_answer_start(struct supervisor *sv, int error, const char *why)
{
    if (!sv->start_waits)
        return;
    sv->start_waits = false;
    if (error == 0)
        answer(sv, &sv->start, true, status_of(sv));
    else
        refuse(sv, &sv->start,
               error == -EINTR ? "it was stopped before there was anything to record"
               : why[0]        ? why
                               : strerror(-error));
}

void supervisor_answer_all(struct supervisor *sv, int status)
{
    while (sv->asked_count > 0) {
        struct asked *asked = &sv->asked[0];
        bool ok = true;
        json_t *json;

        if (asked->order.verb == ORDER_STOP)
            json = asking_end(sv->session, status);
        else
            json = asking_look(sv->session, asked, true, &ok);
        answer(sv, &asked->order, ok, json);
        drop_asked(sv, 0);
    }
}
