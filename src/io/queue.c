/* queue.c - see queue.h. */
#include "io/queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int io_queue_init(struct io_queue *queue, uint32_t count, size_t item_bytes)
{
    uint32_t capacity = 2;

    while (capacity < count)
        capacity *= 2;
    *queue = (struct io_queue){.item_bytes = item_bytes, .capacity = capacity};
    queue->items = calloc(capacity, item_bytes);
    return queue->items ? 0 : -ENOMEM;
}

void io_queue_fini(struct io_queue *queue)
{
    free(queue->items);
    queue->items = NULL;
}

static unsigned char *place(const struct io_queue *queue, uint32_t index)
{
    return queue->items + (size_t)(index & (queue->capacity - 1)) * queue->item_bytes;
}

bool io_queue_push(struct io_queue *queue, const void *item)
{
    uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    /* pairs with the release in io_queue_pop(): the place was read before it is overwritten */
    uint32_t head = atomic_load_explicit(&queue->head, memory_order_acquire);

    if (tail - head == queue->capacity)
        return false;
    memcpy(place(queue, tail), item, queue->item_bytes);
    /* pairs with the acquire in io_queue_peek(): the item, and all it points to, is complete */
    atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
    return true;
}

uint32_t io_queue_room(const struct io_queue *queue)
{
    uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

    return queue->capacity - (tail - atomic_load_explicit(&queue->head, memory_order_acquire));
}

const void *io_queue_peek(const struct io_queue *queue)
{
    uint32_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    /* pairs with the release in io_queue_push() */
    uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_acquire);

    return head == tail ? NULL : place(queue, head);
}

void io_queue_pop(struct io_queue *queue)
{
    uint32_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);

    /* pairs with the acquire in io_queue_push() and io_queue_room() */
    atomic_store_explicit(&queue->head, head + 1, memory_order_release);
}
