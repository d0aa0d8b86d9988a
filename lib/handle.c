/* handle.c - see handle.h. */
#include "lib/handle.h"

#include <stddef.h>
#include <stdlib.h>

#include "lib/log.h"
#include "lib/shared.h"
#include "lib/slots.h"

#define HANDLE_MAGIC 0x44414f2d48414e44ull

struct dao_handle *dao_handle_create(void)
{
    struct dao_handle *h = calloc(1, sizeof *h);

    if (h)
        h->magic = HANDLE_MAGIC;
    return h;
}

void dao_handle_destroy(struct dao_handle *h)
{
    if (!h)
        return;
    h->magic = 0;
    dao_semset_close(&h->sems);
    dao_segment_close(&h->seg);
    free(h);
}

struct dao_handle *dao_handle_find(const IMAGE *image)
{
    struct dao_handle *h;

    if (!image || image->used != 1 || !image->md || !image->semReadPID)
        return NULL;
    h = (struct dao_handle *)(void *)((char *)image->semReadPID -
                                      offsetof(struct dao_handle, read_pid));
    return h->magic == HANDLE_MAGIC && (void *)h->seg.map == (void *)image->md ? h : NULL;
}

struct dao_handle *dao_handle_get(const IMAGE *image, const char *function)
{
    struct dao_handle *h = dao_handle_find(image);

    if (!h)
        dao_log(DAO_LOG_ALWAYS, function,
                "the image is %s: open it with daoShmShm2Img or create it first",
                image ? "not open" : "NULL");
    return h;
}

struct dao_handle *dao_handle_get_reading(const IMAGE *image, const char *function)
{
    struct dao_handle *h = dao_handle_get(image, function);

    if (h && image->fifo_last_read >= h->seg.geo.depth) {
        dao_log(DAO_LOG_ALWAYS, function,
                "%s: fifo_last_read is %u, but the depth is %u: call daoShmResetTail", h->seg.path,
                image->fifo_last_read, h->seg.geo.depth);
        return NULL;
    }
    return h;
}

bool dao_handle_is_reshaped(const struct dao_handle *h)
{
    /* A reader in the run that was known finds out, wherever it stands. */
    struct dao_reader r = {
        .seg = &h->seg,
        .creation_bits = atomic_load_explicit(&h->creation_bits, memory_order_relaxed),
    };

    /* acquire: pairs with the release in reset_in_place() (create.c) */
    return dao_shared_creation(&h->seg, __ATOMIC_ACQUIRE) != r.creation_bits &&
           dao_reader_peek(&r) < 0;
}

bool dao_handle_is_stale(const struct dao_handle *h)
{
    return dao_segment_check(&h->seg) < 0 || dao_segment_check_path(&h->seg) < 0 ||
           dao_handle_is_reshaped(h);
}

int_fast8_t dao_handle_fail_stale(struct dao_handle *h, const char *function)
{
    if (!atomic_exchange_explicit(&h->stale_was_told, true, memory_order_relaxed))
        dao_log(DAO_LOG_ALWAYS, function,
                "%s: the segment was truncated, removed, replaced or reshaped: close it and open "
                "it again",
                h->seg.path);
    return DAO_ERROR;
}

void dao_image_enter_run(IMAGE *image, struct dao_handle *h)
{
    uint32_t slot;
    uint64_t cnt0;

    /* The creation_time first, so that a change afterwards is noticed. */
    atomic_store_explicit(&h->creation_bits, dao_slots_run(&h->seg), memory_order_relaxed);
    dao_segment_newest(&h->seg, &slot, &cnt0);
    dao_image_move_tail(image, slot, cnt0);
}

struct dao_reader dao_image_reader(const IMAGE *image, const struct dao_handle *h,
                                   enum dao_lap_policy policy)
{
    return (struct dao_reader){
        .seg = &h->seg,
        .lap_policy = policy,
        .slot = image->fifo_last_read,
        .cnt0 = image->fifo_last_read_cnt0,
        .newest_seen = image->fifo_last_read_cnt0,
        .creation_bits = atomic_load_explicit(&h->creation_bits, memory_order_relaxed),
        .clean_frames = h->seg.geo.depth,
        .torn_look_ns = DAO_TORN_LOOK_NS,
    };
}
