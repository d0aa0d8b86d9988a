/* retention.c - see retention.h. */
#include "record/retention.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"

#define LOOK_AGAIN_NS 30000000000ll /* at files that were left */
#define LEAST_KEPT    1u            /* finished files of a stream: what is there to be read */
#define SURVEY_PAUSE  50            /* times as long as it took */
#define FRESH_NS      1000000000ll  /* so old a look may be when files are removed */

static int64_t boot_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* The wall clock, as if it had never been set since the beginning. */
static int64_t steady_ns(const struct retention *retention)
{
    return retention->begin_real_ns + (boot_ns() - retention->begin_boot_ns);
}

static int look_for_files(struct retention *retention)
{
    retention->root_fd = open(retention->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (retention->root_fd < 0)
        return -errno;
    retention->lists = calloc(retention->count, sizeof *retention->lists);
    if (!retention->lists)
        return -ENOMEM;
    for (unsigned i = 0; i < retention->count; i++)
        retention->lists[i].stream = retention->streams[i]->name;
    return kept_scan(retention->lists, retention->count, retention->root_fd,
                     retention->begin_real_ns);
}

static uint64_t count_part_bytes(const struct retention *retention)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < retention->count; i++)
        bytes += kept_part_bytes(&retention->lists[i]);
    return bytes;
}

static void say_parts(const struct retention *retention)
{
    uint64_t parts = count_part_bytes(retention);
    char taken[32], limit[32];

    if (retention->limits.bytes && parts > 0)
        log_warning("%s: unfinished files that crashes left take %s of the %s of --keep-size, and "
                    "are not removed; `daorec repair --apply %s` makes them files that may go",
                    retention->root, units_format_bytes(taken, sizeof taken, parts),
                    units_format_bytes(limit, sizeof limit, retention->limits.bytes),
                    retention->root);
}

/* Later the shapes are the drains' own. */
static int learn_streams(struct retention *retention)
{
    retention->known = calloc(retention->count, sizeof *retention->known);
    if (!retention->known)
        return -ENOMEM;
    for (unsigned i = 0; i < retention->count; i++) {
        const struct record_stream *s = retention->streams[i];
        struct retention_stream *known = &retention->known[i];

        known->is_known = s->shape != NULL;
        if (s->shape)
            known->parts = s->shape->parts;
        known->rolling = s->config.rolling;
    }
    return 0;
}

int retention_check(const struct retention *retention, const struct retention_limits *limits,
                    struct dao_text *text)
{
    return retention_limits_check(limits, retention->known, retention->count, text);
}

int retention_start(struct retention *retention, struct dao_text *text)
{
    int r;

    pthread_mutex_init(&retention->removing, NULL);
    pthread_mutex_init(&retention->lock, NULL);
    retention->begin_real_ns = dao_clock_real_ns();
    retention->begin_boot_ns = boot_ns();
    r = look_for_files(retention);
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.200s: cannot look for files to be removed: %s",
                 retention->root, strerror(-r));
        return r;
    }
    r = learn_streams(retention);
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%s", strerror(-r));
        return r;
    }
    r = retention_check(retention, &retention->limits, text);
    retention->room->ring_limit =
        retention_limits_most(&retention->limits, retention->known, retention->count);
    retention->room->ring_files = RETENTION_RING_FILES * retention->count;
    if (r == 0) { /* what is beyond the limits already may be all the room there is */
        retention_look(retention);
        retention_sweep(retention);
        say_parts(retention);
    }
    return r;
}

void retention_fini(struct retention *retention)
{
    if (!retention->root)
        return;
    retention_sweep(retention);
    if (retention->root_fd >= 0)
        close(retention->root_fd);
    for (unsigned i = 0; i < retention->count && retention->lists; i++)
        kept_free(&retention->lists[i]);
    free(retention->lists);
    free(retention->known);
    pthread_mutex_destroy(&retention->lock);
    pthread_mutex_destroy(&retention->removing);
    *retention = (struct retention){0};
}

void retention_say_room(const struct retention *retention)
{
    retention_limits_say(&retention->limits, retention->root, retention->room,
                         count_part_bytes(retention));
}

/* ---- which ones go next? ---- */

#define NO_STREAM UINT32_MAX

/* Files of one session and stream, oldest first. */
struct batch {
    unsigned stream;
    struct kept_file files[RETIRE_MANY];
    struct retire olds[RETIRE_MANY];
    size_t count;
};

/* The oldest of all, taken from each stream in its order; of no stream that has not more than
 * `least`. With the lock held. */
static struct kept_file *oldest(const struct retention *retention, uint64_t least,
                                unsigned *ret_stream)
{
    struct kept_file *found = NULL;

    for (unsigned i = 0; i < retention->count; i++) {
        struct kept_file *file = kept_oldest(&retention->lists[i]);

        if (!file || (found && file->end_ns >= found->end_ns) ||
            kept_count(&retention->lists[i]) <= least)
            continue;
        found = file;
        *ret_stream = i;
    }
    return found;
}

static uint64_t count_bytes(const struct retention *retention)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < retention->count; i++) {
        bytes += kept_bytes(&retention->lists[i]);
        for (unsigned k = 0; k < STREAM_FILES; k++)
            bytes += atomic_load(&retention->streams[i]->files[k].claimed_bytes);
    }
    return bytes;
}

/* With the lock held, whenever files came or went. Without a limit none may go. */
static void note_ring(const struct retention *retention)
{
    uint64_t spare = 0;

    for (unsigned i = 0; i < retention->count && retention_is_wanted(&retention->limits); i++)
        spare += kept_spare_bytes(&retention->lists[i]);
    room_set_ring(retention->room, count_bytes(retention), spare);
}

/* ---- other limits ---- */

void retention_set_limits(struct retention *retention, const struct retention_limits *limits,
                          const struct stream_config *configs)
{
    struct room *room = retention->room;

    for (unsigned i = 0; i < retention->count; i++)
        retention->known[i].rolling = configs[i].rolling;
    room->ring_limit = retention_limits_most(limits, retention->known, retention->count);
    room->ring_files = retention_is_wanted(limits) ? RETENTION_RING_FILES * retention->count : 0;
    pthread_mutex_lock(&retention->lock);
    retention->limits = *limits;
    note_ring(retention);
    pthread_mutex_unlock(&retention->lock);
}

/* What crashes left unfinished takes its share of the limit, but never all of it. */
static struct kept_file *find_surplus_bytes(const struct retention *retention, unsigned *ret_stream)
{
    uint64_t limit = retention->limits.bytes, bytes = count_bytes(retention);

    if (limit == 0 || bytes + count_part_bytes(retention) <= limit)
        return NULL;
    return oldest(retention, bytes > limit ? 0 : LEAST_KEPT, ret_stream);
}

/* Of a stream that a file is to be made for, or not. */
static bool has_too_many(const struct retention *retention, unsigned i, unsigned stream)
{
    uint64_t most = retention->limits.files - (i == stream);

    return retention->limits.files && kept_count(&retention->lists[i]) > most;
}

/* With the lock held. `stream`: that a file is to be made for, or NO_STREAM. */
static struct kept_file *find_surplus(struct retention *retention, unsigned stream,
                                      unsigned *ret_stream)
{
    const struct retention_limits *limits = &retention->limits;
    int64_t before_ns = limits->time_ns ? steady_ns(retention) - limits->time_ns : INT64_MIN;

    for (unsigned i = 0; i < retention->count; i++) {
        struct kept_file *file = kept_changed_before(&retention->lists[i], before_ns);

        if (!file && has_too_many(retention, i, stream))
            file = kept_oldest(&retention->lists[i]);
        *ret_stream = i;
        if (file)
            return file;
    }
    return find_surplus_bytes(retention, ret_stream);
}

/* They are not counted from here on. */
static bool pick(struct retention *retention, unsigned stream, struct batch *ret)
{
    struct kept_file *file;
    unsigned of = 0;

    ret->count = 0;
    pthread_mutex_lock(&retention->lock);
    while (ret->count < RETIRE_MANY && (file = find_surplus(retention, stream, &of))) {
        if (ret->count > 0 &&
            (of != ret->stream || strcmp(file->session, ret->files[0].session) != 0))
            break;
        ret->stream = of;
        ret->files[ret->count++] = *file;
        file->is_left = true;
    }
    pthread_mutex_unlock(&retention->lock);
    return ret->count > 0;
}

static void forget(struct retention *retention, unsigned stream, const struct kept_file *file)
{
    struct kept_file *own;

    pthread_mutex_lock(&retention->lock);
    own = kept_find(&retention->lists[stream], file->session, file->seq);
    if (own)
        kept_remove(&retention->lists[stream], own);
    pthread_mutex_unlock(&retention->lock);
}

/* ---- removing them ---- */

static void say_left(struct retention *retention, const struct batch *batch, size_t i, int why,
                     const char *text)
{
    if (why == -EPERM || why == -EWOULDBLOCK || retention->left_said)
        return;
    retention->left_said = true;
    log_warning("%s/%s, file %llu: it would be removed to make room, and is left: %s",
                batch->files[i].session, retention->streams[batch->stream]->name,
                (unsigned long long)batch->files[i].seq, text);
}

/* The ledger is told before files go. */
static int tell_ledger(struct retention *retention, const struct batch *batch, size_t first,
                       size_t count, int session_fd, struct dao_text *text)
{
    struct record_stream *s = retention->streams[batch->stream];

    if (strcmp(batch->files[0].session, retention->session) != 0)
        return retire_note(&batch->olds[first], count, session_fd, s->name, text);
    for (size_t i = first; i < first + count; i++)
        books_file_retired(retention->books, s, batch->olds[i].name, batch->olds[i].file_seq);
    if (books_write(retention->books))
        return 0;
    snprintf(text->s, sizeof text->s, "the ledger cannot be written");
    return -EIO;
}

static void drop_from_batch(struct batch *batch, size_t i)
{
    size_t behind = --batch->count - i;

    memmove(&batch->files[i], &batch->files[i + 1], behind * sizeof *batch->files);
    memmove(&batch->olds[i], &batch->olds[i + 1], behind * sizeof *batch->olds);
}

/* No descriptors for more at once: the first of them are enough to go on. */
static void put_back(struct retention *retention, struct batch *batch, size_t first)
{
    pthread_mutex_lock(&retention->lock);
    for (size_t i = first; i < batch->count; i++) {
        struct kept_file *own = kept_find(&retention->lists[batch->stream], batch->files[i].session,
                                          batch->files[i].seq);

        if (own)
            own->is_left = false;
    }
    pthread_mutex_unlock(&retention->lock);
    batch->count = first;
}

static void set_odd(struct retention *retention, unsigned stream, const struct kept_file *file)
{
    struct kept_file *own;

    pthread_mutex_lock(&retention->lock);
    own = kept_find(&retention->lists[stream], file->session, file->seq);
    if (own)
        own->is_odd = true;
    pthread_mutex_unlock(&retention->lock);
}

static void begin_all(struct retention *retention, struct batch *batch, int session_fd, int error)
{
    const char *stream = retention->streams[batch->stream]->name;

    for (size_t i = 0; i < batch->count;) {
        char name[TREE_FILE_BYTES];
        struct dao_text text;
        int r = error;

        tree_file_name(name, stream, batch->files[i].seq, 0);
        snprintf(text.s, sizeof text.s, "its session's folder: %s", strerror(-error));
        if (r == 0)
            r = retire_begin(&batch->olds[i], session_fd, stream, name, &text);
        if (r == 0) {
            i++;
            continue;
        }
        if (r == -EMFILE && i > 0) {
            put_back(retention, batch, i);
            return;
        }
        if (r == -EMEDIUMTYPE || r == -EACCES || r == -EROFS)
            set_odd(retention, batch->stream, &batch->files[i]);
        if (r == -ENOENT) /* somebody else removed it: his affair */
            forget(retention, batch->stream, &batch->files[i]);
        else
            say_left(retention, batch, i, r, text.s);
        drop_from_batch(batch, i);
    }
}

/* One by one: something is wrong with one of them. */
static void tell_each(struct retention *retention, struct batch *batch, int session_fd)
{
    for (size_t i = 0; i < batch->count;) {
        struct dao_text text;
        int r = tell_ledger(retention, batch, i, 1, session_fd, &text);

        if (r == 0) {
            i++;
            continue;
        }
        say_left(retention, batch, i, r, text.s);
        retire_end(&batch->olds[i]);
        drop_from_batch(batch, i);
    }
}

/* What stays in it is to be removed now. */
static void take(struct retention *retention, struct batch *batch)
{
    struct dao_text text;
    int session_fd = openat(retention->root_fd, batch->files[0].session,
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    begin_all(retention, batch, session_fd, session_fd < 0 ? -errno : 0);
    if (batch->count == 1 ||
        (batch->count > 1 && tell_ledger(retention, batch, 0, batch->count, session_fd, &text) < 0))
        tell_each(retention, batch, session_fd);
    for (size_t i = 0; i < batch->count; i++)
        forget(retention, batch->stream, &batch->files[i]);
    pthread_mutex_lock(&retention->lock);
    note_ring(retention);
    pthread_mutex_unlock(&retention->lock);
    if (session_fd >= 0)
        close(session_fd);
}

/* To be closed by somebody who has the time. */
static void put_off(struct retention *retention, struct retire *old)
{
    pthread_mutex_lock(&retention->lock);
    if (retention->to_close_count < RETENTION_TO_CLOSE) {
        retention->to_close[retention->to_close_count++] = old->fd;
        old->fd = -1;
    }
    pthread_mutex_unlock(&retention->lock);
}

static void drop(struct retention *retention, struct retire *old, const struct kept_file *file,
                 unsigned stream)
{
    if (old->fd >= 0) {
        int r = retire_unlink(old);

        if (r < 0 && r != -ENOENT && !retention->trouble_said) {
            retention->trouble_said = true;
            log_error("%s/%s/%s/%s: cannot be removed to make room: %s; check who owns its folder",
                      retention->root, file->session, retention->streams[stream]->name, old->name,
                      strerror(-r));
        }
        put_off(retention, old);
    }
    retire_end(old);
    if (strcmp(file->session, retention->session) != 0)
        retire_folders(retention->root_fd, file->session, retention->streams[stream]->name);
}

void retention_drop(struct retention *retention, struct retire *old)
{
    drop(retention, old, &retention->held, retention->held_stream);
    pthread_mutex_unlock(&retention->removing);
}

/* Before they are counted: marks and locks come and go. Every file is looked at, so it is done the
 * less often the longer it takes: what goes is looked at again then. */
static void survey(struct retention *retention)
{
    struct dao_text text;

    pthread_mutex_lock(&retention->lock);
    for (unsigned i = 0; i < retention->count; i++) {
        const char *closed =
            kept_survey(&retention->lists[i], retention->root_fd, retention->session, &text);

        if (closed[0] == '\0' || retention->closed_said)
            continue;
        retention->closed_said = true;
        log_warning("%s/%s: what it has is not removed to make room: %s", retention->root, closed,
                    text.s[0] ? text.s : "its folder cannot be read");
    }
    note_ring(retention);
    pthread_mutex_unlock(&retention->lock);
}

static void survey_if_old(struct retention *retention, int64_t age_ns)
{
    int64_t now_ns = dao_clock_mono_ns(), pause_ns = SURVEY_PAUSE * retention->survey_ns;

    if (retention->looked_ns &&
        now_ns - retention->looked_ns < (age_ns > pause_ns ? age_ns : pause_ns))
        return;
    survey(retention);
    retention->surveys++;
    retention->looked_ns = dao_clock_mono_ns();
    retention->survey_ns = retention->looked_ns - now_ns;
}

static bool has_surplus(struct retention *retention, unsigned stream)
{
    bool has;
    unsigned of;

    pthread_mutex_lock(&retention->lock);
    has = find_surplus(retention, stream, &of);
    pthread_mutex_unlock(&retention->lock);
    return has;
}

/* Those in the batch; one of `stream` is held back in *ret_old, where there is none yet. */
static void remove_batch(struct retention *retention, struct batch *batch, unsigned stream,
                         struct retire *ret_old)
{
    take(retention, batch);
    for (size_t i = 0; i < batch->count; i++) {
        log_debug("%s/%s is removed", batch->files[i].session, batch->olds[i].name);
        if (ret_old && ret_old->fd < 0 && batch->stream == stream) {
            *ret_old = batch->olds[i];
            retention->held = batch->files[i];
            retention->held_stream = stream;
            continue;
        }
        drop(retention, &batch->olds[i], &batch->files[i], batch->stream);
    }
}

static void remove_surplus(struct retention *retention, unsigned stream, struct retire *ret_old)
{
    struct batch batch;

    if (has_surplus(retention, stream))
        survey_if_old(retention, FRESH_NS);
    while (pick(retention, stream, &batch))
        remove_batch(retention, &batch, stream, ret_old);
}

/* ---- a full disk ---- */

/* Where the limits were taken away meanwhile all of it is to be kept. */
static bool pick_spare(struct retention *retention, struct batch *ret)
{
    struct kept_file *file = NULL;

    pthread_mutex_lock(&retention->lock);
    if (retention_is_wanted(&retention->limits))
        file = oldest(retention, LEAST_KEPT, &ret->stream);
    ret->count = file != NULL;
    if (file) {
        ret->files[0] = *file;
        file->is_left = true;
    }
    pthread_mutex_unlock(&retention->lock);
    return file;
}

/* The oldest one that may go, and its blocks are free, or held: how many bytes; 0: none may. */
static uint64_t remove_spare(struct retention *retention, unsigned stream, struct retire *ret_old)
{
    struct batch batch;

    survey_if_old(retention, FRESH_NS);
    while (pick_spare(retention, &batch)) {
        remove_batch(retention, &batch, stream, ret_old);
        retention_sweep(retention);
        if (batch.count > 0)
            return batch.files[0].bytes;
    }
    return 0;
}

uint64_t retention_remove_one(struct retention *retention)
{
    uint64_t bytes;

    pthread_mutex_lock(&retention->removing);
    bytes = remove_spare(retention, NO_STREAM, NULL);
    pthread_mutex_unlock(&retention->removing);
    return bytes;
}

/* Bytes that there are too few of for this need, with what is held. */
static uint64_t find_shortage(const struct retention *retention, uint64_t need,
                              const struct retire *old)
{
    uint64_t there = room_free(retention->room), held = old->fd >= 0 ? retention->held.bytes : 0;

    need -= held < need ? held : need;
    return there < need ? need - there : 0;
}

/* Others may have a removed file open, or another name for it, and then its room is not free: no
 * more go at once than would be enough. */
static void remove_for_room(struct retention *retention, unsigned stream, uint64_t need,
                            struct retire *ret_old)
{
    uint64_t shortage = find_shortage(retention, need, ret_old), gone = 0, bytes;

    if (shortage > 0) /* what was removed by the limits may not be free yet */
        retention_sweep(retention);
    shortage = find_shortage(retention, need, ret_old);
    while (gone < shortage && find_shortage(retention, need, ret_old) > 0 &&
           (bytes = remove_spare(retention, stream, ret_old)) > 0)
        gone += bytes;
}

static unsigned index_of(const struct retention *retention, const struct record_file *f)
{
    unsigned stream = 0;

    while (retention->streams[stream] != f->stream)
        stream++;
    return stream;
}

/* A file of its stream that is not closed yet, which needs nothing of this one for that. */
static bool has_earlier(const struct record_file *f)
{
    for (unsigned k = 0; k < STREAM_FILES; k++)
        if (&f->stream->files[k] != f && atomic_load(&f->stream->files[k].claimed_bytes) > 0)
            return true;
    return false;
}

bool retention_has_to_wait(struct retention *retention, const struct record_file *f)
{
    uint64_t bytes = f->file.plan.file_bytes;
    unsigned of;
    bool has;

    pthread_mutex_lock(&retention->lock);
    has = retention->limits.bytes > 0 && atomic_load(&f->claimed_bytes) == 0 &&
          count_bytes(retention) + bytes > retention->limits.bytes && !oldest(retention, 0, &of) &&
          has_earlier(f);
    pthread_mutex_unlock(&retention->lock);
    return has;
}

bool retention_make_way(struct retention *retention, struct record_file *f, uint64_t need,
                        struct retire *ret)
{
    unsigned stream = index_of(retention, f);
    bool is_first = atomic_load(&f->claimed_bytes) == 0;

    *ret = (struct retire){.fd = -1, .dir_fd = -1};
    atomic_store(&f->claimed_bytes, f->file.plan.file_bytes);
    pthread_mutex_lock(&retention->removing);
    if (is_first)
        remove_surplus(retention, stream, ret);
    remove_for_room(retention, stream, need, ret);
    if (ret->fd < 0)
        pthread_mutex_unlock(&retention->removing);
    return ret->fd >= 0;
}

bool retention_should_wait(struct retention *retention, const struct record_file *f)
{
    return strcmp(f->end_cause, "ROLL") == 0 && !atomic_load(&f->stream->is_stopping) &&
           has_surplus(retention, index_of(retention, f));
}

void retention_before_close(struct retention *retention, const struct record_file *f)
{
    unsigned stream = index_of(retention, f);

    pthread_mutex_lock(&retention->removing);
    remove_surplus(retention, stream, NULL);
    pthread_mutex_unlock(&retention->removing);
}

/* ---- as time goes by ---- */

/* One claims its room, or is counted, but not both. */
void retention_add(struct retention *retention, struct record_file *f, bool is_finished)
{
    struct kept_file file = {.seq = f->file.state.file_seq};
    bool is_there = is_finished && kept_measure(&file, f->stream->dir_fd, f->file.name);

    memcpy(file.session, retention->session, sizeof file.session);
    file.end_ns = steady_ns(retention);
    pthread_mutex_lock(&retention->lock);
    if (is_there)
        kept_append(&retention->lists[index_of(retention, f)], &file);
    atomic_store(&f->claimed_bytes, 0);
    note_ring(retention);
    pthread_mutex_unlock(&retention->lock);
}

void retention_look(struct retention *retention)
{
    pthread_mutex_lock(&retention->removing);
    /* The locks of a recorder that was killed an instant ago may have been there yet. */
    survey_if_old(retention, retention->surveys < 2 ? FRESH_NS : LOOK_AGAIN_NS);
    remove_surplus(retention, NO_STREAM, NULL);
    pthread_mutex_unlock(&retention->removing);
}

bool retention_has_to_sweep(struct retention *retention)
{
    bool has;

    if (pthread_mutex_trylock(&retention->lock) != 0) /* somebody looks at files: the next time */
        return false;
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
