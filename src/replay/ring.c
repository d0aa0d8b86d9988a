/* ring.c - see ring.h. */
#include "replay/ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define ALIGN_BYTES 64u

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

int ring_init(struct ring *ring, uint64_t arena_bytes, uint64_t frame_bytes_max, uint32_t items)
{
    void *arena;
    int r;

    *ring = (struct ring){0};
    if (frame_bytes_max > UINT64_MAX / 4)
        return -ENOMEM;
    if (arena_bytes < 2 * round_up(frame_bytes_max))
        arena_bytes = 2 * round_up(frame_bytes_max);
    arena_bytes = round_up(arena_bytes);
    r = io_queue_init(&ring->items, items, sizeof(struct ring_item));
    if (r < 0)
        return r;
    arena = mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (arena == MAP_FAILED) {
        ring_fini(ring);
        return -ENOMEM;
    }
    ring->arena = arena;
    ring->arena_bytes = arena_bytes;
    return 0;
}

void ring_fini(struct ring *ring)
{
    if (ring->arena)
        munmap(ring->arena, ring->arena_bytes);
    io_queue_fini(&ring->items);
    *ring = (struct ring){0};
}

void *ring_reserve(struct ring *ring, uint64_t bytes, uint64_t *ret_end)
{
    /* acquire: pairs with the release in ring_pop(): the pixels were read before they are written
     * over */
    uint64_t freed = atomic_load_explicit(&ring->freed, memory_order_acquire);
    uint64_t start = atomic_load_explicit(&ring->filled, memory_order_relaxed); /* our own */
    uint64_t left = ring->arena_bytes - start % ring->arena_bytes;

    bytes = round_up(bytes);
    if (bytes > left)
        start += left; /* not in one piece before the end */
    if (start + bytes - freed > ring->arena_bytes || io_queue_room(&ring->items) == 0)
        return NULL;
    *ret_end = start + bytes;
    return ring->arena + start % ring->arena_bytes;
}

void ring_push(struct ring *ring, const struct ring_item *item)
{
    atomic_store_explicit(&ring->filled, item->end, memory_order_relaxed);
    io_queue_push(&ring->items, item);
}

const struct ring_item *ring_peek(const struct ring *ring)
{
    return io_queue_peek(&ring->items);
}

void ring_pop(struct ring *ring)
{
    const struct ring_item *item = io_queue_peek(&ring->items);

    /* release: pairs with the acquire in ring_reserve() */
    atomic_store_explicit(&ring->freed, item->end, memory_order_release);
    io_queue_pop(&ring->items);
}

unsigned ring_full_percent(const struct ring *ring)
{
    /* relaxed: for display; `freed` first, so that the difference is never negative */
    uint64_t freed = atomic_load_explicit(&ring->freed, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&ring->filled, memory_order_relaxed) - freed;
    uint32_t items = ring->items.capacity - io_queue_room(&ring->items);
    double by_bytes = ring->arena_bytes ? (double)bytes / (double)ring->arena_bytes : 0.0;
    double by_items = (double)items / (double)ring->items.capacity;
    double full = by_bytes > by_items ? by_bytes : by_items;

    return full < 1.0 ? (unsigned)(100.0 * full) : 100u;
}
