/*
 * pool.h - a fixed number of page-aligned blocks, allocated once.
 *
 * One thread takes (the drain), any thread gives back (the writer). The block given back last is
 * taken first: at a moderate rate the same few blocks go round and stay in the cache. The free
 * list is a lock-free stack; with a single taker a block cannot leave and come back between the
 * taker's load and its exchange, so there is no ABA problem.
 */
#ifndef DAOREC_IO_POOL_H
#define DAOREC_IO_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_block {
    unsigned char *data;   /* block_bytes, page-aligned */
    struct io_block *next; /* in the free list */
    uint64_t file_off;     /* for the holder: where in the file data[0] belongs */
    uint64_t flushed;      /* for the holder: file offset up to which it is written already */
    int buffer_index;      /* registered with the ring as this buffer, or -1 */
};

struct io_pool {
    struct io_block *blocks;
    unsigned char *memory;
    size_t memory_bytes;
    size_t block_bytes;
    uint32_t count;
    struct io_block *_Atomic free_list;
    _Atomic uint32_t free_count;
};

/* `count` blocks of `block_bytes` (a multiple of 4096), touched so that no page fault comes later,
 * in huge pages where the system gives them. 0, -EINVAL or -ENOMEM. */
int io_pool_init(struct io_pool *pool, uint32_t count, size_t block_bytes);
void io_pool_fini(struct io_pool *pool); /* safe on a zeroed pool */

/* The taker: is every block back, and what was done with it visible? */
bool io_pool_is_whole(struct io_pool *pool);

/* The taker, while the pool is whole: cut it into other blocks, of the memory that is there or of
 * new where that does not suffice. They are not registered. What was there is given back then, by
 * the system once the ring that has it registered is gone. 0, -EINVAL or -ENOMEM (then the pool is
 * as it was). */
int io_pool_recut(struct io_pool *pool, uint32_t count, size_t block_bytes);

/* Bytes of memory that cutting it into such blocks takes: 0 where what is there suffices, else all
 * of it, since what is there goes only afterwards, if then; UINT64_MAX: beyond all bounds. */
uint64_t io_pool_growth(const struct io_pool *pool, uint64_t count, uint64_t block_bytes);

struct io_block *io_pool_take(struct io_pool *pool); /* NULL: none is free */
void io_pool_give(struct io_pool *pool, struct io_block *block);

#endif
