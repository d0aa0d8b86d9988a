/*
 * supervisor.c - see supervisor.h. What can go wrong with an order:
 *
 *   its asker goes away           it is done all the same, the answer goes nowhere
 *   what it waits for takes long  at its deadline it is answered with what is known
 *   too many at a time            refused where it is posted
 *   it comes while a session is   status and stop are heard; the others are refused
 *   being set up
 *   a stop, and frames are lost   the answer has the session's exit status
 *   it is heard after its time    refused: nobody waits for it any more
 *   a reload is refused           the configuration was not read, or nothing of it was taken
 *   nobody reads a summary        a process that goes on leaves it; one that ends, upon a signal
 *   a user's command hangs when   the process goes on without it; only its own end waits, until
 *   a session has ended           a second signal comes
 */
#include "record/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/await.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/output.h"
#include "lib/clock.h"
#include "record/apply.h"
#include "record/asking.h"
#include "record/board.h"
#include "record/configs.h"
#include "record/hooks.h"
#include "record/service.h"

#define IDLE_MS   500
#define READER_NS 5000000000ll /* without a byte taken of it, a summary is not waited for */
#define LOOK_MS   10           /* while something that was asked for is under way */

struct supervisor {
    const struct session_config *config; /* of the next session */
    const struct session_config *first;  /* that the process began with */
    const struct supervisor_setup *setup;
    struct configs configs; /* that were read again */
    bool may_release;       /* somebody has ceased to use one, perhaps */
    struct session_listener listener;
    int signal_fd;
    bool had_terminal;
    struct board *board, own_board; /* own: where the configuration has none */
    struct service service;
    struct session *session;        /* NULL: none */
    struct hooks *telling;          /* of sessions that have ended: a list */
    bool is_running;                /* it records */
    bool is_wanted;                 /* a session is to begin */
    bool is_ending;                 /* a signal asked for the end of the process */
    bool was_asked;                 /* for this session, or for its end */
    struct order start;             /* that asked for it */
    bool start_waits;               /* for its answer */
    struct asked asked[ORDERS_MAX]; /* under way */
    unsigned asked_count;
};

static void refuse(struct supervisor *sv, const struct order *order, const char *text)
{
    order_refuse(sv->setup->orders, order, "%s", text);
}

static void answer(struct supervisor *sv, const struct order *order, bool ok, json_t *json)
{
    order_answer(sv->setup->orders, order, ok, json);
}

/* ---- orders ---- */

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

/* Read the configuration again, which is what the next session begins with. NULL with a text: it
 * stays as it is. */
static const struct session_config *read_again(struct supervisor *sv, char *why)
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
    fresh = read_again(sv, why);
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
        asked->config = read_again(sv, why);
        if (!asked->config) {
            *ret_ok = false;
            return json_pack("{s:o}", "error", json_text_value(why));
        }
    }
    return asking_look(sv->session, asked, is_late, ret_ok);
}

/* One look at everything that is under way; of each verb one at a time, in their order. */
static void go_on(struct supervisor *sv)
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

static bool is_under_way(const struct supervisor *sv)
{
    for (unsigned i = 0; i < sv->asked_count; i++)
        if (sv->asked[i].order.verb != ORDER_STOP)
            return true;
    return false;
}

/* ---- signals ---- */

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool is_service(const struct supervisor *sv)
{
    return sv->setup && (sv->setup->orders || sv->setup->reload);
}

/* SIGHUP of a service: as `reload`, in lines. */
static void reload_by_signal(struct supervisor *sv)
{
    char why[ORDER_WHY_BYTES] = "";
    const struct session_config *fresh = read_again(sv, why);

    if (!fresh) {
        log_error("%s", why);
        return;
    }
    asking_apply_and_say(sv->is_running ? sv->session : NULL, fresh);
}

static void hear_signal(struct supervisor *sv, int number)
{
    if (number == SIGUSR1) {
        if (sv->is_running)
            asking_roll(sv->session);
        return;
    }
    if (number == SIGHUP && is_service(sv) && !(sv->had_terminal && !has_terminal())) {
        reload_by_signal(sv);
        return;
    }
    /* Also where the session has ended by itself, and only its commands are waited for. */
    for (struct hooks *at = sv->telling; sv->is_ending && !sv->session && at; at = at->next)
        hooks_hurry(at);
    /* A second signal ends it sooner; the first does not hurry what an order has ended already. */
    if (sv->session && (sv->is_ending || !session_is_stopping(sv->session)))
        session_stop(sv->session, "SIGNAL");
    sv->is_ending = true;
    service_stop(&sv->service);
}

static void read_signals(struct supervisor *sv)
{
    struct signalfd_siginfo info;

    while (read(sv->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        hear_signal(sv, (int)info.ssi_signo);
}

/* ---- waiting ---- */

static void hear_orders(struct supervisor *sv)
{
    struct order order;

    while (order_take(sv->setup->orders, &order))
        hear_order(sv, &order);
}

/* Hooks that have told all they had. */
static void free_told(struct supervisor *sv)
{
    for (struct hooks **at = &sv->telling; *at;) {
        struct hooks *hooks = *at;

        if (!hooks_are_over(hooks)) {
            at = &hooks->next;
            continue;
        }
        *at = hooks->next;
        hooks_stop(hooks);
        sv->may_release = true;
    }
}

/* Only here: what was read and is about to be applied is used by nobody yet. */
static void release_unused(struct supervisor *sv)
{
    const struct configs_users users = {sv->config, sv->session, sv->telling, sv->asked,
                                        sv->asked_count};

    if (sv->may_release && sv->configs.count > 0 && sv->setup->release)
        configs_release(&sv->configs, &users, sv->setup->release, sv->setup->ctx);
    sv->may_release = false;
}

static const char *what_is_waited_for(const struct supervisor *sv)
{
    return sv->session     ? "waiting for segments to appear"
           : sv->is_ending ? "waiting for the commands of hooks"
                           : "idle: waiting for `daorec ctl start`";
}

/* Does the process go on after this session? */
static bool stays(const struct supervisor *sv)
{
    return sv->setup && sv->setup->orders && !sv->is_ending && (sv->setup->idle || sv->was_asked);
}

/* A summary that nobody reads must not keep a service from what it is asked for next, nor from its
 * end. A process that ends with its session waits for the reader, such as a pager, until a signal
 * comes. */
static void limit_output(const struct supervisor *sv)
{
    bool is_asked_to_end = sv->setup && sv->setup->orders && sv->is_ending;

    output_wait_at_most(stays(sv) || is_asked_to_end ? READER_NS : INT64_MAX);
}

static void listen_to_all(void *ctx, int fd, int wait_ms)
{
    struct supervisor *sv = ctx;
    struct order_queue *orders = sv->setup ? sv->setup->orders : NULL;
    struct pollfd events[] = {{.fd = sv->signal_fd, .events = POLLIN},
                              {.fd = fd, .events = POLLIN},
                              {.fd = orders ? orders->event_fd : -1, .events = POLLIN}};

    free_told(sv);
    release_unused(sv);
    if (!sv->is_running)
        service_wait(&sv->service, what_is_waited_for(sv), dao_clock_mono_ns());
    if (is_under_way(sv) && (wait_ms < 0 || wait_ms > LOOK_MS))
        wait_ms = LOOK_MS;
    if (poll(events, 3, wait_ms) > 0) {
        if (events[0].revents & POLLIN)
            read_signals(sv);
        if (events[2].revents & POLLIN)
            hear_orders(sv);
    }
    if (orders)
        go_on(sv);
    limit_output(sv);
}

/* ---- sessions ---- */

static int worse(int a, int b)
{
    static const int rank[] = {[0] = 0, [3] = 1, [2] = 2, [1] = 3};

    return rank[a] >= rank[b] ? a : b;
}

static void answer_start(struct supervisor *sv, int error, const char *why)
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

/* It is over; what was asked of it gets its answer. */
static void answer_all(struct supervisor *sv, int status)
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

static void keep_telling(struct supervisor *sv, struct hooks *hooks)
{
    if (!hooks)
        return;
    hooks->next = sv->telling;
    sv->telling = hooks;
}

/* One session, from its beginning to its end; its exit status. */
static int run_session(struct supervisor *sv)
{
    struct session_config config = *sv->config; /* which may be read again meanwhile */
    bool was_ordered = sv->start_waits;
    char why[ORDER_WHY_BYTES];
    int r, status;

    config.board = sv->board;
    config.service = &sv->service;
    config.stays = sv->setup && sv->setup->orders;
    sv->is_wanted = false;
    sv->session = session_create(&config, &sv->listener);
    log_keep_errors(why, sizeof why);
    r = sv->session ? session_begin(sv->session) : -ENOMEM;
    log_keep_errors(NULL, 0);
    sv->is_running = r == 0;
    answer_start(sv, r, why);
    limit_output(sv);
    status = r == 0 ? session_watch(sv->session) : session_status_of(r);
    if (!output_flush("", !stays(sv))) /* what is left of it is not for the next one */
        status = 1;
    if (sv->setup && sv->setup->orders)
        answer_all(sv, status);
    keep_telling(sv, session_take_hooks(sv->session));
    session_destroy(sv->session);
    sv->session = NULL;
    sv->may_release = true;
    sv->is_running = false;
    return r < 0 && was_ordered ? 0 : status; /* who ordered it was told */
}

/* Without a session: wait for what is asked. */
static void wait_idle(struct supervisor *sv)
{
    if (!sv->config->quiet)
        log_info("no session: waiting for `daorec ctl start`");
    while (!sv->is_wanted && !sv->is_ending)
        listen_to_all(sv, -1, IDLE_MS); /* a service manager may want to hear of it */
}

int supervisor_run(const struct session_config *config, const struct supervisor_setup *setup)
{
    struct supervisor *sv = calloc(1, sizeof *sv);
    bool is_idle = setup && setup->idle, has_orders = setup && setup->orders;
    int status = 1;

    if (!sv)
        return 1;
    sv->config = sv->first = config;
    sv->setup = setup;
    sv->listener = (struct session_listener){.listen = listen_to_all, .ctx = sv};
    sv->had_terminal = is_service(sv) && has_terminal();
    service_open(&sv->service);
    board_init(&sv->own_board);
    sv->board = config->board ? config->board : &sv->own_board;
    sv->signal_fd = await_signals(true);
    if (sv->signal_fd < 0)
        goto end;
    for (status = 0;;) {
        if (is_idle && !sv->is_ending)
            wait_idle(sv);
        if (sv->is_ending)
            break;
        status = worse(status, run_session(sv));
        is_idle = has_orders && (is_idle || sv->was_asked);
        if (!is_idle)
            break;
    }
    sv->is_ending = true;
    while (sv->telling)
        listen_to_all(sv, -1, LOOK_MS);
    close(sv->signal_fd);
end:
    service_stop(&sv->service);
    service_close(&sv->service);
    board_fini(&sv->own_board);
    configs_fini(&sv->configs);
    free(sv);
    return status;
}
