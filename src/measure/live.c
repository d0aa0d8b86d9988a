/* live.c - see live.h. */
#include "measure/live.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/await.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/output.h"
#include "base/units.h"
#include "lib/clock.h"
#include "measure/screen.h"

#define TICK_NS       500000000ll
#define PLAIN_LINE_NS 60000000000ll /* not on a terminal: one line a minute */
#define SAY_AGAIN_NS  10000000000ll /* the same is not said more often */
#define LATELY_NS     700000000ll   /* a rate over less says little; views are up to 0.3 s old */
#define SILENT_NS     1000000000ll
#define SCREEN_BYTES  32768

/* As the program's exit status is defined everywhere (cli/cli.h). */
enum { STATUS_DONE, STATUS_FAILED, STATUS_FRAMES_LOST = 3 };

/* What was seen of a stream until then. */
struct mark {
    int64_t time_ns; /* monotonic */
    uint64_t seen;
};

/* What was said of a stream. */
struct told {
    struct mark line, line_before; /* lines of JSON, at least LATELY_NS apart */
    enum watch_condition condition;
    uint64_t events[WATCH_EVENTS];
    int64_t said_ns[WATCH_EVENTS], gone_ns; /* monotonic, 0: never */
};

struct live {
    const struct live_config *config;
    unsigned count, started;
    struct watch **watches;
    struct screen_stream *streams;
    struct told *told;
    int signal_fd, over_fd;
    bool stopping, is_unheard; /* is_unheard: what it told could not be written */
    int64_t begin_ns;
    char screen[SCREEN_BYTES];
};

/* ---- making and unmaking ---- */

static int create(struct live *live)
{
    const struct live_config *config = live->config;

    live->signal_fd = -1;
    live->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (live->over_fd < 0)
        return -errno;
    live->watches = calloc(config->path_count, sizeof(struct watch *));
    live->streams = calloc(config->path_count, sizeof *live->streams);
    live->told = calloc(config->path_count, sizeof *live->told);
    if (!live->watches || !live->streams || !live->told)
        return -ENOMEM;
    for (unsigned i = 0; i < config->path_count; i++) {
        live->watches[i] = watch_create(config->paths[i], &config->watch, live->over_fd);
        if (!live->watches[i])
            return -ENOMEM;
        live->streams[i].name = live->watches[i]->name;
        live->streams[i].each_frame = config->watch.each_frame;
        live->count++;
    }
    live->signal_fd = await_signals(false);
    return live->signal_fd < 0 ? live->signal_fd : 0;
}

static void destroy(struct live *live)
{
    for (unsigned i = 0; i < live->count; i++)
        watch_destroy(live->watches[i]);
    free(live->watches);
    free(live->streams);
    free(live->told);
    if (live->signal_fd >= 0)
        close(live->signal_fd);
    if (live->over_fd >= 0)
        close(live->over_fd);
}

/* ---- the beginning ---- */

/* Wait so long; did a signal ask for the end? */
static bool is_end_wanted(void *ctx, int wait_ms)
{
    struct live *live = ctx;
    struct pollfd fds[] = {{.fd = live->signal_fd, .events = POLLIN},
                           {.fd = live->over_fd, .events = POLLIN}};
    struct signalfd_siginfo info;
    uint64_t over;
    bool wanted = false;

    poll(fds, 2, wait_ms);
    while (read(live->over_fd, &over, sizeof over) > 0)
        ; /* who has ended is looked at anyway */
    while (read(live->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        wanted = true;
    return wanted;
}

static int open_segments(struct live *live)
{
    const struct await await = {.who = "drops: ",
                                .wait_ns = live->config->wait_ns,
                                .quiet = live->config->quiet,
                                .is_end_wanted = is_end_wanted,
                                .ctx = live};
    struct await_segment *segments = calloc(live->count, sizeof *segments);
    int r;

    if (!segments)
        return -ENOMEM;
    for (unsigned i = 0; i < live->count; i++)
        segments[i] = (struct await_segment){&live->watches[i]->segment, live->watches[i]->path};
    r = await_segments(&await, segments, live->count);
    free(segments);
    return r;
}

static int start(struct live *live)
{
    int r;

    live->begin_ns = dao_clock_mono_ns();
    for (unsigned i = 0; i < live->count; i++) {
        if (watch_attach(live->watches[i]) < 0) {
            log_error("drops: %s vanished at the start; try again", live->watches[i]->path);
            return -ESTALE;
        }
    }
    for (unsigned i = 0; i < live->count; i++) {
        r = -pthread_create(&live->watches[i]->thread, NULL, watch_run, live->watches[i]);
        if (r < 0) {
            log_error("drops: cannot start a thread: %s", strerror(-r));
            return r;
        }
        live->started++;
    }
    return 0;
}

/* ---- what is told of the sources ---- */

static void say_event(const struct screen_stream *s, const char *path, enum watch_event event,
                      uint64_t times)
{
    char shape[96], often[64] = "";

    if (times > 1)
        snprintf(often, sizeof often, " (%" PRIu64 " times since this was said last)", times);
    switch (event) {
    case WATCH_BACK:
        log_info("%s is back%s", path, often);
        break;
    case WATCH_RESHAPED:
        log_info("%s is back in another shape (%s)%s", path,
                 report_format_shape(shape, sizeof shape, &s->view.geometry), often);
        break;
    case WATCH_RESTART:
        log_info("%s: its source began to count anew%s", path, often);
        break;
    }
}

/* Each thing is said once, and a source that does the same again and again fills no screen. */
static void tell(struct live *live, unsigned i, int64_t now_ns, bool is_last)
{
    const struct screen_stream *s = &live->streams[i];
    struct told *told = &live->told[i];
    const char *path = live->watches[i]->path;

    if (s->view.condition == WATCH_GONE && told->condition != WATCH_GONE &&
        (!told->gone_ns || now_ns - told->gone_ns >= SAY_AGAIN_NS || is_last)) {
        log_warning("%s was removed, replaced or truncated: waiting for it to come back", path);
        told->gone_ns = now_ns;
        told->condition = WATCH_GONE;
    }
    if (s->view.condition == WATCH_RUNNING)
        told->condition = WATCH_RUNNING;
    for (int e = 0; e < WATCH_EVENTS; e++) {
        uint64_t times = s->view.events[e] - told->events[e];

        if (times == 0 ||
            (told->said_ns[e] && now_ns - told->said_ns[e] < SAY_AGAIN_NS && !is_last))
            continue;
        if (!live->config->quiet)
            say_event(s, path, (enum watch_event)e, times);
        told->events[e] += times;
        told->said_ns[e] = now_ns;
    }
}

static void read_views(struct live *live, int64_t now_ns, bool is_last)
{
    for (unsigned i = 0; i < live->count; i++) {
        watch_read(live->watches[i], &live->streams[i].view);
        screen_note(&live->streams[i]);
        tell(live, i, now_ns, is_last);
    }
}

/* ---- JSON ---- */

/* Over the time since the line before; where lines come quickly, since one a second or two ago. */
static double rate_lately(const struct told *told, const struct watch_view *view)
{
    bool is_far = view->time_ns - told->line.time_ns >= LATELY_NS;
    const struct mark *since = is_far ? &told->line : &told->line_before;
    int64_t begin_ns = since->time_ns ? since->time_ns : view->begin_ns;

    return view->time_ns > begin_ns
               ? (double)(view->tally.seen - since->seen) * 1e9 / (double)(view->time_ns - begin_ns)
               : 0.0;
}

static void note_line(struct told *told, const struct watch_view *view)
{
    if (view->time_ns - told->line.time_ns < LATELY_NS)
        return;
    told->line_before = told->line;
    told->line = (struct mark){view->time_ns, view->tally.seen};
}

static const char *condition_name(const struct watch_view *view)
{
    return view->condition == WATCH_GONE                 ? "gone"
           : view->time_ns - view->frame_ns >= SILENT_NS ? "silent"
                                                         : "running";
}

static json_t *stream_json(const struct live *live, unsigned i, const struct report_options *how)
{
    const struct screen_stream *s = &live->streams[i];
    const struct watch_view *view = &s->view;
    uint32_t usual, most;
    json_t *object = json_object();

    json_object_set_new(object, "name", json_text_value(s->name));
    json_object_set_new(object, "segment", json_text_value(live->watches[i]->path));
    report_add_shape(object, &view->geometry);
    json_object_set_new(object, "condition", json_string(condition_name(view)));
    json_object_set_new(object, "seconds",
                        json_real((double)(view->time_ns - view->begin_ns) / 1e9));
    report_add_tally(object, &view->tally, how);
    json_object_set_new(object, "rate_now_hz", json_real(rate_lately(&live->told[i], view)));
    json_object_set_new(object, "latency_of", json_string(s->each_frame ? "frame" : "look"));
    json_object_set_new(object, "backlog", report_integer(view->backlog));
    json_object_set_new(object, "backlog_max", report_integer(view->backlog_max));
    json_object_set_new(object, "delay_ns", report_histogram(&view->delay, how->histogram));
    screen_depth_needed(view, s->each_frame, &usual, &most);
    json_object_set_new(
        object, "depth_needed",
        json_pack("{s:I, s:I}", "p99_9", (json_int_t)usual, "max", (json_int_t)most));
    json_object_set_new(object, "is_too_shallow", json_boolean(view->depth < most));
    return object;
}

static void print_json(struct live *live, bool is_last)
{
    struct report_options how = live->config->report;
    json_t *root = json_object(), *list = json_array();

    if (!is_last) {
        how.has_no_gaps = true;
        how.histogram = false;
    }
    json_object_set_new(root, "final", json_boolean(is_last));
    json_object_set_new(root, "time", report_utc(dao_clock_real_ns()));
    json_object_set_new(root, "seconds",
                        json_real((double)(dao_clock_mono_ns() - live->begin_ns) / 1e9));
    for (unsigned i = 0; i < live->count; i++) {
        json_array_append_new(list, stream_json(live, i, &how));
        note_line(&live->told[i], &live->streams[i].view);
    }
    json_object_set_new(root, "quantile_error", json_real(REPORT_QUANTILE_ERROR));
    json_object_set_new(root, "streams", list);
    json_dumpf(root, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    printf("\n");
    live->is_unheard = live->is_unheard || !output_flush("drops: ", is_last);
    json_decref(root);
}

/* ---- text ---- */

static void print_stream(const struct live *live, unsigned i)
{
    const struct screen_stream *s = &live->streams[i];
    const struct watch_view *view = &s->view;
    char text[200];

    printf("%s: %s\n", s->name, live->watches[i]->path);
    printf("  segment     %s", report_format_shape(text, sizeof text, &view->geometry));
    printf("; watched for %s\n",
           units_format_duration(text, sizeof text, view->time_ns - view->begin_ns));
    report_print_counts(stdout, &view->tally);
    report_print_table_head(stdout);
    report_print_spread(stdout, "interval", &view->tally.interval);
    report_print_histogram(stdout, s->each_frame ? "latency" : "age", &view->tally.latency);
    if (!s->each_frame)
        report_print_histogram(stdout, "late looks", &view->delay);
    if (view->backlog_max <= view->depth)
        printf("  FIFO        at most %" PRIu64 " of %" PRIu32 " frames waiting\n",
               view->backlog_max, view->depth);
    else
        printf("  FIFO        up to %" PRIu64 " frames published between two looks; %" PRIu32
               " can wait\n",
               view->backlog_max, view->depth);
    screen_format_depth(text, sizeof text, view, s->each_frame);
    if (text[0])
        printf("  FIFO        %s\n", text);
    report_print_gaps(stdout, &view->tally, live->config->report.gaps);
    if (!live->config->report.histogram)
        return;
    report_print_spread_bars(stdout, "interval", &view->tally.interval);
    report_print_bars(stdout, s->each_frame ? "latency" : "age", &view->tally.latency);
}

/* ---- while it runs ---- */

static bool all_over(const struct live *live)
{
    for (unsigned i = 0; i < live->started; i++)
        /* acquire: pairs with the release in watch_run() */
        if (!atomic_load_explicit(&live->watches[i]->is_over, memory_order_acquire))
            return false;
    return true;
}

static void ask_to_stop(struct live *live)
{
    for (unsigned i = 0; i < live->started; i++) {
        if (live->stopping)
            atomic_store(&live->watches[i]->hurry, true);
        atomic_store_explicit(&live->watches[i]->stop_requested, true, memory_order_release);
    }
    live->stopping = true;
}

static void show_screen(struct live *live, int64_t now_ns)
{
    unsigned rows, columns;

    log_live_size(&rows, &columns);
    screen_format(live->screen, sizeof live->screen, live->streams, live->count,
                  now_ns - live->begin_ns, rows);
    log_live(live->screen);
    live->is_unheard = live->is_unheard || log_has_failed();
}

static void show_line(struct live *live)
{
    if (live->config->report.json) {
        print_json(live, false);
    } else if (!live->config->quiet) {
        screen_format_line(live->screen, sizeof live->screen, live->streams, live->count);
        log_info("%s", live->screen);
        live->is_unheard = log_has_failed();
    }
}

static void watch_all(struct live *live)
{
    const struct live_config *config = live->config;
    bool on_screen =
        log_live_is_shown() && !config->quiet && (!config->every_ns || config->report.json);
    bool with_lines = config->every_ns || (!on_screen && !config->quiet && !config->report.json);
    int64_t every_ns = config->every_ns ? config->every_ns : PLAIN_LINE_NS;
    int64_t next_tick_ns = live->begin_ns, next_line_ns = live->begin_ns + every_ns;

    while (!all_over(live)) {
        int64_t now_ns = dao_clock_mono_ns();
        bool is_line_due = with_lines && now_ns >= next_line_ns;
        int64_t next_ns;

        if (now_ns >= next_tick_ns || is_line_due)
            read_views(live, now_ns, false);
        if (is_line_due)
            show_line(live);
        if (now_ns >= next_tick_ns && on_screen)
            show_screen(live, now_ns);
        while (now_ns >= next_tick_ns)
            next_tick_ns += TICK_NS;
        while (now_ns >= next_line_ns)
            next_line_ns += every_ns;
        next_ns = with_lines && next_line_ns < next_tick_ns ? next_line_ns : next_tick_ns;
        if (live->is_unheard) { /* nobody is there to measure for; who joins waits for the rest */
            ask_to_stop(live);
            return;
        }
        if (is_end_wanted(live, (int)((next_ns - now_ns) / 1000000) + 1))
            ask_to_stop(live);
    }
}

/* ---- the end ---- */

static int conclude(struct live *live)
{
    bool is_lost = false, is_odd = false;

    read_views(live, dao_clock_mono_ns(), true);
    log_live(NULL);
    for (unsigned i = 0; i < live->count; i++) {
        const struct tally *t = &live->streams[i].view.tally;

        is_lost = is_lost || tally_lost(t) > 0;
        if (tally_expected(t) == t->seen + tally_lost(t))
            continue;
        is_odd = true;
        log_error("%s: %" PRIu64 " expected, %" PRIu64 " seen, %" PRIu64 " lost; this is a defect "
                  "of daorec, please report it",
                  live->streams[i].name, tally_expected(t), t->seen, tally_lost(t));
    }
    if (live->is_unheard && live->config->report.json)
        return STATUS_FAILED;
    if (live->config->report.json)
        print_json(live, true);
    for (unsigned i = 0; i < live->count && !live->config->report.json; i++)
        print_stream(live, i);
    live->is_unheard = live->is_unheard || !output_flush("drops: ", true);
    return is_odd || live->is_unheard ? STATUS_FAILED : is_lost ? STATUS_FRAMES_LOST : STATUS_DONE;
}

int live_run(const struct live_config *config)
{
    static struct live live; /* large */
    int r, status = STATUS_FAILED;

    live.config = config;
    r = create(&live);
    if (r < 0)
        log_error("drops: %s", strerror(-r));
    if (r == 0)
        r = open_segments(&live);
    if (r == 0) {
        r = start(&live);
        if (r < 0)
            ask_to_stop(&live);
        watch_all(&live);
        for (unsigned i = 0; i < live.started; i++)
            pthread_join(live.watches[i]->thread, NULL);
        if (r == 0)
            status = conclude(&live);
    }
    destroy(&live);
    return r == -EINTR ? STATUS_DONE : status;
}
