/* session_run.c - see session_run.h. */
#include "record/session_run.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/clock.h"
#include "record/service.h"
#include "record/session_inside.h"

#define TICK_NS       500000000ll
#define PLAIN_LINE_NS 60000000000ll /* not on a terminal: one line a minute */

/* A service manager takes it for the end of the process. */
static void say_stopping(struct session *session)
{
    if (session->own.service && !session->own.stays)
        service_stop(session->own.service);
}

void session_ask_to_stop(struct session *session, const char *cause)
{
    session->stopping = true;
    say_stopping(session);
    for (unsigned i = 0; i < session->count; i++) {
        atomic_store(&session->streams[i]->stop_cause_requested, cause);
        atomic_store_explicit(&session->streams[i]->stop_requested, true, memory_order_release);
    }
}

static bool all_over(const struct session *session)
{
    for (unsigned i = 0; i < session->count; i++)
        if (!atomic_load_explicit(&session->streams[i]->is_over, memory_order_acquire))
            return false;
    return true;
}

static void look_at_disk(struct session *session)
{
    const char *cause = disk_look(&session->disk, dao_clock_mono_ns());

    if (cause && !session->stopping)
        session_ask_to_stop(session, cause);
}

/* Kernel threads count against the limits of the user, or the service, that records. */
static void say_workers(struct session *session)
{
    if (session->workers_said || io_engine_refusals(session->engine) == 0)
        return;
    session->workers_said = true;
    log_warning("the kernel had no thread to spare for io_uring: what it refuses is written with "
                "pwrite; allow more with ulimit -u, LimitNPROC or TasksMax");
}

static void report_progress(struct session *session)
{
    bool terminal = isatty(STDERR_FILENO);
    int64_t now = dao_clock_mono_ns();
    struct session_state state;
    char line[512];

    if (session->own.quiet || (!terminal && now - session->last_line_ns < PLAIN_LINE_NS))
        return;
    session->last_line_ns = now;
    if (board_take(session->board, &state) < 0)
        return;
    live_format(&session->live, line, sizeof line, &state);
    state_free(&state);
    if (terminal)
        log_live(line);
    else
        log_info("%s", line);
}

static void tell_service(struct session *session, int64_t now)
{
    struct service *service = session->own.service;
    struct session_state state;
    char line[512] = "";

    if (!service)
        return;
    service->streams = session->streams;
    service->count = session->count;
    service->writer = &session->writer;
    if ((session->service_live.time_ns == 0 || service_is_due(service, now)) &&
        board_take(session->board, &state) == 0) {
        live_format(&session->service_live, line, sizeof line, &state);
        state_free(&state);
    }
    service_look(service, line, now);
}

void session_run(struct session *session)
{
    int64_t next_ns = dao_clock_mono_ns();

    session->last_line_ns = next_ns;
    while (!all_over(session)) {
        int64_t now = dao_clock_mono_ns();

        if (now >= next_ns) {
            say_workers(session);
            teller_look(&session->teller, now, false);
            look_at_disk(session);
            crew_look(&session->crew, now);
            hooks_look(session->hooks, now);
            board_note(session->board, now);
            report_progress(session);
            tell_service(session, now);
            next_ns = now + TICK_NS;
        }
        session->listener->listen(session->listener->ctx, session->over_fd,
                                  (int)((next_ns - now) / 1000000) + 1);
        if (eventfd_read(session->over_fd, &(eventfd_t){0}) == 0)
            crew_look(&session->crew, dao_clock_mono_ns());
    }
    say_stopping(session);
    say_workers(session);
    teller_look(&session->teller, dao_clock_mono_ns(), true);
    look_at_disk(session);
    log_live(NULL);
}
