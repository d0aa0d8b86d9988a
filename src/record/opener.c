/*
 * opener.c - see opener.h.
 *
 * A disk may have less room than a file was planned for: a quota, or somebody else who fills it.
 * The plan stays then, since frames are staged by its offsets; only as much of the file is
 * allocated as there is room for, and the drain is asked to end it that early:
 *
 *     keeper                                 drain, between two frames
 *     room for M of N frames: wish = M  -->  capacity = max(M, frames staged already)
 *     most <= M: good, else more room   <--  most = capacity, wish = 0
 *
 * A drain that has ended the file does not answer any more; is_complete tells, and `most` is what
 * it holds. If there is no room for even the least, the drain is asked to make the file a modest
 * one, so that a little room will do.
 */
#include "record/opener.h"
#include "record/retention.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "base/log.h"

static uint64_t most_of(const struct record_file *f)
{
    return atomic_load_explicit(&f->most, memory_order_acquire);
}

static bool is_complete(const struct record_file *f)
{
    return atomic_load_explicit(&f->is_complete, memory_order_acquire);
}

static bool is_for_want_of_room(int r)
{
    return r == -ENOSPC || r == -EDQUOT;
}

/* ---- room ---- */

/* In a ring of files: what was planned to be free may have been locked or marked since. `held`:
 * bytes of blocks that are to be used again. */
static uint64_t fit_in_ring(const struct record_file *f, uint64_t frames, uint64_t least,
                            uint64_t held)
{
    uint64_t room = room_free(f->stream->room);

    while (frames / 2 >= least && room != UINT64_MAX &&
           recording_file_room_bytes(&f->file.plan, frames) > room + held)
        frames /= 2;
    return frames;
}

/* Not more than the file system says it has: to try would take it away from others for a moment. */
static uint64_t fit(const struct record_file *f, uint64_t frames, uint64_t least)
{
    struct statvfs fs;

    if (fstatvfs(f->stream->dir_fd, &fs) != 0 || fs.f_blocks == 0)
        return frames;
    while (frames / 2 >= least &&
           recording_file_room_bytes(&f->file.plan, frames) / fs.f_frsize >= fs.f_bavail)
        frames /= 2;
    return frames;
}

/* A file that is removed to make way for this one gives it its blocks, if they are many enough. Its
 * pixels stay, since they are written over before a row tells of them; but for the first frame,
 * which repair keeps also where no row has reached the disk. */
static bool find_old(struct record_file *f, uint64_t need, struct retire *old, struct sink_old *ret)
{
    const struct fits_plan *plan = &f->file.plan;
    uint64_t end, begin = plan->cube_off + plan->parts.frame_bytes;

    if (!f->stream->retention || !retention_make_way(f->stream->retention, f, need, old))
        return false;
    end = old->cube_end < plan->frames_header_off ? old->cube_end : plan->frames_header_off;
    *ret = (struct sink_old){.fd = old->fd, .dir_fd = old->dir_fd, .name = old->name};
    ret->keep_off = old->cube_off > begin ? old->cube_off : begin;
    ret->keep_off = (ret->keep_off + SINK_PAGE - 1) / SINK_PAGE * SINK_PAGE;
    ret->keep_end = end / SINK_PAGE * SINK_PAGE;
    return ret->keep_off < ret->keep_end && ret->keep_end - ret->keep_off > plan->file_bytes / 2;
}

/* A quota, or others who were faster. Of a ring of files older ones go, but no more than would be
 * enough; `gone` counts them. */
static bool has_made_room(const struct record_file *f, uint64_t frames, uint64_t *gone)
{
    struct retention *retention = f->stream->retention;
    uint64_t bytes = 0;

    if (retention && *gone < recording_file_room_bytes(&f->file.plan, frames))
        bytes = retention_remove_one(retention);
    *gone += bytes;
    return bytes > 0;
}

void opener_fulfil(struct record_file *f)
{
    room_fulfil(f->stream->room, f->promised);
    f->promised = 0;
}

static int prepare(struct record_file *f, uint64_t least, struct dao_text *text)
{
    struct record_stream *s = f->stream;
    const struct sink_backend *backend =
        s->config.backend ? s->config.backend : &sink_backend_system;
    struct retire old = {.fd = -1, .dir_fd = -1};
    struct sink_old blocks;
    uint64_t frames = most_of(f), gone = 0;
    bool is_offered;
    int r;

    is_offered = find_old(f, recording_file_room_bytes(&f->file.plan, frames), &old, &blocks);
    f->file.old = is_offered ? &blocks : NULL;
    if (!is_offered && old.dir_fd >= 0) { /* its room first */
        retention_drop(s->retention, &old);
        retention_sweep(s->retention);
    }
    if (s->retention)
        frames = fit_in_ring(f, frames, least, is_offered ? s->retention->held.bytes : 0);
    else
        frames = fit(f, frames, least);
    f->file.room_frames = frames;
    r = recording_file_prepare(&f->file, s->dir_fd, s->config.want_direct, backend, text);
    if (is_offered && !f->file.old) { /* taken over */
        old.fd = -1;
        log_debug("%s %s the blocks of %s", f->file.name,
                  f->file.sink.temp_name[0] ? "is written into" : "could not take", old.name);
    }
    f->file.old = NULL;
    if (is_offered)
        retention_drop(s->retention, &old);
    while (is_for_want_of_room(r)) {
        if (!has_made_room(f, frames, &gone)) {
            if (frames / 2 < least)
                break;
            frames /= 2;
        }
        f->file.room_frames = frames;
        r = recording_file_prepare(&f->file, s->dir_fd, s->config.want_direct, backend, text);
    }
    if (r == 0) {
        opener_fulfil(f);
        atomic_store_explicit(&f->state, RECORD_FILE_PREPARED, memory_order_release);
    } else if (r == -EFBIG)
        atomic_store(&s->file_bytes_most, f->file.plan.file_bytes / 2);
    return r;
}

static void ask_for(struct record_file *f, uint64_t frames)
{
    if (f->asked || is_complete(f) || frames >= most_of(f))
        return;
    f->asked = true;
    atomic_store_explicit(&f->wish, frames, memory_order_relaxed);
}

/* Is there room for all that the drain will put in? It is prepared. */
static int agree(struct record_file *f, struct dao_text *text)
{
    uint64_t most;
    int r;

    if (most_of(f) <= f->file.room_frames)
        return 0;
    if (!f->asked && !is_complete(f)) {
        ask_for(f, f->file.room_frames);
        return -EBUSY;
    }
    /* acquire: pairs with the release in heed_wish() and handover_end_current() */
    if (atomic_load_explicit(&f->wish, memory_order_acquire) != 0 && !is_complete(f))
        return -EBUSY;
    most = most_of(f);
    r = most <= f->file.room_frames ? 0 : recording_file_reserve(&f->file, most, text);
    if (r < 0) {
        recording_file_discard(&f->file);
        f->asked = false;
        atomic_store_explicit(&f->state, RECORD_FILE_IDLE, memory_order_release);
    }
    return r;
}

/* ---- the two steps ---- */

/* A ring that has no room for it until an earlier file is closed. */
static bool has_to_wait(const struct record_file *f)
{
    struct retention *retention = f->stream->retention;

    return retention && retention_has_to_wait(retention, f);
}

int opener_prepare(struct record_file *f, struct dao_text *text)
{
    int r;

    if (atomic_load_explicit(&f->state, memory_order_relaxed) != RECORD_FILE_IDLE)
        return 0;
    if (has_to_wait(f))
        return -EBUSY;
    r = prepare(f, f->least, text);
    if (r == 0)
        ask_for(f, f->file.room_frames);
    else
        ask_for(f, f->modest);
    return r;
}

void opener_settle(struct record_file *f)
{
    if (f->file.room_frames < f->capacity)
        f->capacity = f->file.room_frames;
    atomic_store(&f->most, f->capacity);
    atomic_store(&f->wish, 0);
}

static int publish(struct record_file *f, struct dao_text *text)
{
    struct fits_state *state = &f->file.state;
    char previous[TREE_FILE_BYTES] = "";
    int r;

    if (state->file_seq > 1)
        tree_file_name(previous, f->stream->name, state->file_seq - 1, 0);
    state->previous = previous;
    state->frame0 = f->index0;
    state->cnt0_begin = f->first_cnt0;
    state->begin_ns = f->first_ns;
    r = recording_file_publish(&f->file, text);
    state->previous = "";
    return r;
}

int opener_open(struct record_file *f, bool is_last, struct dao_text *text)
{
    int r = 0;

    if (atomic_load_explicit(&f->state, memory_order_relaxed) == RECORD_FILE_IDLE) {
        if (!is_last && has_to_wait(f))
            return -EBUSY;
        /* What is staged is wanted whole; what is still to come may be less. */
        r = prepare(f, is_complete(f) ? most_of(f) : is_last ? 1 : f->least, text);
        if (r < 0)
            ask_for(f, f->modest);
    }
    if (r == 0)
        r = agree(f, text);
    return r == 0 ? publish(f, text) : r;
}
