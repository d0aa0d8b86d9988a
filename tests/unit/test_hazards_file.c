/*
 * test_hazards_file.c - what foreign programs do to a segment as a whole, through dao.h: hazards 5
 * and 6 of the table in tests/README.md: death, restarts, truncation in place.
 */
#include "tests/support/frozen.h"

/* ---- hazard 5: a writer dies, and begins again ---- */

static void expect_nothing_for_now(IMAGE *reader, IMAGE *copier, uint64_t newest)
{
    struct timespec past = {0, 0};

    expect_no_next(reader, DAO_NOTREADY);
    expect_no_copy(copier, DAO_NOTREADY);
    ck_assert_int_eq(daoShmWaitForNextSegmentUntil(reader, &past), DAO_TIMEOUT);
    ck_assert_uint_eq(daoShmGetCounter(reader), newest);
}

START_TEST(hazard_5_a_writer_dead_in_mid_frame_blocks_nobody_and_its_successor_goes_on)
{
    enum field_stage died_at = (enum field_stage)(_i % 3); /* its successor begins the frame anew */
    uint32_t depth = testbed_depths[_i / 3], slot;
    IMAGE writer = create_image("h5", depth), reader = open_image("h5"), copier = reader;
    struct timespec past = {0, 0};

    field_frames(&writer, depth, 1, depth + 1);
    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_SUCCESS);
    copier = reader;
    slot = field_write(&writer, depth, depth + 2, died_at);
    expect_nothing_for_now(&reader, &copier, depth + 1);
    ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&reader, depth + 2, &past), DAO_TIMEOUT);
    field_frames(&writer, depth, depth + 2, depth + 2);
    expect_next(&reader, DAO_SUCCESS, slot, depth + 2);
    expect_copy(&copier, DAO_SUCCESS, depth + 2, 0, 0);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(hazard_5_a_writer_that_begins_again_at_0_is_an_overwrite_once)
{
    static const uint32_t depth = 3; /* that of shape_same */
    enum field_stage died_at = (enum field_stage)_i;
    IMAGE writer = create_image("h5", depth), reader = open_image("h5");
    IMAGE copier = open_image("h5");

    field_frames(&writer, depth, 1, 2);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    expect_next(&reader, DAO_SUCCESS, 1, 2);
    expect_copy(&copier, DAO_SUCCESS, 1, 0, 0);
    field_write(&writer, depth, 3, died_at);
    foreign_restart("h5", &shape_same);
    field_frames(&writer, depth, 1, 1);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    expect_next(&reader, DAO_OVERWRITE, 0, 1);
    expect_no_next(&reader, DAO_NOTREADY);
    /* 2 was seen to be there; 3 too, if it was */
    expect_copy(&copier, DAO_OVERWRITE, 1, 1, DAO_FRAME_RESTART);
    expect_no_copy(&copier, DAO_NOTREADY);
    field_frames(&writer, depth, 2, 2);
    expect_next(&reader, DAO_SUCCESS, 1, 2);
    expect_copy(&copier, DAO_SUCCESS, 2, 0, 0);
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

START_TEST(hazard_5_a_writer_that_begins_again_with_another_shape_is_an_error_until_opened)
{
    static const struct foreign_shape *const shapes[] = {&shape_turned, &shape_larger};
    IMAGE writer = create_image("h5", 3), reader = open_image("h5");
    uint64_t cnt0;
    void *pixels;

    field_frames(&writer, 3, 1, 2);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    foreign_restart("h5", shapes[_i]);
    expect_no_next(&reader, DAO_ERROR);
    expect_no_copy(&reader, DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForNextSegment(&reader), DAO_ERROR);
    close_images(&reader, &writer);
    reader = open_image("h5");
    ck_assert_uint_eq(reader.md[0].size[0], shapes[_i]->size[0]);
    ck_assert_int_eq(daoShmGetNewestSegment(&reader, &pixels, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 0);
    close_images(&reader, NULL);
}
END_TEST

/* ---- hazard 6: the file is truncated in place and grown again ---- */

/* How far the foreign program has come. */
enum remake { CUT, GROWN, SHAPED, TIMED, FIRST_FRAME };

static void remake_until(const char *name, IMAGE *writer, enum remake stage)
{
    foreign_resize(name, 0);
    if (stage >= GROWN)
        foreign_resize(name, foreign_bytes(&shape_same));
    if (stage >= SHAPED)
        foreign_fill_header(name, &shape_same);
    if (stage >= TIMED)
        foreign_fill_time(name, &shape_same);
    if (stage >= FIRST_FRAME)
        field_frames(writer, 3, 1, 1);
}

/* The first look falls into each stage in turn; later looks into the one that follows. */
START_TEST(hazard_6_a_reader_sees_a_file_remade_in_place_as_a_restart)
{
    enum remake stage = (enum remake)_i;
    IMAGE writer = create_image("h6", 3), reader = open_image("h6"), copier = open_image("h6");

    field_frames(&writer, 3, 1, 2);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    expect_copy(&copier, DAO_SUCCESS, 1, 0, 0);
    remake_until("h6", &writer, stage);
    if (stage == GROWN || stage == SHAPED) { /* zeros: who knows what it will become */
        for (int i = 0; i < 3; i++) {
            expect_no_next(&reader, DAO_NOTREADY);
            expect_no_copy(&copier, DAO_NOTREADY);
        }
        if (stage == GROWN)
            foreign_fill_header("h6", &shape_same);
        foreign_fill_time("h6", &shape_same);
    }
    if (stage < FIRST_FRAME) {
        expect_no_copy(&copier, DAO_NOTREADY);
        expect_next(&reader, DAO_OVERWRITE, 2, 0);
        field_frames(&writer, 3, 1, 1);
        expect_next(&reader, DAO_SUCCESS, 0, 1);
    } else {
        expect_next(&reader, DAO_OVERWRITE, 0, 1);
    }
    expect_copy(&copier, DAO_OVERWRITE, 1, 1, DAO_FRAME_RESTART); /* the old 2 */
    expect_no_next(&reader, DAO_NOTREADY);
    expect_silence();
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

START_TEST(hazard_6_who_looks_while_the_file_is_short_has_lost_it_until_opened)
{
    off_t length = (off_t[]){0, 100, 4304, 12959}[_i];
    IMAGE writer = create_image("h6", 3), reader = open_image("h6");
    void *pixels;

    field_frames(&writer, 3, 1, 2);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, NULL), DAO_SUCCESS);
    foreign_resize("h6", length);
    ck_assert_uint_le(((volatile uint16_t *)pixels)[7], 9); /* 0 where pages are gone */
    expect_no_next(&reader, DAO_ERROR);
    expect_no_copy(&reader, DAO_ERROR);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForNextSegment(&reader), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForCounter(&reader), DAO_ERROR);
    ck_assert_uint_eq(daoShmGetCounter(&reader), 0);
    close_images(&reader, &writer);
    ck_assert_int_eq(daoShmShm2Img(testbed_path("h6"), &reader), DAO_ERROR);
    foreign_restart("h6", &shape_same);
    reader = open_image("h6");
    writer = open_image("h6");
    field_frames(&writer, 3, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(hazard_6_pages_that_are_gone_stay_gone_when_the_file_is_whole_again)
{
    IMAGE writer = create_image("h6", 3), reader = open_image("h6");

    field_frames(&writer, 3, 1, 2);
    foreign_resize("h6", 0);
    expect_no_next(&reader, DAO_ERROR);
    foreign_restart("h6", &shape_same);
    field_frames(&writer, 3, 1, 1); /* its pages were not touched meanwhile */
    expect_no_next(&reader, DAO_ERROR);
    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_ERROR);
    close_images(&reader, NULL);
    reader = open_image("h6");
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, 1);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(hazard_6_a_segment_in_the_making_is_not_opened_or_read_from_its_first_frame_on)
{
    enum remake stage = (enum remake)(_i % 3);
    bool by_copy = _i / 3;
    IMAGE writer = create_image("h6", 3), reader;

    remake_until("h6", &writer, stage);
    if (stage < SHAPED) {
        ck_assert_int_eq(daoShmShm2Img(testbed_path("h6"), &reader), DAO_ERROR);
        ck_assert_ptr_null(reader.md);
        close_images(&writer, NULL);
        return;
    }
    reader = open_image("h6"); /* complete but for the time: no reader can tell */
    if (by_copy)
        expect_no_copy(&reader, DAO_NOTREADY);
    else
        expect_no_next(&reader, DAO_NOTREADY);
    foreign_fill_time("h6", &shape_same);
    for (uint64_t cnt0 = 1; cnt0 <= 4; cnt0++) {
        field_frames(&writer, 3, cnt0, cnt0);
        if (by_copy)
            expect_copy(&reader, DAO_SUCCESS, cnt0, 0, 0);
        else
            expect_next(&reader, DAO_SUCCESS, (uint32_t)(cnt0 - 1) % 3, cnt0);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    }
    close_images(&writer, &reader);
}
END_TEST

/* ---- */

static void add_ends(TCase *all)
{
    tcase_add_loop_test(all,
                        hazard_5_a_writer_dead_in_mid_frame_blocks_nobody_and_its_successor_goes_on,
                        0, 3 * DEPTHS);
    tcase_add_loop_test(all, hazard_5_a_writer_that_begins_again_at_0_is_an_overwrite_once, 0,
                        FIELD_DONE);
    tcase_add_loop_test(
        all, hazard_5_a_writer_that_begins_again_with_another_shape_is_an_error_until_opened, 0, 2);
    tcase_add_loop_test(all, hazard_6_a_reader_sees_a_file_remade_in_place_as_a_restart, GROWN,
                        FIRST_FRAME + 1);
    tcase_add_loop_test(all, hazard_6_who_looks_while_the_file_is_short_has_lost_it_until_opened, 0,
                        4);
    tcase_add_test(all, hazard_6_pages_that_are_gone_stay_gone_when_the_file_is_whole_again);
    tcase_add_loop_test(
        all, hazard_6_a_segment_in_the_making_is_not_opened_or_read_from_its_first_frame_on, 0, 6);
}

int main(void)
{
    Suite *suite = suite_create("hazards: the file");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, catch_output, release_output);
    add_ends(all);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
