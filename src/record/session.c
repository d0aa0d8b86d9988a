/* session.c - see session.h. */
#include "record/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/units.h"
#include "lib/wait.h"
#include "record/drain.h"
#include "record/live.h"
#include "record/setup.h"
#include "record/writer.h"

#define ENGINE_DEPTH 64u
#define TICK_MS 500
#define PLAIN_LINE_NS 60000000000ll /* not on a terminal: one line a minute */
#define SEGMENT_POLL_NS 20000000ll
#define BUFFER_DEFAULT (512ull << 20)
/* A stream takes no more than the larger of these, unless --buffer says so. */
#define BUFFER_FRAMES_MOST 512u
#define BUFFER_BYTES_MOST (64ull << 20)

struct session {
    const struct session_config *config;
    char id[TREE_SESSION_BYTES];
    char uuid[40];
    char host[72];
    int dir_fd;
    int64_t start_ns, end_ns;      /* POSIX */
    struct record_stream **streams;
    unsigned count;
    struct io_engine *engine;
    struct keeper opener, closer;
    struct keeper_events events;
    struct writer writer;
    pthread_mutex_t files_lock;    /* free_files' producers */
    pthread_mutex_t ledger_lock;   /* the lists of files below, and session.json */
    struct ledger_file **files;    /* [count], each growing */
    size_t *file_counts;
    int signal_fd;
    bool stopping;
    bool failed;                   /* a file or the ledger could not be written as it should */
    bool unbalanced;
    unsigned drains_started;
    bool writer_started;
    struct live live;
    int64_t last_line_ns;
    int *conditions;               /* last reported, per stream */
};

/* ---- the ledger ---- */

static struct ledger_file *find_file(struct session *session, unsigned stream, const char *name)
{
    size_t count = session->file_counts[stream];
    struct ledger_file *files = session->files[stream];

    while (count-- > 0)
        if (strcmp(files[count].name, name) == 0)
            return &files[count];
    return NULL;
}

static unsigned stream_index(const struct session *session, const struct record_stream *stream)
{
    unsigned i = 0;

    while (session->streams[i] != stream)
        i++;
    return i;
}

/* A snapshot of everything; `streams` holds session->count entries. */
static void view_ledger(struct session *session, struct ledger *ledger,
                        struct ledger_stream *streams)
{
    *ledger = (struct ledger){
        .session = session->id,
        .uuid = session->uuid,
        .host = session->host,
        .root = session->config->root,
        .start_ns = session->start_ns,
        .end_ns = session->end_ns,
        .streams = streams,
        .stream_count = session->count,
    };
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];
        struct account_view view;

        account_read(&s->account, &view);
        streams[i] = (struct ledger_stream){
            .name = s->name,
            .shm_path = s->path,
            .geometry = s->facts.geometry,
            .counts = view.counts,
            .gaps = s->account.gaps,
            .runs = s->account.runs,
            .files = session->files[i],
            .file_count = session->file_counts[i],
        };
    }
}

/* With the ledger's lock held. */
static void write_ledger(struct session *session)
{
    struct ledger_stream *streams = calloc(session->count, sizeof *streams);
    struct ledger ledger;
    char *json = NULL;
    int r = -ENOMEM;

    if (streams) {
        view_ledger(session, &ledger, streams);
        json = ledger_to_json(&ledger, false);
    }
    if (json)
        r = tree_replace_file(session->dir_fd, "session.json", json, strlen(json));
    if (r < 0) {
        log_error("%s/%s/session.json: cannot write the ledger: %s", session->config->root,
                  session->id, strerror(-r));
        session->failed = true;
    }
    free(json);
    free(streams);
}

static void on_opened(void *ctx, struct record_file *f)
{
    struct session *session = ctx;
    unsigned i = stream_index(session, f->stream);
    struct ledger_file *grown;

    pthread_mutex_lock(&session->ledger_lock);
    grown = realloc(session->files[i], (session->file_counts[i] + 1) * sizeof *grown);
    if (grown) {
        session->files[i] = grown;
        grown[session->file_counts[i]] = (struct ledger_file){
            .cnt0_begin = f->first_cnt0, .begin_ns = f->first_ns, .end_cause = ""};
        strcpy(grown[session->file_counts[i]].name, f->file.name);
        session->file_counts[i]++;
    }
    pthread_mutex_unlock(&session->ledger_lock);
    if (f->trouble_said)
        log_info("%s: there is room again, recording goes on", f->file.name);
}

static void on_closed(void *ctx, struct record_file *f, int result, const char *text)
{
    struct session *session = ctx;
    struct ledger_file *file;
    char size[32];

    pthread_mutex_lock(&session->ledger_lock);
    file = find_file(session, stream_index(session, f->stream), f->file.name);
    if (file) {
        file->closed = result == 0;
        file->frames = f->frames;
        file->lost = f->lost;
        file->cnt0_end = f->last_cnt0;
        file->end_ns = f->last_ns;
        file->end_cause = f->end_cause;
    }
    if (result < 0)
        session->failed = true;
    write_ledger(session);
    pthread_mutex_unlock(&session->ledger_lock);
    if (result < 0)
        log_error("%s", text);
    else if (!session->config->quiet)
        log_info("%s: %llu frames, %s%s, %s", f->file.name, (unsigned long long)f->frames,
                 units_format_bytes(size, sizeof size,
                                    fits_plan_closed_bytes(&f->file.plan, f->frames)),
                 f->lost ? ", frames lost before or in it" : "", f->end_cause);
}

static void on_trouble(void *ctx, struct record_file *f, const char *text)
{
    struct session *session = ctx;

    /* What it costs is counted as lost to the disk, and told by the exit status. */
    log_error("%s/%s: %s; make room or check the folder, recording goes on as soon as it can",
              session->id, f->stream->name, text);
}

/* ---- start ---- */

static int make_identity(struct session *session)
{
    unsigned char b[16];

    if (getrandom(b, sizeof b, 0) != sizeof b)
        return -EIO;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
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

static void make_signal_fd(struct session *session)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

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

/* Open one segment, waiting for it to appear where that was asked for. -EINTR: a signal came. */
static int open_segment(struct session *session, struct record_stream *s, int64_t deadline_ns)
{
    struct pollfd signals = {.fd = session->signal_fd, .events = POLLIN};
    struct dao_text text = {""};
    bool said = false;

    for (;;) {
        int r = stream_open(s, &text);

        if (r == 0)
            return 0;
        if ((r != -ENOENT && r != -ENODATA) || dao_clock_mono_ns() >= deadline_ns) {
            log_error("%s", text.s);
            return r;
        }
        if (!said && !session->config->quiet)
            log_info("waiting for %s to appear", s->path);
        said = true;
        if (poll(&signals, 1, (int)(SEGMENT_POLL_NS / 1000000)) > 0 && read_signals(session))
            return -EINTR;
    }
}

static int open_segments(struct session *session)
{
    int64_t wait_ns = session->config->wait_ns, now = dao_clock_mono_ns();
    int64_t deadline = wait_ns == INT64_MAX ? INT64_MAX : now + wait_ns;

    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];
        struct statfs fs;
        int r = open_segment(session, s, deadline);

        if (r < 0)
            return r;
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(session->streams[k]->name, s->name) == 0) {
                log_error("%s and %s would both be stream '%s'; link one of them under another "
                          "name",
                          session->streams[k]->path, s->path, s->name);
                return -EEXIST;
            }
        }
        if (s->segment.ambiguous)
            log_warning("%s: two layouts fit its size; taken as %s", s->path,
                        s->segment.geo.layout->name);
        if (fstatfs(s->segment.fd, &fs) == 0 && fs.f_type != 0x01021994 /* tmpfs */ &&
            !session->config->quiet)
            log_warning("%s lies on a disk file system and suffers its write-back; put segments "
                        "on a tmpfs such as /dev/shm",
                        s->path);
    }
    return 0;
}

/* Memory for the streams by the size of their frames; a sixteenth is shared out evenly. */
static int allocate(struct session *session)
{
    uint64_t total = session->config->buffer_bytes, frame_sum = 0;
    struct dao_text text;

    if (total == 0) {
        uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);

        total = ram / 8 < BUFFER_DEFAULT ? ram / 8 : BUFFER_DEFAULT;
    }
    for (unsigned i = 0; i < session->count; i++)
        frame_sum += session->streams[i]->segment.geo.frame_bytes;
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];
        double part = (double)s->segment.geo.frame_bytes / (double)frame_sum;
        uint64_t least = total / 16 / session->count;
        uint64_t share = least + (uint64_t)(part * (double)total * 15.0 / 16.0);
        uint64_t most = BUFFER_FRAMES_MOST * s->segment.geo.frame_bytes;
        int r;

        most = most < BUFFER_BYTES_MOST ? BUFFER_BYTES_MOST : most;
        if (session->config->buffer_bytes == 0 && share > most)
            share = most;
        r = stream_allocate(s, share, &text);
        if (r == 0)
            r = stream_describe(s, session->host, session->uuid, &text);
        if (r < 0) {
            log_error("%s", text.s);
            return r;
        }
    }
    return 0;
}

static int start_engine(struct session *session)
{
    struct io_pool **pools = calloc(2u * session->count, sizeof(struct io_pool *));
    unsigned blocks = 0, registered;
    int why = 0, r;

    if (!pools)
        return -ENOMEM;
    r = io_engine_create(&session->engine, session->config->engine, ENGINE_DEPTH, &why);
    if (r < 0) {
        log_error("io_uring was asked for and cannot be had: %s; use --io pwrite", strerror(-r));
        free(pools);
        return r;
    }
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];

        pools[2 * i] = &s->data_pool;
        pools[2 * i + 1] = &s->row_pool;
        blocks += s->data_pool.count + s->row_pool.count;
        s->engine = session->engine;
    }
    registered = io_engine_register(session->engine, pools, 2 * session->count);
    free(pools);
    if (io_engine_kind(session->engine) == IO_ENGINE_URING)
        log_debug("io_uring, %u of %u blocks registered", registered, blocks);
    else if (why)
        log_warning("io_uring cannot be had here (%s): writing with pwrite", strerror(-why));
    return 0;
}

static int make_folders(struct session *session)
{
    struct dao_text text = {""};

    session->start_ns = dao_clock_real_ns();
    session->dir_fd = tree_create_session(session->config->root, session->id, &text);
    if (session->dir_fd < 0) {
        log_error("%s", text.s);
        return session->dir_fd;
    }
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];

        s->dir_fd = tree_create_stream(session->dir_fd, s->name, &text);
        if (s->dir_fd < 0) {
            log_error("%s", text.s);
            return s->dir_fd;
        }
    }
    return 0;
}

/* Recording could not begin: leave no empty folders. */
static void remove_folders(struct session *session)
{
    char path[4096 + TREE_SESSION_BYTES];

    for (unsigned i = 0; i < session->count; i++)
        if (session->streams[i]->dir_fd >= 0)
            unlinkat(session->dir_fd, session->streams[i]->name, AT_REMOVEDIR);
    snprintf(path, sizeof path, "%.4095s/%s", session->config->root, session->id);
    if (session->dir_fd >= 0)
        rmdir(path);
}

/* The first file of every stream is ready before the first frame is looked for. */
static int prepare_first_files(struct session *session)
{
    struct dao_text text;

    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];
        int r;

        drain_plan_file(s);
        r = keeper_prepare_now(s->next, &text);
        if (r < 0) {
            log_error("%s/%s/%s/%s", session->config->root, session->id, s->name, text.s);
            return r;
        }
    }
    return 0;
}

static void say_how(const struct session *session)
{
    const struct record_stream *s = session->streams[0];
    const char *direct = s->next->file.sink.direct ? "O_DIRECT" : "buffered (no O_DIRECT here)";

    if (!s->config.want_direct)
        direct = "buffered";
    if (session->config->quiet)
        return;
    log_info("session %s/%s: %u stream%s, writing with %s, %s, %s encoder", session->config->root,
             session->id, session->count, session->count == 1 ? "" : "s",
             io_engine_kind(session->engine) == IO_ENGINE_URING ? "io_uring" : "pwrite", direct,
             s->encoder.name);
}

static void set_placement(pthread_t thread, const struct stream_config *config)
{
    static bool warned;
    int r = 0;

    if (config->cpu >= 0) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((size_t)config->cpu, &set);
        r = pthread_setaffinity_np(thread, sizeof set, &set);
        if (r != 0 && !warned)
            log_warning("cannot run on CPU %d (%s); going on without", config->cpu, strerror(r));
    }
    if (r == 0 && config->priority > 0) {
        struct sched_param param = {.sched_priority = config->priority};

        r = pthread_setschedparam(thread, SCHED_FIFO, &param);
        if (r != 0 && !warned)
            log_warning("cannot have priority %d (%s); going on without, or allow it with "
                        "LimitRTPRIO or CAP_SYS_NICE",
                        config->priority, strerror(r));
    }
    warned = warned || r != 0;
}

static int start_threads(struct session *session)
{
    int r;

    session->events = (struct keeper_events){on_opened, on_closed, on_trouble, session};
    r = keeper_start(&session->opener, session->count, &session->events, &session->files_lock);
    if (r == 0)
        r = keeper_start(&session->closer, session->count, &session->events,
                         &session->files_lock);
    for (unsigned i = 0; i < session->count && r == 0; i++) {
        struct record_stream *s = session->streams[i];

        r = dao_reader_init(&s->reader, &s->segment, DAO_LAP_OLDEST, s->config.backlog);
        if (r < 0)
            log_error("%s: the segment vanished while recording was being set up", s->path);
        account_begin_run(&s->account, (int64_t)s->reader.cnt0 + 1);
        account_publish(&s->account, true);
    }
    for (unsigned i = 0; i < session->count && r == 0; i++) {
        struct record_stream *s = session->streams[i];

        r = -pthread_create(&s->thread, NULL, stream_drain, s);
        if (r == 0) {
            session->drains_started++;
            set_placement(s->thread, &s->config);
        }
    }
    session->writer.streams = session->streams;
    session->writer.stream_count = session->drains_started;
    session->writer.engine = session->engine;
    session->writer.opener = &session->opener;
    session->writer.closer = &session->closer;
    if (session->drains_started > 0) {
        int w = -pthread_create(&session->writer.thread, NULL, writer_run, &session->writer);

        session->writer_started = w == 0;
        r = r ? r : w;
    }
    if (r < 0 && r != -ESTALE)
        log_error("cannot start a thread: %s", strerror(-r));
    return r;
}

/* ---- while it runs ---- */

static void ask_to_stop(struct session *session, const char *cause)
{
    session->stopping = true;
    for (unsigned i = 0; i < session->count; i++) {
        atomic_store(&session->streams[i]->stop_cause_requested, cause);
        atomic_store_explicit(&session->streams[i]->stop_requested, true, memory_order_release);
    }
}

static bool all_over(const struct session *session)
{
    for (unsigned i = 0; i < session->drains_started; i++)
        if (!atomic_load_explicit(&session->streams[i]->is_over, memory_order_acquire))
            return false;
    return true;
}

static void report_conditions(struct session *session)
{
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];
        int condition = atomic_load(&s->condition);

        if (condition == session->conditions[i])
            continue;
        session->conditions[i] = condition;
        if (condition == STREAM_GONE)
            log_warning("%s was removed, replaced or truncated: waiting for it to come back",
                        s->path);
        else if (condition == STREAM_RESHAPED)
            log_warning("%s came back with another shape or type: its recording has ended; start "
                        "a new one",
                        s->path);
        else
            log_info("%s is back, recording goes on", s->path);
    }
}

static void report_progress(struct session *session)
{
    bool terminal = isatty(STDERR_FILENO);
    int64_t now = dao_clock_mono_ns();
    struct statvfs fs;
    char line[512];

    if (session->config->quiet ||
        (!terminal && now - session->last_line_ns < PLAIN_LINE_NS))
        return;
    session->last_line_ns = now;
    live_format(&session->live, line, sizeof line, session->streams, session->count,
                fstatvfs(session->dir_fd, &fs) == 0 ? fs.f_bavail * fs.f_frsize : 0, now);
    if (terminal)
        log_live(line);
    else
        log_info("%s", line);
}

static void watch(struct session *session)
{
    struct pollfd signals = {.fd = session->signal_fd, .events = POLLIN};
    int64_t next_ns = dao_clock_mono_ns();

    session->last_line_ns = next_ns;
    while (!all_over(session)) {
        int64_t now = dao_clock_mono_ns();

        if (now >= next_ns) {
            report_conditions(session);
            report_progress(session);
            next_ns = now + TICK_MS * 1000000ll;
        }
        /* Short while streams end, so that the end is not waited for half a second. */
        if (poll(&signals, 1, session->stopping ? 5 : 50) > 0 && read_signals(session) &&
            !session->stopping)
            ask_to_stop(session, "SIGNAL");
    }
    report_conditions(session);
    log_live(NULL);
}

/* ---- end ---- */

static int conclude(struct session *session)
{
    struct ledger_stream *streams = calloc(session->count, sizeof *streams);
    struct ledger ledger;
    bool lost = false;

    if (!streams)
        return 1;
    session->end_ns = dao_clock_real_ns();
    pthread_mutex_lock(&session->ledger_lock);
    write_ledger(session);
    view_ledger(session, &ledger, streams);
    pthread_mutex_unlock(&session->ledger_lock);
    for (unsigned i = 0; i < session->count; i++) {
        const struct ledger_counts *counts = &streams[i].counts;

        lost = lost || ledger_lost(counts) > 0;
        if (!ledger_balances(counts)) {
            log_error("stream %s: the ledger does not balance: %llu expected, %llu recorded, %llu "
                      "lost; this is a defect of daorec, please report it",
                      streams[i].name, (unsigned long long)ledger_expected(counts),
                      (unsigned long long)counts->recorded,
                      (unsigned long long)ledger_lost(counts));
            session->unbalanced = true;
        }
    }
    if (session->config->json) {
        char *json = ledger_to_json(&ledger, true);

        printf("%s\n", json ? json : "{}");
        free(json);
    } else {
        live_print_summary(stdout, &ledger);
    }
    free(streams);
    if (fflush(stdout) != 0)
        session->failed = true;
    return session->unbalanced ? 1 : lost ? 3 : session->failed ? 1 : 0;
}

static int create(struct session *session, const struct session_config *config)
{
    *session = (struct session){.config = config, .dir_fd = -1, .signal_fd = -1};
    pthread_mutex_init(&session->files_lock, NULL);
    pthread_mutex_init(&session->ledger_lock, NULL);
    session->streams = calloc(config->path_count, sizeof(struct record_stream *));
    session->files = calloc(config->path_count, sizeof(struct ledger_file *));
    session->file_counts = calloc(config->path_count, sizeof(size_t));
    session->conditions = calloc(config->path_count, sizeof(int));
    if (!session->streams || !session->files || !session->file_counts || !session->conditions)
        return -ENOMEM;
    for (unsigned i = 0; i < config->path_count; i++) {
        struct record_stream *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);

        if (!s)
            return -ENOMEM;
        memset(s, 0, sizeof *s);
        s->path = config->paths[i];
        s->config = config->stream;
        s->segment.fd = -1;
        s->dir_fd = -1;
        s->stop_cause = "STOP";
        atomic_store(&s->stop_cause_requested, "STOP");
        account_init(&s->account);
        session->streams[session->count++] = s;
    }
    make_signal_fd(session);
    return make_identity(session);
}

static void destroy(struct session *session)
{
    for (unsigned i = 0; i < session->count; i++) {
        stream_close(session->streams[i]);
        account_fini(&session->streams[i]->account);
        free(session->streams[i]);
        free(session->files[i]);
    }
    io_engine_destroy(session->engine);
    free(session->streams);
    free(session->files);
    free(session->file_counts);
    free(session->conditions);
    if (session->signal_fd >= 0)
        close(session->signal_fd);
    if (session->dir_fd >= 0)
        close(session->dir_fd);
    pthread_mutex_destroy(&session->files_lock);
    pthread_mutex_destroy(&session->ledger_lock);
}

static void stop_threads(struct session *session)
{
    if (session->drains_started > 0 && session->writer_started)
        pthread_join(session->writer.thread, NULL);
    for (unsigned i = 0; i < session->drains_started; i++)
        pthread_join(session->streams[i]->thread, NULL);
    keeper_stop(&session->opener);
    keeper_stop(&session->closer);
}

int session_run(const struct session_config *config)
{
    struct session session;
    int r = create(&session, config), status = 1;

    if (r == 0)
        r = open_segments(&session);
    if (r == 0)
        r = allocate(&session);
    if (r == 0)
        r = start_engine(&session);
    if (r == 0)
        r = make_folders(&session);
    if (r == 0)
        r = prepare_first_files(&session);
    if (r == 0) {
        say_how(&session);
        r = start_threads(&session);
        if (r < 0)
            ask_to_stop(&session, "ERROR");
        if (session.writer_started)
            watch(&session);
        stop_threads(&session);
        status = conclude(&session);
        if (r < 0)
            status = 1;
    } else {
        remove_folders(&session);
        /* 2: two streams of one name; 0: asked to end before there was anything to record */
        status = r == -EEXIST ? 2 : r == -EINTR ? 0 : 1;
    }
    destroy(&session);
    return status;
}
