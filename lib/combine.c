/*
 * combine.c - see combine.h.
 *
 * Summed block by block through a small buffer, so that at depth 1, where a channel that is also
 * the target has but one slot, a block is read before it is written.
 */
#include "lib/combine.h"

#include <stdatomic.h>
#include <string.h>

#include "lib/shared.h"
#include "lib/reader.h"
#include "lib/slots.h"

#define BLOCK_BYTES 4096u
#define TRIES       3

static bool is_same_slot(const struct dao_segment *channel, const struct dao_segment *to)
{
    return channel->geo.depth == 1 &&
           (channel == to || (!channel->is_private && !to->is_private && channel->dev == to->dev &&
                              channel->ino == to->ino));
}

/* Does the slot still hold this frame, after its pixels were read? */
static bool is_held(const struct dao_segment *seg, struct dao_frame_at frame)
{
    struct dao_look look = dao_shared_look(seg, frame.slot);

    if (look.write || look.cnt0 != frame.cnt0)
        return false;
    if (seg->geo.depth == 1 || frame.cnt0 == 0) /* 0: a fresh segment, nothing comes before it */
        return true;
    return look.head < seg->geo.depth && frame.slot != dao_slot_next(seg, look.head) &&
           (frame.slot != look.head || look.before < frame.cnt0);
}

static void sum_blocks(const struct dao_segment *const *channels, int channel_count,
                       const struct dao_frame_at *newest, const struct dao_dtype *dtype,
                       unsigned char *to, size_t bytes)
{
    _Alignas(16) unsigned char sum[BLOCK_BYTES];

    for (size_t at = 0; at < bytes; at += sizeof sum) {
        size_t part = bytes - at < sizeof sum ? bytes - at : sizeof sum;

        memcpy(sum, dao_segment_pixels(channels[0], newest[0].slot) + at, part);
        for (int i = 1; i < channel_count; i++)
            dtype->add(sum, dao_segment_pixels(channels[i], newest[i].slot) + at,
                       part / dtype->element_bytes);
        memcpy(to + at, sum, part);
    }
}

/* False: a frame was overwritten meanwhile. */
static bool try_sum(const struct dao_segment *const *channels, int channel_count,
                    const struct dao_segment *to, const struct dao_write *w, uint32_t count)
{
    struct dao_frame_at newest[DAO_MAX_COMBINE_CHANNELS];
    bool is_whole = true;

    for (int i = 0; i < channel_count; i++)
        dao_segment_newest(channels[i], &newest[i].slot, &newest[i].cnt0);
    sum_blocks(channels, channel_count, newest, to->geo.dtype, w->pixels,
               (size_t)count * to->geo.dtype->element_bytes);
    /* acquire: pairs with the release fence in dao_writer_begin(), as in dao_reader_finish() */
    atomic_thread_fence(memory_order_acquire);
    for (int i = 0; i < channel_count; i++)
        is_whole = is_whole && (is_same_slot(channels[i], to) || is_held(channels[i], newest[i]));
    return is_whole;
}

bool dao_combine(const struct dao_segment *const *channels, int channel_count,
                 const struct dao_segment *to, const struct dao_write *w, uint32_t count)
{
    int tries = TRIES;

    for (int i = 0; i < channel_count; i++)
        if (is_same_slot(channels[i], to))
            tries = 1; /* its frame is gone after the first */
    while (tries-- > 0)
        if (try_sum(channels, channel_count, to, w, count))
            return true;
    return false;
}
