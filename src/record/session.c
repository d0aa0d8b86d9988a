/* session.c - see session.h. What comes before the first frame is in start.c, what is looked at
 * while it records in session_run.c, the summary in session_end.c, the ledger in books.c. */
#include "record/session_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "base/place.h"
#include "base/realtime.h"
#include "base/units.h"
#include "lib/clock.h"
#include "record/session_end.h"
#include "record/session_run.h"
#include "record/setup.h"
#include "record/start.h"

#define WAIT_SAID_NS 50000000ll

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
    s->config = config->each[index];
    s->segment.fd = -1;
    s->segment.guard_index = -1;
    s->fresh.fd = -1;
    s->fresh.guard_index = -1;
    s->dir_fd = -1;
    s->stop_cause = "STOP";
    atomic_store(&s->file_bytes_most, UINT64_MAX);
    atomic_store(&s->stop_cause_requested, "STOP");
    account_init(&s->account);
    pthread_mutex_init(&s->wish_lock, NULL);
    return s;
}

struct session *session_create(const struct session_config *config,
                               const struct session_listener *listener)
{
    struct session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->own = *config;
    session->listener = listener;
    session->dir_fd = session->over_fd = -1;
    session->room.limits = config->room;
    room_read_limits(&session->room.limits);
    board_init(&session->own_board);
    session->board = config->board ? config->board : &session->own_board;
    pthread_mutex_init(&session->files_lock, NULL);
    return session;
}

static int make(struct session *session)
{
    const struct session_config *config = &session->own;
    int r = start_check_descriptors(config->path_count, config->descriptors);

    if (r < 0)
        return r;
    if (config->lock_memory)
        realtime_lock_memory();
    else
        realtime_unlock_memory(); /* an earlier one may have wanted it */
    session->room.streams = config->path_count;
    session->streams = calloc(config->path_count, sizeof(struct record_stream *));
    if (!session->streams)
        return -ENOMEM;
    session->taken = calloc(config->path_count, sizeof *session->taken);
    if (!session->taken)
        return -ENOMEM;
    for (unsigned i = 0; i < config->path_count; i++) {
        session->taken[i] = config->each ? config->each[i] : config->stream;
        retention_fit_files(&config->retention, config->path_count, &session->taken[i].rolling);
    }
    session->own.each = session->taken;
    session->settings = calloc(config->settings.count + 1, sizeof *session->settings);
    if (!session->settings)
        return -ENOMEM;
    for (size_t i = 0; i < config->settings.count; i++)
        session->settings[i] = config->settings.items[i];
    session->own.settings.items = session->settings;
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
    session->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return session->over_fd < 0 ? -errno : make_identity(session);
}

void session_destroy(struct session *session)
{
    if (!session)
        return;
    hooks_stop(session->hooks);
    board_clear(session->board);
    board_fini(&session->own_board);
    retention_fini(&session->retention);
    books_fini(&session->books);
    for (unsigned i = 0; i < session->count; i++) {
        stream_close(session->streams[i]);
        account_fini(&session->streams[i]->account);
        pthread_mutex_destroy(&session->streams[i]->wish_lock);
        free(session->streams[i]);
    }
    io_engine_destroy(session->engine);
    free(session->streams);
    teller_fini(&session->teller);
    if (session->over_fd >= 0)
        close(session->over_fd);
    if (session->dir_fd >= 0)
        close(session->dir_fd);
    pthread_mutex_destroy(&session->files_lock);
    free(session->taken);
    free(session->settings);
    free(session->summary);
    free(session);
}

/* ---- what is asked ---- */

/* For whoever waits before there is anything to record. */
static bool is_end_wanted(void *ctx, int wait_ms)
{
    struct session *session = ctx;

    session->listener->listen(session->listener->ctx, -1, wait_ms);
    return session->stopping;
}

void session_stop(struct session *session, const char *cause)
{
    if (!session->stopping) {
        session_ask_to_stop(session, cause);
        return;
    }
    /* What is in memory is still written, what is in the FIFOs is given up. */
    for (unsigned i = 0; i < session->count; i++)
        atomic_store(&session->streams[i]->hurry, true);
}

bool session_is_stopping(const struct session *session)
{
    return session->stopping;
}

struct hooks *session_take_hooks(struct session *session)
{
    struct hooks *hooks = session ? session->hooks : NULL;

    if (session)
        session->hooks = NULL;
    return hooks;
}

const char *session_name(const struct session *session)
{
    return session->id;
}

const char *session_summary(const struct session *session)
{
    return session->summary;
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

    session->dir_fd = tree_create_session(session->own.root, session->id, say_waiting, &text);
    if (session->dir_fd < 0) {
        log_error("%s", text.s);
        return session->dir_fd;
    }
    tree_remove_leftovers(session->own.root);
    room_look(&session->room, session->dir_fd);
    start_offer_repair(session->own.root);
    session->books.session = session->id;
    session->books.uuid = session->uuid;
    session->books.host = session->host;
    session->books.root = session->own.root;
    books_place(&session->books, session->dir_fd);
    if (retention_is_wanted(&session->own.retention))
        session->retention = (struct retention){.limits = session->own.retention,
                                                .root = session->own.root,
                                                .session = session->id,
                                                .books = &session->books,
                                                .room = &session->room,
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
                                  .root = session->own.root,
                                  .session = session->id,
                                  .dir_fd = session->dir_fd};
    return start_make_folders(session->streams, session->count, session->dir_fd);
}

/* Before segments are waited for: it would not begin once they are there. */
static int look_at_files(const struct session *session)
{
    struct dao_text text = {""};
    int r = copies_look(session->own.files, session->own.file_count, &text);

    if (r < 0)
        log_error("%s; nothing is recorded without it", text.s);
    return r;
}

/* The files that are to lie beside the frames. */
static int copy_files(struct session *session)
{
    const struct session_config *config = &session->own;
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
    snprintf(path, sizeof path, "%.4095s/%s", session->own.root, session->id);
    rmdir(path);
}

static void say_how(const struct session *session)
{
    const struct record_stream *s = session->streams[0];
    const char *direct;

    for (unsigned i = 0; !s->next; i++) /* one at least is there */
        s = session->streams[i];
    direct = s->next->file.sink.direct ? "O_DIRECT" : "buffered (no O_DIRECT here)";
    log_info("session %s/%s: %u stream%s, writing with %s, %s, %s encoder", session->own.root,
             session->id, session->count, units_plural(session->count),
             io_engine_kind(session->engine) == IO_ENGINE_URING ? "io_uring" : "pwrite",
             s->config.want_direct ? direct : "buffered", s->encoder.name);
}

/* They have names for whoever looks at the threads of this process. */
static void place_sinks(const struct session *session)
{
    const struct {
        const char *name;
        pthread_t thread;
    } sinks[] = {{"opener", session->opener.thread},
                 {"closer", session->closer.thread},
                 {"writer", session->writer.thread}};

    for (size_t i = 0; i < sizeof sinks / sizeof sinks[0]; i++) {
        pthread_setname_np(sinks[i].thread, sinks[i].name);
        place_thread_on(sinks[i].thread, &session->own.sink_cpus, 0);
    }
}

static int start_writer(struct session *session)
{
    int r;

    session->writer = (struct writer){
        .streams = session->streams,
        .stream_count = session->count,
        .engine = session->engine,
        .opener = &session->opener,
        .closer = &session->closer,
        .over_fd = session->over_fd,
    };
    r = -pthread_create(&session->writer.thread, NULL, writer_run, &session->writer);
    session->writer_started = r == 0;
    return r;
}

/* All of them, before the first frame is taken: none is in memory without somebody who writes it.
 * The writer is the last, since it ends with its streams. */
static int start_threads(struct session *session)
{
    int r;

    session->report = (struct report){.books = &session->books,
                                      .disk = &session->disk,
                                      .session = session->id,
                                      .dir_fd = session->dir_fd,
                                      .quiet = session->own.quiet};
    session->events = report_events(&session->report);
    session->crew.tell_fd = session->over_fd;
    r = hooks_start(&session->hooks, &session->own.hooks, &session->books, &session->room);
    session->report.hooks = session->hooks;
    if (r == 0)
        r = keeper_start(&session->opener, session->count, &session->events, &session->files_lock);
    if (r == 0)
        r = keeper_start(&session->closer, session->count, &session->events, &session->files_lock);
    if (r == 0)
        r = crew_start(&session->crew, session->streams, session->count);
    if (r == 0)
        r = start_writer(session);
    if (r == 0)
        place_sinks(session);
    else
        log_error("cannot start a thread: %s%s", strerror(-r),
                  r == -EAGAIN ? "; allow more with ulimit -u, LimitNPROC or TasksMax" : "");
    return r;
}

static void stop_threads(struct session *session)
{
    if (session->writer_started)
        pthread_join(session->writer.thread, NULL);
    crew_stop(&session->crew);
    keeper_stop(&session->opener);
    keeper_stop(&session->closer);
}

/* ---- its life ---- */

int session_begin(struct session *session)
{
    const struct session_config *config = &session->own;
    const struct await await = {.who = "",
                                .wait_ns = config->wait_ns,
                                .quiet = config->quiet,
                                .is_end_wanted = is_end_wanted,
                                .ctx = session};
    int r = make(session);

    if (r == 0)
        r = look_at_files(session);
    if (r == 0) {
        board_show_waiting(session->board, session->streams, session->count, config->root);
        r = start_open_segments(session->streams, session->count, config->all, &await);
    }
    if (r == 0)
        r = start_allocate(session->streams, session->count, config->buffer_bytes, session->host,
                           session->uuid);
    if (r == 0)
        r = start_engine(session->streams, session->count, config->engine, &session->engine);
    if (r == 0)
        r = make_folders(session);
    if (r == 0)
        r = copy_files(session);
    if (r == 0)
        r = start_retention(&session->retention, session->streams, session->count);
    if (r == 0)
        r = start_first_files(session->streams, session->count);
    if (r < 0) {
        remove_folders(session);
        return r;
    }
    if (!config->quiet)
        say_how(session);
    session->books.start_ns = dao_clock_real_ns();
    session->begin_ns = dao_clock_mono_ns();
    /* What follows takes a while, and frames may come. */
    start_attach(session->streams, session->count);
    r = start_threads(session);
    if (r < 0) {
        stop_threads(session);
        hooks_end(session->hooks);
        remove_folders(session);
        return r;
    }
    board_show_running(session->board, &session->books, &session->room);
    crew_begin(&session->crew);
    return 0;
}

int session_status_of(int error)
{
    /* 2: two streams of one name, limits too narrow; 0: asked to end before there was anything to
     * record */
    return error == -EEXIST || error == -ERANGE ? 2 : error == -EINTR ? 0 : 1;
}

int session_watch(struct session *session)
{
    int status;

    session_run(session);
    stop_threads(session);
    hooks_look(session->hooks, dao_clock_mono_ns());
    status = session_conclude(session);
    hooks_end(session->hooks);
    return status;
}
