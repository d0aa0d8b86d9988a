/*
 * test_ring.c - frames of many sizes through a bounded ring, by hand and between two threads.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "replay/ring.h"
#include "tests/support/suite.h"

static struct ring ring;

static void teardown(void)
{
    ring_fini(&ring);
}

/* Reserve, fill with `mark`, push. False where there is no room. */
static bool put(uint64_t bytes, unsigned mark)
{
    struct ring_item item = {.stream = mark, .index = bytes};
    void *pixels = ring_reserve(&ring, bytes, &item.end);

    if (!pixels)
        return false;
    memset(pixels, (int)(mark & 0xff), bytes);
    item.pixels = pixels;
    ring_push(&ring, &item);
    return true;
}

/* The oldest item must be this one, its pixels as they were put. */
static void take(uint64_t bytes, unsigned mark)
{
    static unsigned char expected[4096];
    const struct ring_item *item = ring_peek(&ring);

    ck_assert_ptr_nonnull(item);
    ck_assert_uint_eq(item->stream, mark);
    ck_assert_uint_eq(item->index, bytes);
    memset(expected, (int)(mark & 0xff), bytes);
    ck_assert_int_eq(memcmp(item->pixels, expected, bytes), 0);
    ring_pop(&ring);
}

START_TEST(frames_come_out_in_order)
{
    ck_assert_int_eq(ring_init(&ring, 4096, 1000, 8), 0);
    ck_assert_ptr_null(ring_peek(&ring));
    for (unsigned i = 1; i <= 3; i++)
        ck_assert(put(100 * i, i));
    for (unsigned i = 1; i <= 3; i++)
        take(100 * i, i);
    ck_assert_ptr_null(ring_peek(&ring));
}
END_TEST

START_TEST(a_full_ring_says_so_and_has_room_again_when_one_is_taken)
{
    ck_assert_int_eq(ring_init(&ring, 4096, 1024, 64), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(put(1024, i));
    ck_assert_uint_eq(ring_full_percent(&ring), 100);
    ck_assert(!put(1, 4));
    take(1024, 0);
    ck_assert(put(1024, 4));
    ck_assert(!put(1, 5));
}
END_TEST

START_TEST(items_are_bounded_too)
{
    ck_assert_int_eq(ring_init(&ring, 1 << 20, 8, 4), 0);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(put(i & 1 ? 8 : 0, i));
    ck_assert(!put(8, 4));
    ck_assert_uint_eq(ring_full_percent(&ring), 100);
    take(0, 0);
    ck_assert(put(8, 4));
}
END_TEST

START_TEST(a_room_that_was_reserved_and_not_used_is_given_again)
{
    uint64_t end, again;
    void *room;

    ck_assert_int_eq(ring_init(&ring, 4096, 1024, 8), 0);
    room = ring_reserve(&ring, 1000, &end);
    ck_assert_ptr_eq(ring_reserve(&ring, 1000, &again), room);
    ck_assert_uint_eq(again, end);
}
END_TEST

START_TEST(two_frames_of_the_largest_always_fit_whatever_was_asked_for)
{
    ck_assert_int_eq(ring_init(&ring, 0, 1000, 8), 0);
    for (unsigned i = 0; i < 50; i++) { /* across the end, after an odd one */
        ck_assert(put(1 + 13 * i, 2 * i));
        take(1 + 13 * i, 2 * i);
        ck_assert(put(1000, 2 * i + 1));
        take(1000, 2 * i + 1);
    }
}
END_TEST

START_TEST(more_than_there_is_is_no_memory)
{
    ck_assert_int_eq(ring_init(&ring, 0, UINT64_MAX, 8), -ENOMEM);
    ck_assert_int_eq(ring_init(&ring, 1ull << 60, 8, 8), -ENOMEM);
}
END_TEST

#define THROUGH 20000u

static uint64_t bytes_of(unsigned mark)
{
    return (mark * 2654435761u) % 3001;
}

static void *feed(void *ctx)
{
    for (unsigned mark = 0; mark < THROUGH; mark++)
        while (!put(bytes_of(mark), mark))
            sched_yield();
    return ctx;
}

START_TEST(between_two_threads_nothing_is_lost_or_written_over)
{
    pthread_t thread;

    ck_assert_int_eq(ring_init(&ring, 10000, 3000, 16), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, feed, NULL), 0);
    for (unsigned mark = 0; mark < THROUGH; mark++) {
        while (!ring_peek(&ring))
            sched_yield();
        take(bytes_of(mark), mark);
    }
    pthread_join(thread, NULL);
    ck_assert_ptr_null(ring_peek(&ring));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tcase = tcase_create("ring");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, frames_come_out_in_order);
    tcase_add_test(tcase, a_full_ring_says_so_and_has_room_again_when_one_is_taken);
    tcase_add_test(tcase, items_are_bounded_too);
    tcase_add_test(tcase, a_room_that_was_reserved_and_not_used_is_given_again);
    tcase_add_test(tcase, two_frames_of_the_largest_always_fit_whatever_was_asked_for);
    tcase_add_test(tcase, more_than_there_is_is_no_memory);
    tcase_add_test(tcase, between_two_threads_nothing_is_lost_or_written_over);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
