/*
 * slots.h - which slot holds what: newest frame, oldest provable frame. Inside lib/ only.
 *
 * Questions about shared memory at one moment; the answer can be out of date when it arrives.
 * Nothing here is changed. Any thread may call.
 */
#ifndef DAO_SLOTS_H
#define DAO_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/segment.h"

/* Counts that differ by more than this belong to different runs of a source. */
#define DAO_JUMP_MAX (1ull << 31)

/*
 * `status` of slot N-1 while the segment is being set back; 0 otherwise. Nobody else reads or
 * writes that byte. The write flag says 1 meanwhile, as for a frame: programs compare it with 1. It
 * counts only while the flag is up: what a creator that was killed leaves behind does no harm.
 */
#define DAO_STATUS_RESET 0x5e

struct dao_frame_at {
    uint32_t slot;
    uint64_t cnt0;
};

static inline uint32_t dao_slot_next(const struct dao_segment *seg, uint32_t slot)
{
    return slot + 1 == seg->geo.depth ? 0 : slot + 1;
}

static inline uint32_t dao_slot_before(const struct dao_segment *seg, uint32_t slot)
{
    return slot == 0 ? seg->geo.depth - 1 : slot - 1;
}

/* Does this slot carry such a count, and no frame? */
bool dao_slots_is_seed(const struct dao_segment *seg, uint32_t slot);

/* creation_time of the run that there is, as bits; 0 while the segment is being set back, since
 * what its slots say is then of no run. A reader that attaches with 0 enters the run when it is
 * there. */
uint64_t dao_slots_run(const struct dao_segment *seg);

/* The newest frame where the head is, or was a moment ago, in this slot (in range). */
struct dao_frame_at dao_slots_newest_at(const struct dao_segment *seg, uint32_t head);

/* The newest frame by the head; false where the head is out of range or damaged otherwise. */
bool dao_slots_newest(const struct dao_segment *seg, struct dao_frame_at *ret);

/*
 * The oldest frame that can be proven of the run that `frame` (cnt0 > 0) belongs to: as far back
 * as counts fall from slot to slot, but never into slot head+1, nor into a seed.
 */
struct dao_frame_at dao_slots_oldest_of_run(const struct dao_segment *seg,
                                            struct dao_frame_at frame);

/*
 * After a lap: the oldest frame with a count above `after` that can be proven, `margin` slots
 * further from the writer than need be. False: none at the moment.
 */
bool dao_slots_oldest_after(const struct dao_segment *seg, uint64_t after, uint32_t margin,
                            struct dao_frame_at *ret);

/*
 * After a copy of this slot's pixels: could a truncation have put zeros under it? One inside a page
 * faults only behind that page, and up to its end leaves zeros. One load, or a system call where
 * the slot reaches into the last page of the file.
 */
bool dao_slots_is_cut(const struct dao_segment *seg, uint32_t slot);

#endif
