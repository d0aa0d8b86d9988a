/*
 * common.h - what the programs that measure share: a segment of their own, clocks, and the middle
 * of some values. For programs of one thread.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/dao.h"

#define NS_PER_S 1000000000ll

struct bench_segment {
    IMAGE image;
    char path[64];
};

/* The one there is at a time, to be removed also where the program fails. */
static struct bench_segment *bench_segment_open;

/* Semaphores live on while nobody removes them, and so does the file. */
static inline void bench_path_remove(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    int length = (int)strcspn(base, ".");
    char name[300];

    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++) {
        snprintf(name, sizeof name, "/%.*s_sem%02d", length, base, i);
        sem_unlink(name);
    }
    snprintf(name, sizeof name, "/%.*s_semlog", length, base);
    sem_unlink(name);
    unlink(path);
}

static inline void bench_segment_remove(void)
{
    struct bench_segment *s = bench_segment_open;

    if (!s)
        return;
    bench_segment_open = NULL;
    daoShmCloseShm(&s->image);
    bench_path_remove(s->path);
}

/* `elements` of float32 a frame, in memory. Exits where that cannot be had; `s` must be static. */
static inline void bench_segment_create(struct bench_segment *s, uint32_t elements, uint32_t depth)
{
    static bool is_registered;
    uint32_t size[2] = {elements, 1};

    snprintf(s->path, sizeof s->path, "/dev/shm/bench%ld.im.shm", (long)getpid());
    if (daoShmImageCreate_FIFO(&s->image, s->path, 2, size, _DATATYPE_FLOAT, 1, 0, depth) !=
        DAO_SUCCESS)
        exit(1);
    bench_segment_open = s;
    if (!is_registered)
        atexit(bench_segment_remove);
    is_registered = true;
}

/*
 * Keep the calling thread on the first or the last of the CPUs that the program may use, as they
 * were at the first call: reader and writer must not take turns on one, where there are two.
 */
static inline void bench_pin(bool is_first)
{
    static cpu_set_t allowed;
    cpu_set_t one;
    unsigned chosen = CPU_SETSIZE;

    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && (chosen == CPU_SETSIZE || !is_first))
            chosen = cpu;
    CPU_ZERO(&one);
    CPU_SET(chosen, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static inline int64_t bench_clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts `values`. The one that a share of them (0..1) does not exceed. */
static inline double bench_quantile(double *values, size_t count, double share)
{
    size_t index;

    if (count == 0)
        return 0.0;
    qsort(values, count, sizeof *values, bench_compare);
    index = (size_t)(share * (double)count);
    return values[index < count ? index : count - 1];
}

#endif
