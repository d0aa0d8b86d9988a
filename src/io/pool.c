/* pool.c - see pool.h. */
#include "io/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int io_pool_init(struct io_pool *pool, uint32_t count, size_t block_bytes)
{
    *pool = (struct io_pool){.block_bytes = block_bytes, .count = count};
    if (count == 0 || block_bytes == 0 || block_bytes % 4096 != 0)
        return -EINVAL;
    if (__builtin_mul_overflow((size_t)count, block_bytes, &pool->memory_bytes))
        return -ENOMEM;
    pool->blocks = calloc(count, sizeof *pool->blocks);
    if (!pool->blocks)
        return -ENOMEM;
    pool->memory =
        mmap(NULL, pool->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pool->memory == MAP_FAILED) {
        pool->memory = NULL;
        io_pool_fini(pool);
        return -ENOMEM;
    }
    madvise(pool->memory, pool->memory_bytes, MADV_HUGEPAGE);
    for (size_t at = 0; at < pool->memory_bytes; at += 4096)
        pool->memory[at] = 0;
    /* Given back last to first, so that the first block is taken first. */
    for (uint32_t i = count; i-- > 0;) {
        pool->blocks[i].data = pool->memory + (size_t)i * block_bytes;
        pool->blocks[i].buffer_index = -1;
        io_pool_give(pool, &pool->blocks[i]);
    }
    return 0;
}

void io_pool_fini(struct io_pool *pool)
{
    if (pool->memory)
        munmap(pool->memory, pool->memory_bytes);
    free(pool->blocks);
    *pool = (struct io_pool){0};
}

struct io_block *io_pool_take(struct io_pool *pool)
{
    /* Acquire pairs with the release in io_pool_give(): the giver is done with the block. Each
     * failed exchange means that a block was given meanwhile, so the loop is short. */
    struct io_block *block = atomic_load_explicit(&pool->free_list, memory_order_acquire);

    while (block &&
           !atomic_compare_exchange_weak_explicit(&pool->free_list, &block, block->next,
                                                  memory_order_acquire, memory_order_acquire))
        ;
    if (block)
        atomic_fetch_sub_explicit(&pool->free_count, 1, memory_order_relaxed);
    return block;
}

void io_pool_give(struct io_pool *pool, struct io_block *block)
{
    struct io_block *first = atomic_load_explicit(&pool->free_list, memory_order_relaxed);

    do {
        block->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&pool->free_list, &first, block,
                                                    memory_order_release, memory_order_relaxed));
    atomic_fetch_add_explicit(&pool->free_count, 1, memory_order_relaxed);
}
