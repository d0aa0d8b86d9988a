/* session.c - see session.h. What comes before the first frame is in start.c, the ledger in
 * books.c. */
#include "record/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/place.h"
#include "base/realtime.h"
#include "base/units.h"
#include "lib/clock.h"
#include "record/books.h"
#include "record/disk.h"
#include "record/drain.h"
#include "record/live.h"
#include "record/report.h"
#include "record/service.h"
#include "record/setup.h"
#include "record/start.h"
#include "record/tell.h"
#include "record/writer.h"

#define TICK_NS       500000000ll
#define PLAIN_LINE_NS 60000000000ll /* not on a terminal: one line a minute */
#define WAIT_SAID_NS  50000000ll

struct session {
    const struct session_config *config;
    char id[TREE_SESSION_BYTES];
    char uuid[40];
    char host[72];
    int dir_fd;
    struct record_stream **streams;
    unsigned count;
    struct io_engine *engine;
    struct keeper opener, closer;
    struct keeper_events events;
    struct report report;
    struct hooks hooks;
    struct writer writer;
    struct books books;
    pthread_mutex_t files_lock; /* free_files' producers */
    int signal_fd, over_fd;     /* over: an event, when the writer has ended */
    bool stopping;
    struct room room;
    struct disk disk;
    struct retention retention;
    unsigned drains_started;
    bool writer_started;
    struct board *board, own_board; /* own: where the configuration has none */
    struct live live;
    int64_t last_line_ns;
    struct teller teller;
    struct service service;
    struct live service_live;
};

/* ---- making and unmaking ---- */

static int make_identity(struct session *session)
{
    unsigned char b[16];

    if (getrandom(b, sizeof b, 0) != sizeof b)
        return -EIO;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(session->uuid, sizeof session->uuid,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    if (gethostname(session->host, 64) != 0)
        strcpy(session->host, "unknown");
    session->host[63] = '\0';
    return 0;
}

static struct record_stream *make_stream(const struct session_config *config, unsigned index)
{
    struct record_stream *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);

    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->path = config->paths[index];
    s->config = config->each ? config->each[index] : config->stream;
    s->segment.fd = -1;
    s->segment.guard_index = -1;
    s->fresh.fd = -1;
    s->fresh.guard_index = -1;
    s->dir_fd = -1;
    s->stop_cause = "STOP";
    atomic_store(&s->file_bytes_most, UINT64_MAX);
    atomic_store(&s->stop_cause_requested, "STOP");
    account_init(&s->account);
    return s;
}

static int create(struct session *session, const struct session_config *config)
{
    int r;

    *session = (struct session){.config = config, .dir_fd = -1, .signal_fd = -1, .over_fd = -1};
    session->room.limits = config->room;
    service_open(&session->service);
    if (config->lock_memory)
        realtime_lock_memory();
    room_read_limits(&session->room.limits);
    board_init(&session->own_board);
    session->board = config->board ? config->board : &session->own_board;
    pthread_mutex_init(&session->files_lock, NULL);
    r = start_check_descriptors(config->path_count);
    if (r < 0)
        return r;
    session->streams = calloc(config->path_count, sizeof(struct record_stream *));
    if (!session->streams)
        return -ENOMEM;
    while (session->count < config->path_count) {
        struct record_stream *s = make_stream(config, session->count);

        if (!s)
            return -ENOMEM;
        s->room = &session->room;
        session->streams[session->count++] = s;
    }
    r = books_init(&session->books, session->streams, session->count);
    if (r == 0)
        r = teller_init(&session->teller, session->streams, session->count, config->quiet);
    if (r < 0)
        return r;
    session->signal_fd = await_signals(true);
    if (session->signal_fd < 0)
        return session->signal_fd;
    session->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return session->over_fd < 0 ? -errno : make_identity(session);
}

static void destroy(struct session *session)
{
    board_clear(session->board);
    board_fini(&session->own_board);
    service_close(&session->service);
    retention_fini(&session->retention);
    books_fini(&session->books);
    for (unsigned i = 0; i < session->count; i++) {
        stream_close(session->streams[i]);
        account_fini(&session->streams[i]->account);
        free(session->streams[i]);
    }
    io_engine_destroy(session->engine);
    free(session->streams);
    teller_fini(&session->teller);
    if (session->signal_fd >= 0)
        close(session->signal_fd);
    if (session->over_fd >= 0)
        close(session->over_fd);
    if (session->dir_fd >= 0)
        close(session->dir_fd);
    pthread_mutex_destroy(&session->files_lock);
}

/* ---- signals ---- */

/* Did a signal ask for the end? SIGUSR1 is passed on to the streams. */
static bool read_signals(struct session *session)
{
    struct signalfd_siginfo info;
    bool stop = false;

    while (read(session->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGUSR1) {
            stop = true;
            continue;
        }
        for (unsigned i = 0; i < session->count; i++)
            atomic_store(&session->streams[i]->roll_requested, true);
    }
    return stop;
}

static bool is_end_wanted(void *ctx, int wait_ms)
{
    struct session *session = ctx;
    struct pollfd events[] = {{.fd = session->signal_fd, .events = POLLIN},
                              {.fd = session->over_fd, .events = POLLIN}};

    if (!session->writer_started)
        service_wait(&session->service, dao_clock_mono_ns());
    return poll(events, 2, wait_ms) > 0 && (events[0].revents & POLLIN) && read_signals(session);
}

static void ask_to_stop(struct session *session, const char *cause)
{
    session->stopping = true;
    service_stop(&session->service);
    for (unsigned i = 0; i < session->count; i++) {
        atomic_store(&session->streams[i]->stop_cause_requested, cause);
        atomic_store_explicit(&session->streams[i]->stop_requested, true, memory_order_release);
    }
}

/* Asked a second time: what is in memory is still written, what is in the FIFOs is given up. */
static void hurry(struct session *session)
{
    for (unsigned i = 0; i < session->count; i++)
        atomic_store(&session->streams[i]->hurry, true);
}

/* ---- start ---- */

static void say_waiting(const char *taken, int64_t ns)
{
    if (ns > WAIT_SAID_NS)
        log_info("session %s is there already: waiting %d ms for the next second", taken,
                 (int)(ns / 1000000));
}

static int make_folders(struct session *session)
{
    struct dao_text text = {""};

    session->dir_fd = tree_create_session(session->config->root, session->id, say_waiting, &text);
    if (session->dir_fd < 0) {
        log_error("%s", text.s);
        return session->dir_fd;
    }
    tree_remove_leftovers(session->config->root);
    room_look(&session->room, session->dir_fd);
    start_offer_repair(session->config->root);
    session->books.session = session->id;
    session->books.uuid = session->uuid;
    session->books.host = session->host;
    session->books.root = session->config->root;
    books_place(&session->books, session->dir_fd);
    if (retention_is_wanted(&session->config->retention))
        session->retention = (struct retention){.limits = session->config->retention,
                                                .root = session->config->root,
                                                .session = session->id,
                                                .books = &session->books,
                                                .streams = session->streams,
                                                .count = session->count,
                                                .root_fd = -1};
    session->disk = (struct disk){.room = &session->room,
                                  .books = &session->books,
                                  .keeper = &session->closer,
                                  .opener = &session->opener,
                                  .retention = session->retention.root ? &session->retention : NULL,
                                  .streams = session->streams,
                                  .count = session->count,
                                  .root = session->config->root,
                                  .session = session->id,
                                  .dir_fd = session->dir_fd};
    return start_make_folders(session->streams, session->count, session->dir_fd);
}

/* The files that are to lie beside the frames. */
static int copy_files(struct session *session)
{
    const struct session_config *config = session->config;
    struct dao_text text = {""};
    int r = copies_make(&session->books.copies, session->dir_fd, config->files, config->file_count,
                        &text);

    if (r < 0)
        log_error("%s", *text.s ? text.s : strerror(-r));
    return r;
}

/* Recording could not begin: leave no empty folders. */
static void remove_folders(struct session *session)
{
    char path[4096 + TREE_SESSION_BYTES];

    if (session->dir_fd < 0)
        return;
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];

        if (s->next) /* prepared, perhaps under a temporary name */
            recording_file_discard(&s->next->file);
        if (s->dir_fd >= 0)
            unlinkat(session->dir_fd, s->name, AT_REMOVEDIR);
    }
    if (session->books.copies.count > 0)
        copies_remove(session->dir_fd);
    snprintf(path, sizeof path, "%.4095s/%s", session->config->root, session->id);
    rmdir(path);
}

static void say_how(const struct session *session)
{
    const struct record_stream *s = session->streams[0];
    const char *direct = s->next->file.sink.direct ? "O_DIRECT" : "buffered (no O_DIRECT here)";

    log_info("session %s/%s: %u stream%s, writing with %s, %s, %s encoder", session->config->root,
             session->id, session->count, units_plural(session->count),
             io_engine_kind(session->engine) == IO_ENGINE_URING ? "io_uring" : "pwrite",
             s->config.want_direct ? direct : "buffered", s->encoder.name);
}

static int start_drains(struct session *session)
{
    int r = 0;

    /* Attach to all of them first, at one moment as nearly as can be. */
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];

        if (dao_reader_init(&s->reader, &s->segment, DAO_LAP_OLDEST, s->config.backlog) < 0) {
            log_error("%s: the segment vanished while recording was being set up", s->path);
            return -ESTALE;
        }
        account_begin_run(&s->account, (int64_t)s->reader.cnt0 + 1);
        account_publish(&s->account);
    }
    board_show_running(session->board, &session->books, &session->room);
    for (unsigned i = 0; i < session->count && r == 0; i++) {
        struct record_stream *s = session->streams[i];

        r = -pthread_create(&s->thread, NULL, stream_drain, s);
        if (r == 0) {
            session->drains_started++;
            place_thread_on(s->thread, &s->config.cpus, s->config.priority);
        }
    }
    return r;
}

static void place_sinks(const struct session *session)
{
    const cpu_set_t *cpus = &session->config->sink_cpus;

    place_thread_on(session->opener.thread, cpus, 0);
    place_thread_on(session->closer.thread, cpus, 0);
    place_thread_on(session->writer.thread, cpus, 0);
}

static int start_threads(struct session *session)
{
    int r, w;

    r = hooks_start(&session->hooks, &session->config->hooks, &session->books, &session->room);
    session->report = (struct report){.books = &session->books,
                                      .disk = &session->disk,
                                      .hooks = &session->hooks,
                                      .session = session->id,
                                      .dir_fd = session->dir_fd,
                                      .quiet = session->config->quiet};
    session->events = report_events(&session->report);
    if (r == 0)
        r = keeper_start(&session->opener, session->count, &session->events, &session->files_lock);
    if (r == 0)
        r = keeper_start(&session->closer, session->count, &session->events, &session->files_lock);
    if (r == 0)
        r = start_drains(session);
    if (session->drains_started > 0) {
        session->writer = (struct writer){
            .streams = session->streams,
            .stream_count = session->drains_started,
            .engine = session->engine,
            .opener = &session->opener,
            .closer = &session->closer,
            .over_fd = session->over_fd,
        };
        w = -pthread_create(&session->writer.thread, NULL, writer_run, &session->writer);
        session->writer_started = w == 0;
        if (w == 0)
            place_sinks(session);
        session->service.streams = session->streams;
        session->service.count = session->drains_started;
        session->service.writer = &session->writer;
        r = r ? r : w;
    }
    if (r < 0 && r != -ESTALE)
        log_error("cannot start a thread: %s", strerror(-r));
    return r;
}

/* ---- while it runs ---- */

static bool all_over(const struct session *session)
{
    for (unsigned i = 0; i < session->drains_started; i++)
        if (!atomic_load_explicit(&session->streams[i]->is_over, memory_order_acquire))
            return false;
    return true;
}

static void look_at_disk(struct session *session)
{
    const char *cause = disk_look(&session->disk, dao_clock_mono_ns());

    if (cause && !session->stopping)
        ask_to_stop(session, cause);
}

static void report_progress(struct session *session)
{
    bool terminal = isatty(STDERR_FILENO);
    int64_t now = dao_clock_mono_ns();
    struct session_state state;
    char line[512];

    if (session->config->quiet || (!terminal && now - session->last_line_ns < PLAIN_LINE_NS))
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
    struct session_state state;
    char line[512] = "";

    if ((session->service_live.time_ns == 0 || service_is_due(&session->service, now)) &&
        board_take(session->board, &state) == 0) {
        live_format(&session->service_live, line, sizeof line, &state);
        state_free(&state);
    }
    service_look(&session->service, line, now);
}

static void watch(struct session *session)
{
    int64_t next_ns = dao_clock_mono_ns();

    session->last_line_ns = next_ns;
    while (!all_over(session)) {
        int64_t now = dao_clock_mono_ns();

        if (now >= next_ns) {
            teller_look(&session->teller, now, false);
            look_at_disk(session);
            hooks_look(&session->hooks, now);
            board_note(session->board, now);
            report_progress(session);
            tell_service(session, now);
            next_ns = now + TICK_NS;
        }
        if (!is_end_wanted(session, (int)((next_ns - now) / 1000000) + 1))
            continue;
        if (session->stopping)
            hurry(session);
        else
            ask_to_stop(session, "SIGNAL");
    }
    service_stop(&session->service);
    teller_look(&session->teller, dao_clock_mono_ns(), true);
    look_at_disk(session);
    log_live(NULL);
}

static void stop_threads(struct session *session)
{
    if (session->writer_started)
        pthread_join(session->writer.thread, NULL);
    for (unsigned i = 0; i < session->drains_started; i++)
        pthread_join(session->streams[i]->thread, NULL);
    keeper_stop(&session->opener);
    keeper_stop(&session->closer);
}

/* ---- end ---- */

static bool check_balance(const struct ledger *ledger)
{
    bool balanced = true;

    for (size_t i = 0; i < ledger->stream_count; i++) {
        const struct ledger_counts *counts = &ledger->streams[i].counts;

        if (ledger_balances(counts))
            continue;
        balanced = false;
        log_error("stream %s: the ledger does not balance: %llu expected, %llu recorded, %llu "
                  "lost; this is a defect of daorec, please report it",
                  ledger->streams[i].name, (unsigned long long)ledger_expected(counts),
                  (unsigned long long)counts->recorded, (unsigned long long)ledger_lost(counts));
    }
    return balanced;
}

static bool print_summary(const struct session *session, const struct ledger *ledger)
{
    if (session->config->json) {
        char *json = ledger_to_json(ledger, true);

        printf("%s\n", json ? json : "{}");
        free(json);
    } else {
        live_print_summary(stdout, ledger);
    }
    return fflush(stdout) == 0;
}

static int conclude(struct session *session)
{
    struct ledger ledger;
    bool lost = false, balanced, printed;

    session->books.end_ns = dao_clock_real_ns();
    books_end(&session->books);
    if (books_view(&session->books, &ledger) < 0)
        return 1;
    for (size_t i = 0; i < ledger.stream_count; i++)
        lost = lost || ledger_lost(&ledger.streams[i].counts) > 0;
    balanced = check_balance(&ledger);
    printed = print_summary(session, &ledger);
    free(ledger.streams);
    if (!balanced || !printed || !session->books.is_written)
        return 1;
    return lost ? 3 : session->books.failed || session->teller.any_unfit;
}

int session_run(const struct session_config *config)
{
    struct session session;
    const struct await await = {.who = "",
                                .wait_ns = config->wait_ns,
                                .quiet = config->quiet,
                                .is_end_wanted = is_end_wanted,
                                .ctx = &session};
    int r = create(&session, config), status;

    if (r == 0) {
        board_show_waiting(session.board, session.streams, session.count, config->root);
        r = start_open_segments(session.streams, session.count, &await);
    }
    if (r == 0)
        r = start_allocate(session.streams, session.count, config->buffer_bytes, session.host,
                           session.uuid);
    if (r == 0)
        r = start_engine(session.streams, session.count, config->engine, &session.engine);
    if (r == 0)
        r = make_folders(&session);
    if (r == 0)
        r = copy_files(&session);
    if (r == 0)
        r = start_retention(&session.retention, session.streams, session.count);
    if (r == 0)
        r = start_first_files(session.streams, session.count);
    if (r == 0) {
        if (!config->quiet)
            say_how(&session);
        session.books.start_ns = dao_clock_real_ns();
        r = start_threads(&session);
        if (r < 0)
            ask_to_stop(&session, "ERROR");
        if (session.writer_started)
            watch(&session);
        stop_threads(&session);
        hooks_look(&session.hooks, dao_clock_mono_ns());
        status = conclude(&session);
        hooks_stop(&session.hooks);
        status = r < 0 ? 1 : status;
    } else {
        remove_folders(&session);
        /* 2: two streams of one name, limits too narrow; 0: asked to end before there was anything
         * to record */
        status = r == -EEXIST || r == -ERANGE ? 2 : r == -EINTR ? 0 : 1;
    }
    destroy(&session);
    return status;
}
