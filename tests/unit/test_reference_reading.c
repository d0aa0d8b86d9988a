/*
 * test_reference_reading.c - what the reference page promises of reading and of overwrites, in its
 * order. tests/README.md says which sentence each test stands for.
 */
#include "tests/support/reference_bed.h"

#include <pthread.h>
#include <time.h>

/* ---- reading ---- */

START_TEST(the_newest_segment_at_depth_1_is_what_array_v_shows)
{
    IMAGE image = create("newest", 1);
    void *pixels;
    uint32_t slot;
    uint64_t cnt0;

    write_frames(&image, 1, 3);
    ck_assert_int_eq(daoShmGetNewestSegment(&image, &pixels, &slot, &cnt0), DAO_SUCCESS);
    ck_assert_ptr_eq(pixels, image.array.V);
    ck_assert_uint_eq(slot, 0);
    ck_assert_uint_eq(cnt0, image.md[0].cnt0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_next_segment_moves_the_tail_by_one)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("next", depth), reader = open_image("next");

    expect_no_next(&reader, DAO_NOTREADY);
    write_frames(&writer, 1, depth);
    for (uint32_t slot = 0; slot < depth; slot++) {
        expect_next(&reader, DAO_SUCCESS, slot, slot + 1);
        ck_assert_uint_eq(reader.fifo_last_read, slot);
        ck_assert_uint_eq(reader.fifo_last_read_cnt0, slot + 1);
    }
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

struct waiter {
    IMAGE image;
    int_fast8_t status;
    int is_back; /* atomic */
};

static void *wait_for_next(void *arg)
{
    struct waiter *w = arg;

    w->status = daoShmWaitForNextSegment(&w->image);
    __atomic_store_n(&w->is_back, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Nothing can show that a thread will wait for ever; a while is what is looked at. */
START_TEST(waiting_for_the_next_segment_blocks_until_one_is_written)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    IMAGE writer = create("wait", testbed_depths[_i]);
    struct waiter w = {.image = open_image("wait"), .status = DAO_ERROR};
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_next, &w), 0);
    nanosleep(&pause, NULL);
    ck_assert_int_eq(__atomic_load_n(&w.is_back, __ATOMIC_ACQUIRE), 0);
    write_frames(&writer, 1, 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(w.status, DAO_SUCCESS);
    expect_next(&w.image, DAO_SUCCESS, 0, 1); /* the wait itself takes nothing */
    daoShmCloseShm(&writer);
    daoShmCloseShm(&w.image);
}
END_TEST

START_TEST(an_index_beyond_the_depth_wraps)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("wrap", depth);

    write_frames(&image, 1, depth);
    for (uint_fast32_t i = 0; i < 3 * depth; i++) {
        void *pixels;

        ck_assert_int_eq(daoShmGetArbitrarySegment(&image, &pixels, i), DAO_SUCCESS);
        ck_assert(holds(pixels, i % depth + 1));
    }
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_check_says_whether_the_frame_last_read_was_overwritten)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("check", depth), reader = open_image("check");

    write_frames(&writer, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    write_frames(&writer, 2, depth);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    write_frames(&writer, depth + 1, depth + 1);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(resetting_the_tail_after_an_overwrite_goes_on_with_what_comes_next)
{
    IMAGE writer = create("reset", 4), reader = open_image("reset");
    uint32_t slot = 99;
    uint64_t cnt0 = 99;

    write_frames(&writer, 1, 11);
    ck_assert_int_eq(daoShmResetTail(&reader, &slot, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(slot, 2);
    ck_assert_uint_eq(cnt0, 11);
    expect_no_next(&reader, DAO_NOTREADY);
    write_frames(&writer, 12, 12);
    expect_next(&reader, DAO_SUCCESS, 3, 12);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- overwrites ---- */

START_TEST(more_than_one_cycle_behind_is_an_overwrite_and_a_cycle_is_not)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("inline", depth), reader = open_image("inline");

    write_frames(&writer, 1, depth);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    write_frames(&writer, depth + 1, depth + 1); /* again a cycle behind */
    for (uint64_t cnt0 = 2; cnt0 <= depth + 1; cnt0++)
        expect_next(&reader, DAO_SUCCESS, (uint32_t)((cnt0 - 1) % depth), cnt0);
    write_frames(&writer, depth + 2, 2 * depth + 2); /* a cycle and one */
    expect_next(&reader, DAO_OVERWRITE, (2 * depth + 1) % depth, 2 * depth + 2);
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(the_check_looks_at_the_write_flag_and_at_the_count)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("flags", depth);

    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    image.md[0].write = 1;
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    image.md[0].write = 0;
    image.md[0].cnt0 = depth + 1;
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    image.md[0].cnt0 = 1;
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    daoShmCloseShm(&image);
}
END_TEST

/* Copy, then check: the answer is about the copy, whatever happened while it was made. */
START_TEST(a_copy_is_validated_by_a_check_after_it)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("copy", depth), reader = open_image("copy");
    uint16_t copy[8];
    void *pixels;
    uint64_t cnt0;

    write_frames(&writer, 1, 1);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, &cnt0), DAO_SUCCESS);
    memcpy(copy, pixels, sizeof copy);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    ck_assert(holds(copy, cnt0));
    memcpy(copy, pixels, sizeof copy / 2);
    write_frames(&writer, 2, depth + 1); /* in the middle of it */
    memcpy(copy + 4, (const uint16_t *)pixels + 4, sizeof copy / 2);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    ck_assert(!holds(copy, cnt0));
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

/* Overwrites that a reader meets, who pauses for so many frames, ten times. */
static int overwrites(uint32_t depth, uint32_t pause)
{
    IMAGE writer = create("pauses", depth), reader = open_image("pauses");
    uint64_t written = 0;
    int found = 0;

    for (int i = 0; i < 10; i++) {
        int_fast8_t status;
        void *pixels;

        write_frames(&writer, written + 1, written + pause);
        written += pause;
        while ((status = daoShmGetNextSegment(&reader, &pixels, NULL, NULL)) != DAO_NOTREADY)
            found += status == DAO_OVERWRITE;
        ck_assert_uint_eq(reader.fifo_last_read_cnt0, written);
    }
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
    return found;
}

START_TEST(a_deeper_fifo_or_shorter_pauses_avoid_overwrites)
{
    ck_assert_int_eq(overwrites(4, 6), 10);
    ck_assert_int_eq(overwrites(6, 6), 0);
    ck_assert_int_eq(overwrites(4, 4), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reference: reading");
    TCase *reading = api_add(suite, "reading"), *overwrites_case = api_add(suite, "overwrites");

    tcase_add_test(reading, the_newest_segment_at_depth_1_is_what_array_v_shows);
    tcase_add_loop_test(reading, the_next_segment_moves_the_tail_by_one, 0, DEPTHS);
    tcase_add_loop_test(reading, waiting_for_the_next_segment_blocks_until_one_is_written, 0,
                        DEPTHS);
    tcase_add_loop_test(reading, an_index_beyond_the_depth_wraps, 0, DEPTHS);
    tcase_add_loop_test(reading, the_check_says_whether_the_frame_last_read_was_overwritten, 0,
                        DEPTHS);
    tcase_add_test(reading, resetting_the_tail_after_an_overwrite_goes_on_with_what_comes_next);
    tcase_add_loop_test(overwrites_case,
                        more_than_one_cycle_behind_is_an_overwrite_and_a_cycle_is_not, 0, DEPTHS);
    tcase_add_loop_test(overwrites_case, the_check_looks_at_the_write_flag_and_at_the_count, 0,
                        DEPTHS);
    tcase_add_loop_test(overwrites_case, a_copy_is_validated_by_a_check_after_it, 0, DEPTHS);
    tcase_add_test(overwrites_case, a_deeper_fifo_or_shorter_pauses_avoid_overwrites);
    return testbed_run(suite);
}
