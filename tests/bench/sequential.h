/*
 * sequential.h - the loop that a person writes who wants every frame of a segment, as README.md and
 * the reference page show it: wait, get the next one, use it, ask whether it was overwritten
 * meanwhile. For bare_reader.c and bare_cfitsio_write.c; one thread.
 */
#ifndef BENCH_SEQUENTIAL_H
#define BENCH_SEQUENTIAL_H

#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/bench/common.h"

#define SEQUENTIAL_PATIENCE_S 30 /* without a frame the source is taken for dead */

struct sequential {
    IMAGE image;
    uint64_t taken, lost;
    int64_t end_ns; /* CLOCK_REALTIME */
};

/* Uses one frame; false ends the loop. */
typedef bool sequential_use(void *ctx, const IMAGE *image, void *pixels, uint32_t slot,
                            uint64_t count);

/* Attach. Exits where that cannot be. */
static inline void sequential_open(struct sequential *s, const char *path)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (daoShmShm2Img(path, &s->image) != DAO_SUCCESS)
        exit(1);
}

static inline void sequential_say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

/* False: no frame came. */
static inline bool sequential_wait(struct sequential *s)
{
    struct timespec deadline;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += SEQUENTIAL_PATIENCE_S;
    return daoShmWaitForNextSegmentUntil(&s->image, &deadline) == DAO_SUCCESS;
}

/* From the frame after the tail to the one with the count `last`. False: it did not come. */
static inline bool sequential_run(struct sequential *s, uint64_t last, sequential_use *use,
                                  void *ctx)
{
    uint64_t before = s->image.fifo_last_read_cnt0, count = before;

    while (count < last) {
        void *pixels;
        uint32_t slot;
        int_fast8_t status = daoShmGetNextSegment(&s->image, &pixels, &slot, &count);

        if (status == DAO_NOTREADY) {
            if (!sequential_wait(s))
                return false;
            continue;
        }
        if (status == DAO_ERROR || !use(ctx, &s->image, pixels, slot, count))
            return false;
        s->lost += count - before - 1;
        before = count;
        if (daoShmCheckSegmentOverwrite(&s->image) == DAO_SUCCESS)
            s->taken++;
        else
            s->lost++;
    }
    s->end_ns = bench_clock_ns(CLOCK_REALTIME);
    return true;
}

static inline void sequential_report(const struct sequential *s)
{
    printf("{\"taken\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"end_ns\": %" PRId64 "}\n", s->taken,
           s->lost, s->end_ns);
}

#endif
