/*
 * program.c - the C snippets of the reference page, each in a function to stand in.
 *
 *     program create N | sequential N | newest N | history N
 *
 * Compiled and run by tests/integration/test_reference.py, which puts copies of page/c_*.inc in the
 * include path; the path in them is the test's, and where they would process data, or run for
 * ever, they call report.h. One thread.
 */
#include <string.h>

#include "dao.h"
#include "tests/reference/report.h"

static int create_and_write(unsigned long wanted)
{
#include "c_create.inc"
    static float frame[REPORT_PIXELS];

    for (unsigned long count = 1; count <= wanted; count++) {
        report_fill(frame, count);
#include "c_write.inc"
    }
    return daoShmCloseShm(&image);
}

static int read_in_sequence(unsigned long wanted)
{
#include "c_sequential.inc"
    return daoShmCloseShm(&image);
}

/* `wanted` looks, one at every line on stdin. */
static int read_the_newest(unsigned long wanted)
{
    void *segment_ptr = NULL;
    uint32_t segment_idx = 0;
    uint64_t segment_cnt0 = 0;
    IMAGE image;

    daoShmShm2Img(SHM_PATH, &image);
    for (unsigned long n = 0; n < wanted && getchar() == '\n'; n++) {
#include "c_newest.inc"
        if ((uint64_t)data[0] != segment_cnt0 || data != image.array.F + 65536ul * segment_idx)
            return 1;
        report_frame(data); /* after that the test overwrites it */
    }
    return daoShmCloseShm(&image);
}

static int read_past_frames(unsigned long wanted)
{
    void *segment_ptr = NULL;
    IMAGE image;

    daoShmShm2Img(SHM_PATH, &image);
    for (unsigned long fifo_idx = 0; fifo_idx < wanted; fifo_idx++) {
#include "c_history.inc"
        report_frame(data);
    }
    return daoShmCloseShm(&image);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(unsigned long wanted);
    } snippets[] = {
        {"create", create_and_write},
        {"sequential", read_in_sequence},
        {"newest", read_the_newest},
        {"history", read_past_frames},
    };

    for (unsigned i = 0; argc == 3 && i < sizeof snippets / sizeof snippets[0]; i++)
        if (strcmp(argv[1], snippets[i].name) == 0)
            return snippets[i].run(strtoul(argv[2], NULL, 10));
    return 2;
}
