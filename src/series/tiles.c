/* tiles.c - frames of tile-compressed cubes, through cfitsio. See files.h. */
#include <errno.h>
#include <fitsio.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "series/files.h"

struct series_tiles {
    const struct series_file *file;
    fitsfile *fits;
    int naxis, frame_axis; /* from 1 */
    long axis[FITS_SCAN_AXES];
};

/* A segment's type in cfitsio's words; complex numbers are pairs of the image's first axis. */
static int read_as(const struct dao_dtype *dtype)
{
    switch (dtype->atype) {
    case _DATATYPE_UINT8:
        return TBYTE;
    case _DATATYPE_INT8:
        return TSBYTE;
    case _DATATYPE_UINT16:
        return TUSHORT;
    case _DATATYPE_INT16:
        return TSHORT;
    case _DATATYPE_UINT32:
        return TUINT;
    case _DATATYPE_INT32:
        return TINT;
    case _DATATYPE_UINT64:
        return TULONGLONG;
    case _DATATYPE_INT64:
        return TLONGLONG;
    case _DATATYPE_FLOAT:
    case _DATATYPE_COMPLEX_FLOAT:
        return TFLOAT;
    default:
        return TDOUBLE;
    }
}

static int fail(const struct series_file *file, int status, struct dao_text *text)
{
    char message[FLEN_ERRMSG] = "";

    fits_get_errstatus(status, message);
    fits_clear_errmsg();
    snprintf(text->s, sizeof text->s, "%.200s: its tiles cannot be read: %s", file->path, message);
    return status == MEMORY_ALLOCATION ? -ENOMEM : -EIO;
}

int series_tiles_open(struct series_tiles **ret, const struct series_file *file,
                      struct dao_text *text)
{
    struct series_tiles *tiles = calloc(1, sizeof *tiles);
    const struct series_store *store = &file->store;
    uint64_t inner = 1;
    int status = 0;

    if (!tiles) {
        snprintf(text->s, sizeof text->s, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    tiles->file = file;
    fits_open_diskfile(&tiles->fits, file->path, READONLY, &status);
    fits_movabs_hdu(tiles->fits, file->hdu, NULL, &status);
    fits_get_img_dim(tiles->fits, &tiles->naxis, &status);
    if (status == 0 && (tiles->naxis < 1 || tiles->naxis > FITS_SCAN_AXES))
        status = BAD_NAXIS;
    fits_get_img_size(tiles->fits, tiles->naxis, tiles->axis, &status);
    /* The axis that was found when the file was probed: behind as many words as it has inside. */
    while (status == 0 && tiles->frame_axis < tiles->naxis && inner < store->inner)
        inner *= (uint64_t)tiles->axis[tiles->frame_axis++];
    while (status == 0 && tiles->frame_axis < tiles->naxis &&
           (uint64_t)tiles->axis[tiles->frame_axis] != store->count)
        tiles->frame_axis++; /* past axes of length 1 */
    if (status == 0 && (inner != store->inner || tiles->frame_axis == tiles->naxis))
        status = BAD_NAXES;
    tiles->frame_axis++;
    if (status != 0) {
        int r = fail(file, status, text);

        series_tiles_close(tiles);
        return r;
    }
    *ret = tiles;
    return 0;
}

void series_tiles_close(struct series_tiles *tiles)
{
    int status = 0;

    if (!tiles)
        return;
    if (tiles->fits)
        fits_close_file(tiles->fits, &status);
    fits_clear_errmsg();
    free(tiles);
}

int series_tiles_read(struct series_tiles *tiles, uint64_t frame, void *ret_pixels,
                      struct dao_text *text)
{
    const struct dao_dtype *dtype = tiles->file->geometry.dtype;
    long first[FITS_SCAN_AXES], last[FITS_SCAN_AXES], step[FITS_SCAN_AXES];
    double nan_wide = (double)NAN;
    float nan_narrow = NAN;
    int status = 0, as = read_as(dtype), any = 0;

    for (int i = 0; i < tiles->naxis; i++) {
        first[i] = step[i] = 1;
        last[i] = tiles->axis[i];
    }
    first[tiles->frame_axis - 1] = last[tiles->frame_axis - 1] = (long)frame + 1;
    fits_read_subset(tiles->fits, as, first, last, step,
                     as == TFLOAT    ? (void *)&nan_narrow
                     : as == TDOUBLE ? (void *)&nan_wide
                                     : NULL,
                     ret_pixels, &any, &status);
    return status == 0 ? 0 : fail(tiles->file, status, text);
}
