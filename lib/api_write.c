/*
 * api_write.c - the functions of dao.h that write and publish frames. One thread at a time.
 */
#include <errno.h>
#include <string.h>

#include "lib/combine.h"
#include "lib/dao.h"
#include "lib/handle.h"
#include "lib/log.h"
#include "lib/writer.h"

/* Say why a frame could not be begun. Always DAO_ERROR. */
static int_fast8_t fail_write(struct dao_handle *h, int error, const char *function)
{
    if (error == -ESTALE)
        return dao_handle_fail_stale(h, function);
    dao_log(DAO_LOG_ALWAYS, function, "%s: %s", h->seg.path,
            error == -EROFS
                ? "opened read-only: no permission to write, or daoShmShm2ImgReadOnly"
                : "fifo_last_written is damaged, or fifo_size: create the segment again");
    return DAO_ERROR;
}

/* Begin a frame, or go on with it. The handle, or NULL after a message. */
static struct dao_handle *begin_frame(IMAGE *image, struct dao_write *ret, const char *function)
{
    struct dao_handle *h = dao_handle_get(image, function);
    int error;

    if (!h)
        return NULL;
    error = dao_segment_check(&h->seg);
    if (error == 0)
        error = dao_writer_begin(&h->seg, ret);
    if (error < 0) {
        fail_write(h, error, function);
        return NULL;
    }
    return h;
}

/* Are these elements to be had, and do they fit? Says so where not. */
static bool check_elements(const IMAGE *image, const void *im, uint32_t position, uint32_t count,
                           const char *function)
{
    struct dao_handle *h = dao_handle_get(image, function);

    if (!h)
        return false;
    if (!im)
        dao_log(DAO_LOG_ALWAYS, function, "%s: im is NULL", h->seg.path);
    else if ((uint64_t)position + count > h->seg.geo.nelement)
        dao_log(DAO_LOG_ALWAYS, function,
                "%s: too many elements: %u from position %u, but the segment has %llu", h->seg.path,
                count, position, (unsigned long long)h->seg.geo.nelement);
    else
        return true;
    return false;
}

static void copy_elements(const struct dao_handle *h, const struct dao_write *w, uint32_t position,
                          const void *im, uint32_t count)
{
    size_t element_bytes = h->seg.geo.dtype->element_bytes;

    memcpy((unsigned char *)w->pixels + position * element_bytes, im, count * element_bytes);
}

static void publish(struct dao_handle *h, const struct dao_write *w, int64_t atime_ns)
{
    dao_writer_publish(&h->seg, w, atime_ns);
    dao_semset_post(&h->sems, DAO_SEMSET_ALL);
}

/* ---- whole frames ---- */

/* Fill the next slot with a whole frame, or its first elements. The handle, or NULL after a
 * message, and nothing was written. */
static struct dao_handle *fill_frame(IMAGE *image, const void *im, uint32_t count,
                                     struct dao_write *ret, const char *function)
{
    struct dao_handle *h =
        check_elements(image, im, 0, count, function) ? begin_frame(image, ret, function) : NULL;

    if (!h)
        return NULL;
    copy_elements(h, ret, 0, im, count);
    dao_writer_note_whole(&h->seg, ret);
    return h;
}

int_fast8_t daoShmImage2Shm(void *im, uint32_t nbVal, IMAGE *image)
{
    struct dao_write frame;
    struct dao_handle *h = fill_frame(image, im, nbVal, &frame, __func__);

    if (!h)
        return DAO_ERROR;
    publish(h, &frame, 0);
    return DAO_SUCCESS;
}

int_fast8_t daoShmImage2ShmQuiet(void *im, uint32_t nbVal, IMAGE *image)
{
    struct dao_write frame;
    struct dao_handle *h = fill_frame(image, im, nbVal, &frame, __func__);

    if (!h)
        return DAO_ERROR;
    if (h->seg.geo.depth == 1)
        dao_writer_leave(&h->seg, &frame);
    return DAO_SUCCESS;
}

/* What is wrong with a stamp; NULL: nothing. */
static const char *find_fault(const DAO_FRAME *stamp)
{
    return !stamp                ? "frame is NULL"
           : stamp->cnt0 == 0    ? "the frame's cnt0 is 0: counts begin with 1"
           : stamp->atime_ns < 0 ? "the frame's atime_ns is negative"
                                 : NULL;
}

int_fast8_t daoShmImage2ShmStamped(void *im, uint32_t nbVal, IMAGE *image, const DAO_FRAME *stamp)
{
    const char *fault = find_fault(stamp);
    struct dao_write frame;
    struct dao_handle *h;

    if (!dao_handle_get(image, __func__))
        return DAO_ERROR;
    if (fault) {
        log_error("%s: %s", image->name, fault);
        return DAO_ERROR;
    }
    h = fill_frame(image, im, nbVal, &frame, __func__);
    if (!h)
        return DAO_ERROR;
    dao_writer_note_counters(&h->seg, &frame, stamp->cnt1, stamp->cnt2);
    frame.cnt0 = stamp->cnt0;
    publish(h, &frame, stamp->atime_ns);
    return DAO_SUCCESS;
}

/* ---- parts ---- */

int_fast8_t daoShmImagePart2Shm(char *im, uint32_t nbVal, IMAGE *image, uint32_t position,
                                uint16_t packetId, uint16_t packetTotal, uint64_t frameNumber)
{
    const struct dao_packet packet = {position, nbVal, packetId, packetTotal, frameNumber};
    struct dao_write frame;
    struct dao_handle *h;

    if (!check_elements(image, im, position, nbVal, __func__))
        return DAO_ERROR;
    if (packetId >= DAO_PACKETS_MAX) {
        log_error("%s: packetId is %u, allowed are 0 to %u", image->name, (unsigned)packetId,
                  DAO_PACKETS_MAX - 1);
        return DAO_ERROR;
    }
    h = begin_frame(image, &frame, __func__);
    if (!h)
        return DAO_ERROR;
    copy_elements(h, &frame, position, im, nbVal);
    dao_writer_note_packet(&h->seg, &frame, &packet);
    return DAO_SUCCESS;
}

int_fast8_t daoShmImagePart2ShmFinalize(IMAGE *image)
{
    struct dao_write frame;
    struct dao_handle *h = begin_frame(image, &frame, __func__);

    if (!h)
        return DAO_ERROR;
    publish(h, &frame, 0);
    return DAO_SUCCESS;
}

int_fast8_t daoShmTimestampShm(IMAGE *image)
{
    struct dao_handle *h = dao_handle_get(image, __func__);
    int error;

    if (!h)
        return DAO_ERROR;
    error = dao_segment_check(&h->seg);
    if (error == 0)
        error = dao_writer_stamp(&h->seg);
    return error < 0 ? fail_write(h, error, __func__) : DAO_SUCCESS;
}

/* ---- sums ---- */

/* The segment of a channel, or NULL after a message. */
static const struct dao_segment *find_channel(IMAGE **cubes, int index, const struct dao_handle *to,
                                              uint32_t count, const char *function)
{
    struct dao_handle *h = dao_handle_find(cubes[index]);

    if (!h)
        dao_log(DAO_LOG_ALWAYS, function, "%s: channel %d is NULL or not open", to->seg.path,
                index);
    else if (h->seg.geo.dtype != to->seg.geo.dtype)
        dao_log(DAO_LOG_ALWAYS, function, "%s: channel %d, %s, is of type %s instead of %s",
                to->seg.path, index, h->seg.path, h->seg.geo.dtype->name, to->seg.geo.dtype->name);
    else if (count > h->seg.geo.nelement)
        dao_log(DAO_LOG_ALWAYS, function, "%s: nbVal is %u, but channel %d, %s, has %llu elements",
                to->seg.path, count, index, h->seg.path, (unsigned long long)h->seg.geo.nelement);
    else if (dao_handle_is_stale(h))
        dao_handle_fail_stale(h, function);
    else
        return &h->seg;
    return NULL;
}

int_fast8_t daoShmCombineShm2Shm(IMAGE **cubes, IMAGE *image, int nbChannel, int nbVal)
{
    const struct dao_segment *channels[DAO_MAX_COMBINE_CHANNELS];
    struct dao_handle *h = dao_handle_get(image, __func__);
    struct dao_write frame;
    bool is_whole;

    if (!h)
        return DAO_ERROR;
    if (!cubes || nbChannel < 1 || nbChannel > DAO_MAX_COMBINE_CHANNELS) {
        log_error("%s: %s (nbChannel %d, allowed are 1 to %d)", h->seg.path,
                  cubes ? "wrong number of channels" : "cubes is NULL", nbChannel,
                  DAO_MAX_COMBINE_CHANNELS);
        return DAO_ERROR;
    }
    if (nbVal < 0 || (uint64_t)nbVal > h->seg.geo.nelement) {
        log_error("%s: nbVal is %d, the segment has %llu elements", h->seg.path, nbVal,
                  (unsigned long long)h->seg.geo.nelement);
        return DAO_ERROR;
    }
    for (int i = 0; i < nbChannel; i++) {
        channels[i] = find_channel(cubes, i, h, (uint32_t)nbVal, __func__);
        if (!channels[i])
            return DAO_ERROR;
    }
    h = begin_frame(image, &frame, __func__);
    if (!h)
        return DAO_ERROR;
    is_whole = dao_combine(channels, nbChannel, &h->seg, &frame, (uint32_t)nbVal);
    dao_writer_note_whole(&h->seg, &frame);
    publish(h, &frame, 0);
    return is_whole ? DAO_SUCCESS : DAO_OVERWRITE;
}
