/*
 * sequential.c - read every frame of a segment of float, in order.
 *
 *     cc -o sequential sequential.c $(pkg-config --cflags --libs dao)
 *     ./sequential PATH [FRAMES]
 *
 * Runs until it is interrupted, or until it has read so many frames. Begins with the first frame
 * that is written after the start.
 */
#include "dao.h"

static double mean_of(const float *pixels, uint64_t nelement)
{
    double sum = 0.0;

    for (uint64_t i = 0; i < nelement; i++)
        sum += (double)pixels[i];
    return sum / (double)nelement;
}

int main(int argc, char **argv)
{
    uint64_t frames = argc == 3 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
    int_fast8_t status = DAO_SUCCESS;
    IMAGE image;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: sequential PATH [FRAMES]\n");
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
    printf("reading %s\n", argv[1]);
    for (uint64_t n = 0; n < frames;) {
        uint64_t count, last = image.fifo_last_read_cnt0;
        void *pixels;
        double mean;

        status = daoShmWaitForNextSegment(&image);
        if (status == DAO_SUCCESS)
            status = daoShmGetNextSegment(&image, &pixels, NULL, &count);
        if (status == DAO_ERROR)
            break; /* the segment was removed or replaced */
        if (status == DAO_NOTREADY)
            continue;
        if (status == DAO_OVERWRITE) /* more than a whole cycle behind: on with the newest */
            printf("too slow, or the source was restarted: from frame %llu to %llu\n",
                   (unsigned long long)last, (unsigned long long)count);
        mean = mean_of(pixels, image.md[0].nelement);
        /* The pixels are in shared memory, and the writer does not wait: only now we know. */
        if (daoShmCheckSegmentOverwrite(&image) == DAO_SUCCESS)
            printf("frame %llu: mean %.1f\n", (unsigned long long)count, mean);
        else
            printf("frame %llu: overwritten under our eyes\n", (unsigned long long)count);
        n++;
    }
    daoShmCloseShm(&image);
    return status == DAO_ERROR ? 1 : 0;
}
