/* load.c - see load.h. */
#include "doctor/load.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/options.h"
#include "base/units.h"

#define PART_BYTES 64
#define ROW_BYTES  64.0

/* The text before `end` (all of it where that is NULL) as a string of its own. */
static bool cut(char part[PART_BYTES], const char *text, const char *end)
{
    size_t length = end ? (size_t)(end - text) : strlen(text);

    if (length >= PART_BYTES)
        return false;
    memcpy(part, text, length);
    part[length] = '\0';
    return true;
}

static int parse_size(const char *text, uint32_t size[3])
{
    char part[PART_BYTES];

    for (int axes = 0; axes < 3; axes++) {
        const char *end = strpbrk(text, "xX");
        uint64_t value;

        if (!cut(part, text, end) || units_parse_count(part, &value) < 0 || value < 1 ||
            value > UINT32_MAX)
            return -EINVAL;
        size[axes] = (uint32_t)value;
        if (!end)
            return axes + 1;
        text = end + 1;
    }
    return -EINVAL;
}

/* "1000", "0.5", "2kHz". */
static int parse_rate(const char *text, double *ret)
{
    char *end;
    double rate;

    if (text[0] == '\0' || text[strspn(text, "0123456789.eEkKhHzZ")] != '\0' ||
        !strchr("0123456789.", text[0]))
        return -EINVAL;
    rate = strtod(text, &end);
    if (strcasecmp(end, "kHz") == 0 || strcasecmp(end, "k") == 0)
        rate *= 1000.0;
    else if (*end != '\0' && strcasecmp(end, "Hz") != 0)
        return -EINVAL;
    if (end == text || !(rate > 0.0) || rate > DOCTOR_RATE_HZ_MAX)
        return -EINVAL;
    *ret = rate;
    return 0;
}

static void say_unknown_type(struct dao_text *why, const char *type)
{
    const char *names[DAO_DTYPE_COUNT + 1] = {NULL}, *nearest;

    for (unsigned i = 0; i < DAO_DTYPE_COUNT; i++)
        names[i] = dao_dtype_get(i + 1)->name;
    nearest = options_nearest(type, names);
    if (nearest)
        dao_text_set(why, "type '%.40s' is unknown; did you mean '%s'?", type, nearest);
    else
        dao_text_set(why,
                     "type '%.40s' is unknown; there are uint8 ... int64, float32, float64, "
                     "complex64 and complex128",
                     type);
}

int doctor_load_parse(struct doctor_load *ret, const char *text, struct dao_text *why)
{
    struct doctor_load load = {.count = 1};
    char size[PART_BYTES], type[PART_BYTES], rate[PART_BYTES], part[PART_BYTES] = "";
    const char *star = strchr(text, '*'), *shape = star ? star + 1 : text;
    const char *colon = strchr(shape, ':'), *at = colon ? strchr(colon, '@') : NULL;
    const char *last = at ? strchr(at, ':') : NULL;
    const struct dao_dtype *dtype;
    uint32_t axes[3] = {0, 0, 0};
    uint64_t depth = 0;
    int naxis;

    if (!at || !cut(size, shape, colon) || !cut(type, colon + 1, at) || !cut(rate, at + 1, last)) {
        dao_text_set(why, "give [COUNT*]SIZE:TYPE@RATE[:DEPTH], such as 800x800:uint16@1000");
        return -EINVAL;
    }
    if (star && (!cut(part, text, star) || units_parse_count(part, &load.count) < 0 ||
                 load.count < 1 || load.count > DOCTOR_STREAMS_MAX)) {
        dao_text_set(why, "'%.40s' is no number of streams; give 1 to %u before the *", part,
                     DOCTOR_STREAMS_MAX);
        return -EINVAL;
    }
    naxis = parse_size(size, axes);
    if (naxis < 0) {
        dao_text_set(why,
                     "'%.40s' is no size; give 1 to 3 axes of at least 1, such as 97, 800x800 "
                     "or 8x16x4",
                     size);
        return -EINVAL;
    }
    dtype = dao_dtype_find(type);
    if (!dtype) {
        say_unknown_type(why, type);
        return -EINVAL;
    }
    if (parse_rate(rate, &load.rate_hz) < 0) {
        dao_text_set(why, "'%.40s' is no rate; give frames a second, such as 1000 or 0.5", rate);
        return -EINVAL;
    }
    if (last && (!cut(part, last + 1, NULL) || units_parse_count(part, &depth) < 0 || depth < 1 ||
                 depth > UINT32_MAX)) {
        dao_text_set(why,
                     "'%.40s' is no depth; give the slots of the FIFO behind the last :", last + 1);
        return -EINVAL;
    }
    load.depth = (uint32_t)depth;
    if (dao_geometry_make(&load.geometry, naxis, axes, dtype->atype, depth ? load.depth : 1, 0,
                          why) < 0)
        return -EINVAL;
    snprintf(load.name, sizeof load.name, "%s", text);
    *ret = load;
    return 0;
}

double doctor_load_bytes_per_s(const struct doctor_load *load)
{
    return (double)load->count * load->rate_hz * ((double)load->geometry.frame_bytes + ROW_BYTES);
}
