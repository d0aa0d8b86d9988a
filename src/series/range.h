/*
 * range.h - which frames of a series: what people write behind --from and --until. Any thread.
 *
 *     2026-11-24T02:01:08.5   UTC (a Z at the end is allowed): the first frame at or after it
 *     02:01:08.5              the same with the date of the recording
 *     +10s                    so long after the first frame of all streams that are read
 *     cnt0:120000             the first frame of this count or a larger one, in the first run with
 *                             such counts; behind --until from the first frame wanted on
 *     5000                    the frame with this index; the first one's is 0
 *
 * `from` is the first frame wanted, `until` the first one that is not, so that two ranges that meet
 * share no frame. Counts and indices are each stream's own.
 */
#ifndef DAOREC_SERIES_RANGE_H
#define DAOREC_SERIES_RANGE_H

#include <stdint.h>

#include "lib/layout.h"
#include "series/series.h"

enum range_kind {
    RANGE_OPEN, /* no limit */
    RANGE_TIME,
    RANGE_AFTER,
    RANGE_COUNT,
    RANGE_INDEX,
};

struct range_point {
    enum range_kind kind;
    int64_t value; /* ns (POSIX, or since the first frame), count or index */
};

struct range {
    struct range_point from, until;
};

/* The forms above in a few words, for messages. */
#define RANGE_FORMS                                                                                \
    "a time in UTC such as 2026-11-24T02:01:08 or 02:01:08, +10s, cnt0:N, or a frame's index"

/*
 * What is behind --from and --until (NULL: open); a time of day as daytime.h has it, in a recording
 * from begin_ns to end_ns. 0, or -EINVAL with a text that begins with the option's name.
 */
int range_resolve(struct range *ret, const char *from, const char *until, int64_t begin_ns,
                  int64_t end_ns, struct dao_text *text);

/* 0, or -EINVAL where `text` is none of the forms above (*ret is then untouched). NULL: open. */
int range_parse(struct range_point *ret, const char *text);

/* Does it take times to find this range? */
bool range_needs_times(const struct range *range);

/*
 * The frames [*ret_begin, *ret_end) of the range; equal where there is none. `first_ns`: ATIME of
 * the first frame of all streams, for RANGE_AFTER. 0; -ENODATA: times are asked for and the series
 * has none, or that first frame has not; other negative errno from reading. With a text.
 */
int range_find(const struct range *range, const struct series *series, struct series_reader *reader,
               int64_t first_ns, uint64_t *ret_begin, uint64_t *ret_end, struct dao_text *text);

#endif
