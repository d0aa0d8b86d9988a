/* retention_limits.c - see retention_limits.h. */
#include "record/retention_limits.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/units.h"

#define FILES_LEAST 3u /* of a stream: one is written, one made ready, one there to be read */

bool retention_is_wanted(const struct retention_limits *limits)
{
    return limits->files || limits->bytes || limits->time_ns;
}

uint64_t retention_file_bytes(const struct retention_limits *limits, unsigned streams)
{
    return limits->bytes ? limits->bytes / (RETENTION_RING_FILES * (uint64_t)streams) : UINT64_MAX;
}

void retention_fit_files(const struct retention_limits *limits, unsigned streams,
                         struct rolling_limits *rolling)
{
    if (rolling->bytes == 0)
        rolling->bytes =
            rolling_smaller(ROLLING_BYTES_DEFAULT, retention_file_bytes(limits, streams));
}

/* What a file of this stream may take; UINT64_MAX: nobody knows, since time ends it, as things are,
 * or its segment is not there yet. */
static uint64_t file_bytes(const struct retention_stream *stream)
{
    struct rolling_limits rolling = stream->rolling;
    struct fits_plan plan;

    if (!stream->is_known || (rolling.time_ns && !rolling.frames &&
                              (rolling.bytes == 0 || rolling.bytes == ROLLING_BYTES_DEFAULT)))
        return UINT64_MAX;
    rolling.time_ns = 0;
    fits_plan_make(&plan, &stream->parts, rolling_capacity(&rolling, &stream->parts, 1.0));
    return plan.file_bytes;
}

uint64_t retention_limits_most(const struct retention_limits *limits,
                               const struct retention_stream *streams, unsigned count)
{
    uint64_t sum = limits->files ? 0 : UINT64_MAX, all;

    for (unsigned i = 0; i < count && sum < UINT64_MAX; i++)
        if (__builtin_mul_overflow(limits->files + 1, file_bytes(&streams[i]), &all) ||
            __builtin_add_overflow(sum, all, &sum))
            sum = UINT64_MAX;
    return limits->bytes && limits->bytes < sum ? limits->bytes : sum;
}

/* Two files of two frames a stream: below that there is nothing to keep. */
int retention_limits_check(const struct retention_limits *limits,
                           const struct retention_stream *streams, unsigned count,
                           struct dao_text *text)
{
    uint64_t least = 0;
    char limit[32], needed[32];

    for (unsigned i = 0; i < count; i++) {
        struct fits_plan plan;

        if (!streams[i].is_known) /* its segment is not there yet */
            continue;
        fits_plan_make(&plan, &streams[i].parts, 2);
        least += FILES_LEAST * plan.file_bytes;
    }
    if (!limits->bytes || least <= limits->bytes)
        return 0;
    snprintf(text->s, sizeof text->s,
             "keep.size (--keep-size) %s: three files of two frames of each stream (written, made "
             "ready, "
             "kept) take %s; allow more",
             units_exact_bytes(limit, sizeof limit, limits->bytes),
             units_format_bytes(needed, sizeof needed, least));
    return -ERANGE;
}

void retention_limits_say(const struct retention_limits *limits, const char *root,
                          const struct room *room, uint64_t part_bytes)
{
    uint64_t there = room_of_ring(room), wanted = room->ring_limit;
    bool by_bytes = wanted == limits->bytes;
    char limit[80], most[32], had[32];

    if (by_bytes && there != UINT64_MAX)
        there += part_bytes;
    if (wanted == UINT64_MAX || there >= wanted)
        return;
    if (by_bytes)
        snprintf(limit, sizeof limit, "--keep-size %s",
                 units_exact_bytes(most, sizeof most, wanted));
    else
        snprintf(limit, sizeof limit, "--keep-files %llu (up to %s)",
                 (unsigned long long)limits->files, units_format_bytes(most, sizeof most, wanted));
    log_warning("%s: %s is more than there is room for, %s with what the ring has already, beside "
                "what is to be kept free: when that is used up the oldest files go, and files may "
                "be smaller",
                root, limit, units_format_bytes(had, sizeof had, there));
}
