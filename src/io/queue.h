/*
 * queue.h - a bounded queue of fixed-size items between one producer and one consumer thread.
 *
 * Neither side ever blocks. The producer publishes an item with a release store of `tail` that
 * pairs with the consumer's acquire load; the consumer frees a place with a release store of
 * `head` that pairs with the producer's acquire load.
 */
#ifndef DAOREC_IO_QUEUE_H
#define DAOREC_IO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_queue {
    unsigned char *items;
    size_t item_bytes;
    uint32_t capacity;                  /* a power of two */
    _Alignas(64) _Atomic uint32_t head; /* next to take; written by the consumer */
    _Alignas(64) _Atomic uint32_t tail; /* next to fill; written by the producer */
};

/* Room for at least `count` items. 0 or -ENOMEM. */
int io_queue_init(struct io_queue *queue, uint32_t count, size_t item_bytes);
void io_queue_fini(struct io_queue *queue); /* safe on a zeroed queue */

/* Producer: copy an item in. False where the queue is full. */
bool io_queue_push(struct io_queue *queue, const void *item);

/* Producer: places free now (may grow meanwhile). */
uint32_t io_queue_room(const struct io_queue *queue);

/* Consumer: the oldest item, in place, or NULL; valid until io_queue_pop(). */
const void *io_queue_peek(const struct io_queue *queue);
void io_queue_pop(struct io_queue *queue);

#endif
