/*
 * writer.c - the stores of one frame, in an order that no reader can misread.
 *
 *     write = 1 | release fence | payload, atime | cnt0 | write = 0 | head
 *
 * cnt0 changes while write is 1: a rewritten slot never looks untouched. The head comes last: the
 * slot it names is always stamped. The fence pairs with the acquire fence of dao_reader_finish():
 * a reader that copied one byte of the new payload then sees write = 1 or what came after it.
 */
#include "lib/writer.h"

#include <errno.h>
#include <stdatomic.h>

#include "lib/shared.h"
#include "lib/clock.h"

/* The stress suite breaks one order on purpose, to see the sanitizer notice. */
#ifdef DAO_TEST_BREAK_ORDER
#define CNT0_ORDER __ATOMIC_RELAXED
#else
#define CNT0_ORDER __ATOMIC_RELEASE
#endif

/* Where the head is, for one who is about to write. */
static int find_head(const struct dao_segment *seg, uint32_t *ret)
{
    uint32_t head;

    if (seg->access != DAO_ACCESS_WRITE || seg->geo.layout->kind == DAO_LAYOUT_PREFIFO)
        return -EROFS;
    if (dao_segment_is_gone(seg))
        return -ESTALE;
    /* acquire: pairs with the release in dao_writer_publish(), where the writer before us was
     * another process. */
    head = dao_shared_head(seg, __ATOMIC_ACQUIRE);
    if (head >= seg->geo.depth || dao_shared_depth(seg, __ATOMIC_RELAXED) != seg->geo.depth)
        /* Who damages the one damages the other; or these loads found out that it is gone. */
        return dao_segment_is_gone(seg) ? -ESTALE : -EBADMSG;
    *ret = head;
    return 0;
}

int dao_writer_begin(struct dao_segment *seg, struct dao_write *ret)
{
    uint32_t head, slot;
    int error = find_head(seg, &head);

    if (error < 0)
        return error;
    slot = head + 1 == seg->geo.depth ? 0 : head + 1;
    ret->slot = slot;
    ret->cnt0 = dao_shared_cnt0(seg, head, __ATOMIC_RELAXED) + 1;
    ret->pixels = dao_segment_pixels(seg, slot);
    __atomic_store_n(&dao_segment_md(seg, slot)->write, 1, __ATOMIC_RELAXED);
    atomic_thread_fence(memory_order_release); /* see above for its partner */
    return 0;
}

/* relaxed: the metadata of a frame in the making; the release of its count orders them. */
void dao_writer_note_packet(struct dao_segment *seg, const struct dao_write *w,
                            const struct dao_packet *packet)
{
    IMAGE_METADATA *md = dao_segment_md(seg, w->slot);

    __atomic_store_n(&md->lastPos, packet->position, __ATOMIC_RELAXED);
    __atomic_store_n(&md->lastNb, packet->count, __ATOMIC_RELAXED);
    __atomic_store_n(&md->packetNb, packet->id, __ATOMIC_RELAXED);
    __atomic_store_n(&md->packetTotal, packet->total, __ATOMIC_RELAXED);
    __atomic_store_n(&md->lastNbArray[packet->id], packet->frame, __ATOMIC_RELAXED);
    __atomic_store_n(&md->cnt2, packet->frame, __ATOMIC_RELAXED);
}

void dao_writer_note_whole(struct dao_segment *seg, const struct dao_write *w)
{
    __atomic_store_n(&dao_segment_md(seg, w->slot)->packetTotal, 0, __ATOMIC_RELAXED);
}

void dao_writer_note_counters(struct dao_segment *seg, const struct dao_write *w, uint64_t cnt1,
                              uint64_t cnt2)
{
    /* relaxed: the release of cnt0 orders them, as it does the pixels */
    __atomic_store_n(&dao_segment_md(seg, w->slot)->cnt1, cnt1, __ATOMIC_RELAXED);
    __atomic_store_n(&dao_segment_md(seg, w->slot)->cnt2, cnt2, __ATOMIC_RELAXED);
}

static void store_atime(IMAGE_METADATA *md, int64_t atime_ns)
{
    if (atime_ns == 0)
        atime_ns = dao_clock_real_ns();
    else if (atime_ns == DAO_ATIME_NONE)
        atime_ns = 0;
    __atomic_store_n(&md->atime.tsfixed.firstlong, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->atime.tsfixed.secondlong, atime_ns, __ATOMIC_RELAXED);
}

void dao_writer_publish(struct dao_segment *seg, const struct dao_write *w, int64_t atime_ns)
{
    IMAGE_METADATA *md = dao_segment_md(seg, w->slot);
    uint32_t *head = (uint32_t *)(void *)(seg->map + seg->geo.layout->fifo_last_written_off);

    store_atime(md, atime_ns);
    /* release: payload and atime before the count; pairs with the acquire in examine() (begin) */
    __atomic_store_n(&md->cnt0, w->cnt0, CNT0_ORDER);
    /* release: the count before the flag; pairs with the acquire of write in dao_reader_finish(),
     * which loads the count after it */
    __atomic_store_n(&md->write, 0, __ATOMIC_RELEASE);
    /* release: flag and count before the head; pairs with the acquire of the head there */
    __atomic_store_n(head, w->slot, __ATOMIC_RELEASE);
}

void dao_writer_leave(struct dao_segment *seg, const struct dao_write *w)
{
    /* release: the pixels before the flag; pairs with the acquire of write in looks_whole() */
    __atomic_store_n(&dao_segment_md(seg, w->slot)->write, 0, __ATOMIC_RELEASE);
}

int dao_writer_stamp(struct dao_segment *seg)
{
    IMAGE_METADATA *md;
    uint32_t head, before;
    int error = find_head(seg, &head);

    if (error < 0)
        return error;
    md = dao_segment_md(seg, head);
    before = head == 0 ? seg->geo.depth - 1 : head - 1;
    if (seg->geo.depth == 1) {
        /* A new count: the slot changes, as far as readers can tell. Fence as in begin. */
        __atomic_store_n(&md->write, 1, __ATOMIC_RELAXED);
        atomic_thread_fence(memory_order_release);
    }
    store_atime(md, 0);
    /* release, both: as in dao_writer_publish() */
    __atomic_store_n(&md->cnt0, dao_shared_cnt0(seg, before, __ATOMIC_RELAXED) + 1, CNT0_ORDER);
    __atomic_store_n(&md->write, 0, __ATOMIC_RELEASE);
    return 0;
}
