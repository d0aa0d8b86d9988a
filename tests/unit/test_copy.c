/*
 * test_copy.c - daoShmCopyNextSegment() and daoShmResetTailOldest(): order, what was lost and why,
 * to the frame, and what calls in between do to it.
 */
#include "tests/support/frozen.h"

#include <pthread.h>

/* The oldest frame that can be proven when frames 1 .. last were written at this depth. */
static uint64_t oldest_provable(uint32_t depth, uint64_t last)
{
    uint64_t provable = depth == 1 ? 1 : depth - 1;

    return last > provable ? last - provable + 1 : 1;
}

/* ---- frame after frame ---- */

START_TEST(frames_come_once_in_order_with_what_their_writer_said)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create_image("order", depth), reader = open_image("order");

    for (uint64_t cnt0 = 1; cnt0 <= 2 * depth + 3; cnt0++) {
        DAO_FRAME stamp = {.cnt0 = cnt0, .cnt1 = cnt0 + 7, .cnt2 = cnt0 * 3}, frame;
        uint16_t pixels[FRAME_ELEMENTS];

        stamp.atime_ns = testbed_time_ns += TESTBED_INTERVAL_NS;
        ramp_fill(pixels, _DATATYPE_UINT16, cnt0, FRAME_ELEMENTS);
        ck_assert_int_eq(daoShmImage2ShmStamped(pixels, FRAME_ELEMENTS, &writer, &stamp),
                         DAO_SUCCESS);
        frame = expect_copy(&reader, DAO_SUCCESS, cnt0, 0, 0);
        ck_assert_uint_eq(frame.slot, (cnt0 - 1) % depth);
        ck_assert_uint_eq(frame.cnt1, cnt0 + 7);
        ck_assert_uint_eq(frame.cnt2, cnt0 * 3);
        ck_assert_int_eq(frame.atime_ns, stamp.atime_ns);
        expect_no_copy(&reader, DAO_NOTREADY);
    }
    expect_silence();
    close_images(&writer, &reader);
}
END_TEST

START_TEST(a_frame_may_be_wanted_without_its_metadata)
{
    IMAGE writer = create_image("null", 3), reader = open_image("null");
    uint16_t pixels[FRAME_ELEMENTS];

    write_frames(&writer, 1, 1);
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, NULL), DAO_SUCCESS);
    expect_pixels(pixels, 1);
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, 1);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(a_buffer_below_a_frame_is_refused_and_one_above_keeps_its_rest)
{
    IMAGE writer = create_image("room", 3), reader = open_image("room");
    unsigned char pixels[FRAME_BYTES + 8], untouched[sizeof pixels];
    DAO_FRAME frame = {.cnt0 = 77};

    memset(pixels, 0x5a, sizeof pixels);
    memcpy(untouched, pixels, sizeof pixels);
    write_frames(&writer, 1, 1);
    for (uint64_t bytes = 0; bytes < FRAME_BYTES; bytes += 5) {
        forget_messages();
        ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, bytes, &frame), DAO_ERROR);
        ck_assert_mem_eq(pixels, untouched, sizeof pixels);
        ck_assert_uint_eq(frame.cnt0, 77);
        ck_assert_uint_eq(reader.fifo_last_read_cnt0, 0);
        ck_assert_ptr_nonnull(strstr(messages(), "a frame has 16"));
    }
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame), DAO_SUCCESS);
    expect_pixels(pixels, 1);
    ck_assert_mem_eq(pixels + FRAME_BYTES, untouched, 8);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(a_frame_with_packets_missing_is_partial_and_one_without_is_not)
{
    IMAGE writer = create_image("partial", 4), reader = open_image("partial");
    uint16_t frame[FRAME_ELEMENTS];

    for (uint64_t cnt0 = 1; cnt0 <= 4; cnt0++) {
        ramp_fill(frame, _DATATYPE_UINT16, cnt0, FRAME_ELEMENTS);
        if (cnt0 == 2) { /* packet 1 never came; its pixels are those that this slot had: zeros */
            ck_assert_int_eq(daoShmImage2ShmQuiet(frame, FRAME_ELEMENTS, &writer), DAO_SUCCESS);
        } else {
            ck_assert_int_eq(
                daoShmImagePart2Shm((char *)(frame + 4), 4, &writer, 4, 1, 2, 500 + cnt0),
                DAO_SUCCESS);
        }
        ck_assert_int_eq(daoShmImagePart2Shm((char *)frame, 4, &writer, 0, 0, 2, 500 + cnt0),
                         DAO_SUCCESS);
        ck_assert_int_eq(daoShmImagePart2ShmFinalize(&writer), DAO_SUCCESS);
        ck_assert_uint_eq(
            expect_copy(&reader, DAO_SUCCESS, cnt0, 0, cnt0 == 2 ? DAO_FRAME_PARTIAL : 0).cnt2,
            500 + cnt0);
    }
    close_images(&writer, &reader);
}
END_TEST

/* ---- laps ---- */

static void follow_after(uint32_t depth, uint64_t start, uint64_t last)
{
    uint64_t first = oldest_provable(depth, last);
    IMAGE writer = create_image("lap", depth), reader;

    field_frames(&writer, depth, 1, start);
    reader = open_image("lap");
    field_frames(&writer, depth, start + 1, last);
    if (first <= start + 1)
        expect_copy(&reader, DAO_SUCCESS, first = start + 1, 0, 0);
    else
        expect_copy(&reader, DAO_OVERWRITE, first, first - start - 1, DAO_FRAME_LAPPED);
    for (uint64_t cnt0 = first + 1; cnt0 <= last; cnt0++)
        expect_copy(&reader, DAO_SUCCESS, cnt0, 0, 0);
    expect_no_copy(&reader, DAO_NOTREADY);
    close_images(&writer, &reader);
}

START_TEST(after_a_lap_it_goes_on_at_the_oldest_provable_frame_and_says_what_was_lost)
{
    uint32_t depth = testbed_depths[_i];

    for (uint64_t ahead = 1; ahead < depth + 8; ahead++)
        if (ahead < 4 || ahead + 4 > depth)
            follow_after(depth, 5, 5 + ahead);
}
END_TEST

START_TEST(whatever_the_rhythm_taken_and_lost_add_up)
{
    uint32_t depth = testbed_depths[_i], random = 88172645u + depth;
    uint64_t written = 0, told = 0;
    IMAGE writer = create_image("rhythm", depth), reader = open_image("rhythm");

    for (int turn = 0; turn < 500; turn++) {
        uint16_t pixels[FRAME_ELEMENTS];
        DAO_FRAME frame;
        int status;

        random = random * 1664525u + 1013904223u;
        field_frames(&writer, depth, written + 1, written + (random >> 16) % (depth + 2));
        written += (random >> 16) % (depth + 2);
        for (uint32_t n = (random >> 8) % (depth + 3); n > 0; n--) {
            status = daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame);
            if (status == DAO_NOTREADY) {
                ck_assert_uint_eq(told, written);
                break;
            }
            ck_assert_int_eq(status, frame.lost ? DAO_OVERWRITE : DAO_SUCCESS);
            told += frame.lost + 1;
            ck_assert_uint_eq(frame.cnt0, told);
            expect_pixels(pixels, told);
        }
    }
    close_images(&writer, &reader);
}
END_TEST

START_TEST(a_jump_and_a_lap_are_told_apart)
{
    IMAGE writer = create_image("jump", 4), reader = open_image("jump");

    field_frames(&writer, 4, 1, 1);
    expect_copy(&reader, DAO_SUCCESS, 1, 0, 0);
    field_frames(&writer, 4, 50, 51);
    expect_copy(&reader, DAO_SUCCESS, 50, 48, DAO_FRAME_JUMPED);
    expect_copy(&reader, DAO_SUCCESS, 51, 0, 0);
    field_frames(&writer, 4, 52, 56);
    expect_copy(&reader, DAO_OVERWRITE, 54, 2, DAO_FRAME_LAPPED);
    expect_copy(&reader, DAO_SUCCESS, 55, 0, 0);
    expect_copy(&reader, DAO_SUCCESS, 56, 0, 0);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(at_depth_1_everything_between_two_looks_is_lapped)
{
    IMAGE writer = create_image("alone", 1), reader = open_image("alone");

    field_frames(&writer, 1, 1, 5);
    expect_copy(&reader, DAO_OVERWRITE, 5, 4, DAO_FRAME_LAPPED);
    field_frames(&writer, 1, 6, 6);
    expect_copy(&reader, DAO_SUCCESS, 6, 0, 0);
    field_frames(&writer, 1, 7, 7);
    field_write(&writer, 1, 8, FIELD_FILLED);
    expect_copy(&reader, DAO_SUCCESS, 7, 0, DAO_FRAME_TORN);
    field_stages(&writer, 0, 8, FIELD_CLEARED, FIELD_DONE);
    field_frames(&writer, 1, 9, 9);
    field_write(&writer, 1, 10, FIELD_BEGUN);
    expect_no_copy(&reader, DAO_NOTREADY); /* too late for 9, and too early for 10 */
    field_stages(&writer, 0, 10, FIELD_FILLED, FIELD_DONE);
    expect_copy(&reader, DAO_OVERWRITE, 10, 2, DAO_FRAME_LAPPED);
    close_images(&writer, &reader);
}
END_TEST

/* ---- restarts ---- */

/* Frames 1 .. 5 at depth 8, of which the reader takes 2 and sees all. */
static void begin_first_run(IMAGE *writer, IMAGE *reader)
{
    *writer = create_image("run", 8);
    *reader = open_image("run");
    field_frames(writer, 8, 1, 5);
    expect_copy(reader, DAO_SUCCESS, 1, 0, 0);
    expect_copy(reader, DAO_SUCCESS, 2, 0, 0);
}

START_TEST(a_restart_tells_what_the_old_run_is_known_to_have_published)
{
    IMAGE writer, reader, again;

    begin_first_run(&writer, &reader);
    again = create_image("run", 8);
    field_frames(&again, 8, 1, 2);
    expect_copy(&reader, DAO_OVERWRITE, 1, 3, DAO_FRAME_RESTART);
    expect_copy(&reader, DAO_SUCCESS, 2, 0, 0);
    expect_no_copy(&reader, DAO_NOTREADY);
    close_images(&writer, &again);
    close_images(&reader, NULL);
}
END_TEST

START_TEST(a_restart_seen_before_its_first_frame_is_told_with_that)
{
    IMAGE writer, reader, again;

    begin_first_run(&writer, &reader);
    again = create_image("run", 8);
    for (int i = 0; i < 3; i++)
        expect_no_copy(&reader, DAO_NOTREADY);
    field_frames(&again, 8, 1, 2);
    expect_copy(&reader, DAO_OVERWRITE, 1, 3, DAO_FRAME_RESTART);
    expect_copy(&reader, DAO_SUCCESS, 2, 0, 0);
    close_images(&writer, &again);
    close_images(&reader, NULL);
}
END_TEST

START_TEST(a_restart_after_another_adds_what_both_have_lost)
{
    bool first_is_seen = _i;
    IMAGE writer, reader, again;

    begin_first_run(&writer, &reader);
    again = create_image("run", 8);
    if (first_is_seen) {
        expect_no_copy(&reader, DAO_NOTREADY); /* before anything was published in it */
        field_frames(&again, 8, 1, 2);
    }
    daoShmCloseShm(&again);
    again = create_image("run", 8);
    expect_no_copy(&reader, DAO_NOTREADY);
    field_frames(&again, 8, 1, 1);
    expect_copy(&reader, DAO_OVERWRITE, 1, 3, DAO_FRAME_RESTART); /* nobody saw 1 and 2 */
    close_images(&writer, &again);
    close_images(&reader, NULL);
}
END_TEST

START_TEST(a_restart_that_has_lapped_already_is_both)
{
    IMAGE writer, reader, again;

    begin_first_run(&writer, &reader);
    again = create_image("run", 8);
    field_frames(&again, 8, 1, 20);
    expect_copy(&reader, DAO_OVERWRITE, 14, 3 + 13, DAO_FRAME_RESTART | DAO_FRAME_LAPPED);
    for (uint64_t cnt0 = 15; cnt0 <= 20; cnt0++)
        expect_copy(&reader, DAO_SUCCESS, cnt0, 0, 0);
    close_images(&writer, &again);
    close_images(&reader, NULL);
}
END_TEST

/* A writer that is started anew upon the segment as it is. */
START_TEST(a_count_that_goes_back_is_a_restart)
{
    IMAGE writer, reader;

    begin_first_run(&writer, &reader);
    for (uint64_t cnt0 = 3; cnt0 <= 5; cnt0++)
        expect_copy(&reader, DAO_SUCCESS, cnt0, 0, 0);
    expect_no_copy(&reader, DAO_NOTREADY);
    field_frames(&writer, 8, 1, 3);
    expect_copy(&reader, DAO_OVERWRITE, 1, 0, DAO_FRAME_RESTART);
    expect_copy(&reader, DAO_SUCCESS, 2, 0, 0);
    expect_copy(&reader, DAO_SUCCESS, 3, 0, 0);
    expect_no_copy(&reader, DAO_NOTREADY);
    close_images(&writer, &reader);
}
END_TEST

/* ---- other calls in between ---- */

START_TEST(a_tail_moved_by_other_calls_is_where_it_goes_on)
{
    IMAGE writer = create_image("mixed", 8), reader = open_image("mixed");
    uint64_t cnt0;
    void *pixels;

    field_frames(&writer, 8, 1, 5);
    expect_copy(&reader, DAO_SUCCESS, 1, 0, 0);
    expect_next(&reader, DAO_SUCCESS, 1, 2);
    expect_copy(&reader, DAO_SUCCESS, 3, 0, 0);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNewestSegment(&reader, &pixels, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 5);
    expect_no_copy(&reader, DAO_NOTREADY);
    field_frames(&writer, 8, 6, 6);
    expect_copy(&reader, DAO_SUCCESS, 6, 0, 0); /* who skips knows what he skips */
    ck_assert_int_eq(daoShmResetTailOldest(&reader, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 1);
    for (cnt0 = 1; cnt0 <= 6; cnt0++)
        expect_copy(&reader, DAO_SUCCESS, cnt0, 0, 0);
    field_frames(&writer, 8, 7, 14); /* 14 comes into the slot of 6 */
    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_SUCCESS);
    field_frames(&writer, 8, 15, 15);
    expect_copy(&reader, DAO_SUCCESS, 15, 0, 0);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(a_restart_that_another_call_has_told_is_not_told_again)
{
    IMAGE writer, reader, again;

    begin_first_run(&writer, &reader);
    again = create_image("run", 8);
    field_frames(&again, 8, 1, 1);
    expect_next(&reader, DAO_OVERWRITE, 0, 1);
    field_frames(&again, 8, 2, 2);
    expect_copy(&reader, DAO_SUCCESS, 2, 0, 0);
    close_images(&writer, &again);
    close_images(&reader, NULL);
}
END_TEST

START_TEST(two_copies_of_an_image_each_get_every_frame)
{
    IMAGE writer = create_image("two", 8), one = open_image("two"), other = one;

    for (uint64_t cnt0 = 1; cnt0 <= 20; cnt0++) {
        field_frames(&writer, 8, cnt0, cnt0);
        expect_copy(&one, DAO_SUCCESS, cnt0, 0, 0);
        if (cnt0 % 4 == 0)
            for (uint64_t own = cnt0 - 3; own <= cnt0; own++)
                expect_copy(&other, DAO_SUCCESS, own, 0, 0);
    }
    field_frames(&writer, 8, 21, 40);
    expect_copy(&one, DAO_OVERWRITE, 34, 13, DAO_FRAME_LAPPED);
    expect_copy(&other, DAO_OVERWRITE, 34, 13, DAO_FRAME_LAPPED);
    close_images(&writer, &one);
}
END_TEST

/* ---- waiting for what is copied ---- */

static void *write_at_a_cadence(void *arg)
{
    struct timespec rest = {.tv_nsec = 5000000};

    for (uint64_t cnt0 = 1; cnt0 <= 40; cnt0++) {
        uint16_t frame[FRAME_ELEMENTS];

        nanosleep(&rest, NULL);
        ramp_fill(frame, _DATATYPE_UINT16, cnt0, FRAME_ELEMENTS);
        daoShmImage2Shm(frame, FRAME_ELEMENTS, arg);
    }
    return NULL;
}

/* How many of 40 frames were taken, and how many of them called torn. */
static void wait_and_copy(uint32_t depth, bool by_counter, unsigned *taken, unsigned *torn)
{
    IMAGE writer = create_image("waited", depth), reader = open_image("waited");
    pthread_t thread;

    *taken = *torn = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_at_a_cadence, &writer), 0);
    while (reader.fifo_last_read_cnt0 < 40) {
        uint64_t next = reader.fifo_last_read_cnt0 + 1;
        uint16_t pixels[FRAME_ELEMENTS];
        DAO_FRAME frame;
        int status;

        ck_assert_int_eq(by_counter ? daoShmWaitForTargetCounter(&reader, next)
                                    : daoShmWaitForNextSegment(&reader),
                         DAO_SUCCESS);
        status = daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame);
        ck_assert_int_ne(status, DAO_ERROR);
        if (status == DAO_NOTREADY)
            continue; /* lapped on a busy machine, and overwritten again under the copy */
        *torn += (frame.flags & DAO_FRAME_TORN) != 0;
        ++*taken;
    }
    pthread_join(thread, NULL);
    close_images(&writer, &reader);
}

/*
 * At depth 1 a copy made late is suspect, and one that was waited for is not late. But on a busy
 * machine this thread is late indeed, and then misses frames too: that says nothing.
 */
START_TEST(what_was_waited_for_is_copied_and_whole)
{
    uint32_t depth = _i / 2 ? 4 : 1;
    unsigned taken, torn;

    for (int chances = 4; chances >= 0; chances--) {
        wait_and_copy(depth, _i % 2, &taken, &torn);
        if (depth > 1)
            ck_assert_uint_eq(torn, 0);
        if (torn <= taken / 2)
            return;
    }
    ck_assert_msg(taken < 30, "%u of %u torn", torn, taken);
}
END_TEST

/* ---- daoShmResetTailOldest ---- */

static void expect_oldest(uint32_t depth, uint64_t last)
{
    uint64_t first = oldest_provable(depth, last), cnt0 = 99;
    IMAGE writer = create_image("oldest", depth), reader;
    uint32_t idx = 99;

    field_frames(&writer, depth, 1, last);
    reader = open_image("oldest");
    ck_assert_int_eq(daoShmResetTailOldest(&reader, &idx, &cnt0), DAO_SUCCESS);
    if (last == 0) {
        ck_assert_uint_eq(cnt0, 0);
        ck_assert_uint_eq(idx, depth - 1);
        expect_no_copy(&reader, DAO_NOTREADY);
    } else {
        ck_assert_uint_eq(cnt0, first);
        ck_assert_uint_eq(idx, (first - 1) % depth);
        for (cnt0 = first; cnt0 <= last; cnt0++)
            expect_copy(&reader, DAO_SUCCESS, cnt0, 0, 0);
    }
    ck_assert_int_eq(daoShmResetTailOldest(&reader, NULL, NULL), DAO_SUCCESS);
    close_images(&writer, &reader);
}

START_TEST(the_oldest_is_the_next_to_be_copied)
{
    uint32_t depth = testbed_depths[_i];

    for (uint64_t last = 0; last < depth + 6; last++)
        if (last < 4 || last + 4 > depth)
            expect_oldest(depth, last);
}
END_TEST

START_TEST(the_oldest_is_of_the_run_that_there_is)
{
    uint32_t idx;
    uint64_t cnt0;
    IMAGE writer, reader, again;

    begin_first_run(&writer, &reader);
    field_frames(&writer, 8, 6, 20);
    field_frames(&writer, 8, 1, 3); /* counts go back */
    ck_assert_int_eq(daoShmResetTailOldest(&reader, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 1);
    ck_assert_uint_eq(idx, 4);
    expect_copy(&reader, DAO_SUCCESS, 1, 0, 0);
    again = create_image("run", 8); /* another creation_time, nothing in it */
    ck_assert_int_eq(daoShmResetTailOldest(&reader, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 0);
    ck_assert_uint_eq(idx, 7);
    field_frames(&again, 8, 1, 1);
    expect_copy(&reader, DAO_SUCCESS, 1, 0, 0);
    close_images(&writer, &again);
    close_images(&reader, NULL);
}
END_TEST

START_TEST(the_oldest_may_have_come_before_a_jump)
{
    uint32_t idx;
    uint64_t cnt0;
    IMAGE writer = create_image("jump", 8), reader = open_image("jump");

    field_frames(&writer, 8, 5, 6);
    field_frames(&writer, 8, 90, 90);
    ck_assert_int_eq(daoShmResetTailOldest(&reader, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 5);
    ck_assert_uint_eq(idx, 0);
    expect_copy(&reader, DAO_SUCCESS, 5, 0, 0);
    expect_copy(&reader, DAO_SUCCESS, 6, 0, 0);
    expect_copy(&reader, DAO_SUCCESS, 90, 83, DAO_FRAME_JUMPED);
    close_images(&writer, &reader);
}
END_TEST

/* ---- */

static void add_frames(TCase *all)
{
    tcase_add_loop_test(all, frames_come_once_in_order_with_what_their_writer_said, 0, DEPTHS);
    tcase_add_test(all, a_frame_may_be_wanted_without_its_metadata);
    tcase_add_test(all, a_buffer_below_a_frame_is_refused_and_one_above_keeps_its_rest);
    tcase_add_test(all, a_frame_with_packets_missing_is_partial_and_one_without_is_not);
    tcase_add_loop_test(
        all, after_a_lap_it_goes_on_at_the_oldest_provable_frame_and_says_what_was_lost, 0, DEPTHS);
    tcase_add_loop_test(all, whatever_the_rhythm_taken_and_lost_add_up, 0, DEPTHS);
    tcase_add_test(all, a_jump_and_a_lap_are_told_apart);
    tcase_add_test(all, at_depth_1_everything_between_two_looks_is_lapped);
}

int main(void)
{
    Suite *suite = suite_create("copy");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, catch_output, release_output);
    add_frames(all);
    tcase_add_test(all, a_restart_tells_what_the_old_run_is_known_to_have_published);
    tcase_add_test(all, a_restart_seen_before_its_first_frame_is_told_with_that);
    tcase_add_loop_test(all, a_restart_after_another_adds_what_both_have_lost, 0, 2);
    tcase_add_test(all, a_restart_that_has_lapped_already_is_both);
    tcase_add_test(all, a_count_that_goes_back_is_a_restart);
    tcase_add_test(all, a_tail_moved_by_other_calls_is_where_it_goes_on);
    tcase_add_test(all, a_restart_that_another_call_has_told_is_not_told_again);
    tcase_add_test(all, two_copies_of_an_image_each_get_every_frame);
    tcase_add_loop_test(all, what_was_waited_for_is_copied_and_whole, 0, 4);
    tcase_add_loop_test(all, the_oldest_is_the_next_to_be_copied, 0, DEPTHS);
    tcase_add_test(all, the_oldest_is_of_the_run_that_there_is);
    tcase_add_test(all, the_oldest_may_have_come_before_a_jump);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
