/* start.c - see start.h. */
#include "record/start.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/realtime.h"
#include "base/units.h"
#include "lib/clock.h"
#include "record/handover.h"
#include "record/opener.h"
#include "record/setup.h"
#include "recording/find.h"

#define ENGINE_DEPTH 64u
/* Looked through for files to repair: a matter of some 10 ms, the newest sessions first. */
#define OFFER_FOLDERS_MAX 1000
#define BUFFER_DEFAULT    (512ull << 20)
#define LOOK_MS           20

/* ---- open files ---- */

/* Wake-ups (two), the ring, the folders of recordings and of the session, the ledger, its
 * spare, and one in passing. */
#define DESCRIPTORS_OF_SESSION 8u
/* The segment, what comes back in its place, the folder, and files: one is being filled, one ready
 * for what follows, one being closed. */
#define DESCRIPTORS_OF_STREAM 6u

static unsigned count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;
    struct dirent *entry;

    if (!dir)
        return 4; /* the standard ones, and the signals */
    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* its own */
}

int start_check_descriptors(unsigned streams, unsigned others)
{
    unsigned long long need = DESCRIPTORS_OF_SESSION + DESCRIPTORS_OF_STREAM * (uint64_t)streams;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    need += count_descriptors() + others;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= need)
        return 0;
    log_error("recording %u stream%s takes %llu open files, and this process may have %llu; allow "
              "more with ulimit -n or LimitNOFILE",
              streams, streams == 1 ? "" : "s", need, (unsigned long long)limit.rlim_cur);
    return -EMFILE;
}

/* ---- segments ---- */

/* Two streams of one name would write into one folder. */
static int check_names(struct record_stream *const *streams, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(streams[k]->path, streams[i]->path) == 0) {
                log_error("%s is given twice; give it once", streams[i]->path);
                return -EEXIST;
            }
            if (strcmp(streams[k]->name, streams[i]->name) == 0) {
                log_error("%s and %s would both be stream '%s'; link one of them under another "
                          "name",
                          streams[k]->path, streams[i]->path, streams[i]->name);
                return -EEXIST;
            }
        }
    }
    return 0;
}

/* There, and no segment: it may become one, or be given to whoever records. */
static bool is_odd(int error)
{
    return error == -EMEDIUMTYPE || error == -EISDIR || error == -EACCES;
}

/* Open those that are there and are segments; *ret_odd: how many are something else, and *text what
 * one of them is. How many are open; negative errno, after a line, where one cannot be had. */
static int open_present(struct record_stream *const *streams, unsigned count, unsigned *ret_odd,
                        struct dao_text *ret_text)
{
    int open = 0;

    *ret_odd = 0;
    for (unsigned i = 0; i < count; i++) {
        struct record_stream *s = streams[i];
        struct dao_text text;
        int r =
            s->segment.fd >= 0 ? 0 : dao_segment_open(&s->segment, s->path, DAO_ACCESS_READ, &text);

        if (is_odd(r)) {
            *ret_text = text;
            *ret_odd += 1;
        } else if (r < 0 && r != -ENOENT && r != -ENODATA) {
            log_error("%s", text.s);
            return r;
        }
        open += r == 0;
    }
    return open;
}

static void say_none(const struct await *await, unsigned count, const char *path)
{
    char within[32];

    if (await->wait_ns == 0)
        log_error("none of %u segments is there, such as %s; start their sources, or wait with "
                  "--wait",
                  count, path);
    else
        log_error("none of %u segments is there, such as %s; none appeared within %s: start their "
                  "sources, or wait longer with --wait",
                  count, path, units_exact_duration(within, sizeof within, await->wait_ns));
}

/* Until one is there: then recording begins, and the others are picked up when they appear. Where
 * all are there and none is a segment, they are given the time that their creators may take. */
static int await_any(struct record_stream *const *streams, unsigned count,
                     const struct await *await)
{
    int64_t deadline_ns =
        await->wait_ns == INT64_MAX ? INT64_MAX : dao_clock_mono_ns() + await->wait_ns;
    int64_t odd_since_ns = 0;
    bool said = await->quiet;
    struct dao_text text;
    unsigned odd;
    int r;

    while ((r = open_present(streams, count, &odd, &text)) == 0) {
        int64_t now_ns = dao_clock_mono_ns();

        odd_since_ns = odd < count ? 0 : odd_since_ns ? odd_since_ns : now_ns;
        if (odd > 0 && (now_ns >= deadline_ns ||
                        (odd == count && now_ns - odd_since_ns > AWAIT_BEING_MADE_NS))) {
            log_error("none of %u segments is there: %s", count, text.s);
            return -EMEDIUMTYPE;
        }
        if (now_ns >= deadline_ns) {
            say_none(await, count, streams[0]->path);
            return -ENOENT;
        }
        if (!said)
            log_info("waiting for one of %u segments to appear, such as %s", count,
                     streams[0]->path);
        said = true;
        if (await->is_end_wanted(await->ctx, LOOK_MS))
            return -EINTR;
    }
    return r;
}

static void note_denied(struct record_stream *s, bool was_denied)
{
    struct stat st;

    s->was_denied = was_denied;
    if (was_denied && stat(s->path, &st) == 0) {
        s->denied_dev = st.st_dev;
        s->denied_ino = st.st_ino;
    }
}

/* Those that are not open are left to their drains, unless they have just come to be there. */
static void leave_to_appear(struct record_stream *const *streams, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct record_stream *s = streams[i];
        struct dao_text text;
        int r =
            s->segment.fd >= 0 ? 0 : dao_segment_open(&s->segment, s->path, DAO_ACCESS_READ, &text);

        if (r == 0)
            continue;
        if (r == -ENOENT || r == -ENODATA)
            log_warning("%s is not there: it is recorded from when it appears", s->path);
        else
            log_warning("%s; it is recorded from when it %s", text.s,
                        r == -EACCES ? "may be opened" : "becomes a segment");
        atomic_store(&s->condition, STREAM_AWAITED);
        note_denied(s, r == -EACCES);
        s->is_retired = true; /* there is nothing of another shape */
        s->reader.lap_policy = DAO_LAP_OLDEST;
    }
}

static int await_all(struct record_stream *const *streams, unsigned count,
                     const struct await *await)
{
    struct await_segment *segments = calloc(count, sizeof *segments);
    unsigned open = 0;
    int r;

    if (!segments)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        if (atomic_load(&streams[i]->condition) != STREAM_AWAITED)
            segments[open++] = (struct await_segment){&streams[i]->segment, streams[i]->path};
    r = await_segments(await, segments, open);
    free(segments);
    return r;
}

int start_open_segments(struct record_stream *const *streams, unsigned count, bool all,
                        const struct await *await)
{
    int r = 0;

    for (unsigned i = 0; i < count && r == 0; i++) {
        struct dao_text text;

        r = stream_name(streams[i], &text);
        if (r < 0)
            log_error("%s", text.s);
    }
    if (r == 0)
        r = check_names(streams, count);
    if (r == 0 && count > 1 && !all) {
        r = await_any(streams, count, await);
        if (r > 0)
            leave_to_appear(streams, count);
    }
    return r < 0 ? r : await_all(streams, count, await);
}

/* ---- memory ---- */

static uint64_t default_buffer(void)
{
    uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);

    return ram / 8 < BUFFER_DEFAULT ? ram / 8 : BUFFER_DEFAULT;
}

/* Frames that nobody has seen yet are taken to be like the others. */
static uint64_t mean_frame(struct record_stream *const *streams, unsigned count)
{
    uint64_t sum = 0, known = 0;

    for (unsigned i = 0; i < count; i++) {
        sum += streams[i]->segment.fd >= 0 ? streams[i]->segment.geo.frame_bytes : 0;
        known += streams[i]->segment.fd >= 0;
    }
    return known > 0 ? sum / known : 1;
}

/* A sixteenth is shared out evenly, the rest by the size of the frames. */
static uint64_t share_of(uint64_t frame, unsigned count, uint64_t frame_sum, uint64_t total)
{
    return total / 16 / count +
           (uint64_t)((double)frame / (double)frame_sum * (double)total * 15.0 / 16.0);
}

static int allocate(struct record_stream *s, uint64_t frame, uint64_t share, const char *host,
                    const char *uuid, struct dao_text *text)
{
    int r;

    if (s->segment.fd < 0) {
        stream_describe_later(s, host, uuid);
        return stream_allocate_later(s, frame, share, text);
    }
    r = stream_allocate(s, share, text);
    s->is_expected = r == 0;
    return r == 0 ? stream_describe(s, host, uuid, text) : r;
}

/* Buffers are touched here, and are to lie where the drain will run. */
static bool go_near(const struct record_stream *s)
{
    static bool warned;
    int node = realtime_node_of("/", &s->config.cpus);
    int r = node < 0 ? 0 : realtime_prefer_node(node);

    if (r < 0 && !warned)
        log_warning("buffers are not kept on NUMA node %d, where frames are taken (%s); going on "
                    "without",
                    node, strerror(-r));
    warned = warned || r < 0;
    return node >= 0 && r == 0;
}

int start_allocate(struct record_stream *const *streams, unsigned count, uint64_t buffer_bytes,
                   const char *host, const char *uuid)
{
    uint64_t total = buffer_bytes ? buffer_bytes : default_buffer();
    uint64_t mean = mean_frame(streams, count), frame_sum = 0;

    for (unsigned i = 0; i < count; i++)
        frame_sum += streams[i]->segment.fd >= 0 ? streams[i]->segment.geo.frame_bytes : mean;
    for (unsigned i = 0; i < count; i++) {
        struct record_stream *s = streams[i];
        bool is_near = go_near(s);
        uint64_t frame = s->segment.fd >= 0 ? s->segment.geo.frame_bytes : mean;
        uint64_t share = share_of(frame, count, frame_sum, total);
        uint64_t most = stream_buffer_most(frame);
        struct dao_text text;
        int r;

        r = allocate(s, frame, buffer_bytes == 0 && share > most ? most : share, host, uuid, &text);
        if (is_near)
            realtime_prefer_node(-1);
        if (r < 0) {
            log_error("%s", text.s);
            return r;
        }
    }
    return 0;
}

int start_engine(struct record_stream *const *streams, unsigned count, enum io_engine_kind kind,
                 struct io_engine **ret)
{
    struct io_pool **pools = calloc(2u * count, sizeof(struct io_pool *));
    unsigned blocks = 0, registered;
    int why = 0, r = pools ? 0 : -ENOMEM;

    if (r == 0)
        r = io_engine_create(ret, kind, ENGINE_DEPTH, &why);
    if (r < 0) {
        log_error("%s cannot be had: %s; try --io pwrite",
                  kind == IO_ENGINE_URING ? "io_uring was asked for and" : "an I/O engine",
                  strerror(-r));
        free(pools);
        return r;
    }
    for (unsigned i = 0; i < count; i++) {
        pools[2 * i] = &streams[i]->data_pool;
        pools[2 * i + 1] = &streams[i]->row_pool;
        blocks += streams[i]->data_pool.count + streams[i]->row_pool.count;
        streams[i]->engine = *ret;
    }
    registered = io_engine_register(*ret, pools, 2 * count);
    free(pools);
    if (io_engine_kind(*ret) == IO_ENGINE_URING)
        log_debug("io_uring, %u of %u blocks registered", registered, blocks);
    else if (why)
        log_warning("io_uring cannot be had here (%s%s): writing with pwrite", strerror(-why),
                    why == -ENOMEM ? "; raise the locked memory, ulimit -l or LimitMEMLOCK" : "");
    return 0;
}

/* ---- folders and files ---- */

void start_offer_repair(const char *root)
{
    bool partial;
    size_t count = find_count_orphans(root, OFFER_FOLDERS_MAX, &partial);

    if (count > 0)
        log_warning("%s: %s%zu unfinished file%s of recorders that do not live any more; "
                    "`daorec repair %s` shows what can be saved",
                    root, partial ? "at least " : "", count, units_plural(count), root);
}

int start_make_folders(struct record_stream *const *streams, unsigned count, int session_fd)
{
    for (unsigned i = 0; i < count; i++) {
        struct dao_text text = {""};

        streams[i]->dir_fd = tree_create_stream(session_fd, streams[i]->name, &text);
        if (streams[i]->dir_fd < 0) {
            log_error("%s", text.s);
            return streams[i]->dir_fd;
        }
    }
    return 0;
}

/* Why there is not even a plan for its first file. */
static int say_no_room(const struct record_stream *s)
{
    uint64_t most = s->room->limits.file_bytes_max;
    char bytes[32], limit[32];
    struct fits_plan plan;

    fits_plan_make(&plan, &s->shape->parts, 1);
    if (plan.file_bytes > most) {
        log_error(
            "stream %s: a file of one frame takes %s, and this process may write no more than "
            "%s into one; allow more with ulimit -f or LimitFSIZE",
            s->name, units_format_bytes(bytes, sizeof bytes, plan.file_bytes),
            units_format_bytes(limit, sizeof limit, most));
        return -EFBIG;
    }
    log_error("stream %s: no room for its first file beside the %s to be kept free; make room, "
              "lower --keep-free, or choose another folder with --output",
              s->name, units_format_bytes(bytes, sizeof bytes, room_kept(s->room)));
    return -ENOSPC;
}

int start_retention(struct retention *retention, struct record_stream *const *streams,
                    unsigned count)
{
    struct dao_text text;
    int r = retention->root ? retention_start(retention, &text) : 0;

    if (r < 0)
        log_error("%s", text.s);
    for (unsigned i = 0; i < count && retention->root; i++)
        streams[i]->retention = retention;
    if (r == 0 && retention->root) { /* what was removed has made room */
        room_look(streams[0]->room, streams[0]->room->dir_fd);
        retention_say_room(retention);
    }
    return r;
}

int start_first_files(struct record_stream *const *streams, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct dao_text text;
        int r;

        if (!streams[i]->shape) /* it is not there yet */
            continue;
        handover_plan(streams[i]);
        if (!streams[i]->next)
            return say_no_room(streams[i]);
        r = opener_prepare(streams[i]->next, &text);
        if (r < 0) {
            log_error("stream %s: %s; make room or choose another folder with --output",
                      streams[i]->name, text.s);
            return r;
        }
        opener_settle(streams[i]->next);
    }
    return 0;
}

void start_attach(struct record_stream *const *streams, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct record_stream *s = streams[i];

        if (atomic_load(&s->condition) == STREAM_AWAITED)
            continue;
        if (dao_reader_init(&s->reader, &s->segment, DAO_LAP_OLDEST, s->config.backlog) == 0) {
            account_begin_run(&s->account, (int64_t)s->reader.cnt0 + 1);
            account_publish(&s->account);
            continue;
        }
        log_warning(
            "%s was truncated while recording was being set up: it is recorded from when it "
            "comes back",
            s->path);
        atomic_store(&s->condition, STREAM_AWAITED);
        s->is_expected = false;
        s->reader = (struct dao_reader){.lap_policy = DAO_LAP_OLDEST};
    }
}
