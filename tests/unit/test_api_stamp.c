/*
 * test_api_stamp.c - dao.h: counts and times of one's own, and frames stamped after the event.
 */
#include "tests/support/api_bed.h"

#include "lib/clock.h"

/* ---- daoShmImage2ShmStamped ---- */

/* The frame of this count's ramp, with all that is given set by it. */
static void write_stamped(IMAGE *image, uint64_t cnt0, int64_t atime_ns)
{
    const DAO_FRAME stamp = {.cnt0 = cnt0,
                             .cnt1 = cnt0 + 10,
                             .cnt2 = cnt0 + 20,
                             .atime_ns = atime_ns,
                             .slot = 99, /* these are ignored */
                             .flags = ~0u,
                             .lost = 12345};
    uint16_t frame[8];

    ramp_fill(frame, _DATATYPE_UINT16, cnt0, 8);
    ck_assert_int_eq(daoShmImage2ShmStamped(frame, 8, image, &stamp), DAO_SUCCESS);
}

START_TEST(a_stamped_frame_has_the_counts_and_the_time_given)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("stamped", depth), reader = open_image("stamped");
    uint16_t pixels[8], expected[8];
    DAO_FRAME frame;

    image.md[0].atime.tsfixed.firstlong = 3;
    write_stamped(&image, 500, 1234567890123456789);
    ck_assert_uint_eq(image.md[0].fifo_last_written, 0);
    ck_assert_uint_eq(image.md[0].cnt0, 500);
    ck_assert_uint_eq(image.md[0].cnt1, 510);
    ck_assert_uint_eq(image.md[0].cnt2, 520);
    ck_assert_uint_eq(image.md[0].write, 0);
    ck_assert_int_eq(image.md[0].atime.tsfixed.firstlong, 0);
    ck_assert_int_eq(image.md[0].atime.tsfixed.secondlong, 1234567890123456789);
    expect_semaphores(&image, 1);
    expect_newest(&image, 0, 500);
    ck_assert_int_ne(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame), DAO_NOTREADY);
    ck_assert_uint_eq(frame.cnt0, 500);
    ck_assert_uint_eq(frame.cnt1, 510);
    ck_assert_uint_eq(frame.cnt2, 520);
    ck_assert_int_eq(frame.atime_ns, 1234567890123456789);
    ramp_fill(expected, _DATATYPE_UINT16, 500, 8);
    ck_assert_mem_eq(pixels, expected, sizeof expected);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_time_of_zero_is_now)
{
    IMAGE image = create("now", 2);
    int64_t before_ns = dao_clock_real_ns();

    write_stamped(&image, 5, 0);
    ck_assert_int_ge(image.md[0].atime.tsfixed.secondlong, before_ns);
    ck_assert_int_le(image.md[0].atime.tsfixed.secondlong, dao_clock_real_ns());
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_plain_frame_goes_on_from_a_stamped_one)
{
    IMAGE image = create("goon", 3), reader = open_image("goon");

    write_stamped(&image, 41, 7);
    write_frames(&image, 42, 42);
    expect_next(&reader, DAO_SUCCESS, 0, 41); /* the source began with 41: no overwrite */
    expect_next(&reader, DAO_SUCCESS, 1, 42);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_short_stamped_frame_leaves_the_old_rest)
{
    const DAO_FRAME stamp = {.cnt0 = 2};
    IMAGE image = create("rest", 1);
    uint16_t part[3] = {901, 902, 903}, expected[8];

    write_frames(&image, 1, 1);
    ramp_fill(expected, _DATATYPE_UINT16, 1, 8);
    memcpy(expected, part, sizeof part);
    ck_assert_int_eq(daoShmImage2ShmStamped(part, 3, &image, &stamp), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.UI16, expected, sizeof expected);
    daoShmCloseShm(&image);
}
END_TEST

/* Two laps of frames from 101 on, read as they come. The reader, opened with the first of them. */
static IMAGE follow_two_laps(IMAGE *image, const char *name, uint32_t depth)
{
    IMAGE reader;

    write_stamped(image, 101, 0);
    reader = open_image(name);
    for (uint64_t cnt0 = 102; cnt0 <= 100 + 2 * depth; cnt0++) {
        write_stamped(image, cnt0, 0);
        expect_next(&reader, DAO_SUCCESS, (uint32_t)(cnt0 - 101) % depth, cnt0);
    }
    return reader;
}

START_TEST(a_lower_count_begins_a_new_run_for_a_reader)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("lower", depth), reader = follow_two_laps(&image, "lower", depth);

    /* At depth 2 and more the first one looks like a count that is still to be stamped. */
    write_stamped(&image, 5, 0);
    if (depth > 1)
        write_stamped(&image, 6, 0);
    expect_next(&reader, DAO_OVERWRITE, depth > 1, depth > 1 ? 6 : 5);
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(the_newest_count_once_more_begins_a_new_run_for_a_reader)
{
    IMAGE image = create("equal", 4), reader = follow_two_laps(&image, "equal", 4);

    write_stamped(&image, 108, 0);
    write_stamped(&image, 109, 0);
    expect_next(&reader, DAO_OVERWRITE, 1, 109);
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

/* Times that go back could also mean a head that does: a replay of old frames is certain only when
 * the slot last read was written over. */
START_TEST(a_lower_count_with_older_times_is_found_within_a_lap)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("older", depth), reader = follow_two_laps(&image, "older", depth);

    for (uint32_t i = 1; i <= depth; i++)
        write_stamped(&image, i, 1000000 + i);
    expect_next(&reader, DAO_OVERWRITE, depth - 1, depth);
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_stamp_that_cannot_be_changes_nothing)
{
    const DAO_FRAME no_count = {.cnt0 = 0, .atime_ns = 5}, no_time = {.cnt0 = 9, .atime_ns = -1};
    const DAO_FRAME *const stamps[] = {NULL, &no_count, &no_time};
    static const char *const words[] = {"frame is NULL", "cnt0 is 0", "atime_ns is negative"};
    IMAGE image = create("refused", 2);
    struct memory before;
    uint16_t frame[8] = {0};

    write_frames(&image, 1, 3);
    take_posts(&image);
    before = remember(&image);
    ck_assert_int_eq(daoShmImage2ShmStamped(frame, 8, &image, stamps[_i]), DAO_ERROR);
    expect_message("daoShmImage2ShmStamped: ");
    expect_message(words[_i]);
    expect_unchanged(before);
    expect_semaphores(&image, 0);
    daoShmCloseShm(&image);
}
END_TEST

/* ---- daoShmTimestampShm ---- */

static void stamp_now(IMAGE *image)
{
    ck_assert_int_eq(daoShmTimestampShm(image), DAO_SUCCESS);
}

START_TEST(at_depth_1_each_stamp_is_a_new_count_and_time)
{
    IMAGE image = create("alone", 1), reader = open_image("alone");
    uint64_t cnt0 = 99;
    void *pixels;

    for (uint64_t i = 1; i <= 3; i++) {
        int64_t before_ns = dao_clock_real_ns();

        image.array.UI16[3] = (uint16_t)i; /* a program that fills the slot itself */
        stamp_now(&image);
        ck_assert_uint_eq(image.md[0].cnt0, i);
        ck_assert_uint_eq(image.md[0].write, 0);
        ck_assert_int_ge(image.md[0].atime.tsfixed.secondlong, before_ns);
        ck_assert_int_le(image.md[0].atime.tsfixed.secondlong, dao_clock_real_ns());
        ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, &cnt0), DAO_SUCCESS);
        ck_assert_uint_eq(cnt0, i);
        ck_assert_uint_eq(((uint16_t *)pixels)[3], i);
    }
    expect_semaphores(&image, 0); /* the caller posts them */
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(at_depth_1_a_stamp_publishes_a_quiet_write)
{
    IMAGE image = create("quiet", 1), reader = open_image("quiet");
    uint16_t frame[8];

    write_frames(&image, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    ramp_fill(frame, _DATATYPE_UINT16, 2, 8);
    ck_assert_int_eq(daoShmImage2ShmQuiet(frame, 8, &image), DAO_SUCCESS);
    expect_no_next(&reader, DAO_NOTREADY);
    stamp_now(&image);
    expect_next(&reader, DAO_SUCCESS, 0, 2);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(deeper_a_stamp_gives_the_newest_frame_a_new_time_and_its_own_count)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("deeper", depth), reader = open_image("deeper");
    IMAGE_METADATA *md = &image.md[0];

    write_frames(&image, 1, depth + 1); /* the newest in slot 0 */
    take_posts(&image);
    for (int i = 0; i < 3; i++) {
        md->atime.tsfixed.firstlong = 3;
        md->atime.tsfixed.secondlong = 5;
        stamp_now(&image);
        ck_assert_uint_eq(md->cnt0, depth + 1);
        ck_assert_int_eq(md->atime.tsfixed.firstlong, 0);
        ck_assert_int_gt(md->atime.tsfixed.secondlong, 5);
        ck_assert_uint_eq(image.md[0].fifo_last_written, 0);
        expect_newest(&image, 0, depth + 1);
    }
    for (uint32_t i = 1; i < depth; i++)
        ck_assert_uint_eq(image.md[i].cnt0, i + 1);
    expect_semaphores(&image, 0);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_stamp_completes_a_frame_published_by_hand)
{
    uint32_t depth = testbed_depths[_i], slot;
    IMAGE image = create("byhand", depth), reader = open_image("byhand");

    for (uint64_t cnt0 = 1; cnt0 <= 2 * depth; cnt0++) {
        slot = (uint32_t)(cnt0 - 1) % depth;
        image.md[slot].write = 1;
        ramp_fill(image.array.UI16 + 8 * slot, _DATATYPE_UINT16, cnt0, 8);
        image.md[0].fifo_last_written = slot;
        expect_no_next(&reader, DAO_NOTREADY);
        stamp_now(&image);
        ck_assert_uint_eq(image.md[slot].write, 0);
        expect_next(&reader, DAO_SUCCESS, slot, cnt0);
    }
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_stamp_completes_a_quiet_write_of_which_the_head_was_set)
{
    IMAGE image = create("head", 3), reader = open_image("head");
    uint16_t frame[8];

    write_frames(&image, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    ramp_fill(frame, _DATATYPE_UINT16, 2, 8);
    ck_assert_int_eq(daoShmImage2ShmQuiet(frame, 8, &image), DAO_SUCCESS);
    image.md[0].fifo_last_written = 1;
    stamp_now(&image);
    expect_next(&reader, DAO_SUCCESS, 1, 2);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_stamp");
    TCase *tcase;

    tcase = api_add(suite, "a stamp of one's own");
    tcase_add_loop_test(tcase, a_stamped_frame_has_the_counts_and_the_time_given, 0, DEPTHS);
    tcase_add_test(tcase, a_time_of_zero_is_now);
    tcase_add_test(tcase, a_plain_frame_goes_on_from_a_stamped_one);
    tcase_add_test(tcase, a_short_stamped_frame_leaves_the_old_rest);
    tcase_add_loop_test(tcase, a_lower_count_begins_a_new_run_for_a_reader, 0, DEPTHS);
    tcase_add_test(tcase, the_newest_count_once_more_begins_a_new_run_for_a_reader);
    tcase_add_loop_test(tcase, a_lower_count_with_older_times_is_found_within_a_lap, 0, DEPTHS);
    tcase_add_loop_test(tcase, a_stamp_that_cannot_be_changes_nothing, 0, 3);
    tcase = api_add(suite, "stamped afterwards");
    tcase_add_test(tcase, at_depth_1_each_stamp_is_a_new_count_and_time);
    tcase_add_test(tcase, at_depth_1_a_stamp_publishes_a_quiet_write);
    tcase_add_loop_test(tcase, deeper_a_stamp_gives_the_newest_frame_a_new_time_and_its_own_count,
                        1, DEPTHS);
    tcase_add_loop_test(tcase, a_stamp_completes_a_frame_published_by_hand, 1, DEPTHS);
    tcase_add_test(tcase, a_stamp_completes_a_quiet_write_of_which_the_head_was_set);
    return testbed_run(suite);
}
