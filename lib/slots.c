/*
 * slots.c - finding frames among the slots, and the snapshot of one slot's metadata.
 *
 * All loads are acquire or stand behind one, so that a walk over several slots sees them in an
 * order in which they were written; the partner is the release of cnt0 in dao_writer_publish().
 */
#include "lib/slots.h"

#include <unistd.h>

#include "lib/reader.h"
#include "lib/shared.h"

static bool has_seed_mark(const IMAGE_METADATA *md)
{
    return __atomic_load_n(&md->atime.tsfixed.secondlong, __ATOMIC_ACQUIRE) == DAO_SEED_ATIME_NS &&
           __atomic_load_n(&md->atime.tsfixed.firstlong, __ATOMIC_ACQUIRE) == 0;
}

uint64_t dao_segment_seed(const struct dao_segment *seg)
{
    uint32_t last = seg->geo.depth - 1;
    /* acquire, before the mark: a writer stores the time of a frame before its count, so a frame's
     * count never comes with the mark. Pairs with the releases in plant_count() (create.c) and in
     * dao_writer_publish(). */
    uint64_t cnt0 = dao_shared_cnt0(seg, last, __ATOMIC_ACQUIRE);

    return has_seed_mark(dao_segment_md(seg, last)) ? cnt0 : 0;
}

bool dao_slots_is_seed(const struct dao_segment *seg, uint32_t slot)
{
    return slot == seg->geo.depth - 1 && dao_segment_seed(seg) > 0;
}

uint64_t dao_slots_run(const struct dao_segment *seg)
{
    /* acquire, all: pairs with the releases in reset_in_place() (create.c); the state is there
     * before the time changes, it goes when the counts are right, then the flag goes down. */
    uint64_t bits = dao_shared_creation(seg, __ATOMIC_ACQUIRE);
    uint32_t last = seg->geo.depth - 1;
    uint8_t status = __atomic_load_n(&dao_segment_md(seg, last)->status, __ATOMIC_ACQUIRE);

    return status == DAO_STATUS_RESET && dao_shared_write(seg, last, __ATOMIC_ACQUIRE) ? 0 : bits;
}

struct dao_frame_at dao_slots_newest_at(const struct dao_segment *seg, uint32_t head)
{
    uint32_t before = dao_slot_before(seg, head);
    uint64_t cnt0 = dao_shared_cnt0(seg, head, __ATOMIC_ACQUIRE);
    uint64_t cnt0_before = dao_shared_cnt0(seg, before, __ATOMIC_ACQUIRE);

    /* Nothing published: where creation left it, whatever the head says. A field writer's very
     * first frame has moved it already, and has no count yet. */
    if (cnt0 == 0 && cnt0_before == 0)
        return (struct dao_frame_at){seg->geo.depth - 1, 0};
    /* At depth 2 the slot before is the next one too: a writer of ours has stamped it and is about
     * to publish it, which its flag tells. acquire: pairs with the release of write in publish */
    if (seg->geo.depth == 2 && cnt0 < cnt0_before &&
        dao_shared_write(seg, before, __ATOMIC_ACQUIRE))
        return (struct dao_frame_at){head, dao_shared_cnt0(seg, head, __ATOMIC_ACQUIRE)};
    /* Field writers move the head first and stamp the count last. */
    return cnt0 < cnt0_before ? (struct dao_frame_at){before, cnt0_before}
                              : (struct dao_frame_at){head, cnt0};
}

bool dao_slots_newest(const struct dao_segment *seg, struct dao_frame_at *ret)
{
    /* acquire: pairs with the release of the head in dao_writer_publish() */
    uint32_t head = dao_shared_head(seg, __ATOMIC_ACQUIRE);

    /* Who damages the depth beside the head damages the head, though it may be in range (a packet
     * id of 512 leaves 0). relaxed: it is only compared. */
    if (head >= seg->geo.depth || dao_shared_depth(seg, __ATOMIC_RELAXED) != seg->geo.depth)
        return false;
    *ret = dao_slots_newest_at(seg, head);
    return true;
}

void dao_segment_newest(const struct dao_segment *seg, uint32_t *ret_slot, uint64_t *ret_cnt0)
{
    struct dao_frame_at newest = {0, 0};

    if (!dao_slots_newest(seg, &newest)) {
        /* A damaged head says nothing: the largest count it is, then. */
        for (uint32_t i = 0; i < seg->geo.depth; i++) {
            uint64_t cnt0 = dao_shared_cnt0(seg, i, __ATOMIC_ACQUIRE);

            if (cnt0 >= newest.cnt0)
                newest = (struct dao_frame_at){i, cnt0};
        }
    }
    *ret_slot = newest.slot;
    *ret_cnt0 = newest.cnt0;
}

struct dao_frame_at dao_slots_oldest_of_run(const struct dao_segment *seg,
                                            struct dao_frame_at frame)
{
    /* acquire: pairs with the release of the head in dao_writer_publish() */
    uint32_t head = dao_shared_head(seg, __ATOMIC_ACQUIRE);

    for (uint32_t steps = 1; steps < seg->geo.depth; steps++) {
        uint32_t before = dao_slot_before(seg, frame.slot);
        uint64_t cnt0 = dao_shared_cnt0(seg, before, __ATOMIC_ACQUIRE);

        /* At depth 2 the frame itself is in slot head+1 while the head is not stamped yet. */
        if (before == head || dao_slot_before(seg, before) == head || cnt0 == 0 ||
            cnt0 >= frame.cnt0 || frame.cnt0 - cnt0 > DAO_JUMP_MAX ||
            dao_slots_is_seed(seg, before))
            break;
        frame = (struct dao_frame_at){before, cnt0};
    }
    return frame;
}

bool dao_slots_oldest_after(const struct dao_segment *seg, uint64_t after, uint32_t margin,
                            struct dao_frame_at *ret)
{
    uint32_t depth = seg->geo.depth, head = dao_shared_head(seg, __ATOMIC_ACQUIRE);
    struct dao_frame_at newest;

    if (head >= depth)
        return false;
    newest = dao_slots_newest_at(seg, head);
    if (newest.cnt0 <= after)
        return false;
    /* Ages: depth-1 would be slot head+1, which can never be proven; 0 is the head. */
    for (uint32_t age = depth - 1 - (depth > 1) - margin;; age--) {
        uint32_t slot = head >= age ? head - age : head + (depth - age);
        uint64_t cnt0 = dao_shared_cnt0(seg, slot, __ATOMIC_ACQUIRE);

        /* At the head a count below the newest is one still to be stamped. */
        if (cnt0 > after && cnt0 <= newest.cnt0 && !(age == 0 && cnt0 < newest.cnt0) &&
            !dao_shared_write(seg, slot, __ATOMIC_ACQUIRE)) {
            *ret = (struct dao_frame_at){slot, cnt0};
            return true;
        }
        if (age == 0)
            return false;
    }
}

bool dao_slots_is_cut(const struct dao_segment *seg, uint32_t slot)
{
    uint64_t last = seg->geo.file_bytes - 1, page = (uint64_t)getpagesize();
    uint64_t end = seg->geo.data_off + (slot + 1ull) * seg->geo.frame_bytes;

    if (seg->is_private)
        return false;
    /* A file that ends in an earlier page has lost its last one: this load then is a fault. The
     * system has taken that page away before it put zeros anywhere. */
    (void)*(const volatile unsigned char *)(seg->map + last);
    return dao_segment_is_gone(seg) || (end > last - last % page && dao_segment_check(seg) < 0);
}

/* ---- metadata ---- */

/* Nanoseconds since the epoch; 0 where a program left nonsense. */
static int64_t read_atime(const IMAGE_METADATA *md)
{
    int64_t first = __atomic_load_n(&md->atime.tsfixed.firstlong, __ATOMIC_RELAXED);
    int64_t second = __atomic_load_n(&md->atime.tsfixed.secondlong, __ATOMIC_RELAXED);
    int64_t ns;

    if (first == 0)
        return second;
    if (second < 0 || second >= 1000000000 || __builtin_mul_overflow(first, 1000000000, &ns) ||
        __builtin_add_overflow(ns, second, &ns))
        return 0;
    return ns;
}

/* Fewer than packetTotal entries of lastNbArray equal the one at packetNb. */
static bool packets_are_missing(const struct dao_layout *layout, const IMAGE_METADATA *md)
{
    uint32_t total = __atomic_load_n(&md->packetTotal, __ATOMIC_RELAXED);
    uint32_t last = __atomic_load_n(&md->packetNb, __ATOMIC_RELAXED), arrived = 0;
    uint64_t frame;

    if (total == 0 || total > layout->last_nb_entries || last >= layout->last_nb_entries)
        return false;
    frame = __atomic_load_n(&md->lastNbArray[0] + last, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < layout->last_nb_entries; i++)
        arrived += __atomic_load_n(&md->lastNbArray[0] + i, __ATOMIC_RELAXED) == frame;
    return arrived < total;
}

void dao_segment_snapshot(const struct dao_segment *seg, uint32_t slot, struct dao_take *take)
{
    const IMAGE_METADATA *md = dao_segment_md(seg, slot);

    take->slot = slot;
    take->pixels = dao_segment_pixels(seg, slot);
    take->cnt0 = __atomic_load_n(&md->cnt0, __ATOMIC_RELAXED);
    take->cnt1 = __atomic_load_n(&md->cnt1, __ATOMIC_RELAXED);
    take->cnt2 = __atomic_load_n(&md->cnt2, __ATOMIC_RELAXED);
    take->atime_ns = read_atime(md);
    take->partial = packets_are_missing(seg->geo.layout, md);
}
