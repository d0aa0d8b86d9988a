/*
 * history.c - at every new frame, look back at those before it, as a predictor or filter does.
 *
 *     cc -o history history.c $(pkg-config --cflags --libs dao)
 *     ./history PATH [FRAMES]
 *
 * Runs until it is interrupted, or until it has seen so many new frames. The FIFO itself is the
 * memory: nothing was kept by this program.
 */
#include "dao.h"

/*
 * The first pixel of the frame `back` frames before the one at the tail. 0, or -1 where it is not
 * there, or not any more.
 */
static int look_back(const IMAGE *image, uint32_t back, float *value)
{
    uint32_t depth = image->md[0].fifo_size;
    IMAGE past = *image; /* a copy has a tail of its own */
    void *pixels;

    if (image->fifo_last_read_cnt0 <= back)
        return -1; /* there have not been so many frames */
    past.fifo_last_read = (image->fifo_last_read + depth - back) % depth;
    past.fifo_last_read_cnt0 = image->fifo_last_read_cnt0 - back;
    if (daoShmGetArbitrarySegment(&past, &pixels, past.fifo_last_read) != DAO_SUCCESS)
        return -1;
    *value = *(const float *)pixels;
    /* Does the slot hold the frame of that count, before and after we looked? */
    return daoShmCheckSegmentOverwrite(&past) == DAO_SUCCESS ? 0 : -1;
}

int main(int argc, char **argv)
{
    uint64_t frames = argc == 3 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
    int_fast8_t status = DAO_SUCCESS;
    IMAGE image;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: history PATH [FRAMES]\n");
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
    for (uint64_t n = 0; n < frames; n++) {
        uint64_t count;
        void *pixels;
        float value;

        status = daoShmWaitForNextSegment(&image);
        if (status == DAO_SUCCESS)
            status = daoShmGetNewestSegment(&image, &pixels, NULL, &count);
        if (status != DAO_SUCCESS)
            break; /* the segment was removed or replaced */
        printf("frame %llu:", (unsigned long long)count);
        /* All but the oldest slot, which is the one to be overwritten next. */
        for (uint32_t back = 0; back == 0 || back + 1 < image.md[0].fifo_size; back++)
            if (look_back(&image, back, &value) == 0)
                printf(" %.1f", (double)value);
        printf("\n");
    }
    daoShmCloseShm(&image);
    return status == DAO_SUCCESS ? 0 : 1;
}
