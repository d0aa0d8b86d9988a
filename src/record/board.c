/* board.c - see board.h. */
#include "record/board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fits/rows.h"
#include "lib/clock.h"

void board_init(struct board *board)
{
    *board = (struct board){0};
    pthread_mutex_init(&board->lock, NULL);
}

void board_fini(struct board *board)
{
    board_clear(board);
    free(board->past);
    board->past = NULL;
    pthread_mutex_destroy(&board->lock);
}

/* ---- the session ---- */

void board_show_waiting(struct board *board, struct record_stream *const *streams, unsigned count,
                        const char *root)
{
    pthread_mutex_lock(&board->lock);
    board->streams = streams;
    board->count = count;
    board->root = root;
    pthread_mutex_unlock(&board->lock);
}

void board_show_running(struct board *board, const struct books *books, struct room *room)
{
    pthread_mutex_lock(&board->lock);
    board->books = books;
    board->room = room;
    board->sample_count = 0;
    free(board->samples);
    free(board->told);
    board->samples = calloc((size_t)BOARD_SAMPLES * board->count, sizeof *board->samples);
    board->told = calloc(board->count, sizeof *board->told);
    pthread_mutex_unlock(&board->lock);
}

void board_note(struct board *board, int64_t now_mono_ns)
{
    unsigned at;

    pthread_mutex_lock(&board->lock);
    at = board->sample_count % BOARD_SAMPLES;
    for (unsigned i = 0; i < board->count && board->samples; i++) {
        struct record_stream *s = board->streams[i];
        struct account_view view;

        account_read(&s->account, &view);
        board->samples[at * board->count + i] = (struct board_sample){
            .frames = view.counts.recorded,
            .bytes_written = atomic_load_explicit(&s->bytes_written, memory_order_relaxed)};
    }
    board->sampled_ns[at] = now_mono_ns;
    board->sample_count++;
    pthread_mutex_unlock(&board->lock);
}

/* ---- who looks ---- */

static uint64_t pool_bytes(struct io_pool *pool, uint64_t *used)
{
    /* The drain may be cutting it into other blocks: then these do not belong together. */
    uint64_t count = __atomic_load_n(&pool->count, __ATOMIC_RELAXED);
    uint64_t block = __atomic_load_n(&pool->block_bytes, __ATOMIC_RELAXED);
    uint64_t left = atomic_load_explicit(&pool->free_count, memory_order_relaxed);

    *used += left < count ? (count - left) * block : 0;
    return count * block;
}

static enum stream_state_condition condition_of(struct record_stream *s)
{
    int condition = atomic_load_explicit(&s->condition, memory_order_acquire);

    if (condition == STREAM_UNFIT)
        return STATE_UNFIT;
    if (atomic_load(&s->is_stopping))
        return STATE_ENDED;
    return condition == STREAM_AWAITED ? STATE_WAITING
           : condition == STREAM_GONE  ? STATE_GONE
                                       : STATE_RUNNING;
}

/* Of what the drain and the writer say. */
static void fill_running(struct record_stream *s, struct stream_state *ret)
{
    struct account_view view;
    uint64_t row_bytes = FITS_ROW_BYTES;

    account_read(&s->account, &view);
    ret->condition = condition_of(s);
    if (view.counts.shape_count > 0) /* else its segment has not appeared yet */
        state_format_shape(ret->shape, sizeof ret->shape, &view.counts.shape.geometry);
    ret->depth = view.depth;
    ret->frame_bytes = view.counts.shape.geometry.frame_bytes;
    ret->frames = view.counts.recorded;
    ret->torn = view.counts.torn;
    memcpy(ret->lost_by, view.counts.lost_by, sizeof ret->lost_by);
    ret->lost = ledger_lost(&view.counts);
    ret->gaps = view.counts.gap_count + view.failed_count;
    /* what is beyond is overwritten, and among what is lost */
    ret->backlog = view.backlog < view.depth ? view.backlog : view.depth;
    ret->buffer_bytes = pool_bytes(&s->data_pool, &ret->buffer_used_bytes) +
                        pool_bytes(&s->row_pool, &ret->buffer_used_bytes);
    /* acquire: pairs with the release in report.c; what is closed was written, so it is first */
    ret->files_closed = atomic_load_explicit(&s->files_closed, memory_order_acquire);
    ret->bytes_written = atomic_load_explicit(&s->bytes_written, memory_order_relaxed);
    ret->restarts = view.counts.run_count > 0 ? view.counts.run_count - 1 : 0;
    if (view.file_seq > 0) {
        tree_file_name(ret->file, ret->name, view.file_seq, 1);
        ret->file_frames = view.file_frames;
        ret->file_bytes = view.file_frames * (ret->frame_bytes + row_bytes);
    }
    latency_read(&s->latency, &ret->latency);
}

/* Since the oldest sample that there is. */
static void fill_rates(const struct board *board, unsigned stream, int64_t now_ns,
                       struct stream_state *ret)
{
    unsigned at = board->sample_count < BOARD_SAMPLES ? 0 : board->sample_count % BOARD_SAMPLES;
    const struct board_sample *sample;
    double span_s;

    if (!board->samples || board->sample_count == 0)
        return;
    sample = &board->samples[at * board->count + stream];
    span_s = (double)(now_ns - board->sampled_ns[at]) / 1e9;
    if (span_s < 0.1)
        return;
    /* Frames that failed are taken back from what was recorded. */
    if (ret->frames > sample->frames)
        ret->rate_hz = (double)(ret->frames - sample->frames) / span_s;
    ret->bytes_per_s = (double)(ret->bytes_written - sample->bytes_written) / span_s;
}

static uint64_t raise_to(uint64_t *most, uint64_t value)
{
    if (value > *most)
        *most = value;
    return *most;
}

static void fill_most(struct board_told *told, struct stream_state *ret)
{
    struct board_told none = {0};

    if (!told)
        told = &none;
    ret->frames_most = raise_to(&told->frames, ret->frames);
    for (int i = 0; i < LEDGER_CAUSES; i++)
        ret->lost_by_most[i] = raise_to(&told->lost_by[i], ret->lost_by[i]);
}

/* While segments are waited for nothing of a stream is looked at but what was given. */
static int fill_stream(const struct board *board, unsigned stream, int64_t now_ns,
                       struct stream_state *ret)
{
    struct record_stream *s = board->streams[stream];

    ret->segment = strdup(s->path);
    if (!ret->segment)
        return -ENOMEM;
    if (s->config.name && *s->config.name)
        snprintf(ret->name, sizeof ret->name, "%s", s->config.name);
    else
        tree_stream_name(ret->name, s->path);
    if (!board->books)
        return 0;
    fill_running(s, ret);
    fill_rates(board, stream, now_ns, ret);
    fill_most(board->told ? &board->told[stream] : NULL, ret);
    return 0;
}

/* ---- its end ---- */

/* Of a stream that was called so before, or a new one; NULL without memory. */
static struct stream_totals *find_totals(struct board *board, const char *name)
{
    struct stream_totals *grown;

    for (unsigned i = 0; i < board->past_count; i++)
        if (strcmp(board->past[i].name, name) == 0)
            return &board->past[i];
    grown = realloc(board->past, (board->past_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    board->past = grown;
    grown += board->past_count++;
    *grown = (struct stream_totals){0};
    snprintf(grown->name, sizeof grown->name, "%s", name);
    return grown;
}

/* Without memory it is the counters that begin anew, not the recorder that fails. */
static void keep_totals(struct board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct stream_state state = {0};
        struct stream_totals *totals = NULL;

        if (fill_stream(board, i, 0, &state) == 0)
            totals = find_totals(board, state.name);
        free(state.segment);
        if (!totals)
            continue;
        totals->frames += state.frames_most;
        for (int k = 0; k < LEDGER_CAUSES; k++)
            totals->lost_by[k] += state.lost_by_most[k];
        totals->bytes_written += state.bytes_written;
        latency_merge(&totals->latency, &state.latency);
    }
}

void board_clear(struct board *board)
{
    pthread_mutex_lock(&board->lock);
    if (board->books)
        keep_totals(board);
    free(board->samples);
    free(board->told);
    board->samples = NULL;
    board->told = NULL;
    board->sample_count = 0;
    board->streams = NULL;
    board->count = 0;
    board->root = NULL;
    board->books = NULL;
    board->room = NULL;
    pthread_mutex_unlock(&board->lock);
}

/* ---- the whole ---- */

static double full_in_s(const struct room *room, double bytes_per_s)
{
    uint64_t bytes = atomic_load_explicit(&room->to_fill_bytes, memory_order_relaxed);

    return bytes == UINT64_MAX || bytes_per_s < 1.0 ? -1.0 : (double)bytes / bytes_per_s;
}

static void fill_session(const struct board *board, struct session_state *ret)
{
    bool is_stopping = true;

    if (!board->books)
        return;
    snprintf(ret->name, sizeof ret->name, "%s", board->books->session);
    snprintf(ret->uuid, sizeof ret->uuid, "%s", board->books->uuid);
    snprintf(ret->host, sizeof ret->host, "%s", board->books->host);
    ret->start_ns = board->books->start_ns;
    ret->disk_free_bytes = atomic_load_explicit(&board->room->free_bytes, memory_order_relaxed);
    ret->disk_bytes = atomic_load_explicit(&board->room->disk_bytes, memory_order_relaxed);
    for (unsigned i = 0; i < ret->count; i++) {
        const struct stream_state *stream = &ret->streams[i];

        is_stopping = is_stopping && stream->condition >= STATE_UNFIT;
        ret->bytes_written += stream->bytes_written;
        ret->bytes_per_s += stream->bytes_per_s;
        ret->buffer_bytes += stream->buffer_bytes;
        ret->buffer_used_bytes += stream->buffer_used_bytes;
    }
    ret->full_in_s = full_in_s(board->room, ret->bytes_per_s);
    ret->condition = is_stopping ? SESSION_STOPPING : SESSION_RUNNING;
}

static int take_past(const struct board *board, struct session_state *ret)
{
    if (board->past_count == 0)
        return 0;
    ret->past = malloc(board->past_count * sizeof *ret->past);
    if (!ret->past)
        return -ENOMEM;
    memcpy(ret->past, board->past, board->past_count * sizeof *ret->past);
    ret->past_count = board->past_count;
    return 0;
}

/* With the lock held. */
static int take(const struct board *board, struct session_state *ret)
{
    int r = take_past(board, ret);

    if (r < 0 || !board->streams)
        return r;
    ret->condition = SESSION_WAITING;
    ret->root = strdup(board->root);
    ret->streams = calloc(board->count, sizeof *ret->streams);
    if (!ret->root || !ret->streams)
        return -ENOMEM;
    for (; ret->count < board->count; ret->count++) {
        r = fill_stream(board, ret->count, ret->now_mono_ns, &ret->streams[ret->count]);
        if (r < 0)
            return r;
    }
    fill_session(board, ret);
    return 0;
}

int board_take(struct board *board, struct session_state *ret)
{
    struct session_state state = {.now_ns = dao_clock_real_ns(),
                                  .disk_free_bytes = STATE_UNKNOWN,
                                  .disk_bytes = STATE_UNKNOWN,
                                  .full_in_s = -1.0};
    int r;

    pthread_mutex_lock(&board->lock);
    state.now_mono_ns = dao_clock_mono_ns();
    r = take(board, &state);
    pthread_mutex_unlock(&board->lock);
    if (r == 0)
        *ret = state;
    else
        state_free(&state);
    return r;
}

static int take_from(void *ctx, struct session_state *ret)
{
    return board_take(ctx, ret);
}

struct state_source board_source(struct board *board)
{
    return (struct state_source){.take = take_from, .ctx = board};
}
