/*
 * test_api_write.c - dao.h: whole frames written and published.
 */
#include "tests/support/api_bed.h"

#include "lib/clock.h"

/* ---- writing ---- */

START_TEST(a_frame_goes_to_the_next_slot_with_the_next_count_and_the_time)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("frame", depth);

    for (uint32_t cnt0 = 1; cnt0 <= 2 * depth + 1; cnt0++) {
        uint32_t slot = (cnt0 - 1) % depth;
        IMAGE_METADATA *md = &image.md[slot];
        int64_t before_ns = dao_clock_real_ns(), after_ns;

        md->atime.tsfixed.firstlong = 3;
        write_frames(&image, cnt0, cnt0);
        after_ns = dao_clock_real_ns();
        ck_assert_uint_eq(image.md[0].fifo_last_written, slot);
        ck_assert_uint_eq(md->cnt0, cnt0);
        ck_assert_uint_eq(md->write, 0);
        ck_assert_int_eq(md->atime.tsfixed.firstlong, 0);
        ck_assert_int_ge(md->atime.tsfixed.secondlong, before_ns);
        ck_assert_int_le(md->atime.tsfixed.secondlong, after_ns);
        expect_newest(&image, slot, cnt0);
    }
    ck_assert_uint_eq(image.fifo_last_read, depth - 1); /* writing moves no tail */
    ck_assert_uint_eq(image.fifo_last_read_cnt0, 0);
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_frame_continues_the_count_of_the_slot_before_it)
{
    IMAGE image = create("continue", 3);

    write_frames(&image, 1, 4); /* slots 0 1 2 0 */
    image.md[0].cnt0 = 900;
    write_frames(&image, 901, 902);
    ck_assert_uint_eq(image.md[1].cnt0, 901);
    ck_assert_uint_eq(image.md[2].cnt0, 902);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_short_frame_leaves_the_old_rest)
{
    IMAGE image = create("part", 1);
    uint16_t frame[8] = {1, 2, 3, 4, 5, 6, 7, 8}, part[3] = {11, 12, 13};
    uint16_t expected[8] = {11, 12, 13, 4, 5, 6, 7, 8};

    ck_assert_int_eq(daoShmImage2Shm(frame, 8, &image), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImage2Shm(part, 3, &image), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.V, expected, sizeof expected);
    ck_assert_uint_eq(daoShmGetCounter(&image), 2);
    ck_assert_int_eq(daoShmImage2Shm(frame, 9, &image), DAO_ERROR);
    ck_assert_mem_eq(image.array.V, expected, sizeof expected);
    ck_assert_uint_eq(daoShmGetCounter(&image), 2);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_rest_of_a_short_frame_is_that_of_its_own_slot_a_lap_ago)
{
    IMAGE image = create("part2", 2);
    uint16_t part[3] = {901, 902, 903}, expected[8];

    write_frames(&image, 1, 2);
    ck_assert_int_eq(daoShmImage2Shm(part, 3, &image), DAO_SUCCESS);
    ramp_fill(expected, _DATATYPE_UINT16, 1, 8);
    memcpy(expected, part, sizeof part);
    ck_assert_mem_eq(image.array.UI16, expected, sizeof expected);
    ramp_fill(expected, _DATATYPE_UINT16, 2, 8);
    ck_assert_mem_eq(image.array.UI16 + 8, expected, sizeof expected);
    ck_assert_int_eq(daoShmImage2Shm(part, 0, &image), DAO_SUCCESS); /* nothing but a count */
    ck_assert_mem_eq(image.array.UI16 + 8, expected, sizeof expected);
    expect_newest(&image, 1, 4);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_frame_posts_every_semaphore_once)
{
    IMAGE image = create("sems", 2);

    write_frames(&image, 1, 3);
    expect_semaphores(&image, 1);
    ck_assert_int_eq(semaphore_value(&image, -1), 0); /* the logger's is not the writer's affair */
    daoShmCloseShm(&image);
    image = create("sems", 2); /* stale posts are drained */
    expect_semaphores(&image, 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(handles_of_one_segment_write_in_turn)
{
    IMAGE first = create("turns", 3), second = open_image("turns");

    write_frames(&first, 1, 1);
    write_frames(&second, 2, 3);
    write_frames(&first, 4, 4);
    for (uint32_t i = 0; i < 3; i++) {
        uint16_t expected[8];

        ramp_fill(expected, _DATATYPE_UINT16, i == 0 ? 4 : i + 1, 8);
        ck_assert_mem_eq(second.array.UI16 + 8 * i, expected, sizeof expected);
    }
    expect_newest(&second, 0, 4);
    daoShmCloseShm(&first);
    write_frames(&second, 5, 5);
    expect_newest(&second, 1, 5);
    daoShmCloseShm(&second);
}
END_TEST

/* ---- refusing ---- */

static int_fast8_t call_whole(int function, void *im, uint32_t count, IMAGE *image)
{
    const DAO_FRAME stamp = {.cnt0 = 5};

    switch (function) {
    case 0:
        return daoShmImage2Shm(im, count, image);
    case 1:
        return daoShmImage2ShmQuiet(im, count, image);
    default:
        return daoShmImage2ShmStamped(im, count, image, &stamp);
    }
}

START_TEST(too_many_elements_change_nothing)
{
    IMAGE image = create("many", 2);
    struct memory before;
    uint16_t frame[9] = {0};

    write_frames(&image, 1, 3);
    take_posts(&image);
    before = remember(&image);
    ck_assert_int_eq(call_whole(_i, frame, 9, &image), DAO_ERROR);
    expect_message("9 from position 0, but the segment has 8");
    ck_assert_int_eq(call_whole(_i, frame, UINT32_MAX, &image), DAO_ERROR);
    ck_assert_int_eq(call_whole(_i, NULL, 8, &image), DAO_ERROR);
    expect_message("im is NULL");
    expect_unchanged(before);
    expect_semaphores(&image, 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_damaged_head_refuses_the_frame)
{
    IMAGE image = create("damaged", 2);
    uint16_t frame[8] = {9};

    image.md[0].fifo_last_written = 2;
    ck_assert_int_eq(daoShmImage2Shm(frame, 8, &image), DAO_ERROR);
    expect_message("fifo_last_written");
    ck_assert_uint_eq(image.array.UI16[0], 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_damaged_head_refuses_every_write)
{
    IMAGE image = create("damaged2", 2);
    struct memory before;

    write_frames(&image, 1, 3);
    take_posts(&image);
    image.md[0].fifo_last_written = _i % 2 ? 2 : UINT32_MAX;
    before = remember(&image);
    expect_refused(&image, _i / 2, "fifo_last_written is damaged");
    expect_unchanged(before);
    expect_semaphores(&image, 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_truncated_segment_refuses_every_write)
{
    IMAGE image = create("short", 2);

    ck_assert_int_eq(ftruncate(image.shmfd, _i % 2 ? 0 : (off_t)image.memsize - 1), 0);
    expect_refused(&image, _i / 2, "close it and open it again");
    expect_semaphores(&image, 0);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
}
END_TEST

START_TEST(an_image_that_is_not_open_refuses_every_write)
{
    IMAGE image = create("closed", 2);

    expect_refused(NULL, _i, "the image is NULL");
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    expect_refused(&image, _i, "not open");
}
END_TEST

START_TEST(private_memory_is_written_like_a_file)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, "own", 2, size, _DATATYPE_UINT16, 0, 0, 2),
                     DAO_SUCCESS);
    ck_assert_int_eq(api_writers[_i].call(&image), DAO_SUCCESS);
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&image);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_write");
    TCase *tcase;

    tcase = api_add(suite, "writing");
    tcase_add_loop_test(tcase, a_frame_goes_to_the_next_slot_with_the_next_count_and_the_time, 0,
                        DEPTHS);
    tcase_add_test(tcase, a_frame_continues_the_count_of_the_slot_before_it);
    tcase_add_test(tcase, a_short_frame_leaves_the_old_rest);
    tcase_add_test(tcase, the_rest_of_a_short_frame_is_that_of_its_own_slot_a_lap_ago);
    tcase_add_test(tcase, a_frame_posts_every_semaphore_once);
    tcase_add_test(tcase, handles_of_one_segment_write_in_turn);
    tcase = api_add(suite, "refusing");
    tcase_add_loop_test(tcase, too_many_elements_change_nothing, 0, 3);
    tcase_add_test(tcase, a_damaged_head_refuses_the_frame);
    tcase_add_loop_test(tcase, a_damaged_head_refuses_every_write, 0, 2 * API_WRITERS);
    tcase_add_loop_test(tcase, a_truncated_segment_refuses_every_write, 0, 2 * API_WRITERS);
    tcase_add_loop_test(tcase, an_image_that_is_not_open_refuses_every_write, 0, API_WRITERS);
    tcase_add_loop_test(tcase, private_memory_is_written_like_a_file, 0, API_WRITERS);
    return testbed_run(suite);
}
