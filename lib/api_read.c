/*
 * api_read.c - the functions of dao.h that read frames. One thread at a time on one IMAGE.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/dao.h"
#include "lib/handle.h"
#include "lib/log.h"
#include "lib/shared.h"
#include "lib/slots.h"

/* ---- pointers into shared memory ---- */

/* Tell the caller where the tail is now. */
static void give_tail(const IMAGE *image, const struct dao_handle *h, void **segment_ptr,
                      uint32_t *segment_idx, uint64_t *segment_cnt0)
{
    if (segment_ptr)
        *segment_ptr = dao_segment_pixels(&h->seg, image->fifo_last_read);
    if (segment_idx)
        *segment_idx = image->fifo_last_read;
    if (segment_cnt0)
        *segment_cnt0 = image->fifo_last_read_cnt0;
}

static bool check_output(const struct dao_handle *h, const void *output, const char *name,
                         const char *function)
{
    if (!output)
        dao_log(DAO_LOG_ALWAYS, function, "%s: %s is NULL", h->seg.path, name);
    return output != NULL;
}

/* A reader that attached while the segment was being created has found out that now it is. */
static void follow_creation(IMAGE *image, struct dao_handle *h, const struct dao_reader *r)
{
    uint64_t none = 0; /* once only: a copy of the IMAGE may be in a later run already */

    if (r->creation_bits != 0 &&
        atomic_compare_exchange_strong_explicit(&h->creation_bits, &none, r->creation_bits,
                                                memory_order_relaxed, memory_order_relaxed))
        dao_image_move_tail(image, r->slot, r->cnt0);
}

int_fast8_t daoShmGetNextSegment(IMAGE *image, void **segment_ptr, uint32_t *segment_idx,
                                 uint64_t *segment_cnt0)
{
    struct dao_handle *h = dao_handle_get_reading(image, __func__);
    struct dao_reader reader;
    struct dao_take take;
    int_fast8_t status = DAO_SUCCESS;
    int what;

    if (!h || !check_output(h, segment_ptr, "segment_ptr", __func__))
        return DAO_ERROR;
    reader = dao_image_reader(image, h, DAO_LAP_NEWEST);
    what = dao_reader_begin(&reader, &take);
    if (what == DAO_READ_FRAME || what == DAO_READ_NONE)
        follow_creation(image, h, &reader);
    switch (what) {
    case DAO_READ_FRAME:
        dao_image_move_tail(image, take.slot, take.cnt0);
        status = take.lapped ? DAO_OVERWRITE : DAO_SUCCESS;
        break;
    case DAO_READ_RESTART:
        dao_image_enter_run(image, h);
        status = DAO_OVERWRITE;
        break;
    case DAO_READ_NONE:
        return dao_handle_is_stale(h) ? dao_handle_fail_stale(h, __func__) : DAO_NOTREADY;
    default:
        return dao_handle_fail_stale(h, __func__);
    }
    give_tail(image, h, segment_ptr, segment_idx, segment_cnt0);
    return status;
}

static int_fast8_t go_to_newest(IMAGE *image, struct dao_handle *h, const char *function)
{
    if (dao_handle_is_stale(h))
        return dao_handle_fail_stale(h, function);
    dao_image_enter_run(image, h);
    return dao_segment_is_gone(&h->seg) ? dao_handle_fail_stale(h, function) : DAO_SUCCESS;
}

int_fast8_t daoShmGetNewestSegment(IMAGE *image, void **segment_ptr, uint32_t *segment_idx,
                                   uint64_t *segment_cnt0)
{
    struct dao_handle *h = dao_handle_get_reading(image, __func__);
    int_fast8_t status;

    if (!h || !check_output(h, segment_ptr, "segment_ptr", __func__))
        return DAO_ERROR;
    status = go_to_newest(image, h, __func__);
    if (status == DAO_SUCCESS)
        give_tail(image, h, segment_ptr, segment_idx, segment_cnt0);
    return status;
}

int_fast8_t daoShmGetNewestSlot(IMAGE *image, uint32_t *segment_idx, uint64_t *segment_cnt0)
{
    struct dao_handle *h = dao_handle_get(image, __func__);
    uint32_t slot;
    uint64_t cnt0;

    if (!h)
        return DAO_ERROR;
    if (dao_handle_is_stale(h))
        return dao_handle_fail_stale(h, __func__);
    dao_segment_newest(&h->seg, &slot, &cnt0);
    if (segment_idx)
        *segment_idx = slot;
    if (segment_cnt0)
        *segment_cnt0 = cnt0;
    return DAO_SUCCESS;
}

/* A damaged tail is what a reset is for. */
static struct dao_handle *get_for_reset(IMAGE *image, const char *function)
{
    struct dao_handle *h = dao_handle_get(image, function);

    if (h && image->fifo_last_read >= h->seg.geo.depth)
        dao_image_move_tail(image, 0, 0);
    return h;
}

int_fast8_t daoShmResetTail(IMAGE *image, uint32_t *segment_idx, uint64_t *segment_cnt0)
{
    struct dao_handle *h = get_for_reset(image, __func__);
    int_fast8_t status = h ? go_to_newest(image, h, __func__) : DAO_ERROR;

    if (status == DAO_SUCCESS)
        give_tail(image, h, NULL, segment_idx, segment_cnt0);
    return status;
}

int_fast8_t daoShmResetTailOldest(IMAGE *image, uint32_t *segment_idx, uint64_t *segment_cnt0)
{
    struct dao_handle *h = get_for_reset(image, __func__);
    int_fast8_t status = h ? go_to_newest(image, h, __func__) : DAO_ERROR;
    struct dao_reader reader;

    if (status != DAO_SUCCESS)
        return status;
    if (dao_reader_init(&reader, &h->seg, DAO_LAP_OLDEST, true) < 0)
        return dao_handle_fail_stale(h, __func__);
    atomic_store_explicit(&h->creation_bits, reader.creation_bits, memory_order_relaxed);
    dao_image_move_tail(image, reader.slot, reader.cnt0);
    if (reader.newest_seen == reader.cnt0) { /* no frame yet */
        give_tail(image, h, NULL, segment_idx, segment_cnt0);
        return DAO_SUCCESS;
    }
    if (segment_idx)
        *segment_idx = dao_slot_next(&h->seg, reader.slot);
    if (segment_cnt0)
        *segment_cnt0 = reader.cnt0 + 1;
    return DAO_SUCCESS;
}

int_fast8_t daoShmGetArbitrarySegment(IMAGE *image, void **segment_ptr, uint_fast32_t fifo_idx)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    if (!h || !check_output(h, segment_ptr, "segment_ptr", __func__))
        return DAO_ERROR;
    if (dao_handle_is_stale(h))
        return dao_handle_fail_stale(h, __func__);
    *segment_ptr = dao_segment_pixels(&h->seg, (uint32_t)(fifo_idx % h->seg.geo.depth));
    return DAO_SUCCESS;
}

int_fast8_t daoShmCheckSegmentOverwrite(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get_reading(image, __func__);
    struct dao_look look;
    uint64_t cnt0;
    uint32_t slot;
    bool is_held;

    if (!h)
        return DAO_ERROR;
    slot = image->fifo_last_read;
    cnt0 = image->fifo_last_read_cnt0;
    /* Pairs with the release fence in dao_writer_begin(), as in dao_reader_finish(): the caller
     * has read pixels before. */
    atomic_thread_fence(memory_order_acquire);
    look = dao_shared_look(&h->seg, slot);
    is_held = !look.write && look.cnt0 == cnt0 &&
              (slot != look.head || look.before <= cnt0) && /* at depth 1 both are one */
              dao_shared_creation(&h->seg, __ATOMIC_ACQUIRE) ==
                  atomic_load_explicit(&h->creation_bits, memory_order_relaxed);
    if (dao_slots_is_cut(&h->seg, slot) ||
        (!is_held && (dao_segment_check(&h->seg) < 0 || dao_handle_is_reshaped(h))))
        return dao_handle_fail_stale(h, __func__);
    return is_held ? DAO_SUCCESS : DAO_OVERWRITE;
}

uint64_t daoShmGetCounter(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get(image, __func__);
    uint32_t slot;
    uint64_t cnt0;

    if (!h)
        return 0;
    if (dao_handle_is_stale(h)) {
        dao_handle_fail_stale(h, __func__);
        return 0;
    }
    dao_segment_newest(&h->seg, &slot, &cnt0);
    return cnt0;
}

/* ---- copies with a proof ---- */

#define ATTEMPTS_MAX 16 /* candidates overwritten under the copy, one after the other */

/* The reader whose position is the tail. A tail that was moved otherwise begins anew. */
static struct dao_reader *follow_tail(const IMAGE *image, struct dao_handle *h)
{
    struct dao_reader *r = &h->copier;

    if (!r->seg || r->slot != image->fifo_last_read || r->cnt0 != image->fifo_last_read_cnt0 ||
        r->creation_bits != atomic_load_explicit(&h->creation_bits, memory_order_relaxed)) {
        *r = dao_image_reader(image, h, DAO_LAP_OLDEST);
        h->copier_lost = 0;
        h->copier_saw_restart = false;
    }
    return r;
}

/* At depth 1 the age of a frame is counted from when it was not there yet: a wait may have seen
 * that later than the last copy. */
static void note_waits(struct dao_reader *r, const struct dao_cadence *waits)
{
    int64_t empty_ns = atomic_load_explicit(&waits->empty_ns, memory_order_relaxed);

    if (atomic_load_explicit(&waits->empty_cnt0, memory_order_relaxed) <= r->cnt0 + 1 &&
        empty_ns > r->unchanged_ns)
        r->unchanged_ns = empty_ns;
}

static void enter_new_run(IMAGE *image, struct dao_handle *h, const struct dao_take *take)
{
    const struct dao_reader *r = &h->copier;

    h->copier_lost += take->restart_lost;
    h->copier_saw_restart = true;
    atomic_store_explicit(&h->creation_bits, r->creation_bits, memory_order_relaxed);
    dao_image_move_tail(image, r->slot, r->cnt0);
}

/* A frame was taken: DAO_SUCCESS or DAO_OVERWRITE. */
static int_fast8_t tell_frame(IMAGE *image, struct dao_handle *h, const struct dao_take *take,
                              DAO_FRAME *frame)
{
    bool is_restart = h->copier_saw_restart;

    dao_image_move_tail(image, take->slot, take->cnt0);
    dao_reader_note_newest(&h->copier);
    if (frame)
        *frame = (DAO_FRAME){
            .cnt0 = take->cnt0,
            .cnt1 = take->cnt1,
            .cnt2 = take->cnt2,
            .atime_ns = take->atime_ns,
            .slot = take->slot,
            .flags = (take->lapped ? DAO_FRAME_LAPPED : 0) | (take->jumped ? DAO_FRAME_JUMPED : 0) |
                     (is_restart ? DAO_FRAME_RESTART : 0) | (take->torn ? DAO_FRAME_TORN : 0) |
                     (take->partial ? DAO_FRAME_PARTIAL : 0),
            .lost = h->copier_lost + take->missing,
        };
    h->copier_lost = 0;
    h->copier_saw_restart = false;
    return take->lapped || is_restart ? DAO_OVERWRITE : DAO_SUCCESS;
}

int_fast8_t daoShmCopyNextSegment(IMAGE *image, void *pixels, uint64_t bytes, DAO_FRAME *frame)
{
    struct dao_handle *h = dao_handle_get_reading(image, __func__);
    struct dao_reader *r;
    struct dao_take take;
    int attempts = 0;

    if (!h || !check_output(h, pixels, "pixels", __func__))
        return DAO_ERROR;
    if (bytes < h->seg.geo.frame_bytes) {
        log_error("%s: room for %" PRIu64 " bytes, but a frame has %" PRIu64, h->seg.path, bytes,
                  h->seg.geo.frame_bytes);
        return DAO_ERROR;
    }
    r = follow_tail(image, h);
    note_waits(r, &h->cadence);
    while (attempts++ < ATTEMPTS_MAX) {
        int what = dao_reader_begin(r, &take);

        if (what == DAO_READ_FRAME || what == DAO_READ_NONE)
            follow_creation(image, h, r);
        if (what == DAO_READ_RESTART) {
            enter_new_run(image, h, &take);
        } else if (what == DAO_READ_FRAME) {
            memcpy(pixels, take.pixels, h->seg.geo.frame_bytes);
            if (dao_reader_finish(r, &take) == 1)
                return tell_frame(image, h, &take, frame);
        } else {
            break;
        }
    }
    if (dao_reader_look(r) < 0 || dao_segment_check_path(&h->seg) < 0)
        return dao_handle_fail_stale(h, __func__);
    return DAO_NOTREADY;
}
