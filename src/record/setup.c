/* setup.c - see setup.h. */
#include "record/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_MAX       (4u << 20)
#define BLOCK_MIN       (64u << 10)
#define ROW_BLOCK_MAX   (1u << 20)
#define ROW_BLOCKS_MIN  4u
#define DATA_BLOCKS_MIN 6u
#define BLOCKS_MAX      (1u << 28)
/* A queue stays as it is when frames of another size come: not too small for many small blocks. */
#define QUEUE_MIN 1024u

int stream_name(struct record_stream *s, struct dao_text *text)
{
    if (s->config.name && *s->config.name) {
        snprintf(s->name, sizeof s->name, "%s", s->config.name);
        return 0;
    }
    if (tree_stream_name(s->name, s->path) == 0)
        return 0;
    snprintf(text->s, sizeof text->s,
             "%.250s: the name is too long for a stream (at most %d characters before the first "
             "dot); link the segment under a shorter one",
             s->path, FITS_STREAM_NAME_MAX);
    return -ENAMETOOLONG;
}

/* ---- buffers ---- */

struct buffer_plan {
    uint64_t blocks, block_bytes;
    uint64_t rows, row_bytes; /* blocks of rows */
};

/* Blocks small enough to begin writing early, large enough to make few requests. Rows are written
 * one request after the other: in pieces of 64 KiB they could not keep up with a million frames a
 * second. */
static size_t block_bytes(uint64_t share, size_t most)
{
    size_t block = most;

    while (block > BLOCK_MIN && share / block < 16)
        block /= 2;
    return block;
}

static uint64_t least_blocks(uint64_t frame, uint64_t block_bytes)
{
    uint64_t least = 2 * (frame / block_bytes + 2);

    return least < DATA_BLOCKS_MIN ? DATA_BLOCKS_MIN : least;
}

/* Within buffer_bytes, or a little more: two frames always fit. At most blocks_max and rows_max
 * blocks, larger ones where that is too few. */
static struct buffer_plan plan_buffers(uint64_t frame, uint64_t buffer_bytes, uint64_t blocks_max,
                                       uint64_t rows_max)
{
    uint64_t row_share = (uint64_t)((double)buffer_bytes * 64.0 / (double)(64 + frame));
    uint64_t share = buffer_bytes - row_share, least;
    struct buffer_plan plan = {.row_bytes = block_bytes(row_share, ROW_BLOCK_MAX),
                               .block_bytes = block_bytes(share, BLOCK_MAX)};

    while (row_share / plan.row_bytes > rows_max)
        plan.row_bytes *= 2;
    plan.rows = row_share / plan.row_bytes;
    plan.rows = plan.rows < ROW_BLOCKS_MIN ? ROW_BLOCKS_MIN : plan.rows;
    /* Rows wait for the block that holds their pixels: tiny frames must not use up all rows before
     * the first block is full. */
    while (plan.block_bytes > SINK_PAGE &&
           plan.block_bytes / frame > plan.rows * (plan.row_bytes / 64) / 4)
        plan.block_bytes /= 2;
    for (;; plan.block_bytes *= 2) {
        plan.blocks = share / plan.block_bytes;
        least = least_blocks(frame, plan.block_bytes);
        plan.blocks = plan.blocks < least ? least : plan.blocks;
        if (plan.blocks <= blocks_max)
            return plan;
    }
}

/* While a segment is there whose frames wait: rather somewhat fewer blocks than memory that has to
 * be had and touched first, which takes longer than a shallow FIFO lasts. */
static void keep_to_memory(const struct record_stream *s, uint64_t frame, struct buffer_plan *plan)
{
    uint64_t blocks = s->data_pool.memory_bytes / plan->block_bytes;
    uint64_t rows = s->row_pool.memory_bytes / plan->row_bytes;

    if (blocks < plan->blocks && blocks >= plan->blocks / 2 &&
        blocks >= least_blocks(frame, plan->block_bytes))
        plan->blocks = blocks;
    if (rows < plan->rows && rows >= plan->rows / 2 && rows >= ROW_BLOCKS_MIN)
        plan->rows = rows;
}

/* What the system could give without harm, in bytes. */
static uint64_t available_memory(void)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");

    while (f && kib == 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu", &kib) != 1)
            kib = 0;
    if (f)
        fclose(f);
    return kib ? kib << 10 : UINT64_MAX;
}

/* All of it is touched: asked for more than there is, the system would end somebody. */
static int check_memory(const struct record_stream *s, const struct buffer_plan *plan)
{
    uint64_t data = io_pool_growth(&s->data_pool, plan->blocks, plan->block_bytes);
    uint64_t rows = io_pool_growth(&s->row_pool, plan->rows, plan->row_bytes), need;

    if (plan->blocks > UINT32_MAX || plan->rows > UINT32_MAX ||
        __builtin_add_overflow(data, rows, &need))
        return -ENOMEM;
    return need > 0 && need > available_memory() / 4 * 3 ? -ENOMEM : 0;
}

static int cut_buffers(struct record_stream *s, uint64_t frame, const struct buffer_plan *plan)
{
    int r = check_memory(s, plan);

    if (r == 0)
        r = io_pool_recut(&s->data_pool, (uint32_t)plan->blocks, plan->block_bytes);
    if (r == 0)
        r = io_pool_recut(&s->row_pool, (uint32_t)plan->rows, plan->row_bytes);
    staging_fini(&s->data);
    staging_fini(&s->rows);
    if (r == 0)
        r = staging_init(&s->data, &s->data_pool, frame);
    if (r == 0)
        r = staging_init(&s->rows, &s->row_pool, 64);
    return r;
}

/* A queue has room for two messages a block and four a file. */
static uint32_t queue_size(uint64_t blocks)
{
    uint64_t size = 2 * blocks + 4 * STREAM_FILES;

    return size < QUEUE_MIN ? QUEUE_MIN : size > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)size;
}

static uint64_t blocks_of_queue(const struct io_queue *queue)
{
    return (queue->capacity - 4 * STREAM_FILES) / 2;
}

/* What does not depend on the size of frames. */
static int make_queues(struct record_stream *s, uint64_t blocks, uint64_t rows)
{
    int r = io_queue_init(&s->data_queue, queue_size(blocks), sizeof(struct record_message));

    if (r == 0)
        r = io_queue_init(&s->row_queue, queue_size(rows), sizeof(struct record_message));
    if (r == 0)
        r = io_queue_init(&s->free_files, STREAM_FILES, sizeof(struct record_file *));
    if (r == 0) {
        s->data_page = aligned_alloc(SINK_PAGE, SINK_PAGE);
        s->row_page = aligned_alloc(SINK_PAGE, SINK_PAGE);
        r = s->data_page && s->row_page ? 0 : -ENOMEM;
    }
    for (unsigned i = 0; i < STREAM_FILES && r == 0; i++) {
        struct record_file *f = &s->files[i];

        f->file.sink.fd = -1;
        io_queue_push(&s->free_files, &f);
    }
    return r;
}

static void say_no_memory(const struct record_stream *s, uint64_t bytes, struct dao_text *text)
{
    snprintf(text->s, sizeof text->s,
             "%.200s: no memory for %llu MiB of buffers; give less with --buffer", s->path,
             (unsigned long long)(bytes >> 20));
}

int stream_allocate(struct record_stream *s, uint64_t buffer_bytes, struct dao_text *text)
{
    uint64_t frame = s->segment.geo.frame_bytes;
    struct buffer_plan plan = plan_buffers(frame, buffer_bytes, BLOCKS_MAX, BLOCKS_MAX);
    int r = cut_buffers(s, frame, &plan);

    s->buffer_bytes = buffer_bytes;
    if (r == 0)
        r = make_queues(s, plan.blocks, plan.rows);
    if (r < 0)
        say_no_memory(s, plan.blocks * plan.block_bytes + plan.rows * plan.row_bytes, text);
    return r;
}

int stream_allocate_later(struct record_stream *s, uint64_t frame_bytes, uint64_t buffer_bytes,
                          struct dao_text *text)
{
    struct buffer_plan plan = plan_buffers(frame_bytes, buffer_bytes, BLOCKS_MAX, BLOCKS_MAX);
    int r = check_memory(s, &plan);

    s->buffer_bytes = buffer_bytes;
    if (r == 0)
        r = io_pool_recut(&s->data_pool, (uint32_t)plan.blocks, plan.block_bytes);
    if (r == 0)
        r = io_pool_recut(&s->row_pool, (uint32_t)plan.rows, plan.row_bytes);
    if (r == 0)
        r = make_queues(s, plan.blocks, plan.rows);
    if (r < 0)
        say_no_memory(s, plan.blocks * plan.block_bytes + plan.rows * plan.row_bytes, text);
    return r;
}

/* A stream takes no more than the larger of these, unless --buffer says so. */
#define BUFFER_FRAMES_MOST 512u
#define BUFFER_BYTES_MOST  (64ull << 20)

uint64_t stream_buffer_most(uint64_t frame_bytes)
{
    uint64_t most = BUFFER_FRAMES_MOST * frame_bytes;

    return most < BUFFER_BYTES_MOST ? BUFFER_BYTES_MOST : most;
}

/* ---- shapes ---- */

static bool is_used(const IMAGE_KEYWORD *keyword)
{
    return keyword->type == 'L' || keyword->type == 'D' || keyword->type == 'S';
}

/* The keywords as they are now; they do not change in the files of a shape. */
static int copy_keywords(struct stream_shape *shape, const struct dao_segment *segment)
{
    unsigned count = segment->geo.nbkw;

    shape->keywords = calloc(count ? count : 1, sizeof *shape->keywords);
    if (!shape->keywords)
        return -ENOMEM;
    shape->facts.keyword_count = 0;
    for (unsigned i = 0; i < count; i++) {
        IMAGE_KEYWORD *keyword = &shape->keywords[shape->facts.keyword_count];

        dao_segment_keyword(segment, i, keyword);
        shape->facts.keyword_count += is_used(keyword);
    }
    shape->facts.keywords = shape->keywords;
    return 0;
}

/* No file refers to it. There are more of them than files and the one in use. */
static struct stream_shape *free_shape(struct record_stream *s)
{
    struct stream_shape *shape = s->shapes;

    /* acquire: pairs with the release of a keeper that is done with the last of its files */
    while (shape == s->shape || atomic_load_explicit(&shape->file_count, memory_order_acquire) > 0)
        shape++;
    free(shape->keywords);
    shape->keywords = NULL;
    return shape;
}

static const char *card_of(const char *text)
{
    return text && *text ? text : NULL;
}

static void put_labels(struct fits_facts *facts, const struct stream_config *config)
{
    const struct stream_keywords *keywords = config->keywords;

    facts->bunit = card_of(config->unit);
    if (!keywords)
        return;
    facts->origin = card_of(keywords->origin);
    facts->telescope = card_of(keywords->telescope);
    facts->instrument = card_of(keywords->instrument);
    facts->observer = card_of(keywords->observer);
    facts->object = card_of(keywords->object);
}

static int adopt_shape(struct record_stream *s, const struct dao_segment *segment,
                       struct dao_text *text)
{
    struct stream_shape *shape = free_shape(s);
    int r;

    shape->geometry = segment->geo;
    shape->facts = (struct fits_facts){
        .geometry = &shape->geometry,
        .stream = s->name,
        .host = s->host,
        .session = s->session,
        .shm_path = s->path,
    };
    put_labels(&shape->facts, &s->config);
    r = copy_keywords(shape, segment);
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.200s: no memory for its keywords", s->path);
        return r;
    }
    r = recording_measure_parts(&shape->parts, &shape->facts, text);
    if (r < 0)
        return r;
    s->shape = shape;
    s->encoder = fits_encoder_select(shape->geometry.dtype, FITS_ENCODE_BEST);
    account_begin_shape(&s->account, &shape->geometry, s->next_seq);
    return 0;
}

void stream_describe_later(struct record_stream *s, const char *host, const char *session)
{
    s->host = host;
    s->session = session;
    s->next_seq = 1;
}

int stream_describe(struct record_stream *s, const char *host, const char *session,
                    struct dao_text *text)
{
    stream_describe_later(s, host, session);
    return adopt_shape(s, &s->segment, text);
}

/* What is taken in one look is to be in the processor's cache yet, where its writer left it. */
#define LOOK_BYTES_MAX (8u << 20)

void stream_set_pace(struct record_stream *s)
{
    s->pace = (struct pace){.sleep_max_ns = s->config.latency_ns, .bytes_max = LOOK_BYTES_MAX};
}

bool stream_is_same_shape(const struct record_stream *s)
{
    return s->shape && dao_geometry_equal(&s->fresh.geo, &s->shape->geometry);
}

bool stream_has_same_keywords(const struct record_stream *s)
{
    const struct fits_facts *facts = &s->shape->facts;
    unsigned count = 0;

    for (unsigned i = 0; i < s->fresh.geo.nbkw; i++) {
        IMAGE_KEYWORD keyword;

        dao_segment_keyword(&s->fresh, i, &keyword);
        if (!is_used(&keyword))
            continue;
        if (count >= facts->keyword_count ||
            memcmp(&keyword, &facts->keywords[count], sizeof keyword) != 0)
            return false;
        count++;
    }
    return count == facts->keyword_count;
}

bool stream_is_quiet(struct record_stream *s)
{
    return io_queue_room(&s->data_queue) == s->data_queue.capacity &&
           io_queue_room(&s->row_queue) == s->row_queue.capacity &&
           io_pool_is_whole(&s->data_pool) && io_pool_is_whole(&s->row_pool);
}

bool stream_has_old_files(const struct record_stream *s)
{
    for (unsigned i = 0; i < STREAM_FILES + 2; i++)
        /* acquire: pairs with the release of a keeper that is done with the last of its files */
        if (&s->shapes[i] != s->shape &&
            atomic_load_explicit(&s->shapes[i].file_count, memory_order_acquire) > 0)
            return true;
    return false;
}

int stream_reshape(struct record_stream *s, struct dao_text *text)
{
    uint64_t frame = s->fresh.geo.frame_bytes;
    int r = 0;

    if (!s->shape || frame != s->shape->geometry.frame_bytes) {
        struct buffer_plan plan =
            plan_buffers(frame, s->buffer_bytes, blocks_of_queue(&s->data_queue),
                         blocks_of_queue(&s->row_queue));

        keep_to_memory(s, frame, &plan);
        r = cut_buffers(s, frame, &plan);
        if (r < 0)
            snprintf(text->s, sizeof text->s, "no memory for two frames of %llu MiB",
                     (unsigned long long)(frame >> 20));
    }
    return r == 0 ? adopt_shape(s, &s->fresh, text) : r;
}

void stream_close(struct record_stream *s)
{
    for (unsigned i = 0; i < STREAM_FILES; i++)
        if (s->files[i].stream)
            recording_file_discard(&s->files[i].file);
    staging_fini(&s->data);
    staging_fini(&s->rows);
    io_queue_fini(&s->data_queue);
    io_queue_fini(&s->row_queue);
    io_queue_fini(&s->free_files);
    io_pool_fini(&s->data_pool);
    io_pool_fini(&s->row_pool);
    free(s->data_page);
    free(s->row_page);
    for (unsigned i = 0; i < STREAM_FILES + 2; i++)
        free(s->shapes[i].keywords);
    dao_segment_close(&s->segment);
    dao_segment_close(&s->fresh);
    if (s->dir_fd > 0)
        close(s->dir_fd);
    s->dir_fd = -1;
}
