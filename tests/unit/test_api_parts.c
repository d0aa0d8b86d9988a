/*
 * test_api_parts.c - dao.h: frames assembled from packets, and frames with packets missing.
 *
 * A frame of 4 x 2 comes in four packets of two elements. Pixels are the ramp of the frame's count.
 */
#include "tests/support/api_bed.h"

#define PACKETS 4u

/* Packet `id` of the frame that will have this count. */
static void write_part(IMAGE *image, uint64_t cnt0, uint16_t id, uint64_t frame_number)
{
    uint16_t frame[8];

    ramp_fill(frame, _DATATYPE_UINT16, cnt0, 8);
    ck_assert_int_eq(
        daoShmImagePart2Shm((char *)(frame + 2 * id), 2, image, 2u * id, id, PACKETS, frame_number),
        DAO_SUCCESS);
}

static void write_parts(IMAGE *image, uint64_t cnt0, uint64_t frame_number)
{
    for (uint16_t id = 0; id < PACKETS; id++)
        write_part(image, cnt0, id, frame_number);
}

static void finalize(IMAGE *image)
{
    ck_assert_int_eq(daoShmImagePart2ShmFinalize(image), DAO_SUCCESS);
}

static DAO_FRAME copy_next(IMAGE *image, uint64_t cnt0)
{
    uint16_t pixels[8], expected[8];
    DAO_FRAME frame;

    ck_assert_int_eq(daoShmCopyNextSegment(image, pixels, sizeof pixels, &frame), DAO_SUCCESS);
    ck_assert_uint_eq(frame.cnt0, cnt0);
    if (!(frame.flags & DAO_FRAME_PARTIAL)) {
        ramp_fill(expected, _DATATYPE_UINT16, cnt0, 8);
        ck_assert_mem_eq(pixels, expected, sizeof expected);
    }
    return frame;
}

/* ---- one packet ---- */

START_TEST(a_part_goes_to_its_position_and_nowhere_else)
{
    IMAGE image = create("position", 2);
    uint16_t expected[8], part[3] = {701, 702, 703};

    write_frames(&image, 1, 2);
    ramp_fill(expected, _DATATYPE_UINT16, 1, 8);
    memcpy(expected + 5, part, sizeof part);
    ck_assert_int_eq(daoShmImagePart2Shm((char *)part, 3, &image, 5, 0, 2, 1), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.UI16, expected, sizeof expected);
    ck_assert_int_eq(daoShmImagePart2Shm((char *)part, 0, &image, 8, 1, 2, 1), DAO_SUCCESS);
    ck_assert_mem_eq(image.array.UI16, expected, sizeof expected);
    ramp_fill(expected, _DATATYPE_UINT16, 2, 8);
    ck_assert_mem_eq(image.array.UI16 + 8, expected, sizeof expected);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_part_notes_what_it_is_in_the_metadata_of_the_next_slot)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("notes", depth);
    IMAGE_METADATA *md = &image.md[1 % depth];
    uint16_t part[3] = {1, 2, 3};

    write_frames(&image, 1, 1);
    for (uint16_t id = 0; id < 2; id++) {
        ck_assert_int_eq(
            daoShmImagePart2Shm((char *)part, 3u - id, &image, 5u * id, 510 + id, 600, 1ull << 40),
            DAO_SUCCESS);
        ck_assert_uint_eq(md->lastPos, 5u * id);
        ck_assert_uint_eq(md->lastNb, 3u - id);
        ck_assert_uint_eq(md->packetNb, 510u + id);
        ck_assert_uint_eq(md->packetTotal, 600);
        ck_assert_uint_eq(md->lastNbArray[510 + id], 1ull << 40);
        ck_assert_uint_eq(md->cnt2, 1ull << 40);
    }
    for (unsigned i = 0; i < 510; i++)
        ck_assert_uint_eq(md->lastNbArray[i], 0);
    ck_assert_uint_eq(image.md[0].fifo_size, depth); /* which lies behind the array */
    ck_assert_uint_eq(image.md[0].fifo_last_written, 0);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(parts_publish_nothing_and_leave_write_raised)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("unpublished", depth), reader = open_image("unpublished");
    int64_t atime_ns;

    write_frames(&image, 1, depth);
    for (uint32_t i = 0; i < depth; i++)
        expect_next(&reader, DAO_SUCCESS, i, i + 1);
    take_posts(&image);
    atime_ns = image.md[0].atime.tsfixed.secondlong;
    for (uint16_t id = 0; id < PACKETS; id++) {
        write_part(&image, depth + 1, id, 7);
        ck_assert_uint_eq(image.md[0].write, 1);
        ck_assert_uint_eq(image.md[0].cnt0, 1);
        ck_assert_int_eq(image.md[0].atime.tsfixed.secondlong, atime_ns);
        ck_assert_uint_eq(image.md[0].fifo_last_written, depth - 1);
        expect_semaphores(&image, 0);
        expect_newest(&image, depth - 1, depth);
        expect_no_next(&reader, DAO_NOTREADY);
    }
    finalize(&image);
    ck_assert_uint_eq(image.md[0].write, 0);
    ck_assert_int_gt(image.md[0].atime.tsfixed.secondlong, atime_ns);
    expect_semaphores(&image, 1);
    expect_newest(&image, 0, depth + 1);
    expect_next(&reader, DAO_SUCCESS, 0, depth + 1);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_reader_a_lap_behind_does_not_get_a_frame_half_written_over)
{
    IMAGE image = create("behind", 3), reader = open_image("behind");

    write_frames(&image, 1, 3);
    write_part(&image, 4, 2, 7); /* into frame 1 */
    expect_next(&reader, DAO_OVERWRITE, 2, 3);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- bounds ---- */

static void expect_no_part(IMAGE *image, void *part, uint32_t count, uint32_t position,
                           uint16_t packet_id, const char *word)
{
    struct memory before = remember(image);

    forget_messages();
    ck_assert_int_eq(daoShmImagePart2Shm(part, count, image, position, packet_id, 4, 1), DAO_ERROR);
    expect_message("daoShmImagePart2Shm: ");
    expect_message(word);
    expect_unchanged(before);
}

START_TEST(a_part_that_does_not_fit_changes_nothing)
{
    IMAGE image = create("bounds", 2);
    uint16_t part[9] = {0};

    write_frames(&image, 1, 3);
    take_posts(&image);
    expect_no_part(&image, part, 9, 0, 0, "9 from position 0, but the segment has 8");
    expect_no_part(&image, part, 2, 7, 0, "2 from position 7");
    expect_no_part(&image, part, 1, 8, 0, "1 from position 8");
    expect_no_part(&image, part, 0, 9, 0, "0 from position 9");
    expect_no_part(&image, part, 2, UINT32_MAX, 0, "2 from position 4294967295"); /* sum is 1 */
    expect_no_part(&image, part, UINT32_MAX, 2, 0, "4294967295 from position 2");
    expect_no_part(&image, part, 1, 0, 512, "packetId is 512, allowed are 0 to 511");
    expect_no_part(&image, part, 1, 0, UINT16_MAX, "packetId is 65535");
    expect_no_part(&image, NULL, 1, 0, 0, "im is NULL");
    expect_semaphores(&image, 0);
    daoShmCloseShm(&image);
}
END_TEST

/* ---- are all packets there? ---- */

START_TEST(a_frame_of_all_its_packets_is_whole)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("whole", depth), reader = open_image("whole");

    for (uint64_t cnt0 = 1; cnt0 <= 2 * depth + 1; cnt0++) {
        DAO_FRAME frame;

        write_parts(&image, cnt0, 100 + cnt0);
        finalize(&image);
        frame = copy_next(&reader, cnt0);
        ck_assert_uint_eq(frame.flags & ~DAO_FRAME_TORN, 0);
        ck_assert_uint_eq(frame.cnt2, 100 + cnt0);
    }
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(packets_may_come_in_any_order)
{
    static const uint16_t order[PACKETS] = {3, 0, 2, 1};
    IMAGE image = create("order", 3), reader = open_image("order");

    for (unsigned i = 0; i < PACKETS; i++)
        write_part(&image, 1, order[i], 55);
    finalize(&image);
    ck_assert_uint_eq(copy_next(&reader, 1).flags, 0);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_missing_packet_is_seen_whichever_it_is)
{
    uint16_t missing = (uint16_t)_i;
    IMAGE image = create("missing", 3), reader = open_image("missing");

    for (uint64_t cnt0 = 1; cnt0 <= 6; cnt0++) { /* also where the slot holds older packets */
        for (uint16_t id = 0; id < PACKETS; id++)
            if (id != missing || cnt0 % 3 != 2)
                write_part(&image, cnt0, id, 100 + cnt0);
        finalize(&image);
        ck_assert_uint_eq(copy_next(&reader, cnt0).flags, cnt0 % 3 == 2 ? DAO_FRAME_PARTIAL : 0);
    }
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_whole_frame_after_an_incomplete_one_in_its_slot_is_whole)
{
    IMAGE image = create("after", 3), reader = open_image("after");

    write_part(&image, 1, 0, 7);
    finalize(&image);
    ck_assert_uint_eq(copy_next(&reader, 1).flags, DAO_FRAME_PARTIAL);
    for (uint64_t cnt0 = 2; cnt0 <= 4; cnt0++) { /* the last of them in slot 0 */
        write_frames(&image, cnt0, cnt0);
        ck_assert_uint_eq(copy_next(&reader, cnt0).flags, 0);
    }
    ck_assert_uint_eq(image.md[0].packetTotal, 0);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_whole_frame_takes_the_place_of_one_that_was_never_finished)
{
    const DAO_FRAME stamp = {.cnt0 = 1};
    IMAGE image = create("never", 3), reader = open_image("never");
    uint16_t frame[8];

    write_part(&image, 1, 0, 7);
    ramp_fill(frame, _DATATYPE_UINT16, 1, 8);
    switch (_i) {
    case 0:
        ck_assert_int_eq(daoShmImage2Shm(frame, 8, &image), DAO_SUCCESS);
        break;
    case 1:
        ck_assert_int_eq(daoShmImage2ShmStamped(frame, 8, &image, &stamp), DAO_SUCCESS);
        break;
    default:
        ck_assert_int_eq(daoShmImage2ShmQuiet(frame, 8, &image), DAO_SUCCESS);
        finalize(&image);
    }
    ck_assert_uint_eq(copy_next(&reader, 1).flags, 0);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_sum_takes_the_place_of_one_that_was_never_finished)
{
    IMAGE channel = create("term", 1), image = create("sum", 3), reader = open_image("sum");
    IMAGE *cubes[] = {&channel};

    write_frames(&channel, 1, 1);
    write_part(&image, 1, 0, 7);
    ck_assert_int_eq(daoShmCombineShm2Shm(cubes, &image, 1, 8), DAO_SUCCESS);
    ck_assert_uint_eq(copy_next(&reader, 1).flags, 0);
    daoShmCloseShm(&channel);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(finalize_alone_publishes_what_the_slot_holds)
{
    IMAGE image = create("alone", 2);
    uint16_t expected[8];

    write_frames(&image, 1, 2);
    take_posts(&image);
    finalize(&image);
    ramp_fill(expected, _DATATYPE_UINT16, 1, 8);
    ck_assert_mem_eq(image.array.UI16, expected, sizeof expected);
    expect_newest(&image, 0, 3);
    expect_semaphores(&image, 1);
    daoShmCloseShm(&image);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_parts");
    TCase *tcase;

    tcase = api_add(suite, "one packet");
    tcase_add_test(tcase, a_part_goes_to_its_position_and_nowhere_else);
    tcase_add_loop_test(tcase, a_part_notes_what_it_is_in_the_metadata_of_the_next_slot, 0, DEPTHS);
    tcase_add_loop_test(tcase, parts_publish_nothing_and_leave_write_raised, 0, DEPTHS);
    tcase_add_test(tcase, a_reader_a_lap_behind_does_not_get_a_frame_half_written_over);
    tcase = api_add(suite, "bounds");
    tcase_add_test(tcase, a_part_that_does_not_fit_changes_nothing);
    tcase = api_add(suite, "are all packets there?");
    tcase_add_loop_test(tcase, a_frame_of_all_its_packets_is_whole, 0, DEPTHS);
    tcase_add_test(tcase, packets_may_come_in_any_order);
    tcase_add_loop_test(tcase, a_missing_packet_is_seen_whichever_it_is, 0, PACKETS);
    tcase_add_test(tcase, a_whole_frame_after_an_incomplete_one_in_its_slot_is_whole);
    tcase_add_loop_test(tcase, a_whole_frame_takes_the_place_of_one_that_was_never_finished, 0, 3);
    tcase_add_test(tcase, a_sum_takes_the_place_of_one_that_was_never_finished);
    tcase_add_test(tcase, finalize_alone_publishes_what_the_slot_holds);
    return testbed_run(suite);
}
