/* keeper.c - see keeper.h. */
#include "record/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pace.h"
#include "base/units.h"
#include "lib/clock.h"
#include "record/opener.h"
#include "record/retention.h"

#define RETRY_NS    250000000ll
#define ANSWER_NS   5000000ll /* for a drain that was asked something */
#define PATIENCE_NS 1000000000ll

/* for the next file to be prepared before one is closed: see make_way() */
#define WAIT_STEP_NS 5000000ll
#define WAIT_STEPS   100

/* ---- jobs ---- */

static void set_state(struct record_file *f, int state)
{
    atomic_store_explicit(&f->state, state, memory_order_release);
    io_engine_kick(f->stream->engine);
}

static void free_file(struct keeper *keeper, struct record_file *f)
{
    struct io_queue *queue = &f->stream->free_files;

    opener_fulfil(f);
    room_look_again(f->stream->room); /* what it did not need is free again */
    atomic_fetch_sub(&f->stream->room->returning, f->returning);

    /* release: pairs with the acquire in free_shape(); its facts are not looked at any more */
    atomic_fetch_sub_explicit(&f->shape->file_count, 1, memory_order_release);

    pthread_mutex_lock(keeper->files_lock);
    io_queue_push(queue, &f);
    pthread_mutex_unlock(keeper->files_lock);
}

/* At the end of a recording a file is not waited for as long as it takes, but for a moment: the
 * disk may be back, or another file closed. */
static bool is_last_try(struct record_stream *s)
{
    int64_t now = dao_clock_mono_ns();

    if (!atomic_load(&s->is_stopping))
        return false;
    if (s->patience_ends_ns == 0)
        s->patience_ends_ns = now + PATIENCE_NS;
    return now >= s->patience_ends_ns || atomic_load(&s->hurry) || tree_is_gone(s->dir_fd);
}

/* 0: done, for good or ill; else the job is to be tried again, while its frames wait in memory. */
static int open_file(struct keeper *keeper, struct record_file *f)
{
    bool last_try = is_last_try(f->stream);
    struct dao_text text;
    int r;

    if (!last_try && dao_clock_mono_ns() < atomic_load(&f->stream->not_before_ns))
        return -EAGAIN;
    r = opener_open(f, last_try, &text);
    if (r == -EBUSY)
        return r;
    atomic_store(&f->stream->is_waiting, r < 0);
    if (r < 0) {
        keeper->events->trouble(keeper->events->ctx, f, text.s);
        /* A foreign file of its name stays there; a file of its length cannot be had. */
        if (!last_try && r != -EEXIST && r != -EFBIG)
            return r;
        atomic_store(&f->error, r);
        io_engine_kick(f->stream->engine);
        return 0;
    }
    keeper->events->opened(keeper->events->ctx, f);
    set_state(f, RECORD_FILE_OPEN);
    sink_sync_dir(&f->file.sink);
    return 0;
}

/* How many frames of a file that failed are whole on disk, rows included. */
static uint64_t whole_frames(const struct record_file *f)
{
    const struct fits_plan *plan = &f->file.plan;
    uint64_t rows = 0, frames = 0;

    if (f->rows_written > plan->rows_off)
        rows = (f->rows_written - plan->rows_off) / 64u;
    if (f->written > plan->cube_off)
        frames = (f->written - plan->cube_off) / plan->parts.frame_bytes;
    frames = frames < rows ? frames : rows;
    return frames < f->frames ? frames : f->frames;
}

/* Of what the drain had counted as recorded only the first `kept` frames are there. */
static void lose_frames(struct record_file *f, uint64_t kept)
{
    account_fail(&f->stream->account, kept ? f->last_cnt0 + 1 : f->first_cnt0, f->frames - kept,
                 dao_clock_real_ns());
    f->lost += f->frames - kept;
    f->failed += f->frames - kept;
    f->frames = kept;
}

/* A write failed: keep what is whole, count the rest as lost to the disk. A file without one whole
 * frame is of no use to anybody, and would keep the length it was given. */
static int salvage(struct record_file *f, struct dao_text *text)
{
    bool is_open = atomic_load(&f->state) == RECORD_FILE_OPEN;
    uint64_t whole = is_open ? whole_frames(f) : 0, all = f->frames;
    int r = -EIO;

    f->end_cause = "ERROR";
    f->has_next = false;
    if (whole > 0)
        r = recording_file_sum_rows(&f->file, whole, &f->data_sum, &f->rows_sum, &f->last_cnt0,
                                    &f->last_ns);
    f->removed = whole == 0;
    if (f->removed && is_open)
        recording_file_remove(&f->file);
    lose_frames(f, r == 0 ? whole : 0);
    snprintf(text->s, sizeof text->s, "%s: %s: %s, %llu frame%s of it lost", f->file.name,
             strerror(-atomic_load(&f->error)),
             f->removed ? "nothing of it was whole"
             : r == 0   ? "closed with what is whole"
                        : "it cannot be read either, and stays under its .part name",
             (unsigned long long)(all - f->frames), units_plural(all - f->frames));
    return r;
}

static int finish_file(struct keeper *keeper, struct record_file *f, struct dao_text *text)
{
    struct fits_mark marks[FITS_MARK_CARDS];
    struct fits_state *state = &f->file.state;
    char previous[TREE_FILE_BYTES] = "", next[TREE_FILE_BYTES] = "";
    double span_s = (double)(f->last_ns - f->first_ns) / 1e9;
    int r;

    if (state->file_seq > 1)
        tree_file_name(previous, f->stream->name, state->file_seq - 1, 0);
    if (f->has_next)
        tree_file_name(next, f->stream->name, state->file_seq + 1, 0);
    state->previous = previous;
    state->next = next;
    state->cnt0_end = f->last_cnt0;
    state->end_ns = f->last_ns;
    state->fps = f->frames > 1 && span_s > 0 ? (double)(f->frames - 1) / span_s : 0.0;
    state->lost = f->lost;
    state->gaps = f->gaps;
    state->torn = f->torn;
    state->session_lost = f->session_lost;
    state->end_cause = f->end_cause;
    state->marks = marks;
    state->mark_count = keeper->events->marks(keeper->events->ctx, f, marks, &state->marks_more);
    r = recording_file_close(&f->file, f->frames, f->data_sum, f->rows_sum, "CLOSED", NULL, text);
    state->marks = NULL;
    state->mark_count = 0;
    return r;
}

static bool has_jobs(struct keeper *keeper)
{
    bool has;

    pthread_mutex_lock(&keeper->lock);
    has = keeper->job_count > 0;
    pthread_mutex_unlock(&keeper->lock);
    return has;
}

/* Not while anything else is to be done: files that are not closed may not go, and would take more
 * than a ring is to have. */
static void make_way(struct keeper *keeper, struct record_file *f)
{
    struct retention *retention = f->stream->retention;

    for (int i = 0; i < WAIT_STEPS && !has_jobs(keeper) && retention_should_wait(retention, f); i++)
        pace_sleep_for(WAIT_STEP_NS);
    retention_before_close(retention, f);
}

static void close_file(struct keeper *keeper, struct record_file *f)
{
    struct io_engine *engine = f->stream->engine; /* once it is free the file is the drain's */
    struct dao_text text = {""}, closing = {""};
    int r = 0;

    if (f->stream->retention)
        make_way(keeper, f);
    if (atomic_load(&f->error) != 0)
        r = salvage(f, &text);
    if (r == 0) {
        r = finish_file(keeper, f, &closing);
        if (r < 0 && recording_file_is_gone(&f->file, f->stream->dir_fd)) {
            snprintf(closing.s, sizeof closing.s,
                     "%s was removed while it was recorded: %llu frame%s of it lost",
                     f->file.part_name, (unsigned long long)f->frames, units_plural(f->frames));
            lose_frames(f, 0);
            f->removed = true;
        }
        if (closing.s[0] != '\0')
            text = closing;
    } else {
        recording_file_discard(&f->file);
    }
    keeper->events->closed(keeper->events->ctx, f, r, text.s);
    /* release: pairs with the acquire in asking.c; the books know it by now */
    atomic_store_explicit(&f->stream->closed_file, 2 * f->file.state.file_seq + f->has_next,
                          memory_order_release);
    if (f->stream->retention)
        retention_add(f->stream->retention, f, r == 0 && !f->removed);
    free_file(keeper, f);
    io_engine_kick(engine);
}

static int run_job(struct keeper *keeper, const struct keeper_job *job)
{
    struct dao_text text;

    switch (job->kind) {
    case KEEPER_PREPARE: /* if it fails, opening tries again and reports */
        opener_prepare(job->file, &text);
        return 0;
    case KEEPER_OPEN:
        return open_file(keeper, job->file);
    case KEEPER_CLOSE:
        close_file(keeper, job->file);
        return 0;
    case KEEPER_DISCARD:
        recording_file_discard(&job->file->file);
        if (job->file->stream->retention)
            retention_add(job->file->stream->retention, job->file, false);
        free_file(keeper, job->file);
        return 0;
    case KEEPER_LEDGER:
        keeper->events->ledger(keeper->events->ctx);
        return 0;
    case KEEPER_RETENTION:
        keeper->events->retention(keeper->events->ctx);
        return 0;
    case KEEPER_SWEEP:
        keeper->events->sweep(keeper->events->ctx);
        return 0;
    }
    return 0;
}

/* ---- the thread ---- */

/* The first job whose time has come, taken out of the list; else when to look again (0: no job). */
static bool take_job(struct keeper *keeper, struct keeper_job *ret, int64_t *ret_wake_ns)
{
    int64_t now = dao_clock_mono_ns();

    *ret_wake_ns = 0;
    for (unsigned i = 0; i < keeper->job_count; i++) {
        struct keeper_job *job = &keeper->jobs[i];

        if (job->not_before_ns <= now || keeper->ending) {
            *ret = *job;
            keeper->job_count--;
            memmove(job, job + 1, (keeper->job_count - i) * sizeof *job);
            return true;
        }
        if (*ret_wake_ns == 0 || job->not_before_ns < *ret_wake_ns)
            *ret_wake_ns = job->not_before_ns;
    }
    return false;
}

static void put_job(struct keeper *keeper, struct keeper_job job)
{
    /* There are at most two jobs a file, PREPARE and one of the others, and one each of those
     * that are about no file. */
    if (keeper->job_count < keeper->job_max)
        keeper->jobs[keeper->job_count++] = job;
}

static void wait_for_job(struct keeper *keeper, int64_t wake_ns)
{
    struct timespec until = {.tv_sec = wake_ns / 1000000000ll, .tv_nsec = wake_ns % 1000000000ll};

    if (wake_ns)
        pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until);
    else
        pthread_cond_wait(&keeper->wake, &keeper->lock);
}

static void *keeper_run(void *arg)
{
    struct keeper *keeper = arg;
    struct keeper_job job;
    int64_t wake_ns;

    pthread_mutex_lock(&keeper->lock);
    for (;;) {
        if (take_job(keeper, &job, &wake_ns)) {
            int r;

            pthread_mutex_unlock(&keeper->lock);
            pulse_move(&keeper->pulse);
            r = run_job(keeper, &job);
            pulse_rest(&keeper->pulse);
            pthread_mutex_lock(&keeper->lock);
            if (r < 0) {
                job.not_before_ns = dao_clock_mono_ns() + (r == -EBUSY ? ANSWER_NS : RETRY_NS);
                put_job(keeper, job);
            }
            continue;
        }
        if (keeper->ending)
            break;
        wait_for_job(keeper, wake_ns);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

int keeper_start(struct keeper *keeper, unsigned streams, const struct keeper_events *events,
                 pthread_mutex_t *files_lock)
{
    pthread_condattr_t monotonic;
    int r;

    *keeper = (struct keeper){.events = events, .files_lock = files_lock};
    keeper->job_max = streams * STREAM_FILES * 2 + 3;
    keeper->jobs = calloc(keeper->job_max, sizeof *keeper->jobs);
    if (!keeper->jobs)
        return -ENOMEM;
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r = pthread_create(&keeper->thread, NULL, keeper_run, keeper);
    if (r != 0) {
        free(keeper->jobs);
        keeper->jobs = NULL;
    }
    return -r;
}

void keeper_post(struct keeper *keeper, enum keeper_job_kind kind, struct record_file *file)
{
    pthread_mutex_lock(&keeper->lock);
    put_job(keeper, (struct keeper_job){.kind = kind, .file = file});
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}

void keeper_stop(struct keeper *keeper)
{
    if (!keeper->jobs)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->ending = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper->jobs);
    keeper->jobs = NULL;
}
