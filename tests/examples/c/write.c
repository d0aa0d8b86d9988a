/*
 * write.c - write frames into an existing segment of float, a hundred a second.
 *
 *     cc -o write write.c $(pkg-config --cflags --libs dao)
 *     ./write PATH [FRAMES]
 *
 * Runs until it is interrupted, or until it has written so many frames. Every pixel of a frame is
 * the frame's count. Only one program may write into a segment at a time.
 */
#include "dao.h"

int main(int argc, char **argv)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    uint64_t frames = argc == 3 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
    int_fast8_t status = DAO_SUCCESS;
    uint32_t nelement;
    float *frame;
    IMAGE image;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: write PATH [FRAMES]\n");
        return 2;
    }
    if (daoShmShm2Img(argv[1], &image) != DAO_SUCCESS)
        return 1;
    if (image.md[0].atype != _DATATYPE_FLOAT) {
        fprintf(stderr, "%s does not hold float\n", argv[1]);
        daoShmCloseShm(&image);
        return 1;
    }
    nelement = (uint32_t)image.md[0].nelement;
    frame = malloc(nelement * sizeof *frame);
    if (!frame)
        status = DAO_ERROR;
    for (uint64_t n = 0; n < frames && status == DAO_SUCCESS; n++) {
        uint64_t count = daoShmGetCounter(&image) + 1; /* the one that this frame will get */

        for (uint32_t i = 0; i < nelement; i++)
            frame[i] = (float)count;
        /* Fills the next slot, publishes it and wakes who waits; never blocks. */
        status = daoShmImage2Shm(frame, nelement, &image);
        nanosleep(&pause, NULL);
    }
    free(frame);
    daoShmCloseShm(&image);
    return status == DAO_SUCCESS ? 0 : 1;
}
