/*
 * shared.h - loads of the fields that a writer changes under a reader. Inside lib/ only.
 *
 * Each takes the memory order it is loaded with; the caller's comment names the partner. A value
 * is loaded once into a local, checked there, and the local is used.
 */
#ifndef DAO_SHARED_H
#define DAO_SHARED_H

#include "lib/segment.h"

static inline uint64_t dao_shared_cnt0(const struct dao_segment *seg, uint32_t slot, int order)
{
    return __atomic_load_n(&dao_segment_md(seg, slot)->cnt0, order);
}

static inline uint8_t dao_shared_write(const struct dao_segment *seg, uint32_t slot, int order)
{
    return __atomic_load_n(&dao_segment_md(seg, slot)->write, order);
}

/* The slot of the newest frame as the segment says: may be out of range. */
static inline uint32_t dao_shared_head(const struct dao_segment *seg, int order)
{
    uint32_t off = seg->geo.layout->fifo_last_written_off;

    /* pre-FIFO: what lies there is pixels */
    return off ? __atomic_load_n((const uint32_t *)(const void *)(seg->map + off), order) : 0;
}

/* The depth as the segment says now: only to be compared with what it was at open. */
static inline uint32_t dao_shared_depth(const struct dao_segment *seg, int order)
{
    uint32_t off = seg->geo.layout->fifo_size_off;

    return off ? __atomic_load_n((const uint32_t *)(const void *)(seg->map + off), order) : 1;
}

/* creation_time as bits: it is compared, never computed with. */
static inline uint64_t dao_shared_creation(const struct dao_segment *seg, int order)
{
    return __atomic_load_n(
        (const uint64_t *)(const void *)(seg->map + offsetof(IMAGE_METADATA, creation_time)),
        order);
}

/* What tells whether a slot still holds the frame whose pixels were read from it. */
struct dao_look {
    uint32_t head;   /* may be out of range */
    uint64_t before; /* count of the slot before */
    uint8_t write;
    uint64_t cnt0;
};

/*
 * The loads of the protocol's proof, in its order, after the pixels and an acquire fence. Acquire
 * each, so that none is satisfied before the one ahead of it; they pair with the releases of head,
 * cnt0 and write in dao_writer_publish(). What matters most is that the head comes before the
 * count: the other way round a writer of ours could stamp, clear and publish between the two
 * (tests/model checks the orders).
 */
static inline struct dao_look dao_shared_look(const struct dao_segment *seg, uint32_t slot)
{
    struct dao_look look;

    look.head = dao_shared_head(seg, __ATOMIC_ACQUIRE);
    look.before = dao_shared_cnt0(seg, slot == 0 ? seg->geo.depth - 1 : slot - 1, __ATOMIC_ACQUIRE);
    look.write = dao_shared_write(seg, slot, __ATOMIC_ACQUIRE);
    look.cnt0 = dao_shared_cnt0(seg, slot, __ATOMIC_ACQUIRE);
    return look;
}

/* One turn of a polling loop, kind to the other thread of the core. */
static inline void dao_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
