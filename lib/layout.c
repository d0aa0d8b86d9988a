/*
 * layout.c - the ABI pinned, and the arithmetic that tells the three layouts apart.
 *
 * Pure functions over bytes handed in: any thread may call.
 */
#include "lib/layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define AT(type, member, offset, bytes)                                                            \
    _Static_assert(offsetof(type, member) == (offset), #type "." #member " moved");                \
    _Static_assert(sizeof(((type *)0)->member) == (bytes), #type "." #member " changed its size")

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "segments are little-endian");
_Static_assert(sizeof(void *) == 8, "segments are made for 64-bit Linux");

_Static_assert(sizeof(IMAGE_METADATA) == 4304, "IMAGE_METADATA changed its size");
AT(IMAGE_METADATA, name, 0, 80);
AT(IMAGE_METADATA, naxis, 80, 1);
AT(IMAGE_METADATA, size, 84, 12);
AT(IMAGE_METADATA, nelement, 96, 8);
AT(IMAGE_METADATA, atype, 104, 1);
AT(IMAGE_METADATA, creation_time, 112, 8);
AT(IMAGE_METADATA, last_access, 120, 8);
AT(IMAGE_METADATA, atime, 128, 16);
AT(IMAGE_METADATA, atime.ts.tv_sec, 128, 8);
AT(IMAGE_METADATA, atime.ts.tv_nsec, 136, 8);
AT(IMAGE_METADATA, atime.tsfixed.firstlong, 128, 8);
AT(IMAGE_METADATA, atime.tsfixed.secondlong, 136, 8);
AT(IMAGE_METADATA, shared, 144, 1);
AT(IMAGE_METADATA, status, 145, 1);
AT(IMAGE_METADATA, logflag, 146, 1);
AT(IMAGE_METADATA, sem, 148, 2);
AT(IMAGE_METADATA, cnt0, 152, 8);
AT(IMAGE_METADATA, cnt1, 160, 8);
AT(IMAGE_METADATA, cnt2, 168, 8);
AT(IMAGE_METADATA, write, 176, 1);
AT(IMAGE_METADATA, NBkw, 178, 2);
AT(IMAGE_METADATA, lastPos, 180, 4);
AT(IMAGE_METADATA, lastNb, 184, 4);
AT(IMAGE_METADATA, packetNb, 188, 4);
AT(IMAGE_METADATA, packetTotal, 192, 4);
AT(IMAGE_METADATA, lastNbArray, 200, 4096);
AT(IMAGE_METADATA, fifo_size, 4296, 4);
AT(IMAGE_METADATA, fifo_last_written, 4300, 4);

_Static_assert(sizeof(IMAGE_KEYWORD) == 120, "IMAGE_KEYWORD changed its size");
AT(IMAGE_KEYWORD, name, 0, 16);
AT(IMAGE_KEYWORD, type, 16, 1);
AT(IMAGE_KEYWORD, value, 24, 16);
AT(IMAGE_KEYWORD, comment, 40, 80);

_Static_assert(sizeof(IMAGE) == 168, "IMAGE changed its size");
AT(IMAGE, name, 0, 80);
AT(IMAGE, used, 80, 1);
AT(IMAGE, shmfd, 84, 4);
AT(IMAGE, memsize, 88, 8);
AT(IMAGE, semlog, 96, 8);
AT(IMAGE, md, 104, 8);
AT(IMAGE, array, 112, 8);
AT(IMAGE, semptr, 120, 8);
AT(IMAGE, kw, 128, 8);
AT(IMAGE, semReadPID, 136, 8);
AT(IMAGE, semWritePID, 144, 8);
AT(IMAGE, fifo_last_read, 152, 4);
AT(IMAGE, fifo_last_read_cnt0, 160, 8);

_Static_assert(sizeof(complex_float) == SIZEOF_DATATYPE_COMPLEX_FLOAT, "complex_float");
_Static_assert(sizeof(complex_double) == SIZEOF_DATATYPE_COMPLEX_DOUBLE, "complex_double");

/* What all three layouts share ends here; a file shorter than this is none of them. */
#define COMMON_BYTES 4296u
/* "newer" only: a non-zero uint32 here says that the pixels are on a GPU. */
#define GPU_LOCATION_OFF 16400u
#define NBKW_MAX         32767

static const struct dao_layout layouts[] = {
    {DAO_LAYOUT_FIFO, "FIFO", 4304, 512, 4296, 4300},
    {DAO_LAYOUT_NEWER, "newer", 16448, 2024, 16392, 16396},
    {DAO_LAYOUT_PREFIFO, "pre-FIFO", 4296, 512, 0, 0},
};
#define LAYOUT_COUNT (sizeof layouts / sizeof layouts[0])

_Static_assert(DAO_LAYOUT_PROBE_BYTES >= 16448, "the probe must reach every layout's fields");

void dao_text_set(struct dao_text *text, const char *format, ...)
{
    va_list args;

    if (!text)
        return;
    va_start(args, format);
    vsnprintf(text->s, sizeof text->s, format, args);
    va_end(args);
}

/* ---- from a shape to a geometry ---- */

/* Sizes and offsets of a geometry whose shape, type, depth and nbkw are set. False: too large. */
static bool fill_offsets(struct dao_geometry *geo)
{
    uint64_t md, data;

    return !__builtin_mul_overflow(geo->nelement, (uint64_t)geo->dtype->element_bytes,
                                   &geo->frame_bytes) &&
           !__builtin_mul_overflow((uint64_t)geo->layout->md_bytes, (uint64_t)geo->depth, &md) &&
           !__builtin_mul_overflow(geo->frame_bytes, (uint64_t)geo->depth, &data) &&
           (geo->data_off = md, !__builtin_add_overflow(md, data, &geo->kw_off)) &&
           !__builtin_add_overflow(geo->kw_off, (uint64_t)geo->nbkw * sizeof(IMAGE_KEYWORD),
                                   &geo->file_bytes) &&
           geo->file_bytes <= INT64_MAX;
}

/* Product of the used axes. False: an axis is 0 or the product overflows. */
static bool multiply_axes(uint64_t *ret, unsigned naxis, const uint32_t *size)
{
    uint64_t product = 1;

    for (unsigned i = 0; i < naxis; i++)
        if (size[i] == 0 || __builtin_mul_overflow(product, (uint64_t)size[i], &product))
            return false;
    *ret = product;
    return true;
}

static int check_shape(int naxis, const uint32_t *size, unsigned atype, uint32_t depth, int nbkw,
                       struct dao_text *text)
{
    if (naxis < 1 || naxis > 3)
        dao_text_set(text, "naxis is %d, allowed are 1 to 3", naxis);
    else if (!size)
        dao_text_set(text, "size is NULL, %d axis sizes are needed", naxis);
    else if (!dao_dtype_get(atype))
        dao_text_set(text, "atype is %u, allowed are 1 to %d (_DATATYPE_*)", atype,
                     DAO_DTYPE_COUNT);
    else if (depth < 1)
        dao_text_set(text, "the FIFO depth is 0, at least 1 is needed");
    else if (nbkw < 0 || nbkw > NBKW_MAX)
        dao_text_set(text, "the number of keywords is %d, allowed are 0 to %d", nbkw, NBKW_MAX);
    else
        return 0;
    return -EINVAL;
}

int dao_geometry_make(struct dao_geometry *ret, int naxis, const uint32_t *size, unsigned atype,
                      uint32_t depth, int nbkw, struct dao_text *text)
{
    struct dao_geometry geo = {.layout = &layouts[0], .depth = depth};

    if (check_shape(naxis, size, atype, depth, nbkw, text) < 0)
        return -EINVAL;
    geo.dtype = dao_dtype_get(atype);
    geo.naxis = (uint8_t)naxis;
    geo.nbkw = (uint16_t)nbkw;
    for (int i = 0; i < naxis; i++) {
        if (size[i] == 0) {
            dao_text_set(text, "size[%d] is 0, at least 1 is needed", i);
            return -EINVAL;
        }
        geo.size[i] = size[i];
    }
    if (!multiply_axes(&geo.nelement, geo.naxis, size) || !fill_offsets(&geo)) {
        dao_text_set(text, "a segment of this shape, depth %" PRIu32 ", exceeds 2^63-1 bytes",
                     depth);
        return -EOVERFLOW;
    }
    *ret = geo;
    return 0;
}

bool dao_geometry_same_frame(const struct dao_geometry *a, const struct dao_geometry *b)
{
    return a->dtype == b->dtype && a->naxis == b->naxis &&
           memcmp(a->size, b->size, sizeof a->size) == 0;
}

bool dao_geometry_same_shape(const struct dao_geometry *a, const struct dao_geometry *b)
{
    return dao_geometry_same_frame(a, b) && a->depth == b->depth;
}

bool dao_geometry_equal(const struct dao_geometry *a, const struct dao_geometry *b)
{
    return a->layout->kind == b->layout->kind && dao_geometry_same_shape(a, b) &&
           a->nbkw == b->nbkw;
}

/* ---- from bytes to a geometry ---- */

/* The first metadata block of a file, as many bytes as there are, the rest 0. */
struct probe {
    _Alignas(8) unsigned char bytes[DAO_LAYOUT_PROBE_BYTES];
    size_t count;
};

static uint32_t probe_u32(const struct probe *probe, uint32_t off)
{
    uint32_t value;

    memcpy(&value, probe->bytes + off, sizeof value);
    return value;
}

static void probe_common(const struct probe *probe, IMAGE_METADATA *ret)
{
    memset(ret, 0, sizeof *ret);
    memcpy(ret, probe->bytes, COMMON_BYTES);
}

static bool header_is_sane(const IMAGE_METADATA *md)
{
    uint64_t nelement;

    return md->naxis >= 1 && md->naxis <= 3 && dao_dtype_get(md->atype) &&
           multiply_axes(&nelement, md->naxis, md->size) && nelement == md->nelement;
}

/* The geometry that this layout would give; false where the header contradicts it. */
static bool read_geometry(struct dao_geometry *ret, const struct dao_layout *layout,
                          const struct probe *probe, const IMAGE_METADATA *md)
{
    struct dao_geometry geo = {.layout = layout, .depth = 1};

    if (probe->count < layout->md_bytes || !header_is_sane(md))
        return false;
    if (layout->fifo_size_off) {
        geo.depth = probe_u32(probe, layout->fifo_size_off);
        if (geo.depth < 1 || probe_u32(probe, layout->fifo_last_written_off) >= geo.depth)
            return false;
    }
    geo.dtype = dao_dtype_get(md->atype);
    geo.naxis = md->naxis;
    for (unsigned i = 0; i < md->naxis; i++)
        geo.size[i] = md->size[i];
    geo.nelement = md->nelement;
    geo.nbkw = md->NBkw;
    if (!fill_offsets(&geo))
        return false;
    *ret = geo;
    return true;
}

/* A GPU payload: the file holds metadata and keywords, and perhaps room for the pixels. */
static bool is_on_gpu(const struct dao_geometry *geo, const struct probe *probe,
                      uint64_t file_bytes)
{
    uint64_t bare = geo->file_bytes - geo->depth * geo->frame_bytes;

    return geo->layout->kind == DAO_LAYOUT_NEWER && probe_u32(probe, GPU_LOCATION_OFF) != 0 &&
           (file_bytes == geo->file_bytes || file_bytes == bare);
}

/*
 * A header that is all zero, or whose fields are filled in as far as they are plausible while
 * creation_time, the last one, is still missing.
 */
static bool is_being_created(const struct probe *probe, const IMAGE_METADATA *md)
{
    static const unsigned char zeros[COMMON_BYTES];

    if (memcmp(probe->bytes, zeros, COMMON_BYTES) == 0)
        return true;
    return md->creation_time == 0.0 && md->naxis <= 3 && md->atype <= DAO_DTYPE_COUNT &&
           md->cnt0 == 0 && md->NBkw <= NBKW_MAX &&
           (!header_is_sane(md) || probe_u32(probe, layouts[0].fifo_size_off) == 0);
}

static int explain_misfit(const struct probe *probe, const IMAGE_METADATA *md, uint64_t file_bytes,
                          struct dao_text *text)
{
    struct dao_geometry geo;

    if (header_is_sane(md) && read_geometry(&geo, &layouts[0], probe, md))
        dao_text_set(text,
                     "not a DAO segment: the file has %" PRIu64 " bytes, but its header (depth "
                     "%" PRIu32 ", %" PRIu64 " %s elements, %u keywords) calls for %" PRIu64,
                     file_bytes, geo.depth, geo.nelement, geo.dtype->name, geo.nbkw,
                     geo.file_bytes);
    else
        dao_text_set(text,
                     "not a DAO segment: naxis %u, size %" PRIu32 " %" PRIu32 " %" PRIu32
                     ", nelement %" PRIu64 ", atype %u, fifo_size %" PRIu32
                     ", fifo_last_written %" PRIu32 " in a file of %" PRIu64 " bytes",
                     md->naxis, md->size[0], md->size[1], md->size[2], md->nelement, md->atype,
                     probe_u32(probe, layouts[0].fifo_size_off),
                     probe_u32(probe, layouts[0].fifo_last_written_off), file_bytes);
    return -EMEDIUMTYPE;
}

int dao_layout_identify(struct dao_geometry *ret, const void *head, size_t head_bytes,
                        uint64_t file_bytes, bool *ret_ambiguous, struct dao_text *text)
{
    struct dao_geometry fits[LAYOUT_COUNT], geo;
    struct probe probe = {.count =
                              head_bytes < sizeof probe.bytes ? head_bytes : sizeof probe.bytes};
    unsigned count = 0;
    IMAGE_METADATA md;

    if (file_bytes < COMMON_BYTES || probe.count < COMMON_BYTES) {
        dao_text_set(text, "not a DAO segment: %s (%" PRIu64 " bytes, a header alone has %u)",
                     file_bytes ? "too short" : "empty file", file_bytes, COMMON_BYTES);
        return -EMEDIUMTYPE;
    }
    memcpy(probe.bytes, head, probe.count);
    probe_common(&probe, &md);
    for (unsigned i = 0; i < LAYOUT_COUNT; i++) {
        if (!read_geometry(&geo, &layouts[i], &probe, &md))
            continue;
        if (count == 0 && is_on_gpu(&geo, &probe, file_bytes)) {
            dao_text_set(text, "the pixels of this segment live on a GPU: its memory cannot be "
                               "mapped from here");
            return -ENOTSUP;
        }
        if (geo.file_bytes == file_bytes)
            fits[count++] = geo;
    }
    if (count == 0 && is_being_created(&probe, &md)) {
        dao_text_set(text, "the header is not filled in: the segment is still being created");
        return -ENODATA;
    }
    if (count == 0)
        return explain_misfit(&probe, &md, file_bytes, text);
    if (ret_ambiguous)
        *ret_ambiguous = count > 1;
    *ret = fits[0];
    return 0;
}
