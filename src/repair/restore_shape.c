/*
 * restore_shape.c - the type, the shape and the number of planes of a file whose primary header may
 * have wrong bits. A part of restore.c; see restore.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fits/flips.h"
#include "repair/restore_parts.h"

#define SCAN_BLOCKS   512u /* at a time */
#define PLACES_MAX    16u
#define FRAMES_PROVEN 8u /* looked at where two shapes are equally near */

/* Is there a header like the model, but for what changes and for some bits? */
bool restore_is_like(const struct restore_look *look, uint64_t off, const struct fits_bytes *model,
                     const char *leave_out)
{
    struct fits_bytes bytes = {0};
    unsigned distance = UINT32_MAX;

    if (off > look->file_bytes || look->file_bytes - off < model->length)
        return false;
    bytes.data = malloc(model->length);
    bytes.length = bytes.data ? model->length : 0;
    if (bytes.data && fits_read_at(look->fd, off, bytes.data, bytes.length) == 0 &&
        fits_flips(bytes.data, model->data, FITS_CARD_BYTES) <= FITS_FLIPS_MAX)
        distance = restore_distance(model, &bytes, leave_out);
    fits_bytes_free(&bytes);
    return distance <= RESTORE_DAMAGE_MAX;
}

/* ---- shapes that it may have ---- */

static void add_shape(struct restore_look *look, const struct dao_geometry *shape)
{
    for (unsigned i = 0; i < look->shape_count; i++)
        if (dao_geometry_same_frame(&look->shapes[i], shape))
            return;
    if (look->shape_count < RESTORE_SHAPES_MAX)
        look->shapes[look->shape_count++] = *shape;
}

static void make_shape(struct restore_look *look, const struct dao_dtype *dtype, int naxis,
                       const uint32_t size[3])
{
    struct dao_geometry shape;
    struct dao_text text;

    if (dtype && naxis >= 1 && naxis <= 3 &&
        dao_geometry_make(&shape, naxis, size, dtype->atype, 1, 0, &text) == 0)
        add_shape(look, &shape);
}

/* The first card with this keyword, or nearly. */
const unsigned char *restore_near_card(const struct fits_bytes *header, const char *key)
{
    const unsigned char *found = fits_card_find(header, key);
    char name[16];

    snprintf(name, sizeof name, "%-8s= ", key);
    for (size_t at = 0; !found && at + FITS_CARD_BYTES <= header->length; at += FITS_CARD_BYTES)
        if (fits_flips(header->data + at, name, 10) <= 2)
            found = header->data + at;
    return found;
}

static bool is_type(const char *value)
{
    const struct dao_dtype *dtype = dao_dtype_find(value);

    return dtype && strcmp(dtype->dao_name, value) == 0;
}

/* By SHMTYPE and SHMSIZn. */
static void add_shape_of_segment(struct restore_look *look)
{
    const struct fits_bytes *header = restore_bytes(look, READING_CUBE);
    const unsigned char *card = restore_near_card(header, "SHMTYPE");
    char type[FITS_FLIPS_TEXT], key[24];
    uint32_t size[3] = {0};
    int naxis = 0;

    if (!card || fits_flipped_text(card, "type of its elements", is_type, type) != 0)
        return;
    for (int i = 0; i < 3; i++) {
        int64_t value = 0;

        snprintf(key, sizeof key, "SHMSIZ%d", i + 1);
        card = restore_near_card(header, key);
        if (!card || fits_flipped_integer(card, &value) != 0 || value < 0 || value > UINT32_MAX)
            return;
        size[i] = (uint32_t)value;
        naxis += value > 0 && naxis == i;
    }
    make_shape(look, dao_dtype_find(type), naxis, size);
}

static const struct dao_dtype *type_of_image(int64_t bitpix, int64_t bzero, bool is_complex)
{
    for (unsigned atype = 1; atype <= DAO_DTYPE_COUNT; atype++) {
        const struct dao_dtype *dtype = dao_dtype_get(atype);
        int bits = 8 * dtype->word_bytes;
        bool has_zero = !dtype->is_float && (bits == 8) != (dtype->is_unsigned != 0);

        if (bitpix == (dtype->is_float ? -bits : bits) && has_zero == (bzero != 0) &&
            is_complex == (dtype->is_complex != 0))
            return dtype;
    }
    return NULL;
}

/* By the first cards, in their places. */
static void add_shape_of_image(struct restore_look *look)
{
    const struct fits_bytes *header = restore_bytes(look, READING_CUBE);
    const unsigned char *card = header->data + FITS_CARD_BYTES,
                        *zero = restore_near_card(header, "BZERO");
    int64_t bitpix, axes, axis[5], bzero = zero != NULL;
    uint32_t size[3] = {0};
    int pair, naxis;

    if (fits_flipped_integer(card, &bitpix) != 0 ||
        fits_flipped_integer(card + FITS_CARD_BYTES, &axes) != 0 || axes < 2 || axes > 5)
        return;
    for (int i = 0; i < axes - 1; i++)
        if (fits_flipped_integer(card + (size_t)(2 + i) * FITS_CARD_BYTES, &axis[i]) != 0)
            return;
    pair = restore_near_card(header, "CTYPE1") && axis[0] == 2;
    naxis = (int)axes - 1 - pair;
    for (int i = 0; i < naxis && naxis <= 3; i++) {
        int64_t value = axis[axes - 2 - i];

        size[i] = value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
    }
    make_shape(look, type_of_image(bitpix, bzero, pair), naxis, size);
}

static void collect_shapes(struct restore_look *look)
{
    const struct witness *witness = &look->witness;

    add_shape_of_segment(look);
    add_shape_of_image(look);
    if (witness_ledger_shape(witness))
        add_shape(look, witness_ledger_shape(witness));
    if (witness->before.unit_count > 0)
        add_shape(look, &witness->before.geometry);
    if (witness->after.unit_count > 0)
        add_shape(look, &witness->after.geometry);
}

/* Cards that tell nothing of the shape, and may say anything. */
static const char settled_later[] =
    " EXTNAME BUNIT DATE DATE-OBS DATE-BEG DATE-END MJD-BEG MJD-END RECVERS RECHOST RECUUID"
    " ORIGIN TELESCOP INSTRUME OBSERVER OBJECT SHMNAME CONTINUE FIFOSIZE RECSTAT FILESEQ PREVFILE"
    " NEXTFILE FRAME0 NFRAMES CNT0BEG CNT0END FPS NLOST NGAPS NTORN SESLOST ENDCAUSE CHECKSUM "
    "DATASUM ";

/* Bits in which the header is not that of this shape; cards that tell of it, and constant ones. */
static unsigned shape_distance(const struct restore_look *look, const struct dao_geometry *shape,
                               const char *frame_axis)
{
    const struct fits_bytes *header = restore_bytes(look, READING_CUBE);
    char leave_out[400];
    struct fits_bytes model = {0};
    unsigned distance = UINT32_MAX;

    snprintf(leave_out, sizeof leave_out, " %s%s", frame_axis, settled_later);
    if (restore_model_primary(&model, header, &look->witness, shape) == 0)
        distance = restore_distance(&model, header, leave_out);
    fits_bytes_free(&model);
    return distance;
}

/* ---- where the tables are ---- */

static bool is_frames_at(const struct restore_look *look, uint64_t off)
{
    return restore_is_like(look, off, &look->frames_model, " NAXIS2 DATEREF CHECKSUM DATASUM ");
}

uint64_t restore_cube_end(const struct restore_look *look, const struct dao_geometry *shape,
                          uint64_t planes)
{
    if (planes > look->file_bytes / shape->frame_bytes)
        return UINT64_MAX;
    return restore_bytes(look, READING_CUBE)->length + fits_pad(planes * shape->frame_bytes);
}

/* Headers of FRAMES, from the end of the file backwards. */
static unsigned find_frames(const struct restore_look *look, uint64_t ret[PLACES_MAX])
{
    uint64_t block = look->file_bytes / FITS_BLOCK;
    unsigned char *chunk = malloc((size_t)SCAN_BLOCKS * FITS_BLOCK);
    unsigned count = 0;

    while (chunk && block > 0 && count < PLACES_MAX) {
        uint64_t first = block > SCAN_BLOCKS ? block - SCAN_BLOCKS : 0;

        if (fits_read_at(look->fd, first * FITS_BLOCK, chunk, (block - first) * FITS_BLOCK) < 0)
            break;
        for (; block > first && count < PLACES_MAX; block--)
            if (fits_flips(chunk + (block - 1 - first) * FITS_BLOCK, look->frames_model.data,
                           FITS_CARD_BYTES) <= FITS_FLIPS_MAX &&
                is_frames_at(look, (block - 1) * FITS_BLOCK))
                ret[count++] = (block - 1) * FITS_BLOCK;
    }
    free(chunk);
    return count;
}

/* Of the numbers first to last, that whose digits are nearest to a card's; the larger of two. */
unsigned restore_nearest_number(const unsigned char *card, uint64_t first, uint64_t last,
                                uint64_t *ret)
{
    unsigned least = UINT32_MAX;

    for (uint64_t value = first; value <= last; value++) {
        char field[32];
        unsigned flips;

        snprintf(field, sizeof field, "%20llu", (unsigned long long)value);
        flips = fits_flips(card + 10, field, 20);
        if (flips <= least) {
            least = flips;
            *ret = value;
        }
    }
    return least;
}

/* The card that counts planes, and the keyword that it should have. */
static const unsigned char *frame_axis_card(const struct restore_look *look,
                                            const struct dao_geometry *shape, char key[16])
{
    int axes = shape->naxis + shape->dtype->is_complex + 1;

    snprintf(key, 16, "NAXIS%d", axes);
    return restore_bytes(look, READING_CUBE)->data + (size_t)(2 + axes) * FITS_CARD_BYTES;
}

/* Planes of this shape so that the table follows the cube: bits by which their card is wrong, or
 * UINT32_MAX. */
static unsigned count_planes(const struct restore_look *look, const struct dao_geometry *shape,
                             const uint64_t *places, unsigned place_count, uint64_t *ret)
{
    uint64_t begin = restore_bytes(look, READING_CUBE)->length, frame = shape->frame_bytes;
    unsigned least = UINT32_MAX;
    char key[16];
    const unsigned char *card = frame_axis_card(look, shape, key);
    int64_t own;

    if (fits_flipped_integer(card, &own) == 0 && own > 0 &&
        is_frames_at(look, restore_cube_end(look, shape, (uint64_t)own))) {
        *ret = (uint64_t)own;
        return 0;
    }
    for (unsigned i = 0; i < place_count; i++) {
        uint64_t room = places[i] > begin ? places[i] - begin : 0, planes = 0;
        unsigned flips;

        if (room / frame == 0 || fits_pad(room / frame * frame) != room)
            continue;
        flips =
            restore_nearest_number(card, (room - FITS_BLOCK) / frame + 1, room / frame, &planes);
        if (flips < least) {
            least = flips;
            *ret = planes;
        }
    }
    return least <= 2 * FITS_FLIPS_MAX ? least : UINT32_MAX;
}

/* Of the first frames, how many fit their DSUM if they have this shape? */
static unsigned count_proven(const struct restore_look *look, const struct dao_geometry *shape,
                             uint64_t planes)
{
    uint64_t rows_off = restore_cube_end(look, shape, planes) + look->frames_model.length;
    struct reading reading = {.fd = look->fd, .file_bytes = look->file_bytes};
    unsigned count = 0;

    for (uint64_t i = 0; i < FRAMES_PROVEN && i < planes; i++) {
        uint64_t off = restore_bytes(look, READING_CUBE)->length + i * shape->frame_bytes;
        unsigned char packed[FITS_ROW_BYTES];
        struct fits_row row;
        uint32_t sum;

        if (fits_read_at(look->fd, rows_off + i * FITS_ROW_BYTES, packed, sizeof packed) < 0 ||
            reading_sum_bytes(&reading, off, shape->frame_bytes, &sum, NULL) < 0)
            break;
        fits_row_unpack(&row, packed);
        count += row.rtime_ns != 0 && row.dsum == sum;
    }
    return count;
}

/* The shape, and the planes, for which the header needs the fewest bits changed. */
struct choice {
    const struct dao_geometry *shape;
    uint64_t planes;
    unsigned distance;
    bool is_equalled;
};

/* Frames that fit, or else who else tells of this shape. */
static unsigned weigh(const struct restore_look *look, const struct dao_geometry *shape,
                      uint64_t planes)
{
    const struct witness *witness = &look->witness;
    const struct dao_geometry *ledger = witness_ledger_shape(witness);

    unsigned weight = 4 * count_proven(look, shape, planes);

    if (ledger && dao_geometry_same_frame(ledger, shape))
        weight += 1;
    if (witness_has_same_before(witness) &&
        dao_geometry_same_frame(&witness->before.geometry, shape))
        weight += 2;
    return weight;
}

static void consider(const struct restore_look *look, struct choice *best,
                     const struct dao_geometry *shape, uint64_t planes, unsigned distance)
{
    unsigned weight, weight_best;

    if (best->shape && distance > best->distance)
        return;
    if (best->shape && distance == best->distance) {
        weight = weigh(look, shape, planes);
        weight_best = weigh(look, best->shape, best->planes);
        best->is_equalled = weight == weight_best;
        if (weight <= weight_best)
            return;
    }
    *best = (struct choice){shape, planes, distance, false};
}

bool restore_find_shape(struct restore_look *look)
{
    struct choice best = {0};
    uint64_t places[PLACES_MAX];
    unsigned place_count = 0;

    collect_shapes(look);
    for (int pass = 0; pass < 2 && !best.shape; pass++)
        for (unsigned i = 0; i < look->shape_count; i++) {
            const struct dao_geometry *shape = &look->shapes[i];
            char key[16];
            unsigned distance, more;
            uint64_t planes = 0;

            frame_axis_card(look, shape, key);
            distance = shape_distance(look, shape, key);
            if (distance > RESTORE_DAMAGE_MAX)
                continue;
            if (pass == 1 && place_count == 0)
                place_count = find_frames(look, places);
            more = count_planes(look, shape, places, place_count, &planes);
            if (more != UINT32_MAX)
                consider(look, &best, shape, planes, distance + more);
        }
    if (!best.shape || best.is_equalled)
        return false;
    look->geometry = *best.shape;
    look->planes = best.planes;
    return true;
}
