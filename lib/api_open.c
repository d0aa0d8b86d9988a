/*
 * api_open.c - the functions of dao.h that create, open and close. Here and in the other api_*.c
 * alone are DAO return codes known and messages printed. For one thread an IMAGE.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dao.h"
#include "lib/handle.h"
#include "lib/log.h"

static void fill_image(IMAGE *image, struct dao_handle *h)
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
    dao_image_enter_run(image, h);
    image->used = 1;
}

/* ---- creating ---- */

/* Semaphores first: if they cannot be had, a segment that is there is not touched. Those that were
 * made for one that then could not be are removed again. */
static int create_shared(struct dao_handle *h, const char *name, const struct dao_geometry *geo,
                         const struct dao_seed *seed, struct dao_text *text)
{
    int error;

    if (!name || !*name) {
        dao_text_set(text, "the segment's name is empty");
        return -EINVAL;
    }
    error = dao_semset_open(&h->sems, name, false, text);
    if (error < 0)
        return error;
    error = dao_segment_create_seeded(&h->seg, name, geo, seed, text);
    if (error == 0)
        dao_semset_drain(&h->sems);
    else
        dao_semset_undo(&h->sems);
    return error;
}

static int clamp_to_int(long value)
{
    return value < INT_MIN ? INT_MIN : value > INT_MAX ? INT_MAX : (int)value;
}

/* Fill a geometry from arguments, and zero the image. False after a message. */
static bool check_creation(IMAGE *image, struct dao_geometry *geo, const char *name, long naxis,
                           const uint32_t *size, uint8_t atype, int nbkw, uint32_t depth,
                           const char *function)
{
    struct dao_text text = {""};

    if (!image) {
        dao_log(DAO_LOG_ALWAYS, function, "the image is NULL");
        return false;
    }
    memset(image, 0, sizeof *image);
    if (dao_geometry_make(geo, clamp_to_int(naxis), size, atype, depth, nbkw, &text) == 0)
        return true;
    dao_log(DAO_LOG_ALWAYS, function, "%.200s: %s", name ? name : "(no name)", text.s);
    return false;
}

static int_fast8_t create_image(IMAGE *image, const char *name, const struct dao_geometry *geo,
                                bool shared, const struct dao_seed *seed, const char *function)
{
    struct dao_handle *h = dao_handle_create();
    struct dao_text text = {"out of memory"};

    if (!h || (shared ? create_shared(h, name, geo, seed, &text)
                      : dao_segment_create_private(&h->seg, name, geo, &text)) < 0) {
        dao_log(DAO_LOG_ALWAYS, function, "%s", text.s);
        dao_handle_destroy(h);
        return DAO_ERROR;
    }
    if (dao_segment_is_on_disk(&h->seg))
        dao_log(DAO_INFO, function,
                "%s lies on a disk file system, whose writeback costs time: /dev/shm has none",
                name);
    fill_image(image, h);
    return DAO_SUCCESS;
}

int_fast8_t daoShmImageCreate_FIFO(IMAGE *image, const char *name, long naxis, uint32_t *size,
                                   uint8_t atype, int shared, int NBkw, uint32_t fifo_size)
{
    struct dao_geometry geo;

    if (!check_creation(image, &geo, name, naxis, size, atype, NBkw, fifo_size, __func__))
        return DAO_ERROR;
    return create_image(image, name, &geo, shared != 0, NULL, __func__);
}

int_fast8_t daoShmImageCreateSeeded(IMAGE *image, const char *name, long naxis, uint32_t *size,
                                    uint8_t atype, int NBkw, uint32_t fifo_size, uint64_t cnt0,
                                    const IMAGE_KEYWORD *kw)
{
    const struct dao_seed seed = {cnt0, kw};
    struct dao_geometry geo;

    if (!check_creation(image, &geo, name, naxis, size, atype, NBkw, fifo_size, __func__))
        return DAO_ERROR;
    if (cnt0 == UINT64_MAX) {
        log_error("%.200s: the first frame's count, cnt0 + 1, would be 0: counts begin with 1",
                  name ? name : "(no name)");
        return DAO_ERROR;
    }
    return create_image(image, name, &geo, true, &seed, __func__);
}

int_fast8_t daoShmImageCreate(IMAGE *image, const char *name, long naxis, uint32_t *size,
                              uint8_t atype, int shared, int NBkw)
{
    return daoShmImageCreate_FIFO(image, name, naxis, size, atype, shared, NBkw, 1);
}

int_fast8_t daoShmInit1D(const char *name, uint32_t nbVal, IMAGE **image)
{
    uint32_t size[] = {nbVal, 1}; /* one axis alone makes field programs exit */

    if (!image) {
        log_error("%s: the pointer for the image is NULL", name ? name : "(no name)");
        return DAO_ERROR;
    }
    *image = malloc(sizeof **image);
    if (!*image) {
        log_error("%s: out of memory", name ? name : "(no name)");
        return DAO_ERROR;
    }
    if (daoShmImageCreate(*image, name, 2, size, _DATATYPE_FLOAT, 1, 0) == DAO_SUCCESS)
        return DAO_SUCCESS;
    free(*image);
    *image = NULL;
    return DAO_ERROR;
}

/* ---- opening ---- */

/* Read-write, else read-only. */
static int open_writable(struct dao_handle *h, const char *name, struct dao_text *text)
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

/* The image is open in the end, without semaphores, or zeroed. */
static struct dao_handle *open_image(const char *name, IMAGE *image, bool for_writing,
                                     const char *function)
{
    struct dao_text text = {"out of memory"};
    struct dao_handle *h;
    int error = -ENOMEM;

    if (!image) {
        dao_log(DAO_LOG_ALWAYS, function, "the image is NULL");
        return NULL;
    }
    memset(image, 0, sizeof *image);
    h = dao_handle_create();
    if (h)
        error = for_writing ? open_writable(h, name, &text)
                            : dao_segment_open(&h->seg, name, DAO_ACCESS_READ, &text);
    if (error == 0)
        error = refuse_other_layouts(&h->seg, &text);
    if (error < 0) {
        dao_log(DAO_LOG_ALWAYS, function, "%s", text.s);
        dao_handle_destroy(h);
        return NULL;
    }
    if (h->seg.ambiguous)
        dao_log(DAO_WARNING, function, "%s: its size fits two layouts; taken as FIFO", name);
    return h;
}

int_fast8_t daoShmShm2Img(const char *name, IMAGE *image)
{
    struct dao_handle *h = open_image(name, image, true, __func__);
    struct dao_text text = {""};

    if (!h)
        return DAO_ERROR;
    if (h->seg.access == DAO_ACCESS_READ)
        log_info("%s: no permission to write, opened read-only", name);
    if (dao_semset_open(&h->sems, h->seg.path, false, &text) < 0)
        log_warning("%s; going on without semaphores", text.s); /* counts do without them */
    fill_image(image, h);
    return DAO_SUCCESS;
}

int_fast8_t daoShmShm2ImgReadOnly(const char *name, IMAGE *image)
{
    struct dao_handle *h = open_image(name, image, false, __func__);

    if (!h)
        return DAO_ERROR;
    fill_image(image, h);
    return DAO_SUCCESS;
}

int_fast8_t daoShmCloseShm(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get(image, __func__);

    if (!h)
        return DAO_ERROR;
    dao_handle_destroy(h);
    memset(image, 0, sizeof *image);
    return DAO_SUCCESS;
}

/* ---- around it ---- */

int_fast8_t daoShmLockWriter(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get(image, __func__);
    int error;

    if (!h)
        return DAO_ERROR;
    error = dao_segment_lock_writer(&h->seg);
    if (error == 0)
        return DAO_SUCCESS;
    log_error("%s: %s", h->seg.path,
              error == -EWOULDBLOCK ? "another writer holds the lock: end it first"
                                    : strerror(-error));
    return DAO_ERROR;
}

void daoShmSetSigbusGuard(int enabled)
{
    dao_segment_guard(enabled != 0);
}
