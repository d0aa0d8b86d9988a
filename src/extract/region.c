/* region.c - a part of each frame, as people write it. See extract.h. */
#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "extract/extract.h"

/* A whole number that is not all of them. */
static int parse_edge(const char *words, uint32_t *ret)
{
    uint64_t value;

    if (units_parse_count(words, &value) < 0 || value >= UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)value;
    return 0;
}

static int parse_axis(char *words, uint32_t *from, uint32_t *to)
{
    char *colon = strchr(words, ':');
    int r = 0;

    *from = 0;
    *to = UINT32_MAX;
    if (!colon) {
        r = parse_edge(words, from);
        *to = *from + 1;
        return r;
    }
    *colon = '\0';
    if (words[0] != '\0')
        r = parse_edge(words, from);
    if (r == 0 && colon[1] != '\0')
        r = parse_edge(colon + 1, to);
    return r == 0 && *from >= *to ? -EINVAL : r;
}

int extract_region_parse(struct extract_region *ret, const char *words)
{
    struct extract_region region = {0};
    char copy[128], *axis = copy, *comma;
    size_t length = words ? strlen(words) : 0;

    while (words && axis) {
        if (region.axes == 0) {
            if (length >= sizeof copy)
                return -EINVAL;
            memcpy(copy, words, length + 1);
        }
        comma = strchr(axis, ',');
        if (comma)
            *comma = '\0';
        if (region.axes == 3 ||
            parse_axis(axis, &region.from[region.axes], &region.to[region.axes]) < 0)
            return -EINVAL;
        region.axes++;
        axis = comma ? comma + 1 : NULL;
    }
    *ret = region;
    return 0;
}
