/* range.c - see range.h. */
#include "series/range.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "series/daytime.h"

#define COUNT_PREFIX "cnt0:"

static int parse_utc(const char *text, int64_t *ret)
{
    char copy[40];
    size_t length = strlen(text);

    if (length == 0 || length >= sizeof copy)
        return -EINVAL;
    memcpy(copy, text, length + 1);
    if (copy[length - 1] == 'Z')
        copy[length - 1] = '\0';
    return units_parse_utc(copy, ret);
}

static int parse_signed_count(const char *text, int64_t *ret)
{
    uint64_t value;

    if (units_parse_count(text, &value) < 0 || value > INT64_MAX)
        return -EINVAL;
    *ret = (int64_t)value;
    return 0;
}

int range_parse(struct range_point *ret, const char *text)
{
    size_t prefix = sizeof COUNT_PREFIX - 1;
    struct range_point point = {RANGE_OPEN, 0};
    int r = 0;

    if (text && text[0] == '+') {
        point.kind = RANGE_AFTER;
        r = units_parse_duration(text + 1, &point.value);
    } else if (text && strncmp(text, COUNT_PREFIX, prefix) == 0) {
        point.kind = RANGE_COUNT;
        r = parse_signed_count(text + prefix, &point.value);
    } else if (text && strspn(text, "0123456789") == strlen(text)) {
        point.kind = RANGE_INDEX;
        r = parse_signed_count(text, &point.value);
    } else if (text) {
        point.kind = RANGE_TIME;
        r = parse_utc(text, &point.value);
    }
    if (r < 0)
        return -EINVAL;
    *ret = point;
    return 0;
}

static int resolve_point(struct range_point *ret, const char *option, const char *words,
                         int64_t begin_ns, int64_t end_ns, struct dao_text *text)
{
    char resolved[DAYTIME_BYTES];
    struct dao_text what;

    if (!words)
        return 0;
    if (daytime_resolve(resolved, words, begin_ns, end_ns, &what) < 0)
        snprintf(text->s, sizeof text->s, "--%s: %.240s", option, what.s);
    else if (range_parse(ret, resolved) < 0)
        dao_text_set(text, "--%s %.60s: give %s", option, words, RANGE_FORMS);
    else
        return 0;
    return -EINVAL;
}

int range_resolve(struct range *ret, const char *from, const char *until, int64_t begin_ns,
                  int64_t end_ns, struct dao_text *text)
{
    struct range range = {0};
    int r = resolve_point(&range.from, "from", from, begin_ns, end_ns, text);

    if (r == 0)
        r = resolve_point(&range.until, "until", until, begin_ns, end_ns, text);
    if (r == 0)
        *ret = range;
    return r;
}

static bool is_time(const struct range_point *point)
{
    return point->kind == RANGE_TIME || point->kind == RANGE_AFTER;
}

bool range_needs_times(const struct range *range)
{
    return is_time(&range->from) || is_time(&range->until);
}

/* The first frame at or behind a point, a count from frame `from` on; `open` where there is no
 * point. */
static int find_point(const struct range_point *point, const struct series *series,
                      struct series_reader *reader, int64_t first_ns, uint64_t from, uint64_t open,
                      uint64_t *ret, struct dao_text *text)
{
    int64_t when_ns = point->value;

    switch (point->kind) {
    case RANGE_TIME:
        return series_reader_find_time(reader, when_ns, ret, text);
    case RANGE_AFTER:
        if (__builtin_add_overflow(first_ns, point->value, &when_ns))
            when_ns = INT64_MAX;
        return series_reader_find_time(reader, when_ns, ret, text);
    case RANGE_COUNT:
        return series_reader_find_count_from(reader, from, point->value, ret, text);
    case RANGE_INDEX:
        *ret = (uint64_t)point->value < series->frames ? (uint64_t)point->value : series->frames;
        return 0;
    default:
        *ret = open;
        return 0;
    }
}

int range_find(const struct range *range, const struct series *series, struct series_reader *reader,
               int64_t first_ns, uint64_t *ret_begin, uint64_t *ret_end, struct dao_text *text)
{
    uint64_t begin = 0, end = 0;
    int r;

    if (range_needs_times(range) && !series->has_times) {
        dao_text_set(text, "stream %s has no times; ask for counts (cnt0:N) or indices",
                     series->stream);
        return -ENODATA;
    }
    if (first_ns <= 0 && (range->from.kind == RANGE_AFTER || range->until.kind == RANGE_AFTER)) {
        dao_text_set(text,
                     "the first frame has no time to count from; give a time in UTC, counts "
                     "(cnt0:N) or indices of stream %s",
                     series->stream);
        return -ENODATA;
    }
    r = find_point(&range->from, series, reader, first_ns, 0, 0, &begin, text);
    if (r == 0)
        r = find_point(&range->until, series, reader, first_ns, begin, series->frames, &end, text);
    if (r < 0)
        return r;
    *ret_begin = begin;
    *ret_end = end > begin ? end : begin;
    return 0;
}
