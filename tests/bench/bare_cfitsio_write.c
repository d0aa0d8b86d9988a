/*
 * bare_cfitsio_write.c - two ways in which people record frames with cfitsio today: what the
 * recorder's CPU is measured against.
 *
 *     bare_cfitsio_write cube|hdus SHM FILE COUNT       until the frame with this count
 *
 *     cube    one image of COUNT planes, a plane a frame
 *     hdus    an image extension a frame, with its count and time as keywords
 *
 * Says "ready" once it is attached; at the end one line of JSON: frames taken and lost. It is meant
 * to be the plain program that one writes in an hour: no buffering of its own, no thread, no sync.
 */
#include <fitsio.h>

#include "tests/bench/sequential.h"

struct recording {
    fitsfile *file;
    int type, bitpix;
    LONGLONG axes[3], frame;
    int status;
};

static bool write_plane(void *ctx, const IMAGE *image, void *pixels, uint32_t slot, uint64_t count)
{
    struct recording *r = ctx;

    (void)image;
    (void)slot;
    fits_write_img(r->file, r->type, 1 + (LONGLONG)(count - 1) * r->frame, r->frame, pixels,
                   &r->status);
    return r->status == 0;
}

static bool write_hdu(void *ctx, const IMAGE *image, void *pixels, uint32_t slot, uint64_t count)
{
    struct recording *r = ctx;
    LONGLONG number = (LONGLONG)count, atime = image->md[slot].atime.tsfixed.secondlong;

    fits_create_imgll(r->file, r->bitpix, 2, r->axes, &r->status);
    fits_write_key(r->file, TLONGLONG, "CNT0", &number, "count of the frame", &r->status);
    fits_write_key(r->file, TLONGLONG, "ATIME", &atime, "when it was published, ns", &r->status);
    fits_write_img(r->file, r->type, 1, r->frame, pixels, &r->status);
    return r->status == 0;
}

static void create(struct recording *r, const IMAGE_METADATA *md, const char *path, uint64_t frames,
                   bool is_cube)
{
    bool is_integer = md->atype == _DATATYPE_UINT16;

    r->type = is_integer ? TUSHORT : TFLOAT;
    r->bitpix = is_integer ? USHORT_IMG : FLOAT_IMG;
    r->axes[0] = md->size[1]; /* FITS counts the fastest axis first */
    r->axes[1] = md->size[0];
    r->axes[2] = (LONGLONG)frames;
    r->frame = r->axes[0] * r->axes[1];
    fits_create_file(&r->file, path, &r->status);
    if (is_cube)
        fits_create_imgll(r->file, r->bitpix, 3, r->axes, &r->status);
    else
        fits_create_imgll(r->file, BYTE_IMG, 0, r->axes, &r->status);
}

int main(int argc, char **argv)
{
    uint64_t frames = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
    static struct sequential s;
    struct recording r = {0};
    bool is_cube;

    if (frames == 0 || (strcmp(argv[1], "cube") != 0 && strcmp(argv[1], "hdus") != 0)) {
        fprintf(stderr, "usage: bare_cfitsio_write cube|hdus SHM FILE COUNT\n");
        return 2;
    }
    is_cube = strcmp(argv[1], "cube") == 0;
    sequential_open(&s, argv[2]);
    create(&r, s.image.md, argv[3], frames, is_cube);
    if (r.status == 0)
        sequential_say_ready();
    if (r.status || !sequential_run(&s, frames, is_cube ? write_plane : write_hdu, &r)) {
        fits_report_error(stderr, r.status);
        return 1;
    }
    fits_close_file(r.file, &r.status);
    sequential_report(&s);
    daoShmCloseShm(&s.image);
    return r.status != 0;
}
