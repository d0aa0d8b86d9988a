/* units.c - see units.h. */
#include "series/units.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "fits/rows.h"

#define UNITS_MOST (16u << 20) /* of one file: 1 GiB of memory */
#define NO_COUNT   INT64_MIN   /* until all units are known */

bool series_units_are_frames(const struct fits_bytes *header)
{
    return fits_card_find(header, "CNT0") || fits_card_find(header, "ATIME");
}

/* ---- cards ---- */

/* A number, or a text that is one. */
static int read_number(const struct fits_bytes *header, const char *key, int64_t *ret)
{
    char value[FITS_TEXT_BYTES] = "", *end;
    double real = 0.0;
    long long number;

    if (fits_card_integer(header, key, ret) == 0)
        return 0;
    if (fits_card_real(header, key, &real) == 0 && fabs(real) < 9.2e18) {
        *ret = (int64_t)real;
        return 0;
    }
    if (fits_card_text(header, key, value, sizeof value) < 0 || value[0] == '\0')
        return -EINVAL;
    errno = 0;
    number = strtoll(value, &end, 10);
    if (errno != 0 || *end != '\0')
        return -EINVAL;
    *ret = number;
    return 0;
}

/* Whole numbers are in ns, us, ms or s after 1970, as their size tells (1973 and later). */
static int64_t time_of_integer(int64_t value)
{
    int64_t factor = 1;

    if (value <= 0)
        return 0;
    while (value < 100000000000000000ll / factor && factor < 1000000000)
        factor *= 1000;
    return value > INT64_MAX / factor ? 0 : value * factor;
}

static int read_time(const struct fits_bytes *header, int64_t *ret_ns)
{
    char value[FITS_TEXT_BYTES] = "", *end;
    int64_t integer = 0;
    double real = 0.0;
    int r = fits_card_integer(header, "ATIME", &integer);

    if (r == 0)
        *ret_ns = time_of_integer(integer);
    if (r == 0 || r == -ENOENT)
        return r;
    if (fits_card_text(header, "ATIME", value, sizeof value) == 0) {
        if (units_parse_utc(value, ret_ns) == 0)
            return 0;
        errno = 0;
        integer = strtoll(value, &end, 10);
        if (errno == 0 && *end == '\0' && end != value) {
            *ret_ns = time_of_integer(integer);
            return 0;
        }
        real = strtod(value, &end);
        if (*end != '\0')
            return -EINVAL;
    } else if (fits_card_real(header, "ATIME", &real) < 0) {
        return -EINVAL;
    }
    if (!(real > 0.0 && real < 9.2e18))
        return -EINVAL;
    if (real < 1e11) /* seconds: keep what their decimals tell */
        *ret_ns = (int64_t)floor(real) * 1000000000 + llround((real - floor(real)) * 1e9);
    else
        *ret_ns = time_of_integer((int64_t)real);
    return 0;
}

static int32_t read_small(const struct fits_bytes *header, const char *key, int32_t otherwise)
{
    int64_t value = 0;

    return fits_card_integer(header, key, &value) == 0 && value >= INT32_MIN && value <= INT32_MAX
               ? (int32_t)value
               : otherwise;
}

static void read_unit(struct series_unit *ret, const struct fits_unit *unit, bool *ret_has_time,
                      bool *ret_has_count)
{
    const struct fits_bytes *header = &unit->header;

    *ret = (struct series_unit){.data_off = unit->data_off};
    *ret_has_time = read_time(header, &ret->atime_ns) == 0 && ret->atime_ns != 0;
    *ret_has_count = read_number(header, "CNT0", &ret->cnt0) == 0;
    if (!*ret_has_count)
        ret->cnt0 = NO_COUNT;
    read_number(header, "CNT1", &ret->cnt1);
    read_number(header, "CNT2", &ret->cnt2);
    if (fits_card_integer(header, "RTIME", &ret->rtime_ns) < 0 || ret->rtime_ns <= 0)
        ret->rtime_ns = ret->atime_ns > 0 ? ret->atime_ns : 1;
    ret->lost = read_small(header, "LOST", 0);
    ret->flags = read_small(header, "FLAGS", 0);
    ret->slot = read_small(header, "SLOT", -1);
}

/* ---- units ---- */

struct stretch {
    struct series_probe *probe;
    size_t at; /* of the file on the pile; its memory may move */
    bool is_open;
    size_t room;
    unsigned runs;
    uint64_t units; /* of all stretches */
    uint64_t left_out;
};

static int begin_stretch(struct stretch *s, const struct fits_unit *unit,
                         const struct dao_geometry *geometry, const struct series_store *store)
{
    struct series_file *file = series_probe_add(s->probe, &unit->header);
    int64_t depth = 0;

    if (!file)
        return -ENOMEM;
    file->kind = SERIES_UNITS;
    file->geometry = *geometry;
    file->store = *store;
    file->header_off = unit->header_off;
    file->run = s->runs++;
    if (fits_card_integer(&unit->header, "FIFOSIZE", &depth) == 0 && depth > 0 &&
        depth <= UINT32_MAX)
        file->geometry.depth = (uint32_t)depth;
    s->at = s->probe->pile->count - 1;
    s->is_open = true;
    s->room = 0;
    return 0;
}

static bool is_equal(const struct series_file *file, const struct dao_geometry *geometry,
                     const struct series_store *store)
{
    return file->geometry.dtype == geometry->dtype && file->geometry.naxis == geometry->naxis &&
           memcmp(file->geometry.size, geometry->size, sizeof geometry->size) == 0 &&
           file->store.is_scaled == store->is_scaled &&
           file->store.scale.bitpix == store->scale.bitpix &&
           file->store.scale.bscale == store->scale.bscale &&
           file->store.scale.bzero == store->scale.bzero &&
           file->store.scale.has_blank == store->scale.has_blank &&
           file->store.scale.blank == store->scale.blank;
}

static int take_unit(struct stretch *s, const struct fits_unit *unit)
{
    struct series_file *file;
    struct dao_geometry geometry;
    struct series_store store;
    struct dao_text ignored;
    bool has_time, has_count;

    if (!series_image_is_there(unit))
        return 0;
    if (series_image_is_tiled(unit) || !series_units_are_frames(&unit->header) ||
        series_image_read(&geometry, &store, unit, SERIES_NO_AXIS, &ignored) < 0) {
        s->left_out++;
        return 0;
    }
    if (s->units++ >= UNITS_MOST)
        return -EFBIG;
    if (!s->is_open || !is_equal(&s->probe->pile->file[s->at], &geometry, &store)) {
        int r = begin_stretch(s, unit, &geometry, &store);

        if (r < 0)
            return r;
    }
    file = &s->probe->pile->file[s->at];
    if (file->frames == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        struct series_unit *grown = realloc(file->units, room * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        file->units = grown;
        s->room = room;
    }
    read_unit(&file->units[file->frames++], unit, &has_time, &has_count);
    file->has_times = file->has_times || has_time;
    file->has_counts = file->has_counts || has_count;
    return 0;
}

static int compare_times(const void *a, const void *b)
{
    const struct series_unit *x = a, *y = b;

    if (x->atime_ns != y->atime_ns)
        return x->atime_ns < y->atime_ns ? -1 : 1;
    return x->data_off < y->data_off ? -1 : x->data_off > y->data_off;
}

/* Units can stand in another order than their frames had, as in one sorted by names; where all of
 * them have times, these tell. Not where counts rise: then it was the clock that stepped back. */
static void order_units(struct series_file *file)
{
    bool is_rising = true, counts_rise = file->has_counts;
    int64_t count = NO_COUNT;

    for (uint64_t i = 0; i < file->frames; i++) {
        const struct series_unit *unit = &file->units[i];

        if (unit->atime_ns <= 0)
            return;
        is_rising = is_rising && (i == 0 || unit[-1].atime_ns <= unit->atime_ns);
        if (unit->cnt0 == NO_COUNT)
            continue;
        counts_rise = counts_rise && count < unit->cnt0;
        count = unit->cnt0;
    }
    if (is_rising || counts_rise)
        return;
    log_warning("%s: its frames do not stand in the order of their times: they are sorted by these",
                file->path);
    qsort(file->units, file->frames, sizeof *file->units, compare_times);
}

static int64_t time_of(const struct series_unit *unit)
{
    return unit->flags & FITS_FLAG_BADTIME ? unit->rtime_ns : unit->atime_ns;
}

/* What some frames do not tell, from those around them: the count goes on, and the frame was taken
 * no earlier than the one before. Frames are looked for by both. */
static void fill_units(struct series_file *file)
{
    uint64_t counted = 0, timed = 0;

    while (counted < file->frames && file->units[counted].cnt0 == NO_COUNT)
        counted++;
    while (timed < file->frames && file->units[timed].atime_ns <= 0)
        timed++;
    for (uint64_t i = 0; i < file->frames; i++) {
        struct series_unit *unit = &file->units[i];

        if (unit->cnt0 == NO_COUNT && i > counted)
            unit->cnt0 = (int64_t)((uint64_t)unit[-1].cnt0 + 1);
        else if (unit->cnt0 == NO_COUNT && file->has_counts)
            unit->cnt0 = (int64_t)((uint64_t)file->units[counted].cnt0 - (counted - i));
        if (unit->atime_ns > 0 || !file->has_times || timed == file->frames)
            continue;
        unit->flags |= FITS_FLAG_BADTIME;
        if (unit->rtime_ns <= 1)
            unit->rtime_ns = i > timed ? time_of(&unit[-1]) : time_of(&file->units[timed]) - 1;
    }
}

static void finish_stretch(struct series_file *file)
{
    order_units(file);
    fill_units(file);
    if (file->has_times) {
        file->begin_ns = time_of(&file->units[0]);
        file->end_ns = time_of(&file->units[file->frames - 1]);
    }
}

int series_units_probe(struct series_probe *probe, const struct fits_unit *first,
                       struct dao_text *text)
{
    struct stretch s = {.probe = probe};
    struct fits_unit unit = {0};
    struct dao_text what = {""};
    uint64_t off = first->header_off, size = (uint64_t)probe->st.st_size;
    size_t before = probe->pile->count;
    int r = 0;

    while (r == 0) {
        r = fits_scan_unit(&unit, probe->fd, size, off, &what);
        if (r < 0)
            break;
        r = take_unit(&s, &unit);
        off = unit.end;
        fits_unit_free(&unit);
    }
    if (r == -EBADMSG && s.units > 0)
        log_warning("%s: behind frame %llu it is damaged (%s); what comes before is taken",
                    probe->path, (unsigned long long)s.units, what.s);
    if (r == -ENODATA || (r == -EBADMSG && s.units > 0)) {
        for (size_t i = before; i < probe->pile->count; i++)
            finish_stretch(&probe->pile->file[i]);
        if (s.left_out > 0)
            log_warning(
                "%s: left out of its %llu images: %llu, compressed or with neither CNT0 nor "
                "ATIME",
                probe->path, (unsigned long long)(s.units + s.left_out),
                (unsigned long long)s.left_out);
        return 0;
    }
    while (probe->pile->count > before)
        series_file_free(&probe->pile->file[--probe->pile->count]);
    snprintf(text->s, sizeof text->s, "%.200s: %.160s", probe->path,
             r == -EBADMSG ? what.s
             : r == -EFBIG ? "more frames than one file may have here; take it apart"
                           : strerror(-r));
    return r;
}
