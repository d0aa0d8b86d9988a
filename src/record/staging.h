/*
 * staging.h - a continuous stream of bytes on its way into one region of a file, in blocks.
 *
 * The drain fills it; full blocks and flush requests go to the writer. A stream of pixels and a
 * stream of table rows are the same thing here. Everything is in file offsets; block boundaries
 * are page boundaries of the file. Bytes ahead of `fill` may be written freely (a frame that is
 * refused afterwards is simply not counted); only advancing makes them part of the stream.
 * Drain thread only.
 */
#ifndef DAOREC_RECORD_STAGING_H
#define DAOREC_RECORD_STAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "io/pool.h"

struct staging {
    struct io_pool *pool;
    struct io_block **held; /* consecutive blocks; held[0] contains `fill` or begins there */
    uint32_t held_count, held_max;
    uint64_t base;    /* file offset of held[0], a multiple of the page */
    uint64_t fill;    /* file offset of the next byte */
    uint64_t flushed; /* file offset up to which a flush was asked for */
};

/* For pieces of up to max_bytes. 0 or -ENOMEM. */
int staging_init(struct staging *staging, struct io_pool *pool, uint64_t max_bytes);
void staging_fini(struct staging *staging);

/* Begin a new region at file offset `off`; blocks still held are kept for it. */
void staging_start(struct staging *staging, uint64_t off);

/* Make [fill, fill + bytes) writable. False: no free block (nothing is lost, try again). */
bool staging_reserve(struct staging *staging, uint64_t bytes);

/* The longest contiguous piece at fill + done, at most `bytes`; *ret_bytes tells how long. */
unsigned char *staging_piece(const struct staging *staging, uint64_t done, uint64_t bytes,
                             uint64_t *ret_bytes);

/* The bytes up to fill + bytes are part of the stream now. */
void staging_advance(struct staging *staging, uint64_t bytes);

/* The first held block where it is full, or where `force` and it holds anything: it is the
 * caller's from here (block->file_off set), also where all of it was flushed already, since that
 * flush may still be reading it. NULL otherwise. *ret_from and *ret_to: what of the file is to be
 * written (again), ret_from on a page boundary; ret_from == ret_to: nothing. */
struct io_block *staging_take_block(struct staging *staging, bool force, uint64_t *ret_from,
                                    uint64_t *ret_to);

/* The filled part of the first block that was not flushed yet, for a flush; the block stays with
 * the drain. NULL where there is nothing new. */
struct io_block *staging_flush(struct staging *staging, uint64_t *ret_from, uint64_t *ret_to);

/* Give all held blocks back to the pool. */
void staging_drop(struct staging *staging);

#endif
