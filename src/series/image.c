/* image.c - image headers of anyone's FITS files. See files.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "series/files.h"

bool series_image_is_tiled(const struct fits_unit *unit)
{
    const unsigned char *card = unit->is_table ? fits_card_find(&unit->header, "ZIMAGE") : NULL;

    return card && card[29] == 'T';
}

/* The axes of the image, which are not those of a table that it is compressed into. */
struct axes {
    int bitpix, count;
    uint64_t axis[FITS_SCAN_AXES];
};

static int read_axes(struct axes *ret, const struct fits_unit *unit)
{
    int64_t value = 0;

    *ret = (struct axes){.bitpix = unit->bitpix, .count = unit->naxis};
    memcpy(ret->axis, unit->axis, sizeof ret->axis);
    if (!series_image_is_tiled(unit))
        return 0;
    if (fits_card_integer(&unit->header, "ZBITPIX", &value) < 0 || value < -64 || value > 64)
        return -EINVAL;
    ret->bitpix = (int)value;
    if (fits_card_integer(&unit->header, "ZNAXIS", &value) < 0 || value < 1 ||
        value > FITS_SCAN_AXES)
        return -EINVAL;
    ret->count = (int)value;
    for (int i = 0; i < ret->count; i++) {
        char key[24];

        snprintf(key, sizeof key, "ZNAXIS%d", i + 1);
        if (fits_card_integer(&unit->header, key, &value) < 0 || value < 0)
            return -EINVAL;
        ret->axis[i] = (uint64_t)value;
    }
    return 0;
}

bool series_image_is_there(const struct fits_unit *unit)
{
    char kind[FITS_TEXT_BYTES] = "IMAGE";
    struct axes axes;

    if (!unit->is_primary)
        fits_card_text(&unit->header, "XTENSION", kind, sizeof kind);
    if (strcmp(kind, "IMAGE") != 0 && !series_image_is_tiled(unit))
        return false;
    if (read_axes(&axes, unit) < 0 || axes.count == 0)
        return false;
    for (int i = 0; i < axes.count; i++)
        if (axes.axis[i] == 0)
            return false;
    return true;
}

/* ---- type ---- */

/* What is stored, and what that is in a segment. Anything else becomes double. */
static const struct {
    int bitpix;
    double bzero;
    uint8_t atype, complex_atype;
} image_types[] = {
    {8, 0.0, _DATATYPE_UINT8, 0},
    {8, -128.0, _DATATYPE_INT8, 0},
    {16, 0.0, _DATATYPE_INT16, 0},
    {16, 32768.0, _DATATYPE_UINT16, 0},
    {32, 0.0, _DATATYPE_INT32, 0},
    {32, 2147483648.0, _DATATYPE_UINT32, 0},
    {64, 0.0, _DATATYPE_INT64, 0},
    {64, 9223372036854775808.0, _DATATYPE_UINT64, 0},
    {-32, 0.0, _DATATYPE_FLOAT, _DATATYPE_COMPLEX_FLOAT},
    {-64, 0.0, _DATATYPE_DOUBLE, _DATATYPE_COMPLEX_DOUBLE},
};

static uint8_t find_type(struct series_store *store, const struct fits_unit *unit, int bitpix,
                         bool is_complex)
{
    struct fits_scale *scale = &store->scale;

    *scale = (struct fits_scale){.bitpix = bitpix, .bscale = 1.0};
    fits_card_real(&unit->header, "BSCALE", &scale->bscale);
    fits_card_real(&unit->header, "BZERO", &scale->bzero);
    scale->has_blank = bitpix > 0 && fits_card_integer(&unit->header, "BLANK", &scale->blank) == 0;
    store->word_bytes = (unsigned)(bitpix < 0 ? -bitpix : bitpix) / 8;
    for (size_t i = 0; i < sizeof image_types / sizeof image_types[0]; i++) {
        uint8_t atype = is_complex ? image_types[i].complex_atype : image_types[i].atype;

        if (scale->bscale == 1.0 && image_types[i].bitpix == bitpix &&
            image_types[i].bzero == scale->bzero && atype != 0)
            return atype;
    }
    store->is_scaled = true;
    return is_complex ? _DATATYPE_COMPLEX_DOUBLE : _DATATYPE_DOUBLE;
}

/* ---- shape ---- */

static int refuse(struct dao_text *text, const char *what)
{
    snprintf(text->s, sizeof text->s, "%s", what);
    return -EINVAL;
}

/* `size` of a segment from the image's axes without those of frames and of complex pairs: slowest
 * first, at most three; axes of length 1 go where there are more. Their number, or -EINVAL. */
static int read_size(uint32_t size[3], const struct axes *axes, int frame_axis, bool is_complex)
{
    uint64_t kept[FITS_SCAN_AXES];
    int count = 0, ones = 0, excess, at = 0;

    for (int i = axes->count - 1; i >= (is_complex ? 1 : 0); i--) {
        if (i == frame_axis)
            continue;
        ones += axes->axis[i] == 1;
        kept[count++] = axes->axis[i];
    }
    excess = count > 3 ? count - 3 : 0;
    if (excess > ones)
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        if (kept[i] == 1 && excess > 0) {
            excess--;
            continue;
        }
        if (kept[i] > UINT32_MAX)
            return -EINVAL;
        size[at++] = (uint32_t)kept[i];
    }
    if (at == 0)
        size[at++] = 1; /* a row of numbers: each is a frame */
    return at;
}

/* Words side by side, frames, and how often, with overflow excluded by the scan. */
static void read_strides(struct series_store *store, const struct axes *axes, int frame_axis)
{
    store->inner = store->outer = store->count = 1;
    for (int i = 0; i < axes->count; i++) {
        if (i == frame_axis)
            store->count = axes->axis[i];
        else if (i < frame_axis || frame_axis < 0)
            store->inner *= axes->axis[i];
        else
            store->outer *= axes->axis[i];
    }
}

/* The scan has seen to it where the image is not compressed. */
static bool is_too_large(const struct axes *axes)
{
    uint64_t bytes = 8;

    for (int i = 0; i < axes->count; i++)
        if (__builtin_mul_overflow(bytes, axes->axis[i], &bytes) || bytes > INT64_MAX / 2)
            return true;
    return false;
}

int series_image_read(struct dao_geometry *ret_geometry, struct series_store *ret_store,
                      const struct fits_unit *unit, unsigned frame_axis, struct dao_text *text)
{
    struct series_store store = {.data_off = unit->data_off};
    struct dao_geometry geometry;
    uint32_t size[3] = {0};
    char ctype[FITS_TEXT_BYTES] = "";
    struct axes axes;
    bool is_complex;
    int at, naxis, r;
    uint8_t atype;

    if (read_axes(&axes, unit) < 0 || is_too_large(&axes))
        return refuse(text, "its header tells of no image that we could read");
    fits_card_text(&unit->header, "CTYPE1", ctype, sizeof ctype);
    is_complex = strcmp(ctype, "COMPLEX") == 0 && axes.axis[0] == 2;
    at = frame_axis == SERIES_NO_AXIS ? -1 : frame_axis == 0 ? axes.count - 1 : (int)frame_axis - 1;
    if (frame_axis != SERIES_NO_AXIS && (at >= axes.count || at < 0 || (at == 0 && is_complex))) {
        snprintf(text->s, sizeof text->s, "axis %d of its %d cannot count frames%s", at + 1,
                 axes.count, at == 0 && is_complex ? ": it is a pair of a complex number" : "");
        return -EINVAL;
    }
    naxis = read_size(size, &axes, at, is_complex);
    if (naxis < 0)
        return refuse(text, "its frames have more than the three axes of a segment");
    atype = find_type(&store, unit, axes.bitpix, is_complex);
    read_strides(&store, &axes, at);
    r = dao_geometry_make(&geometry, naxis, size, atype, 1, 0, text);
    if (r < 0)
        return -EINVAL;
    geometry.depth = 0;
    *ret_geometry = geometry;
    *ret_store = store;
    return 0;
}
