/* retention.c - see retention.h. */
#include "record/retention.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"
#include "record/retention_going.h"
#include "record/retention_which.h"

#define LOOK_AGAIN_NS 30000000000ll /* at files that were left */
#define SURVEY_PAUSE  50            /* times as long as it took */
#define FRESH_NS      1000000000ll  /* so old a look may be when files are removed */

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

static void say_parts(const struct retention *retention)
{
    uint64_t parts = retention_part_bytes(retention);
    char taken[32], limit[32];

    if (retention->limits.bytes && parts > 0)
        log_warning("%s: unfinished files that crashes left take %s of the %s of --keep-size, and "
                    "are not removed; `daorec repair --apply %s` makes them files that may go",
                    retention->root, units_format_bytes(taken, sizeof taken, parts),
                    units_exact_bytes(limit, sizeof limit, retention->limits.bytes),
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
    retention_start_clock(retention);
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
    retention_note_ring(retention);
    pthread_mutex_unlock(&retention->lock);
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
                         retention_part_bytes(retention));
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
    retention_note_ring(retention);
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

static void remove_surplus(struct retention *retention, unsigned stream, struct retire *ret_old)
{
    struct retention_batch batch;

    if (retention_has_surplus(retention, stream))
        survey_if_old(retention, FRESH_NS);
    while (retention_pick(retention, stream, &batch))
        retention_remove_batch(retention, &batch, stream, ret_old);
}

/* ---- a full disk ---- */

/* The oldest one that may go, and its blocks are free, or held: how many bytes; 0: none may. */
static uint64_t remove_spare(struct retention *retention, unsigned stream, struct retire *ret_old)
{
    struct retention_batch batch;

    survey_if_old(retention, FRESH_NS);
    while (retention_pick_spare(retention, &batch)) {
        retention_remove_batch(retention, &batch, stream, ret_old);
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
    bytes = remove_spare(retention, RETENTION_NO_STREAM, NULL);
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

/* An earlier file of its stream that is not closed yet, which needs nothing of this one for that. A
 * later one, which may be prepared already, would wait for this one in turn. */
static bool has_earlier(const struct record_file *f)
{
    for (unsigned k = 0; k < STREAM_FILES; k++) {
        const struct record_file *other = &f->stream->files[k];

        if (atomic_load(&other->claimed_bytes) > 0 && /* else it may be the drain's */
            other->file.state.file_seq < f->file.state.file_seq)
            return true;
    }
    return false;
}

bool retention_has_to_wait(struct retention *retention, const struct record_file *f)
{
    uint64_t bytes = f->file.plan.file_bytes;
    unsigned of;
    bool has;

    pthread_mutex_lock(&retention->lock);
    has = retention->limits.bytes > 0 && atomic_load(&f->claimed_bytes) == 0 &&
          retention_bytes(retention) + bytes > retention->limits.bytes &&
          !retention_oldest(retention, 0, &of) && has_earlier(f);
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

void retention_drop(struct retention *retention, struct retire *old)
{
    retention_remove_held(retention, old);
    pthread_mutex_unlock(&retention->removing);
}

bool retention_should_wait(struct retention *retention, const struct record_file *f)
{
    return strcmp(f->end_cause, "ROLL") == 0 && !atomic_load(&f->stream->is_stopping) &&
           retention_has_surplus(retention, index_of(retention, f));
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
    file.end_ns = retention_steady_ns(retention);
    pthread_mutex_lock(&retention->lock);
    if (is_there)
        kept_append(&retention->lists[index_of(retention, f)], &file);
    atomic_store(&f->claimed_bytes, 0);
    retention_note_ring(retention);
    pthread_mutex_unlock(&retention->lock);
}

void retention_look(struct retention *retention)
{
    pthread_mutex_lock(&retention->removing);
    /* The locks of a recorder that was killed an instant ago may have been there yet. */
    survey_if_old(retention, retention->surveys < 2 ? FRESH_NS : LOOK_AGAIN_NS);
    remove_surplus(retention, RETENTION_NO_STREAM, NULL);
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
