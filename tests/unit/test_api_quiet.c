/*
 * test_api_quiet.c - dao.h: daoShmImage2ShmQuiet, which writes pixels and publishes nothing.
 *
 * Frames are ramps of their counts; the quiet ones are made of other values.
 */
#include "tests/support/api_bed.h"

static const uint16_t quiet[8] = {31, 32, 33, 34, 35, 36, 37, 38}; /* of call_quiet() */

static uint32_t slot_of(uint64_t cnt0, uint32_t depth)
{
    return (uint32_t)((cnt0 - 1) % depth);
}

/* An image of which every slot was written once; the next frame goes to slot 0. */
static IMAGE create_full(const char *name, uint32_t depth)
{
    IMAGE image = create(name, depth);

    write_frames(&image, 1, depth);
    take_posts(&image);
    return image;
}

/* ---- what does not change ---- */

START_TEST(a_quiet_write_publishes_nothing)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create_full("nothing", depth);
    IMAGE_METADATA *before = malloc(depth * sizeof *before);

    memcpy(before, image.md, depth * sizeof *before);
    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    for (uint32_t i = 0; i < depth; i++) {
        ck_assert_uint_eq(image.md[i].write, depth > 1 && i == 0);
        image.md[i].write = 0;
        ck_assert_mem_eq(&image.md[i], &before[i], sizeof *before); /* counts, times, the head */
    }
    expect_semaphores(&image, 0);
    ck_assert_int_eq(semaphore_value(&image, -1), 0);
    expect_newest(&image, slot_of(depth, depth), depth);
    ck_assert_str_eq(messages(), "");
    free(before);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_quiet_write_changes_the_pixels_of_the_next_slot_alone)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create_full("pixels", depth);

    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.UI16, quiet, sizeof quiet);
    for (uint32_t i = 1; i < depth; i++) {
        uint16_t expected[8];

        ramp_fill(expected, _DATATYPE_UINT16, i + 1, 8);
        ck_assert_mem_eq(image.array.UI16 + 8 * i, expected, sizeof expected);
    }
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_short_quiet_write_leaves_the_old_rest)
{
    IMAGE image = create_full("rest", 2);
    uint16_t expected[8];

    ramp_fill(expected, _DATATYPE_UINT16, 1, 8);
    memcpy(expected, quiet, 3 * sizeof quiet[0]);
    ck_assert_int_eq(daoShmImage2ShmQuiet(expected, 3, &image), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.UI16, expected, sizeof expected);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(at_depth_1_the_pixels_change_and_the_frame_does_not)
{
    IMAGE image = create_full("alone", 1), reader = open_image("alone");

    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    ck_assert_uint_eq(image.md[0].write, 0);
    expect_no_next(&reader, DAO_NOTREADY);
    expect_newest(&reader, 0, 1);
    ck_assert_mem_eq(reader.array.UI16, quiet, sizeof quiet);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- readers ---- */

static const uint32_t deep[] = {2, 3, 4, 64};
#define DEEP 4

START_TEST(a_reader_a_lap_behind_does_not_get_the_quiet_pixels_for_the_old_frame)
{
    uint32_t depth = deep[_i];
    IMAGE image = create("behind", depth), reader = open_image("behind");

    write_frames(&image, 1, depth); /* the reader's next is frame 1, in slot 0 */
    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    expect_next(&reader, DAO_OVERWRITE, depth - 1, depth); /* looks at the pixels, too */
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(the_check_of_the_old_frame_says_overwritten)
{
    uint32_t depth = deep[_i];
    IMAGE image = create("check", depth), reader = open_image("check");

    write_frames(&image, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    write_frames(&image, 2, depth);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_copying_reader_gets_every_frame_but_the_old_one)
{
    uint32_t depth = deep[_i];
    IMAGE image = create("copying", depth), reader = open_image("copying");
    uint64_t expected_cnt0 = 2;
    uint16_t pixels[8], expected[8];
    DAO_FRAME frame;

    write_frames(&image, 1, depth);
    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    while (daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame) != DAO_NOTREADY) {
        ck_assert_uint_eq(frame.cnt0, expected_cnt0++);
        ramp_fill(expected, _DATATYPE_UINT16, frame.cnt0, 8);
        ck_assert_mem_eq(pixels, expected, sizeof expected);
    }
    ck_assert_uint_eq(expected_cnt0, depth + 1);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_reader_at_the_newest_frame_waits_on)
{
    uint32_t depth = deep[_i];
    IMAGE image = create_full("newest", depth), reader = open_image("newest");
    uint16_t pixels[8];

    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    expect_no_next(&reader, DAO_NOTREADY);
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, NULL), DAO_NOTREADY);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- what becomes of it ---- */

START_TEST(finalize_publishes_a_quiet_write)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create_full("finalize", depth), reader = open_image("finalize");
    uint16_t pixels[8];
    DAO_FRAME frame;

    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImagePart2ShmFinalize(&image), DAO_SUCCESS);
    ck_assert_uint_eq(image.md[0].write, 0);
    expect_semaphores(&image, 1);
    expect_newest(&image, 0, depth + 1);
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame), DAO_SUCCESS);
    ck_assert_uint_eq(frame.cnt0, depth + 1);
    ck_assert_uint_eq(frame.flags & ~DAO_FRAME_TORN, 0);
    ck_assert_mem_eq(pixels, quiet, sizeof quiet);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(the_next_frame_overwrites_a_quiet_write)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create_full("next", depth), reader = open_image("next");

    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    write_frames(&image, depth + 1, depth + 1);
    ck_assert_uint_eq(image.md[0].write, 0);
    expect_next(&reader, DAO_SUCCESS, 0, depth + 1);
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_quiet_write_overwrites_another)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create_full("again", depth);
    uint16_t other[8] = {9, 9, 9};

    ck_assert_int_eq(daoShmImage2ShmQuiet(other, 8, &image), DAO_SUCCESS);
    ck_assert_int_eq(call_quiet(&image), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.UI16, quiet, sizeof quiet);
    ck_assert_int_eq(daoShmImagePart2ShmFinalize(&image), DAO_SUCCESS);
    expect_newest(&image, 0, depth + 1);
    daoShmCloseShm(&image);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_quiet");
    TCase *tcase;

    tcase = api_add(suite, "what does not change");
    tcase_add_loop_test(tcase, a_quiet_write_publishes_nothing, 0, DEPTHS);
    tcase_add_loop_test(tcase, a_quiet_write_changes_the_pixels_of_the_next_slot_alone, 0, DEPTHS);
    tcase_add_test(tcase, a_short_quiet_write_leaves_the_old_rest);
    tcase_add_test(tcase, at_depth_1_the_pixels_change_and_the_frame_does_not);
    tcase = api_add(suite, "readers");
    tcase_add_loop_test(
        tcase, a_reader_a_lap_behind_does_not_get_the_quiet_pixels_for_the_old_frame, 0, DEEP);
    tcase_add_loop_test(tcase, the_check_of_the_old_frame_says_overwritten, 0, DEEP);
    tcase_add_loop_test(tcase, a_copying_reader_gets_every_frame_but_the_old_one, 0, DEEP);
    tcase_add_loop_test(tcase, a_reader_at_the_newest_frame_waits_on, 0, DEEP);
    tcase = api_add(suite, "what becomes of it");
    tcase_add_loop_test(tcase, finalize_publishes_a_quiet_write, 0, DEPTHS);
    tcase_add_loop_test(tcase, the_next_frame_overwrites_a_quiet_write, 0, DEPTHS);
    tcase_add_loop_test(tcase, a_quiet_write_overwrites_another, 0, DEPTHS);
    return testbed_run(suite);
}
