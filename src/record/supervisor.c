/*
 * supervisor.c - see supervisor.h: sessions, signals, and the waiting for whatever comes next. What
 * is asked by order is dealt with in supervisor_orders.c. What can keep a process from going on:
 *
 *   nobody reads a summary        a process that goes on leaves it; one that ends, upon a signal
 *   a user's command hangs when   the process goes on without it; only its own end waits, until
 *   a session has ended           a second signal comes
 */
#include "record/supervisor_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/await.h"
#include "base/log.h"
#include "base/output.h"
#include "lib/clock.h"
#include "record/supervisor_orders.h"

#define IDLE_MS   500
#define READER_NS 5000000000ll /* without a byte taken of it, a summary is not waited for */
#define LOOK_MS   10           /* while something that was asked for is under way */

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
    const struct session_config *fresh = supervisor_read_again(sv, why);

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
    if (supervisor_is_under_way(sv) && (wait_ms < 0 || wait_ms > LOOK_MS))
        wait_ms = LOOK_MS;
    if (poll(events, 3, wait_ms) > 0) {
        if (events[0].revents & POLLIN)
            read_signals(sv);
        if (events[2].revents & POLLIN)
            supervisor_hear_orders(sv);
    }
    if (orders)
        supervisor_go_on(sv);
    limit_output(sv);
}

/* ---- sessions ---- */

static int worse(int a, int b)
{
    static const int rank[] = {[0] = 0, [3] = 1, [2] = 2, [1] = 3};

    return rank[a] >= rank[b] ? a : b;
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
    supervisor_answer_start(sv, r, why);
    limit_output(sv);
    status = r == 0 ? session_watch(sv->session) : session_status_of(r);
    if (!output_flush("", !stays(sv))) /* what is left of it is not for the next one */
        status = 1;
    if (sv->setup && sv->setup->orders)
        supervisor_answer_all(sv, status);
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
