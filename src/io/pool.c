/* pool.c - see pool.h. */
#include "io/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Memory that is there: touched, so that no page fault comes later. NULL: not to be had. */
static unsigned char *map_memory(size_t bytes)
{
    unsigned char *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, bytes, MADV_HUGEPAGE);
    for (size_t at = 0; at < bytes; at += 4096)
        memory[at] = 0;
    return memory;
}

static void cut(struct io_pool *pool, struct io_block *blocks, uint32_t count, size_t block_bytes)
{
    pool->blocks = blocks;
    __atomic_store_n(&pool->count, count, __ATOMIC_RELAXED); /* the writer looks at it, too */
    __atomic_store_n(&pool->block_bytes, block_bytes, __ATOMIC_RELAXED);
    atomic_store_explicit(&pool->free_list, NULL, memory_order_relaxed);
    atomic_store_explicit(&pool->free_count, 0, memory_order_relaxed);
    /* Given back last to first, so that the first block is taken first. */
    for (uint32_t i = count; i-- > 0;) {
        blocks[i].data = pool->memory + (size_t)i * block_bytes;
        blocks[i].buffer_index = -1;
        io_pool_give(pool, &blocks[i]);
    }
}

uint64_t io_pool_growth(const struct io_pool *pool, uint64_t count, uint64_t block_bytes)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(count, block_bytes, &bytes))
        return UINT64_MAX;
    return bytes > pool->memory_bytes ? bytes : 0;
}

int io_pool_recut(struct io_pool *pool, uint32_t count, size_t block_bytes)
{
    struct io_block *blocks;
    unsigned char *memory;
    size_t bytes;

    if (count == 0 || block_bytes == 0 || block_bytes % 4096 != 0)
        return -EINVAL;
    if (__builtin_mul_overflow((size_t)count, block_bytes, &bytes))
        return -ENOMEM;
    blocks = calloc(count, sizeof *blocks);
    if (!blocks)
        return -ENOMEM;
    if (bytes > pool->memory_bytes) {
        memory = map_memory(bytes);
        if (!memory) {
            free(blocks);
            return -ENOMEM;
        }
        if (pool->memory)
            munmap(pool->memory, pool->memory_bytes);
        pool->memory = memory;
        pool->memory_bytes = bytes;
    }
    free(pool->blocks);
    cut(pool, blocks, count, block_bytes);
    return 0;
}

int io_pool_init(struct io_pool *pool, uint32_t count, size_t block_bytes)
{
    *pool = (struct io_pool){0};
    return io_pool_recut(pool, count, block_bytes);
}

void io_pool_fini(struct io_pool *pool)
{
    if (pool->memory)
        munmap(pool->memory, pool->memory_bytes);
    free(pool->blocks);
    *pool = (struct io_pool){0};
}

bool io_pool_is_whole(struct io_pool *pool)
{
    /* Acquire pairs with the release in io_pool_give(): it is the last that a giver does. */
    return atomic_load_explicit(&pool->free_count, memory_order_acquire) == pool->count;
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
    atomic_fetch_add_explicit(&pool->free_count, 1, memory_order_release);
}
