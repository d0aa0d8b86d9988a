/*
 * tsan_order.c - writer and reader over one mapping, for ThreadSanitizer to judge.
 *
 *     tsan_order [FRAMES [DEPTH]]      20000 frames, depth 8
 *
 * A machine that is busy lets the two threads take turns slowly: then it ends after some seconds,
 * with fewer frames.
 *
 * The sanitizer knows addresses, not files, and no fences: so both threads use one private segment,
 * the payload is filled and copied by plain loops, and the writer is held back so that it never
 * overwrites a slot that is still to be read. Then nothing but the release of cnt0 orders the
 * payload before its reading: the sanitizer is silent, and with lib/writer.c built with
 * -DDAO_TEST_BREAK_ORDER it must report a race. Exit status 1: a frame was wrong, or missed, or
 * taken for one that comes after a lap, which nothing here can be.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/reader.h"
#include "lib/writer.h"

#define ELEMENTS    64u
#define SECONDS_MAX 8

static struct dao_segment segment;
static _Atomic uint64_t frame_count = 20000; /* relaxed: it must not order anything else */
static uint32_t depth = 8;
static _Atomic uint64_t frames_read; /* release by the reader, acquire by the writer */
static atomic_bool is_failed;

/* One turn of a polling loop. Looks must follow closely to fall between two stores, but the two
 * threads may have to share a core. */
static void turn(void)
{
    static _Thread_local unsigned turns;

    if (++turns % 512 == 0)
        sched_yield();
}

/* Plain accesses: these are what the sanitizer is to judge. */
static __attribute__((noinline)) void fill_plain(uint16_t *to, uint64_t cnt0)
{
    for (unsigned i = 0; i < ELEMENTS; i++)
        to[i] = (uint16_t)(cnt0 + i);
}

static __attribute__((noinline)) void copy_plain(uint16_t *to, const uint16_t *from)
{
    for (unsigned i = 0; i < ELEMENTS; i++)
        to[i] = from[i];
}

/* Mostly one frame at a time, so that a later frame's order cannot stand in for a missing one. */
static uint64_t ahead_allowed(uint64_t frame)
{
    return frame % 256 < 192 || depth < 4 ? 1 : depth - 2;
}

static uint64_t count_wanted(void)
{
    return atomic_load_explicit(&frame_count, memory_order_relaxed);
}

static void *write_frames(void *arg)
{
    int64_t end_ns = dao_clock_mono_ns() + SECONDS_MAX * INT64_C(1000000000);

    (void)arg;
    for (uint64_t n = 0; n < count_wanted(); n++) {
        struct dao_write frame;

        while (n - atomic_load_explicit(&frames_read, memory_order_acquire) >= ahead_allowed(n)) {
            if (atomic_load_explicit(&is_failed, memory_order_relaxed))
                return NULL;
            turn();
        }
        if (dao_writer_begin(&segment, &frame) < 0) {
            atomic_store(&is_failed, true);
            return NULL;
        }
        fill_plain(frame.pixels, frame.cnt0);
        dao_writer_publish(&segment, &frame, 0);
        if (n % 16 == 0 && dao_clock_mono_ns() > end_ns)
            atomic_store_explicit(&frame_count, n + 1, memory_order_relaxed);
    }
    return NULL;
}

static bool is_right(const uint16_t *copy, uint64_t cnt0)
{
    for (unsigned i = 0; i < ELEMENTS; i++)
        if (copy[i] != (uint16_t)(cnt0 + i))
            return false;
    return true;
}

static void *read_frames(void *arg)
{
    struct dao_reader *r = arg;
    uint64_t n = 0;

    while (n < count_wanted() && !atomic_load_explicit(&is_failed, memory_order_relaxed)) {
        uint16_t copy[ELEMENTS];
        struct dao_take take;

        if (dao_reader_begin(r, &take) != DAO_READ_FRAME) {
            turn();
            continue;
        }
        copy_plain(copy, take.pixels);
        if (dao_reader_finish(r, &take) != 1)
            continue;
        n++;
        if (take.missing || take.lapped || take.cnt0 != n || !is_right(copy, n)) {
            fprintf(stderr, "tsan_order: frame %llu is wrong, comes after a gap or as lapped\n",
                    (unsigned long long)take.cnt0);
            atomic_store(&is_failed, true);
        }
        atomic_store_explicit(&frames_read, n, memory_order_release);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const uint32_t size[] = {ELEMENTS};
    struct dao_geometry geo;
    struct dao_reader reader;
    pthread_t writer;

    if (argc > 1)
        frame_count = strtoull(argv[1], NULL, 0);
    if (argc > 2)
        depth = (uint32_t)strtoul(argv[2], NULL, 0);
    if (dao_geometry_make(&geo, 1, size, _DATATYPE_UINT16, depth, 0, NULL) < 0 ||
        dao_segment_create_private(&segment, "order", &geo, NULL) < 0 ||
        dao_reader_init(&reader, &segment, DAO_LAP_OLDEST, false) < 0 ||
        pthread_create(&writer, NULL, write_frames, NULL) != 0)
        return 1;
    read_frames(&reader);
    pthread_join(writer, NULL);
    dao_segment_close(&segment);
    return atomic_load(&is_failed);
}
