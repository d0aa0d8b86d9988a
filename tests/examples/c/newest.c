/*
 * newest.c - look at the newest frame of a segment of float, ten times a second, as a display does.
 *
 *     cc -o newest newest.c $(pkg-config --cflags --libs dao)
 *     ./newest PATH [LOOKS]
 *
 * Runs until it is interrupted, or until it has looked so many times.
 */
#include "dao.h"

int main(int argc, char **argv)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    uint64_t looks = argc == 3 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
    int_fast8_t status = DAO_SUCCESS;
    IMAGE image;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: newest PATH [LOOKS]\n");
        return 2;
    }
    if (daoShmShm2Img(argv[1], &image) != DAO_SUCCESS)
        return 1;
    if (image.md[0].atype != _DATATYPE_FLOAT) {
        fprintf(stderr, "%s does not hold float\n", argv[1]);
        daoShmCloseShm(&image);
        return 1;
    }
    setlinebuf(stdout);
    for (uint64_t n = 0; n < looks;) {
        uint64_t count;
        void *pixels;
        float first, last;

        /* Never blocks. Before the first frame that is a frame of zeros with count 0. */
        status = daoShmGetNewestSegment(&image, &pixels, NULL, &count);
        if (status != DAO_SUCCESS)
            break; /* the segment was removed or replaced */
        first = ((const float *)pixels)[0];
        last = ((const float *)pixels)[image.md[0].nelement - 1];
        if (daoShmCheckSegmentOverwrite(&image) != DAO_SUCCESS)
            continue; /* overwritten while we looked: there is a newer one */
        printf("frame %llu: first pixel %.1f, last %.1f\n", (unsigned long long)count,
               (double)first, (double)last);
        n++;
        nanosleep(&pause, NULL);
    }
    daoShmCloseShm(&image);
    return status == DAO_SUCCESS ? 0 : 1;
}
