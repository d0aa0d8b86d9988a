/* handover.c - see handover.h. */
#include "record/handover.h"

#include <assert.h>

#include "lib/clock.h"

#define LATE_NS   2000000000ll  /* a frame is taken, and its clock is off, by less than that */
#define OLD_NS    60000000000ll /* one of a backlog is not older */
#define ENDING_NS 1000000000ll  /* then a full file is closed without knowing its successor */

/* ---- messages ---- */

/* Blocks that are handed on before the writer is woken for them, while most are free: a wake and a
 * request to the disk cost more than they do together. */
#define UNTOLD_MAX 4u

static void push(struct io_queue *queue, struct record_message message)
{
    bool pushed = io_queue_push(queue, &message);

    assert(pushed); /* queues have room for every block and file there is */
    (void)pushed;
}

static void tell_writer(struct record_stream *s)
{
    s->untold_blocks = 0;
    io_engine_kick(s->engine);
}

void handover_send(struct record_stream *s, struct io_queue *queue, struct record_message message)
{
    push(queue, message);
    tell_writer(s);
}

static bool is_to_be_told(const struct record_stream *s)
{
    uint32_t free_blocks = atomic_load_explicit(&s->data_pool.free_count, memory_order_relaxed);
    uint32_t count = s->data_pool.count;

    return s->untold_blocks >= UNTOLD_MAX || s->untold_blocks >= count / 8 ||
           free_blocks < count / 4 * 3;
}

void handover_blocks(struct record_stream *s, bool force)
{
    struct record_message message = {.file = s->current};
    uint64_t need = fits_plan_frame_end(&s->current->file.plan, s->current->frames);

    message.kind = RECORD_DATA;
    while ((message.block = staging_take_block(&s->data, force, &message.from, &message.to))) {
        push(&s->data_queue, message);
        s->untold_blocks++;
        if (is_to_be_told(s))
            tell_writer(s);
    }
    message.kind = RECORD_ROWS;
    message.need = need;
    while ((message.block = staging_take_block(&s->rows, force, &message.from, &message.to)))
        handover_send(s, &s->row_queue, message);
}

void handover_flush(struct record_stream *s)
{
    struct record_message message = {.file = s->current};

    if (s->untold_blocks > 0)
        tell_writer(s);
    /* A writer that is far behind has enough to do: the next second comes. */
    if (io_queue_room(&s->data_queue) < s->data_queue.capacity / 4 ||
        io_queue_room(&s->row_queue) < s->row_queue.capacity / 4)
        return;
    message.kind = RECORD_FLUSH_DATA;
    message.block = staging_flush(&s->data, &message.from, &message.to);
    if (message.block)
        handover_send(s, &s->data_queue, message);
    message.kind = RECORD_FLUSH_ROWS;
    message.need = fits_plan_frame_end(&s->current->file.plan, s->current->frames);
    message.block = staging_flush(&s->rows, &message.from, &message.to);
    if (message.block)
        handover_send(s, &s->row_queue, message);
}

/* ---- files ---- */

/* A smaller file is better than none, but not one of a few frames after the other. */
#define CAPACITY_PART 64u

static uint64_t least_of(uint64_t capacity)
{
    if (capacity / CAPACITY_PART >= 2)
        return capacity / CAPACITY_PART;
    return capacity < 2 ? 1 : 2;
}

#define LASTING_HZ 1.0 /* any: without a limit in time it means nothing, once it is known */

/* Files that nobody has at present. */
static uint32_t count_free(const struct record_stream *s)
{
    return s->free_files.capacity - io_queue_room(&s->free_files);
}

/* While no file can be made, what is in memory is cut into pieces of a quarter of it: so much room
 * is enough to go on. */
static uint64_t modest_of(const struct record_stream *s, uint64_t least)
{
    uint64_t bytes = (uint64_t)s->data_pool.count * s->data_pool.block_bytes;
    uint64_t frames = bytes / 4 / s->shape->parts.frame_bytes;

    return frames > least ? frames : least;
}

/* A ring that the disk bounds wants files that are small against it. */
static uint64_t fit_ring(const struct record_stream *s, uint64_t capacity)
{
    uint64_t most = atomic_load_explicit(&s->room->file_most, memory_order_relaxed), fair;

    if (!s->retention || most == UINT64_MAX)
        return capacity;
    fair = fits_plan_capacity_of(&s->shape->parts, most);
    return rolling_smaller(capacity, fair < 2 ? 2 : fair);
}

/* Of a stream's files the last that is free, since a disk that stands still closes none, is to hold
 * all that there is memory for: no other follows until the disk goes on. Only time ends files so
 * early; those that are to be small stay small. */
static uint64_t last_capacity(const struct record_stream *s, uint64_t capacity, uint64_t most_bytes)
{
    const struct fits_parts *parts = &s->shape->parts;
    struct rolling_limits lasting = s->config.rolling;
    uint64_t frames = (uint64_t)s->data_pool.count * s->data_pool.block_bytes / parts->frame_bytes;
    struct fits_plan plan;

    if (count_free(s) > 1)
        return capacity;
    lasting.time_ns = 0;
    frames = rolling_smaller(frames, rolling_capacity(&lasting, parts, LASTING_HZ));
    frames = fit_ring(s, frames);
    fits_plan_make(&plan, parts, frames);
    return frames > capacity && plan.file_bytes <= most_bytes ? frames : capacity;
}

/* Frames in the next file, as the limits have it and as far as there is room; 0: there is not. */
static uint64_t plan_capacity(struct record_stream *s, uint64_t *ret_least)
{
    const struct fits_parts *parts = &s->shape->parts;
    uint64_t capacity = rolling_capacity(&s->config.rolling, parts, s->rate_hz), granted, left;
    uint64_t most =
        rolling_smaller(s->room->limits.file_bytes_max,
                        atomic_load_explicit(&s->file_bytes_most, memory_order_relaxed));
    struct fits_plan wanted, least;

    fits_plan_make(&wanted, parts, capacity);
    if (wanted.file_bytes > most) { /* however small: larger ones cannot be had */
        capacity = fits_plan_capacity_of(parts, most);
        if (capacity == 0)
            return 0;
    }
    left = atomic_load_explicit(&s->room->left_bytes, memory_order_relaxed);
    if (s->rate_hz <= 0.0)
        capacity = rolling_fair(&s->config.rolling, parts, capacity, left);
    else if (!s->retention) /* of a ring what is old makes room */
        capacity =
            rolling_share(&s->config.rolling, parts, capacity, s->rate_hz, left, s->room->streams);
    capacity = fit_ring(s, capacity);
    *ret_least = least_of(capacity);
    capacity = last_capacity(s, capacity, most);
    if (atomic_load_explicit(&s->is_waiting, memory_order_relaxed))
        capacity = rolling_smaller(capacity, modest_of(s, *ret_least));
    fits_plan_make(&wanted, parts, capacity);
    fits_plan_make(&least, parts, *ret_least);
    if (room_keeps_nothing(s->room)) /* then opener.c finds out how much there is room for */
        least = wanted;
    granted = room_claim(s->room, least.file_bytes, wanted.file_bytes);
    return granted == wanted.file_bytes ? capacity : fits_plan_capacity_of(parts, granted);
}

void handover_plan(struct record_stream *s)
{
    struct record_file *const *free_file = io_queue_peek(&s->free_files);
    struct record_file *f;
    uint64_t capacity, least = 1;

    if (!free_file)
        return;
    capacity = plan_capacity(s, &least);
    if (capacity == 0 && !s->no_room)
        s->no_room_looks = atomic_load_explicit(&s->room->looks, memory_order_relaxed);
    s->no_room = capacity == 0;
    if (s->no_room)
        return;
    f = *free_file;
    io_queue_pop(&s->free_files);
    f->stream = s;
    f->shape = s->shape;
    atomic_fetch_add_explicit(&f->shape->file_count, 1, memory_order_relaxed);
    f->capacity = capacity;
    f->least = rolling_smaller(least, capacity);
    f->modest = modest_of(s, f->least);
    f->frames = 0;
    f->data_sum = f->rows_sum = 0;
    f->lost = f->gaps = f->torn = 0;
    f->end_cause = "";
    f->has_next = f->asked = f->removed = false;
    f->returning = 0;
    f->failed = 0;
    f->consumed = f->written = f->rows_written = 0;
    f->writes_in_flight = 0;
    f->sync_in_flight = false;
    atomic_store_explicit(&f->state, RECORD_FILE_IDLE, memory_order_relaxed);
    atomic_store_explicit(&f->error, 0, memory_order_relaxed);
    atomic_store_explicit(&f->most, capacity, memory_order_relaxed);
    atomic_store_explicit(&f->is_complete, false, memory_order_relaxed);
    atomic_store_explicit(&f->wish, 0, memory_order_relaxed);
    fits_plan_make(&f->file.plan, &f->shape->parts, f->capacity);
    f->promised = f->file.plan.file_bytes;
    room_promise(s->room, f->promised);
    f->file.facts = &f->shape->facts;
    f->file.state =
        (struct fits_state){.file_seq = s->next_seq++, .previous = "", .next = "", .end_cause = ""};
    f->file.dateref_ns = dao_clock_real_ns() / 1000000000ll * 1000000000ll;
    s->next = f;
    handover_send(s, &s->data_queue, (struct record_message){.kind = RECORD_PREPARE, .file = f});
}

/* Where files end together: a frame belongs to the file of the time at which it was published, as
 * long as that is a time. */
static void begin_boundary(struct record_stream *s, int64_t atime_ns)
{
    struct record_file *f = s->current;
    int64_t real_ns = dao_clock_real_ns();
    bool is_good = atime_ns < real_ns + LATE_NS && atime_ns > real_ns - OLD_NS;

    f->boundary_clock_ns = rolling_boundary(&s->config.rolling, is_good ? atime_ns : real_ns);
    f->boundary_ns = is_good ? f->boundary_clock_ns : INT64_MAX;
}

/* Is there a file to go on in? While the disk stands still all of them wait for it, and while those
 * that were ended are not closed they may have all the room that there is: what is in memory is to
 * grow, not the loss. One whose end is due goes on then, as long as it can. */
static bool has_another(struct record_stream *s)
{
    if (!s->next)
        handover_plan(s);
    return s->next;
}

bool handover_ensure_file(struct record_stream *s, int64_t atime_ns)
{
    if (s->current && s->current->frames > 0 && atime_ns >= s->current->boundary_ns &&
        has_another(s))
        handover_end_current(s, "ROLL", dao_clock_mono_ns());
    if (s->current)
        return true;
    if (!s->next)
        handover_plan(s);
    if (!s->next)
        return false;
    s->current = s->next;
    s->next = NULL;
    begin_boundary(s, atime_ns);
    staging_start(&s->data, s->current->file.plan.cube_off);
    staging_start(&s->rows, s->current->file.plan.rows_off);
    return true;
}

/* Others may have taken it by the time that it is looked for again. */
static bool awaits_what_returns(struct record_stream *s)
{
    bool is_returning = atomic_load(&s->room->returning) > 0;

    handover_plan(s);
    if (s->next || !is_returning)
        return s->next;
    if (s->ending && s->ending->returning > 0) /* its successor waits for it */
        handover_end_pending(s, false);
    return true;
}

/* Of a ring also what old files have. */
bool handover_awaits_room(struct record_stream *s)
{
    unsigned looks = atomic_load_explicit(&s->room->looks, memory_order_relaxed);

    if (!s->retention)
        return awaits_what_returns(s);
    if (s->ending) /* its successor waits for it */
        handover_end_pending(s, false);
    if (count_free(s) < STREAM_FILES)
        s->no_room_looks = looks;
    if (looks - s->no_room_looks < 2)
        return true;
    handover_plan(s);
    return s->next;
}

void handover_end_pending(struct record_stream *s, bool has_next)
{
    struct record_file *f = s->ending;

    f->has_next = has_next;
    f->session_lost = ledger_lost(&s->account.now.counts);
    s->ending = NULL;
    account_publish(&s->account); /* no ledger lists a file before its frames are counted */
    handover_send(s, &s->row_queue,
                  (struct record_message){.kind = RECORD_END,
                                          .file = f,
                                          .need = fits_plan_frame_end(&f->file.plan, f->frames)});
}

static void return_room(struct record_stream *s, struct record_file *f)
{
    struct fits_plan needed;

    fits_plan_make(&needed, &f->shape->parts, f->frames);
    if (needed.file_bytes < f->file.plan.file_bytes)
        f->returning = f->file.plan.file_bytes - needed.file_bytes;
    atomic_fetch_add(&s->room->returning, f->returning);
}

void handover_end_current(struct record_stream *s, const char *cause, int64_t now_ns)
{
    struct record_file *f = s->current;

    handover_blocks(s, true);
    return_room(s, f);
    f->end_cause = cause;
    f->ended_ns = dao_clock_real_ns();
    f->so_far = s->account.now.counts;
    atomic_store_explicit(&f->most, f->frames, memory_order_relaxed);
    /* release: pairs with the acquire in agree() of opener.c, which then reads `most` */
    atomic_store_explicit(&f->is_complete, true, memory_order_release);
    s->ending = f;
    s->ending_since_ns = now_ns;
    s->current = NULL;
}

void handover_retire(struct record_stream *s, const char *cause, int64_t now_ns)
{
    if (s->current && s->current->frames > 0) {
        handover_end_current(s, cause, now_ns);
    } else if (s->current) { /* begun, but its first frame was never proven */
        assert(!s->next);
        s->next = s->current;
        s->current = NULL;
    }
    if (s->next) {
        handover_send(s, &s->row_queue,
                      (struct record_message){.kind = RECORD_DISCARD, .file = s->next});
        s->next_seq--;
    }
    s->next = NULL;
    s->no_room = false;
    staging_drop(&s->data);
    staging_drop(&s->rows);
}

static void heed_wish(struct record_file *f)
{
    uint64_t wish = f ? atomic_load_explicit(&f->wish, memory_order_relaxed) : 0;

    if (wish == 0)
        return;
    if (wish < f->capacity)
        f->capacity = wish > f->frames ? wish : f->frames;
    atomic_store_explicit(&f->most, f->capacity, memory_order_relaxed);
    /* release: pairs with the acquire in agree() of opener.c */
    atomic_store_explicit(&f->wish, 0, memory_order_release);
}

/* One that is to hold less now. What has a boundary to end at is not to end before it. */
static void shorten(const struct record_stream *s, struct record_file *f)
{
    struct rolling_limits limits = s->config.rolling;
    double rate_hz = s->rate_hz;
    uint64_t most;

    if (!f)
        return;
    if (limits.together && f == s->current) {
        limits.time_ns = 0;
        rate_hz = 1.0; /* any: it is not a first file, which is small since its rate is not known */
    }
    most = rolling_capacity(&limits, &f->shape->parts, rate_hz);
    if (most >= f->capacity)
        return;
    f->capacity = most > f->frames ? most : f->frames;
    atomic_store_explicit(&f->most, f->capacity, memory_order_relaxed);
}

/* What is read again may be all the same: then a file whose end is due, and waits for another one,
 * is not to go on to the boundary behind it. */
static void move_boundary(struct record_stream *s, const struct rolling_limits *before)
{
    const struct rolling_limits *now = &s->config.rolling;
    struct record_file *f = s->current;

    if (!f || (before->together == now->together && before->time_ns == now->time_ns))
        return;
    /* the frame that comes next, where it has none, is published by now or so */
    begin_boundary(s, f->frames > 0 ? f->last_ns : dao_clock_real_ns());
}

void handover_take_wishes(struct record_stream *s)
{
    struct rolling_limits before = s->config.rolling;

    if (pthread_mutex_trylock(&s->wish_lock) != 0)
        return;
    s->config.rolling = s->wished_rolling;
    s->config.latency_ns = s->wished_latency_ns;
    atomic_store_explicit(&s->has_wishes, false, memory_order_relaxed); /* the lock orders it */
    pthread_mutex_unlock(&s->wish_lock);
    s->pace.sleep_max_ns = s->config.latency_ns;
    move_boundary(s, &before);
    shorten(s, s->current);
    shorten(s, s->next);
}

void handover_heed(struct record_stream *s)
{
    heed_wish(s->current);
    heed_wish(s->next);
}

/* With a common boundary the frames themselves tell (see handover_ensure_file()), but for a source
 * that is silent, or has no good times: then the clock, once nothing can be on its way any more. */
static bool is_due(const struct record_stream *s, const struct record_file *f, int64_t now_ns)
{
    if (f->boundary_clock_ns == INT64_MAX)
        return rolling_is_due(&s->config.rolling, now_ns - f->opened_mono_ns);
    return dao_clock_real_ns() - LATE_NS >= f->boundary_clock_ns;
}

/* It was asked to begin a new file, and has ended this one; NULL: there was nothing to end. */
static void answer_roll(struct record_stream *s, const struct record_file *ended)
{
    atomic_store_explicit(&s->rolled_seq, ended ? ended->file.state.file_seq : 0,
                          memory_order_relaxed);
    /* release: pairs with the acquire in asking.c, which then reads rolled_seq */
    atomic_store_explicit(&s->roll_requested, false, memory_order_release);
}

/* While frames wait for a file, or for memory, it is not known yet whether one follows. */
static bool is_successor_awaited(const struct record_stream *s)
{
    return s->starved && atomic_load(&s->condition) == STREAM_RUNNING;
}

void handover_roll_if_due(struct record_stream *s, int64_t now_ns)
{
    bool asked = atomic_load_explicit(&s->roll_requested, memory_order_relaxed);
    struct record_file *f = s->current;

    if (f && f->frames > 0) {
        if (atomic_load_explicit(&f->error, memory_order_relaxed))
            handover_end_current(s, "ERROR", now_ns);
        else if (f->frames == f->capacity || ((asked || is_due(s, f, now_ns)) && has_another(s)))
            handover_end_current(s, "ROLL", now_ns);
        /* The next file is made while this one fills, once it is known how large it must be. */
        else if (!s->next && !s->stopping && (s->rate_hz > 0 || f->frames * 2 >= f->capacity))
            handover_plan(s);
    }
    if (asked && s->current != f)
        answer_roll(s, f);
    else if (asked && (!f || f->frames == 0)) /* else it is ended as soon as there is another */
        answer_roll(s, NULL);
    if (s->ending && !is_successor_awaited(s) && now_ns - s->ending_since_ns > ENDING_NS)
        handover_end_pending(s, false);
}
