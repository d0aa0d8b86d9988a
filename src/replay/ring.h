/*
 * ring.h - frames read ahead: a bounded ring between the thread that reads and the one that
 * publishes. Neither side ever blocks or allocates.
 *
 *     feed:    reserve room for pixels, read into it, push       player: peek, publish, pop
 *
 * Pixels lie in one arena, frame behind frame as they were pushed, whatever their shapes; where one
 * does not fit before the arena's end it goes to its beginning. The feed's position is its own; the
 * player gives room back by a release store of `freed`, which pairs with the acquire load in
 * ring_reserve().
 */
#ifndef DAOREC_REPLAY_RING_H
#define DAOREC_REPLAY_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "io/queue.h"
#include "series/series.h"

enum ring_what {
    RING_FRAME,
    RING_RECREATE, /* the stream's segment is made anew: a restart, or another shape */
};

struct ring_item {
    enum ring_what what;
    unsigned stream;
    uint64_t end;        /* of its room in the arena, counted from the beginning of all time */
    int64_t due_ns;      /* after the beginning */
    int64_t patience_ns; /* a frame that is later than this is missed */
    uint64_t index;      /* in the series */
    uint64_t cnt0;       /* RING_RECREATE: of the slot before the first frame */
    uint64_t cnt1, cnt2;
    int64_t atime_ns;               /* as recorded; 0: none */
    const void *pixels;             /* RING_FRAME */
    const struct series_part *part; /* of the frame, or what the segment becomes */
};

struct ring {
    unsigned char *arena;
    uint64_t arena_bytes;
    struct io_queue items;
    _Atomic uint64_t filled; /* position behind the last item pushed; the feed's */
    _Alignas(
        64) _Atomic uint64_t freed; /* position up to which there is room again; the player's */
};

/* Room for `arena_bytes`, which is raised to two frames of `frame_bytes_max`, and touched at once,
 * so that nobody faults pages in later; and for `items`. 0 or -ENOMEM. */
int ring_init(struct ring *ring, uint64_t arena_bytes, uint64_t frame_bytes_max, uint32_t items);
void ring_fini(struct ring *ring); /* safe on a zeroed one */

/*
 * Feed: room for `bytes` (at most frame_bytes_max; 0 for items without pixels) and for an item.
 * NULL: none now. *ret_end is to be the item's `end`. Reserving again without a push in between
 * gives the same room.
 */
void *ring_reserve(struct ring *ring, uint64_t bytes, uint64_t *ret_end);

/* Feed: hand over an item whose room was reserved last. */
void ring_push(struct ring *ring, const struct ring_item *item);

/* Player: the oldest item, valid with its pixels until ring_pop(); NULL: none. */
const struct ring_item *ring_peek(const struct ring *ring);
void ring_pop(struct ring *ring);

/* How full it is, 0 to 100, by bytes or items, whichever is more. Any thread, a moment's value. */
unsigned ring_full_percent(const struct ring *ring);

#endif
