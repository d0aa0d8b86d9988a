/*
 * create.c - create a segment: 256 x 256 float, which keeps the last 8 frames.
 *
 *     cc -o create create.c $(pkg-config --cflags --libs dao)
 *     ./create /dev/shm/example.im.shm
 *
 * The segment stays when the program has ended: write.c fills it, the others read it. Creating it
 * again sets it back to empty, and programs that have it open go on.
 */
#include "dao.h"

int main(int argc, char **argv)
{
    uint32_t size[2] = {256, 256};
    uint32_t depth = 8; /* 1: one frame only, as without a FIFO */
    IMAGE image;

    if (argc != 2) {
        fprintf(stderr, "usage: create PATH\n");
        return 2;
    }
    /* 2 axes; 1: in a file, so that others can open it; 0 keywords. Errors explain themselves. */
    if (daoShmImageCreate_FIFO(&image, argv[1], 2, size, _DATATYPE_FLOAT, 1, 0, depth) !=
        DAO_SUCCESS)
        return 1;
    printf("%s: %u x %u float, %u frames deep, %llu bytes\n", argv[1], size[0], size[1],
           image.md[0].fifo_size, (unsigned long long)image.memsize);
    daoShmCloseShm(&image);
    return 0;
}
