/*
 * log_queue.h - bytes to be written one after the other, each piece whole, in a buffer of fixed
 * size: what log.c keeps while nobody takes it. No locks: whoever has it to himself.
 */
#ifndef DAOREC_BASE_LOG_QUEUE_H
#define DAOREC_BASE_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_queue {
    char *bytes; /* the buffer, not owned */
    size_t size;
    size_t first, used;    /* in bytes, with the lengths of the pieces in front of them */
    uint64_t pushed_count; /* pieces, ever */
};

void log_queue_init(struct log_queue *queue, char *bytes, size_t size);

/* Copied whole behind the others, or, without room for it, not at all: false. */
bool log_queue_push(struct log_queue *queue, const char *piece, uint32_t bytes);

/* Take the oldest out, into `piece`, which has room for the longest that was pushed. Its length; 0:
 * there is none. */
size_t log_queue_pop(struct log_queue *queue, char *piece);

#endif
