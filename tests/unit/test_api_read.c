/*
 * test_api_read.c - dao.h: pointers to frames, and whether they were overwritten.
 */
#include "tests/support/api_bed.h"

/* ---- reading ---- */

START_TEST(four_written_at_depth_4_are_four_reads_that_succeed)
{
    IMAGE writer = create("four", 4), reader = open_image("four");

    expect_no_next(&reader, DAO_NOTREADY);
    write_frames(&writer, 1, 4);
    for (uint32_t i = 0; i < 4; i++)
        expect_next(&reader, DAO_SUCCESS, i, i + 1);
    expect_no_next(&reader, DAO_NOTREADY);
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(one_more_than_a_cycle_is_an_overwrite_once)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("cycle", depth), reader = open_image("cycle");

    write_frames(&writer, 1, depth + 1);
    expect_next(&reader, DAO_OVERWRITE, 0, depth + 1);
    expect_no_next(&reader, DAO_NOTREADY);
    write_frames(&writer, depth + 2, depth + 2);
    expect_next(&reader, DAO_SUCCESS, 1 % depth, depth + 2);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_count_that_jumps_is_no_overwrite)
{
    IMAGE writer = create("jump", 4), reader = open_image("jump");

    write_frames(&writer, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    writer.md[0].cnt0 = 500; /* so the next one gets 501 */
    write_frames(&writer, 501, 501);
    writer.md[0].cnt0 = 1;
    expect_next(&reader, DAO_SUCCESS, 1, 501);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(the_newest_of_a_fresh_segment_is_its_last_slot)
{
    IMAGE image = create("newest", 3);
    static const uint16_t zeros[8];
    void *pixels = NULL;
    uint32_t idx = 99;
    uint64_t cnt0 = 99;

    ck_assert_int_eq(daoShmGetNewestSegment(&image, &pixels, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(idx, 2);
    ck_assert_uint_eq(cnt0, 0);
    ck_assert_mem_eq(pixels, zeros, sizeof zeros);
    ck_assert_uint_eq(daoShmGetCounter(&image), 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_newest_moves_the_tail)
{
    IMAGE image = create("newest2", 3);
    void *pixels;
    uint32_t idx;
    uint64_t cnt0;

    write_frames(&image, 1, 5);
    ck_assert_int_eq(daoShmGetNewestSegment(&image, &pixels, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(idx, 1);
    ck_assert_uint_eq(cnt0, 5);
    ck_assert_ptr_eq(pixels, image.array.UI16 + 8);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    expect_no_next(&image, DAO_NOTREADY);
    write_frames(&image, 6, 6);
    expect_next(&image, DAO_SUCCESS, 2, 6);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_newest_and_the_counter_see_through_an_unstamped_head)
{
    IMAGE image = create("unstamped", 3), reader;
    void *pixels;
    uint64_t cnt0;

    write_frames(&image, 1, 5);
    image.md[0].fifo_last_written = 2; /* a field writer's head, count still to come */
    ck_assert_uint_eq(daoShmGetCounter(&image), 5);
    ck_assert_int_eq(daoShmGetNewestSegment(&image, &pixels, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 5);
    ck_assert_int_eq(daoShmResetTail(&image, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 5);
    reader = open_image("unstamped");
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, 5);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(an_arbitrary_slot_is_taken_modulo_the_depth)
{
    IMAGE image = create("arbitrary", 3);
    void *pixels;

    for (uint_fast32_t i = 0; i < 7; i++) {
        ck_assert_int_eq(daoShmGetArbitrarySegment(&image, &pixels, i), DAO_SUCCESS);
        ck_assert_ptr_eq(pixels, image.array.UI16 + 8 * (i % 3));
    }
    ck_assert_uint_eq(image.fifo_last_read, 2); /* the tail stays */
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(resetting_the_tail_goes_to_the_newest)
{
    IMAGE image = create("reset", 4);
    uint32_t idx = 99;
    uint64_t cnt0 = 99;

    write_frames(&image, 1, 3);
    ck_assert_int_eq(daoShmResetTail(&image, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(idx, 2);
    ck_assert_uint_eq(cnt0, 3);
    expect_no_next(&image, DAO_NOTREADY);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(an_overwrite_of_the_tail_is_found)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("check", depth);
    IMAGE_METADATA *md;

    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    md = &image.md[0];
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    md->write = 1;
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    md->write = 0;
    md->cnt0 = 2;
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    md->cnt0 = 1;
    write_frames(&image, 2, depth); /* a full cycle: ours is the oldest, and still there */
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    write_frames(&image, depth + 1, depth + 1);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_OVERWRITE);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(new_pixels_under_the_tails_old_count_are_an_overwrite)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("check1", depth);

    write_frames(&image, 1, 1);
    expect_next(&image, DAO_SUCCESS, 0, 1);
    write_frames(&image, 2, depth);
    image.md[0].fifo_last_written = 0; /* a field writer went over slot 0: head, no count yet */
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), depth == 1 ? DAO_SUCCESS : DAO_OVERWRITE);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_check_of_a_fresh_segment_succeeds)
{
    IMAGE image = create("check2", testbed_depths[_i]);

    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&image), DAO_SUCCESS);
    daoShmCloseShm(&image);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_read");
    TCase *tcase;

    tcase = api_add(suite, "reading");
    tcase_add_test(tcase, four_written_at_depth_4_are_four_reads_that_succeed);
    tcase_add_loop_test(tcase, one_more_than_a_cycle_is_an_overwrite_once, 0, DEPTHS);
    tcase_add_test(tcase, a_count_that_jumps_is_no_overwrite);
    tcase_add_test(tcase, the_newest_of_a_fresh_segment_is_its_last_slot);
    tcase_add_test(tcase, the_newest_moves_the_tail);
    tcase_add_test(tcase, the_newest_and_the_counter_see_through_an_unstamped_head);
    tcase_add_test(tcase, an_arbitrary_slot_is_taken_modulo_the_depth);
    tcase_add_test(tcase, resetting_the_tail_goes_to_the_newest);
    tcase_add_loop_test(tcase, an_overwrite_of_the_tail_is_found, 0, DEPTHS);
    tcase_add_loop_test(tcase, new_pixels_under_the_tails_old_count_are_an_overwrite, 0, DEPTHS);
    tcase_add_loop_test(tcase, the_check_of_a_fresh_segment_succeeds, 0, DEPTHS);
    return testbed_run(suite);
}
