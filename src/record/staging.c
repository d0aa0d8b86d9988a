/* staging.c - see staging.h. */
#include "record/staging.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/sink.h"

static uint64_t page_floor(uint64_t off)
{
    return off - off % SINK_PAGE;
}

int staging_init(struct staging *staging, struct io_pool *pool, uint64_t max_bytes)
{
    *staging = (struct staging){.pool = pool};
    staging->held_max = (uint32_t)(max_bytes / pool->block_bytes) + 3;
    staging->held = calloc(staging->held_max, sizeof(struct io_block *));
    return staging->held ? 0 : -ENOMEM;
}

void staging_fini(struct staging *staging)
{
    free(staging->held);
    *staging = (struct staging){0};
}

static void place_blocks(struct staging *staging)
{
    for (uint32_t i = 0; i < staging->held_count; i++)
        staging->held[i]->file_off = staging->base + (uint64_t)i * staging->pool->block_bytes;
}

void staging_start(struct staging *staging, uint64_t off)
{
    staging->base = page_floor(off);
    staging->fill = off;
    staging->flushed = staging->base;
    place_blocks(staging);
}

bool staging_reserve(struct staging *staging, uint64_t bytes)
{
    uint64_t size = staging->pool->block_bytes;

    while (staging->base + staging->held_count * size < staging->fill + bytes) {
        struct io_block *block = io_pool_take(staging->pool);

        if (!block)
            return false;
        block->file_off = staging->base + staging->held_count * size;
        staging->held[staging->held_count++] = block;
    }
    return true;
}

unsigned char *staging_piece(const struct staging *staging, uint64_t done, uint64_t bytes,
                             uint64_t *ret_bytes)
{
    uint64_t size = staging->pool->block_bytes;
    uint64_t at = staging->fill + done - staging->base;
    uint64_t left = size - at % size;

    *ret_bytes = bytes < left ? bytes : left;
    return staging->held[at / size]->data + at % size;
}

void staging_advance(struct staging *staging, uint64_t bytes)
{
    staging->fill += bytes;
}

static struct io_block *pop_first(struct staging *staging)
{
    struct io_block *block = staging->held[0];

    staging->held_count--;
    memmove(staging->held, staging->held + 1, staging->held_count * sizeof(struct io_block *));
    staging->base += staging->pool->block_bytes;
    return block;
}

struct io_block *staging_take_block(struct staging *staging, bool force, uint64_t *ret_from,
                                    uint64_t *ret_to)
{
    uint64_t end = staging->base + staging->pool->block_bytes;
    uint64_t to = staging->fill < end ? staging->fill : end;
    struct io_block *block;

    if (staging->held_count == 0 || (to < end && !(force && to > staging->base)))
        return NULL;
    *ret_from = page_floor(staging->flushed > staging->base ? staging->flushed : staging->base);
    *ret_to = to;
    block = pop_first(staging);
    if (staging->flushed < staging->base)
        staging->flushed = to;
    return block;
}

struct io_block *staging_flush(struct staging *staging, uint64_t *ret_from, uint64_t *ret_to)
{
    uint64_t from = staging->flushed > staging->base ? staging->flushed : staging->base;

    if (staging->held_count == 0 || staging->fill <= from)
        return NULL;
    *ret_from = page_floor(from);
    *ret_to = staging->fill;
    staging->flushed = staging->fill;
    return staging->held[0];
}

void staging_drop(struct staging *staging)
{
    for (uint32_t i = 0; i < staging->held_count; i++)
        io_pool_give(staging->pool, staging->held[i]);
    staging->held_count = 0;
}
