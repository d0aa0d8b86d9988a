/*
 * bare_cfitsio.c - a loop that reads a cube of unsigned 16-bit frames, frame after frame, by
 * cfitsio alone: what replay --asap is measured against.
 *
 *     bare_cfitsio FILE       prints bytes of pixels, seconds
 */
#include <fitsio.h>

#include "tests/bench/common.h"

int main(int argc, char **argv)
{
    LONGLONG axes[3], frame;
    int status = 0, naxis = 0, anynul;
    unsigned short *pixels;
    fitsfile *file;
    int64_t begin_ns = bench_clock_ns(CLOCK_MONOTONIC);

    if (argc != 2 || fits_open_file(&file, argv[1], READONLY, &status) ||
        fits_get_img_dim(file, &naxis, &status) || naxis != 3 ||
        fits_get_img_sizell(file, 3, axes, &status)) {
        fprintf(stderr, "bare_cfitsio: give a cube of three axes\n");
        return 2;
    }
    frame = axes[0] * axes[1];
    pixels = malloc((size_t)frame * sizeof *pixels);
    for (LONGLONG i = 0; pixels && i < axes[2]; i++)
        fits_read_img(file, TUSHORT, 1 + i * frame, frame, NULL, pixels, &anynul, &status);
    if (!pixels || status) {
        fits_report_error(stderr, status);
        return 1;
    }
    fits_close_file(file, &status);
    free(pixels);
    printf("%lld %.6f\n", (long long)(axes[2] * frame) * 2,
           (double)(bench_clock_ns(CLOCK_MONOTONIC) - begin_ns) * 1e-9);
    return 0;
}
