/* retention.c - see retention.h. */
#include "record/retention.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"
#include "recording/mark.h"

#define LOOK_AGAIN_NS 30000000000ll /* at files that were left */

bool retention_is_wanted(const struct retention_limits *limits)
{
    return limits->files || limits->bytes || limits->time_ns;
}

/* Of a stream one is being written, one is prepared, and one at least is to be had to read. */
uint64_t retention_file_bytes(const struct retention_limits *limits, unsigned streams)
{
    return limits->bytes ? limits->bytes / (4ull * streams) : UINT64_MAX;
}

/* ---- what is there ---- */

static void append(struct retention *retention, const struct kept_file *file)
{
    struct kept_file *grown;

    pthread_mutex_lock(&retention->lock);
    grown = realloc(retention->files, (retention->file_count + 1) * sizeof *grown);
    if (grown) {
        grown[retention->file_count++] = *file;
        retention->files = grown;
    }
    pthread_mutex_unlock(&retention->lock);
    if (!grown)
        log_warning("no memory to keep an eye on another file: it is not removed by itself");
}

static bool measure(int dir_fd, const char *name, struct kept_file *ret)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    ret->bytes = (uint64_t)st.st_blocks * 512u;
    ret->end_ns = (int64_t)st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
    ret->is_left = mark_is_set(dir_fd, name);
    return true;
}

/* "wfs_000012.fits" of stream wfs: 12; else 0. */
static uint64_t seq_of(const char *name, const char *stream)
{
    size_t lead = strlen(stream);
    char own[TREE_FILE_BYTES];
    uint64_t seq;

    if (strncmp(name, stream, lead) != 0 || name[lead] != '_')
        return 0;
    seq = strtoull(name + lead + 1, NULL, 10);
    tree_file_name(own, stream, seq, 0);
    return strcmp(own, name) == 0 ? seq : 0;
}

static void scan_stream(struct retention *retention, int session_fd, const char *session,
                        unsigned stream)
{
    const char *stream_name = retention->streams[stream]->name;
    int fd = openat(session_fd, stream_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        struct kept_file file = {.stream = stream};

        memcpy(file.session, session, sizeof file.session);
        file.seq = seq_of(entry->d_name, stream_name);
        if (file.seq > 0 && measure(fd, entry->d_name, &file))
            append(retention, &file);
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
}

static int scan(struct retention *retention)
{
    int fd = openat(retention->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), session_fd;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        if (tree_session_start(entry->d_name) == 0)
            continue;
        session_fd = openat(retention->root_fd, entry->d_name,
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        for (unsigned i = 0; i < retention->count && session_fd >= 0; i++)
            scan_stream(retention, session_fd, entry->d_name, i);
        if (session_fd >= 0)
            close(session_fd);
    }
    closedir(dir);
    return 0;
}

/* Two files of two frames a stream: below that there is nothing to keep. */
static int check_bytes(const struct retention *retention, struct dao_text *text)
{
    uint64_t least = 0;
    char limit[32], needed[32];

    for (unsigned i = 0; i < retention->count; i++) {
        struct fits_plan plan;

        fits_plan_make(&plan, &retention->streams[i]->shape->parts, 2);
        least += 2 * plan.file_bytes;
    }
    if (!retention->limits.bytes || least <= retention->limits.bytes)
        return 0;
    snprintf(text->s, sizeof text->s,
             "--keep-size %s: two files of two frames of each stream take %s already; allow more",
             units_format_bytes(limit, sizeof limit, retention->limits.bytes),
             units_format_bytes(needed, sizeof needed, least));
    return -EINVAL;
}

int retention_start(struct retention *retention, struct dao_text *text)
{
    int r;

    pthread_mutex_init(&retention->removing, NULL);
    pthread_mutex_init(&retention->lock, NULL);
    retention->root_fd = open(retention->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = retention->root_fd < 0 ? -errno : scan(retention);
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.200s: cannot look for files to be removed: %s",
                 retention->root, strerror(-r));
        return r;
    }
    return check_bytes(retention, text);
}

void retention_fini(struct retention *retention)
{
    if (!retention->root)
        return;
    retention_sweep(retention);
    if (retention->root_fd >= 0)
        close(retention->root_fd);
    free(retention->files);
    free(retention->to_close);
    pthread_mutex_destroy(&retention->lock);
    pthread_mutex_destroy(&retention->removing);
    *retention = (struct retention){0};
}

/* ---- which one goes next? ---- */

#define NO_STREAM UINT32_MAX

static bool is_older(const struct kept_file *a, const struct kept_file *b)
{
    int order = strcmp(a->session, b->session);

    return order ? order < 0 : a->seq < b->seq;
}

/* The oldest of a stream. With the lock held. */
static struct kept_file *oldest_of(struct retention *retention, unsigned stream)
{
    struct kept_file *found = NULL;

    for (size_t i = 0; i < retention->file_count; i++) {
        struct kept_file *file = &retention->files[i];

        if (!file->is_left && file->stream == stream && (!found || is_older(file, found)))
            found = file;
    }
    return found;
}

/* Of all, taken from each stream in its order. With the lock held. */
static struct kept_file *oldest(struct retention *retention)
{
    struct kept_file *found = NULL;

    for (unsigned i = 0; i < retention->count; i++) {
        struct kept_file *file = oldest_of(retention, i);

        if (file && (!found || file->end_ns < found->end_ns))
            found = file;
    }
    return found;
}

static uint64_t count_files(const struct retention *retention, unsigned stream)
{
    uint64_t count = 0;

    for (size_t i = 0; i < retention->file_count; i++)
        count += retention->files[i].stream == stream && !retention->files[i].is_left;
    return count;
}

static uint64_t count_bytes(const struct retention *retention)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < retention->file_count; i++)
        bytes += retention->files[i].is_left ? 0 : retention->files[i].bytes;
    for (unsigned i = 0; i < retention->count; i++)
        for (unsigned k = 0; k < STREAM_FILES; k++)
            bytes += atomic_load(&retention->streams[i]->files[k].claimed_bytes);
    return bytes;
}

/* With the lock held. `stream`: that a file is to be made for, or NO_STREAM. */
static struct kept_file *find_surplus(struct retention *retention, unsigned stream)
{
    const struct retention_limits *limits = &retention->limits;
    struct kept_file *file = oldest(retention);

    if (!file)
        return NULL;
    if (limits->time_ns && file->end_ns < dao_clock_real_ns() - limits->time_ns)
        return file;
    if (limits->bytes && count_bytes(retention) > limits->bytes)
        return file;
    if (limits->files && stream != NO_STREAM && count_files(retention, stream) >= limits->files)
        return oldest_of(retention, stream);
    return NULL;
}

static bool pick(struct retention *retention, unsigned stream, struct kept_file *ret)
{
    struct kept_file *file;

    pthread_mutex_lock(&retention->lock);
    file = find_surplus(retention, stream);
    if (file)
        *ret = *file;
    pthread_mutex_unlock(&retention->lock);
    return file;
}

static struct kept_file *find_again(struct retention *retention, const struct kept_file *file)
{
    for (size_t i = 0; i < retention->file_count; i++)
        if (retention->files[i].seq == file->seq && retention->files[i].stream == file->stream &&
            strcmp(retention->files[i].session, file->session) == 0)
            return &retention->files[i];
    return NULL;
}

static void forget(struct retention *retention, const struct kept_file *file)
{
    struct kept_file *own;

    pthread_mutex_lock(&retention->lock);
    own = find_again(retention, file);
    if (own)
        *own = retention->files[--retention->file_count];
    pthread_mutex_unlock(&retention->lock);
}

/* ---- removing it ---- */

static void leave(struct retention *retention, const struct kept_file *file, int why,
                  const char *text)
{
    struct kept_file *own;

    pthread_mutex_lock(&retention->lock);
    own = find_again(retention, file);
    if (own)
        own->is_left = true;
    pthread_mutex_unlock(&retention->lock);
    if (why == -EPERM || why == -EWOULDBLOCK || retention->left_said)
        return;
    retention->left_said = true;
    log_warning("%s/%s, file %llu: it would be removed to make room, and is left: %s",
                file->session, retention->streams[file->stream]->name,
                (unsigned long long)file->seq, text);
}

/* The ledger is told before the file goes. */
static int tell_ledger(struct retention *retention, const struct kept_file *file,
                       const struct retire *old, int session_fd, struct dao_text *text)
{
    struct record_stream *s = retention->streams[file->stream];

    if (strcmp(file->session, retention->session) != 0)
        return retire_note(old, session_fd, s->name, text);
    books_file_retired(retention->books, s, old->name, old->file_seq);
    if (books_write(retention->books))
        return 0;
    snprintf(text->s, sizeof text->s, "the ledger cannot be written");
    return -EIO;
}

static int take(struct retention *retention, const struct kept_file *file, struct retire *ret)
{
    const char *stream = retention->streams[file->stream]->name;
    char name[TREE_FILE_BYTES];
    struct dao_text text;
    int session_fd = openat(retention->root_fd, file->session,
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
        r;

    tree_file_name(name, stream, file->seq, 0);
    r = session_fd < 0 ? -errno : retire_begin(ret, session_fd, stream, name, &text);
    if (r == 0) {
        r = tell_ledger(retention, file, ret, session_fd, &text);
        if (r < 0)
            retire_end(ret);
    }
    if (r < 0 && r != -ENOENT)
        leave(retention, file, r, session_fd < 0 ? strerror(-r) : text.s);
    else
        forget(retention, file); /* somebody else removed it: his affair */
    if (session_fd >= 0)
        close(session_fd);
    return r;
}

/* To be closed by somebody who has the time. */
static void put_off(struct retention *retention, struct retire *old)
{
    int *grown;

    pthread_mutex_lock(&retention->lock);
    grown = realloc(retention->to_close, (retention->to_close_count + 1) * sizeof *grown);
    if (grown) {
        retention->to_close = grown;
        grown[retention->to_close_count++] = old->fd;
        old->fd = -1;
    }
    pthread_mutex_unlock(&retention->lock);
}

static void drop(struct retention *retention, struct retire *old, const struct kept_file *file)
{
    if (old->fd >= 0) {
        int r = retire_unlink(old);

        if (r < 0 && r != -ENOENT && !retention->trouble_said) {
            retention->trouble_said = true;
            log_error("%s: cannot be removed to make room: %s; check who owns its folder",
                      old->name, strerror(-r));
        }
        put_off(retention, old);
    }
    retire_end(old);
    if (strcmp(file->session, retention->session) != 0)
        retire_folders(retention->root_fd, file->session, retention->streams[file->stream]->name);
}

void retention_drop(struct retention *retention, struct retire *old)
{
    drop(retention, old, &retention->held);
    pthread_mutex_unlock(&retention->removing);
}

static void remove_surplus(struct retention *retention, unsigned stream, struct retire *ret_old)
{
    struct kept_file file;
    struct retire old;

    while (pick(retention, stream, &file)) {
        if (take(retention, &file, &old) < 0)
            continue;
        log_debug("%s/%s is removed", file.session, old.name);
        if (ret_old && ret_old->fd < 0 && file.stream == stream) {
            *ret_old = old;
            retention->held = file;
            continue;
        }
        drop(retention, &old, &file);
    }
}

static unsigned index_of(const struct retention *retention, const struct record_file *f)
{
    unsigned stream = 0;

    while (retention->streams[stream] != f->stream)
        stream++;
    return stream;
}

bool retention_make_way(struct retention *retention, struct record_file *f, struct retire *ret)
{
    *ret = (struct retire){.fd = -1, .dir_fd = -1};
    if (atomic_load(&f->claimed_bytes) != 0)
        return false; /* done, at an earlier try */
    atomic_store(&f->claimed_bytes, f->file.plan.file_bytes);
    pthread_mutex_lock(&retention->removing);
    remove_surplus(retention, index_of(retention, f), ret);
    if (ret->fd < 0)
        pthread_mutex_unlock(&retention->removing);
    return ret->fd >= 0;
}

void retention_before_close(struct retention *retention, struct record_file *f)
{
    pthread_mutex_lock(&retention->removing);
    remove_surplus(retention, index_of(retention, f), NULL);
    pthread_mutex_unlock(&retention->removing);
}

/* ---- as time goes by ---- */

void retention_add(struct retention *retention, struct record_file *f, bool is_finished)
{
    struct kept_file file = {.seq = f->file.state.file_seq};

    memcpy(file.session, retention->session, sizeof file.session);
    file.stream = index_of(retention, f);
    if (is_finished && measure(f->stream->dir_fd, f->file.name, &file))
        append(retention, &file);
    atomic_store(&f->claimed_bytes, 0);
}

/* Marks are taken away, and locks given back. */
static void look_again(struct retention *retention)
{
    pthread_mutex_lock(&retention->lock);
    for (size_t i = 0; i < retention->file_count; i++)
        retention->files[i].is_left = false;
    pthread_mutex_unlock(&retention->lock);
}

void retention_look(struct retention *retention)
{
    int64_t now_ns = dao_clock_mono_ns();

    if (now_ns - retention->looked_ns >= LOOK_AGAIN_NS) {
        retention->looked_ns = now_ns;
        look_again(retention);
    }
    pthread_mutex_lock(&retention->removing);
    remove_surplus(retention, NO_STREAM, NULL);
    pthread_mutex_unlock(&retention->removing);
}

bool retention_has_to_sweep(struct retention *retention)
{
    bool has;

    pthread_mutex_lock(&retention->lock);
    has = retention->to_close_count > 0;
    pthread_mutex_unlock(&retention->lock);
    return has;
}

void retention_sweep(struct retention *retention)
{
    for (;;) {
        int fd = -1;

        pthread_mutex_lock(&retention->lock);
        if (retention->to_close_count > 0)
            fd = retention->to_close[--retention->to_close_count];
        pthread_mutex_unlock(&retention->lock);
        if (fd < 0)
            return;
        close(fd);
    }
}
