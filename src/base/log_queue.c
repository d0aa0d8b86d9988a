/* log_queue.c - see log_queue.h. */
#include "base/log_queue.h"

#include <string.h>

void log_queue_init(struct log_queue *queue, char *bytes, size_t size)
{
    *queue = (struct log_queue){.bytes = bytes, .size = size};
}

static void put(struct log_queue *queue, const void *from, size_t bytes)
{
    size_t at = (queue->first + queue->used) % queue->size;
    size_t part = bytes < queue->size - at ? bytes : queue->size - at;

    memcpy(queue->bytes + at, from, part);
    memcpy(queue->bytes, (const char *)from + part, bytes - part);
    queue->used += bytes;
}

static void take(struct log_queue *queue, void *to, size_t bytes)
{
    size_t part = bytes < queue->size - queue->first ? bytes : queue->size - queue->first;

    memcpy(to, queue->bytes + queue->first, part);
    memcpy((char *)to + part, queue->bytes, bytes - part);
    queue->first = (queue->first + bytes) % queue->size;
    queue->used -= bytes;
}

bool log_queue_push(struct log_queue *queue, const char *piece, uint32_t bytes)
{
    if (bytes == 0 || queue->size - queue->used < sizeof bytes + bytes)
        return false;
    put(queue, &bytes, sizeof bytes);
    put(queue, piece, bytes);
    queue->pushed_count++;
    return true;
}

size_t log_queue_pop(struct log_queue *queue, char *piece)
{
    uint32_t bytes;

    if (queue->used == 0)
        return 0;
    take(queue, &bytes, sizeof bytes);
    take(queue, piece, bytes);
    return bytes;
}
