/* setup.c - see setup.h. */
#include "record/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_MAX       (1u << 20)
#define BLOCK_MIN       (64u << 10)
#define ROW_BLOCK       (64u << 10)
#define ROW_BLOCKS_MIN  4u
#define DATA_BLOCKS_MIN 6u

int stream_open(struct record_stream *s, struct dao_text *text)
{
    int r = dao_segment_open(&s->segment, s->path, DAO_ACCESS_READ, text);

    if (r < 0)
        return r;
    s->geometry = s->segment.geo;
    if (tree_stream_name(s->name, s->path) < 0) {
        snprintf(text->s, sizeof text->s,
                 "%.250s: the name is too long for a stream (at most %d characters before the "
                 "first dot); link the segment under a shorter one",
                 s->path, FITS_STREAM_NAME_MAX);
        dao_segment_close(&s->segment);
        return -ENAMETOOLONG;
    }
    return 0;
}

/* Blocks small enough to begin writing early, large enough to make few requests. */
static size_t block_bytes(uint64_t share)
{
    size_t block = BLOCK_MAX;

    while (block > BLOCK_MIN && share / block < 16)
        block /= 2;
    return block;
}

int stream_allocate(struct record_stream *s, uint64_t buffer_bytes, struct dao_text *text)
{
    uint64_t frame = s->segment.geo.frame_bytes;
    uint64_t row_share = (uint64_t)((double)buffer_bytes * 64.0 / (double)(64 + frame));
    uint64_t rows = row_share / ROW_BLOCK, blocks, least;
    size_t block = block_bytes(buffer_bytes - row_share);
    int r;

    rows = rows < ROW_BLOCKS_MIN ? ROW_BLOCKS_MIN : rows;
    /* Rows wait for the block that holds their pixels: tiny frames must not use up all rows before
     * the first block is full. */
    while (block > SINK_PAGE && block / frame > rows * (ROW_BLOCK / 64) / 4)
        block /= 2;
    blocks = (buffer_bytes - row_share) / block;
    least = 2 * (frame / block + 2);
    least = least < DATA_BLOCKS_MIN ? DATA_BLOCKS_MIN : least;
    blocks = blocks < least ? least : blocks;
    r = io_pool_init(&s->data_pool, (uint32_t)blocks, block);
    if (r == 0)
        r = io_pool_init(&s->row_pool, (uint32_t)rows, ROW_BLOCK);
    if (r == 0)
        r = io_queue_init(&s->data_queue, 2 * (uint32_t)blocks + 4 * STREAM_FILES,
                          sizeof(struct record_message));
    if (r == 0)
        r = io_queue_init(&s->row_queue, 2 * (uint32_t)rows + 4 * STREAM_FILES,
                          sizeof(struct record_message));
    if (r == 0)
        r = io_queue_init(&s->free_files, STREAM_FILES, sizeof(struct record_file *));
    if (r == 0)
        r = staging_init(&s->data, &s->data_pool, frame);
    if (r == 0)
        r = staging_init(&s->rows, &s->row_pool, 64);
    if (r == 0) {
        s->data_page = aligned_alloc(SINK_PAGE, SINK_PAGE);
        s->row_page = aligned_alloc(SINK_PAGE, SINK_PAGE);
        r = s->data_page && s->row_page ? 0 : -ENOMEM;
    }
    if (r < 0) {
        snprintf(text->s, sizeof text->s,
                 "%.200s: no memory for %llu MiB of buffers; give less with --buffer", s->path,
                 (unsigned long long)((blocks * block + rows * ROW_BLOCK) >> 20));
        return r;
    }
    for (unsigned i = 0; i < STREAM_FILES; i++) {
        struct record_file *f = &s->files[i];

        f->file.sink.fd = -1;
        io_queue_push(&s->free_files, &f);
    }
    return 0;
}

/* The keywords as they are now; they do not change in the files of a session. */
static int copy_keywords(struct record_stream *s)
{
    unsigned count = s->segment.geo.nbkw;

    s->keywords = calloc(count ? count : 1, sizeof *s->keywords);
    if (!s->keywords)
        return -ENOMEM;
    s->facts.keyword_count = 0;
    for (unsigned i = 0; i < count; i++) {
        IMAGE_KEYWORD *keyword = &s->keywords[s->facts.keyword_count];

        dao_segment_keyword(&s->segment, i, keyword);
        if (keyword->type == 'L' || keyword->type == 'D' || keyword->type == 'S')
            s->facts.keyword_count++;
    }
    s->facts.keywords = s->keywords;
    return 0;
}

int stream_describe(struct record_stream *s, const char *host, const char *session,
                    struct dao_text *text)
{
    int r;

    s->facts.geometry = &s->geometry;
    s->facts.stream = s->name;
    s->facts.host = host;
    s->facts.session = session;
    s->facts.shm_path = s->path;
    s->encoder = fits_encoder_select(s->segment.geo.dtype, FITS_ENCODE_BEST);
    s->next_seq = 1;
    r = copy_keywords(s);
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.200s: no memory for its keywords", s->path);
        return r;
    }
    return recording_measure_parts(&s->parts, &s->facts, text);
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
    free(s->keywords);
    dao_segment_close(&s->segment);
    if (s->dir_fd > 0)
        close(s->dir_fd);
    s->dir_fd = -1;
}
