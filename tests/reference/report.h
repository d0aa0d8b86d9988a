/*
 * report.h - how the programs around the reference page's snippets tell what they got, to the
 * test that runs them. C and C++. One thread.
 */
#ifndef TESTS_REFERENCE_REPORT_H
#define TESTS_REFERENCE_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SHM_PATH      getenv("SHM_PATH") /* of the segment, in the place of the page's */
#define REPORT_PIXELS (256u * 256u)

/* Pixel i of the frame of a count, as ramp.h has it for floats. */
static inline float report_pixel(uint64_t count, uint64_t i)
{
    return (float)((count + i) & 0xFFFFF);
}

static inline void report_fill(float *frame, uint64_t count)
{
    for (uint64_t i = 0; i < REPORT_PIXELS; i++)
        frame[i] = report_pixel(count, i);
}

/* From here on every frame that is written is one that the snippet must see. */
static inline void report_attached(void)
{
    printf("attached\n");
    fflush(stdout);
}

/* A line for a frame: the count that its pixels are of, or "torn". */
static inline void report_frame(const float *data)
{
    uint64_t count = data ? (uint64_t)data[0] : 0, i = 0;

    while (data && i < REPORT_PIXELS && data[i] >= report_pixel(count, i) &&
           data[i] <= report_pixel(count, i))
        i++;
    if (i == REPORT_PIXELS)
        printf("frame %llu\n", (unsigned long long)count);
    else
        printf("torn\n");
    fflush(stdout);
}

/* The same in an endless loop: are more of the `wanted` frames to come? */
static inline bool report_more(const float *data, unsigned long wanted)
{
    static unsigned long reported;

    report_frame(data);
    return ++reported < wanted;
}

#endif
