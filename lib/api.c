/*
 * api.c - the functions of dao.h: thin wrappers over the core. Here alone are DAO return codes
 * known and messages printed.
 *
 * An IMAGE has a fixed size, so what the core needs is in an allocation of its own, found through
 * image->semReadPID, which points into it: copies of an IMAGE share it. The tail is in the IMAGE.
 */
#include "lib/dao.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/reader.h"
#include "lib/semset.h"
#include "lib/shared.h"
#include "lib/slots.h"
#include "lib/wait.h"
#include "lib/writer.h"

#define HANDLE_MAGIC 0x44414f2d48414e44ull

#define WAIT_SPIN_NS  20000
#define WAIT_SLEEP_NS 20000

struct handle {
    uint64_t magic;
    struct dao_segment seg;
    struct dao_semset sems;
    pid_t read_pid[IMAGE_NB_SEMAPHORE]; /* image->semReadPID points here */
    pid_t write_pid[IMAGE_NB_SEMAPHORE];
    _Atomic uint64_t creation_bits; /* of the run that the tails are in */
    atomic_bool stale_was_told;     /* a segment that is gone is reported once */
};

/* ---- handles ---- */

static struct handle *handle_of(const IMAGE *image)
{
    struct handle *h;

    if (!image || image->used != 1 || !image->md || !image->semReadPID)
        return NULL;
    h = (struct handle *)(void *)((char *)image->semReadPID - offsetof(struct handle, read_pid));
    return h->magic == HANDLE_MAGIC && (void *)h->seg.map == (void *)image->md ? h : NULL;
}

static void move_tail(IMAGE *image, uint32_t slot, uint64_t cnt0)
{
    image->fifo_last_read = slot;
    image->fifo_last_read_cnt0 = cnt0;
}

/* Where a run begins: the creation_time first, so that a change afterwards is noticed. */
static void enter_run(IMAGE *image, struct handle *h)
{
    uint32_t slot;
    uint64_t cnt0;

    /* acquire: pairs with the release in reset_in_place() (create.c) */
    atomic_store_explicit(&h->creation_bits, dao_shared_creation(&h->seg, __ATOMIC_ACQUIRE),
                          memory_order_relaxed);
    dao_segment_newest(&h->seg, &slot, &cnt0);
    move_tail(image, slot, cnt0);
}

static void fill_image(IMAGE *image, struct handle *h)
{
    struct dao_segment *seg = &h->seg;

    memset(image, 0, sizeof *image);
    memcpy(image->name, seg->path, strnlen(seg->path, sizeof image->name - 1));
    image->shmfd = seg->fd;
    image->memsize = seg->geo.file_bytes;
    image->semlog = h->sems.semlog;
    image->md = dao_segment_md(seg, 0);
    image->array.V = dao_segment_pixels(seg, 0);
    image->semptr = h->sems.sem;
    image->kw = seg->geo.nbkw ? (IMAGE_KEYWORD *)(void *)(seg->map + seg->geo.kw_off) : NULL;
    image->semReadPID = h->read_pid;
    image->semWritePID = h->write_pid;
    enter_run(image, h);
    image->used = 1;
}

static void destroy(struct handle *h)
{
    h->magic = 0;
    dao_semset_close(&h->sems);
    dao_segment_close(&h->seg);
    free(h);
}

static struct handle *create_handle(void)
{
    struct handle *h = calloc(1, sizeof *h);

    if (h)
        h->magic = HANDLE_MAGIC;
    return h;
}

/* ---- messages ---- */

/* Say once that a segment is gone. Always DAO_ERROR. */
static int_fast8_t fail_stale(struct handle *h, const char *function)
{
    if (!atomic_exchange_explicit(&h->stale_was_told, true, memory_order_relaxed))
        dao_log(DAO_LOG_ALWAYS, function,
                "%s: the segment was truncated, removed, replaced or reshaped: close it and open "
                "it again",
                h->seg.path);
    return DAO_ERROR;
}

static int_fast8_t fail_image(const char *function)
{
    dao_log(DAO_LOG_ALWAYS, function, "the image is NULL or not open");
    return DAO_ERROR;
}

/* The handle of an open image whose tail is in range, or NULL after a message. */
static struct handle *checked_handle(const IMAGE *image, const char *function)
{
    struct handle *h = handle_of(image);

    if (!h) {
        fail_image(function);
        return NULL;
    }
    if (image->fifo_last_read >= h->seg.geo.depth) {
        dao_log(DAO_LOG_ALWAYS, function, "%s: fifo_last_read is %u, but the depth is %u",
                h->seg.path, image->fifo_last_read, h->seg.geo.depth);
        return NULL;
    }
    return h;
}

/* Is the segment still the one that the path names, and whole? Two system calls. */
static bool is_stale(const struct handle *h)
{
    return dao_segment_check(&h->seg) < 0 || dao_segment_check_path(&h->seg) < 0;
}

/* ---- create, open, close ---- */

static int open_semaphores(struct handle *h, bool drain, struct dao_text *text)
{
    int error = h->seg.is_private ? 0 : dao_semset_open(&h->sems, h->seg.path, drain, text);

    return error;
}

int_fast8_t daoShmImageCreate_FIFO(IMAGE *image, const char *name, long naxis, uint32_t *size,
                                   uint8_t atype, int shared, int NBkw, uint32_t fifo_size)
{
    struct dao_geometry geo;
    struct dao_text text = {"out of memory"};
    struct handle *h = NULL;
    int axes = naxis < 0 || naxis > 3 ? -1 : (int)naxis;

    if (!image)
        return fail_image(__func__);
    memset(image, 0, sizeof *image);
    if (dao_geometry_make(&geo, axes, size, atype, fifo_size, NBkw, &text) < 0)
        goto fail;
    h = create_handle();
    if (!h)
        goto fail;
    if ((shared ? dao_segment_create(&h->seg, name, &geo, &text)
                : dao_segment_create_private(&h->seg, name, &geo, &text)) < 0 ||
        open_semaphores(h, true, &text) < 0)
        goto fail;
    if (dao_segment_is_on_disk(&h->seg))
        log_info("%s lies on a disk file system, whose writeback costs time: /dev/shm has none",
                 name);
    fill_image(image, h);
    return DAO_SUCCESS;
fail:
    log_error("%s: %s", name ? name : "(no name)", text.s);
    if (h)
        destroy(h);
    return DAO_ERROR;
}

int_fast8_t daoShmImageCreate(IMAGE *image, const char *name, long naxis, uint32_t *size,
                              uint8_t atype, int shared, int NBkw)
{
    return daoShmImageCreate_FIFO(image, name, naxis, size, atype, shared, NBkw, 1);
}

/* Read-write, else read-only. */
static int open_segment(struct handle *h, const char *name, struct dao_text *text)
{
    int error = dao_segment_open(&h->seg, name, DAO_ACCESS_WRITE, text);

    if (error == -EACCES || error == -EPERM || error == -EROFS)
        error = dao_segment_open(&h->seg, name, DAO_ACCESS_READ, text);
    return error;
}

static int refuse_other_layouts(const struct dao_segment *seg, struct dao_text *text)
{
    if (seg->geo.layout->kind == DAO_LAYOUT_FIFO)
        return 0;
    if (seg->geo.layout->kind == DAO_LAYOUT_PREFIFO)
        dao_text_set(text, "%s: created by a library without FIFO support: delete and recreate it",
                     seg->path);
    else
        dao_text_set(text, "%s: created by a newer library (metadata of %u bytes instead of %zu)",
                     seg->path, seg->geo.layout->md_bytes, sizeof(IMAGE_METADATA));
    return -ENOTSUP;
}

int_fast8_t daoShmShm2Img(const char *name, IMAGE *image)
{
    struct dao_text text = {"out of memory"};
    struct handle *h;

    if (!image)
        return fail_image(__func__);
    memset(image, 0, sizeof *image);
    h = create_handle();
    if (!h || open_segment(h, name, &text) < 0 || refuse_other_layouts(&h->seg, &text) < 0) {
        log_error("%s", text.s);
        if (h)
            destroy(h);
        return DAO_ERROR;
    }
    if (h->seg.ambiguous)
        log_warning("%s: its size fits two layouts; taken as FIFO", name);
    if (h->seg.access == DAO_ACCESS_READ)
        log_info("%s: no permission to write, opened read-only", name);
    if (open_semaphores(h, false, &text) < 0) /* counts do without them */
        log_warning("%s; going on without semaphores", text.s);
    fill_image(image, h);
    return DAO_SUCCESS;
}

int_fast8_t daoShmCloseShm(IMAGE *image)
{
    struct handle *h = handle_of(image);

    if (!h)
        return fail_image(__func__);
    destroy(h);
    memset(image, 0, sizeof *image);
    return DAO_SUCCESS;
}

/* ---- writing ---- */

int_fast8_t daoShmImage2Shm(void *im, uint32_t nbVal, IMAGE *image)
{
    struct handle *h = handle_of(image);
    struct dao_write frame;
    int error;

    if (!h)
        return fail_image(__func__);
    if (!im || nbVal > h->seg.geo.nelement) {
        log_error("%s: %s (nbVal %u, the segment has %llu elements)", h->seg.path,
                  im ? "too many elements" : "im is NULL", nbVal,
                  (unsigned long long)h->seg.geo.nelement);
        return DAO_ERROR;
    }
    error = dao_segment_check(&h->seg);
    if (error == 0)
        error = dao_writer_begin(&h->seg, &frame);
    if (error == -ESTALE)
        return fail_stale(h, __func__);
    if (error < 0) {
        log_error("%s: %s", h->seg.path,
                  error == -EROFS ? "opened read-only"
                                  : "fifo_last_written is damaged: create the segment again");
        return DAO_ERROR;
    }
    memcpy(frame.pixels, im, (size_t)nbVal * h->seg.geo.dtype->element_bytes);
    dao_writer_publish(&h->seg, &frame, 0);
    dao_semset_post(&h->sems, -1);
    return DAO_SUCCESS;
}

/* ---- reading ---- */

static struct dao_reader reader_of(const IMAGE *image, struct handle *h)
{
    return (struct dao_reader){
        .seg = &h->seg,
        .lap_policy = DAO_LAP_NEWEST,
        .slot = image->fifo_last_read,
        .cnt0 = image->fifo_last_read_cnt0,
        .newest_seen = image->fifo_last_read_cnt0,
        .creation_bits = atomic_load_explicit(&h->creation_bits, memory_order_relaxed),
    };
}

/* Tell the caller where the tail is now. */
static void give_tail(const IMAGE *image, const struct handle *h, void **segment_ptr,
                      uint32_t *segment_idx, uint64_t *segment_cnt0)
{
    if (segment_ptr)
        *segment_ptr = dao_segment_pixels(&h->seg, image->fifo_last_read);
    if (segment_idx)
        *segment_idx = image->fifo_last_read;
    if (segment_cnt0)
        *segment_cnt0 = image->fifo_last_read_cnt0;
}

int_fast8_t daoShmGetNextSegment(IMAGE *image, void **segment_ptr, uint32_t *segment_idx,
                                 uint64_t *segment_cnt0)
{
    struct handle *h = checked_handle(image, __func__);
    struct dao_reader reader;
    struct dao_take take;
    int_fast8_t status = DAO_SUCCESS;

    if (!h)
        return DAO_ERROR;
    if (!segment_ptr) {
        log_error("%s: segment_ptr is NULL", h->seg.path);
        return DAO_ERROR;
    }
    reader = reader_of(image, h);
    switch (dao_reader_begin(&reader, &take)) {
    case DAO_READ_FRAME:
        move_tail(image, take.slot, take.cnt0);
        status = take.lapped ? DAO_OVERWRITE : DAO_SUCCESS;
        break;
    case DAO_READ_RESTART:
        enter_run(image, h);
        status = DAO_OVERWRITE;
        break;
    case DAO_READ_NONE:
        return is_stale(h) ? fail_stale(h, __func__) : DAO_NOTREADY;
    default:
        return fail_stale(h, __func__);
    }
    give_tail(image, h, segment_ptr, segment_idx, segment_cnt0);
    return status;
}

static int_fast8_t go_to_newest(IMAGE *image, struct handle *h, const char *function)
{
    struct dao_reader look = reader_of(image, h);

    /* A header that no longer fits shows in the reader's look. */
    if (is_stale(h) || dao_reader_look(&look) < 0)
        return fail_stale(h, function);
    enter_run(image, h);
    return dao_segment_is_gone(&h->seg) ? fail_stale(h, function) : DAO_SUCCESS;
}

int_fast8_t daoShmGetNewestSegment(IMAGE *image, void **segment_ptr, uint32_t *segment_idx,
                                   uint64_t *segment_cnt0)
{
    struct handle *h = checked_handle(image, __func__);
    int_fast8_t status;

    if (!h)
        return DAO_ERROR;
    if (!segment_ptr) {
        log_error("%s: segment_ptr is NULL", h->seg.path);
        return DAO_ERROR;
    }
    status = go_to_newest(image, h, __func__);
    if (status == DAO_SUCCESS)
        give_tail(image, h, segment_ptr, segment_idx, segment_cnt0);
    return status;
}

int_fast8_t daoShmResetTail(IMAGE *image, uint32_t *segment_idx, uint64_t *segment_cnt0)
{
    struct handle *h = handle_of(image);
    int_fast8_t status;

    if (!h)
        return fail_image(__func__);
    if (image->fifo_last_read >= h->seg.geo.depth)
        move_tail(image, 0, 0); /* a damaged tail is what a reset is for */
    status = go_to_newest(image, h, __func__);
    if (status == DAO_SUCCESS)
        give_tail(image, h, NULL, segment_idx, segment_cnt0);
    return status;
}

int_fast8_t daoShmGetArbitrarySegment(IMAGE *image, void **segment_ptr, uint_fast32_t fifo_idx)
{
    struct handle *h = handle_of(image);

    if (!h)
        return fail_image(__func__);
    if (!segment_ptr) {
        log_error("%s: segment_ptr is NULL", h->seg.path);
        return DAO_ERROR;
    }
    if (is_stale(h))
        return fail_stale(h, __func__);
    *segment_ptr = dao_segment_pixels(&h->seg, (uint32_t)(fifo_idx % h->seg.geo.depth));
    return DAO_SUCCESS;
}

int_fast8_t daoShmWaitForNextSegment(IMAGE *image)
{
    static const struct dao_wait_policy policy = {WAIT_SPIN_NS, WAIT_SLEEP_NS};
    struct handle *h = checked_handle(image, __func__);
    struct dao_reader reader;
    int what;

    if (!h)
        return DAO_ERROR;
    reader = reader_of(image, h);
    what = dao_reader_wait(&reader, DAO_WAIT_FOREVER, &policy);
    if (what > 0)
        return DAO_SUCCESS;
    if (what == -EINTR) {
        log_info("%s: a signal ended the wait", h->seg.path);
        errno = EINTR;
        return DAO_ERROR;
    }
    return fail_stale(h, __func__);
}

int_fast8_t daoShmCheckSegmentOverwrite(IMAGE *image)
{
    struct handle *h = checked_handle(image, __func__);
    const struct dao_segment *seg;
    uint32_t head, slot;
    uint64_t before, cnt0;
    uint8_t write;

    if (!h)
        return DAO_ERROR;
    seg = &h->seg;
    slot = image->fifo_last_read;
    /* Pairs with the release fence in dao_writer_begin(), as in dao_reader_finish(): the caller
     * has read pixels before. The acquire loads pair with the releases in dao_writer_publish(). */
    atomic_thread_fence(memory_order_acquire);
    head = dao_shared_head(seg, __ATOMIC_ACQUIRE);
    before = dao_shared_cnt0(seg, dao_slot_before(seg, slot), __ATOMIC_ACQUIRE);
    write = dao_shared_write(seg, slot, __ATOMIC_ACQUIRE);
    cnt0 = dao_shared_cnt0(seg, slot, __ATOMIC_ACQUIRE);
    if (dao_segment_check(seg) < 0)
        return fail_stale(h, __func__);
    if (write || cnt0 != image->fifo_last_read_cnt0 ||
        (slot == head && before > cnt0) || /* at depth 1 both are one */
        dao_shared_creation(seg, __ATOMIC_ACQUIRE) !=
            atomic_load_explicit(&h->creation_bits, memory_order_relaxed))
        return DAO_OVERWRITE;
    return DAO_SUCCESS;
}

uint64_t daoShmGetCounter(IMAGE *image)
{
    struct handle *h = handle_of(image);
    uint32_t slot;
    uint64_t cnt0;

    if (!h) {
        fail_image(__func__);
        return 0;
    }
    if (is_stale(h)) {
        fail_stale(h, __func__);
        return 0;
    }
    dao_segment_newest(&h->seg, &slot, &cnt0);
    return cnt0;
}
