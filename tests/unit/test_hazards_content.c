/*
 * test_hazards_content.c - what is in a segment and not to be relied on, through dao.h: hazards 7
 * to 11 of the table in tests/README.md: damaged metadata, disks, clocks, counts, single axes.
 */
#include "tests/support/frozen.h"

#include <linux/magic.h>
#include <sys/vfs.h>

/* ---- hazard 7: metadata that packet id 512 has gone over ---- */

/* What it leaves: the frame's number over fifo_size and fifo_last_written. */
static const struct {
    uint32_t fifo_size, fifo_last_written;
} damages[] = {
    {0, 0},          {4711, 0},       {3, 4},          {4, 4},
    {0xffffffff, 0}, {4, 0xffffffff}, {0, 0xffffffff}, {0xffffffff, 0xffffffff},
};
#define DAMAGES (int)(sizeof damages / sizeof damages[0])

static void expect_one_of(int status, int a, int b)
{
    ck_assert_msg(status == a || status == b, "status %d instead of %d or %d", status, a, b);
}

START_TEST(hazard_7_overwritten_fifo_fields_mislead_nobody_and_are_over_when_they_are)
{
    const uint32_t depth = 4;
    IMAGE writer = create_image("h7", depth), reader = open_image("h7"), copier;
    IMAGE other = open_image("h7");
    struct timespec past = {0, 0};
    uint16_t frame[FRAME_ELEMENTS] = {0};
    void *pixels;
    uint32_t idx;
    uint64_t cnt0;

    field_frames(&writer, depth, 1, 6);
    expect_newest(&reader, 1, 6);
    copier = reader;
    writer.md[0].fifo_size = damages[_i].fifo_size;
    writer.md[0].fifo_last_written = damages[_i].fifo_last_written;
    expect_no_next(&reader, DAO_NOTREADY);
    expect_no_copy(&copier, DAO_NOTREADY);
    ck_assert_int_eq(daoShmWaitForNextSegmentUntil(&reader, &past), DAO_TIMEOUT);
    ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&reader, 7, &past), DAO_TIMEOUT);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    ck_assert_uint_eq(daoShmGetCounter(&reader), 6);
    ck_assert_int_eq(daoShmGetNewestSegment(&other, &pixels, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 6);
    expect_pixels(pixels, 6);
    ck_assert_int_eq(daoShmGetArbitrarySegment(&other, &pixels, 0xffffffff), DAO_SUCCESS);
    ck_assert_ptr_eq(pixels, other.array.UI16 + 3 * FRAME_ELEMENTS);
    expect_one_of(daoShmResetTailOldest(&other, NULL, NULL), DAO_SUCCESS, DAO_ERROR);
    if (damages[_i].fifo_last_written >= depth)
        ck_assert_int_eq(daoShmImage2Shm(frame, FRAME_ELEMENTS, &other), DAO_ERROR);
    writer.md[0].fifo_size = depth;
    writer.md[0].fifo_last_written = 1;
    field_frames(&writer, depth, 7, 7);
    expect_next(&reader, DAO_SUCCESS, 2, 7);
    expect_copy(&copier, DAO_SUCCESS, 7, 0, 0);
    close_images(&writer, &reader);
    close_images(&other, NULL);
}
END_TEST

START_TEST(hazard_7_a_damaged_segment_is_not_opened_but_explained)
{
    IMAGE writer = create_image("h7", 4), reader;

    writer.md[0].fifo_size = 4711;
    ck_assert_int_eq(daoShmShm2Img(testbed_path("h7"), &reader), DAO_ERROR);
    ck_assert_ptr_nonnull(strstr(messages(), "4711"));
    writer.md[0].fifo_size = 4;
    writer.md[0].fifo_last_written = 0xffffffff;
    ck_assert_int_eq(daoShmShm2Img(testbed_path("h7"), &reader), DAO_ERROR);
    close_images(&writer, NULL);
}
END_TEST

/* All the rest of the metadata, one field after the other, overwritten with the worst. */
START_TEST(hazard_7_no_field_of_the_metadata_leads_out_of_the_segment)
{
    static const unsigned char garbage[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    IMAGE writer = create_image("h7", 4), reader = open_image("h7");
    IMAGE_METADATA saved;
    struct timespec past = {0, 0};

    field_frames(&writer, 4, 1, 6);
    memcpy(&saved, writer.md, sizeof saved);
    for (size_t at = 0; at < sizeof saved; at += at < 200 || at >= 4288 ? 4 : 256) {
        for (unsigned i = 0; i < sizeof garbage; i++) {
            uint16_t pixels[FRAME_ELEMENTS];
            void *ptr = pixels;
            DAO_FRAME frame;

            memset((char *)writer.md + at, garbage[i], 4);
            for (int turn = 0; turn < 2; turn++) {
                daoShmGetNextSegment(&reader, &ptr, NULL, NULL);
                ck_assert_uint_eq(((uint16_t *)ptr)[0], ((volatile uint16_t *)ptr)[0]);
                daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame);
                daoShmCheckSegmentOverwrite(&reader);
                daoShmGetNewestSegment(&reader, &ptr, NULL, NULL);
                daoShmWaitForNextSegmentUntil(&reader, &past);
                daoShmWaitForTargetCounterUntil(&reader, 99, &past);
                daoShmResetTailOldest(&reader, NULL, NULL);
                daoShmGetCounter(&reader);
                ck_assert_uint_lt(reader.fifo_last_read, 4);
            }
            memcpy(writer.md, &saved, sizeof saved);
        }
    }
    expect_newest(&reader, 1, 6);
    field_frames(&writer, 4, 7, 7);
    expect_next(&reader, DAO_SUCCESS, 2, 7);
    close_images(&writer, &reader);
}
END_TEST

/* ---- hazard 8: segments on a disk ---- */

static bool is_on_disk(const char *dir)
{
    struct statfs fs;

    return statfs(dir, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC &&
           fs.f_type != HUGETLBFS_MAGIC;
}

static int create_in(const char *dir, char *path, size_t path_bytes)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    snprintf(path, path_bytes, "%s/%s_h8.im.shm", dir, testbed_prefix);
    forget_messages();
    if (daoShmImageCreate_FIFO(&image, path, 2, size, _DATATYPE_UINT16, 1, 0, 2) != DAO_SUCCESS)
        return -1;
    unlink(path);
    return daoShmCloseShm(&image);
}

START_TEST(hazard_8_a_segment_on_a_disk_is_told_at_the_info_level)
{
    const char *build = getenv("BUILD");
    const char *dirs[] = {testbed_dir, build ? build : "build", "."};
    bool found = false;
    char path[600];

    for (unsigned i = 0; i < 3 && !found; i++) {
        if (!is_on_disk(dirs[i]) || create_in(dirs[i], path, sizeof path) < 0)
            continue;
        found = true;
        expect_silence();
        daoSetLogLevel(DAO_INFO);
        ck_assert_int_eq(create_in(dirs[i], path, sizeof path), DAO_SUCCESS);
        ck_assert_ptr_nonnull(strstr(messages(), "[info] daoShmImageCreate_FIFO: "));
        ck_assert_ptr_nonnull(strstr(messages(), path));
        ck_assert_ptr_nonnull(strstr(messages(), "disk"));
        daoSetLogLevel(DAO_WARNING);
    }
    release_output();
    if (!found)
        printf("note: no directory on a disk here: the message of hazard 8 was not seen\n");
    catch_output();
}
END_TEST

START_TEST(hazard_8_a_segment_in_memory_is_no_news)
{
    char path[600];

    if (is_on_disk("/dev/shm"))
        return;
    daoSetLogLevel(DAO_INFO);
    ck_assert_int_eq(create_in("/dev/shm", path, sizeof path), DAO_SUCCESS);
    expect_silence();
}
END_TEST

/* ---- hazard 9: atime comes from a clock that is stepped ---- */

static const struct {
    int64_t first, second; /* as in the segment */
    int64_t ns;            /* as daoShmCopyNextSegment() tells it; 0: not known */
} times[] = {
    {0, 1700000000000000000, 1700000000000000000},
    {0, 1600000000000000000, 1600000000000000000}, /* years back */
    {0, 1600000000000000001, 1600000000000000001},
    {0, 0, 0},
    {0, 4000000000000000000, 4000000000000000000},
    {1700000000, 123456789, 1700000000123456789}, /* a program filled ts */
    {1700000000, 1000000000, 0},
    {1700000000, -1, 0},
    {INT64_MAX, 0, 0},
    {INT64_MIN, 999999999, 0},
    {0, 1700000000000000001, 1700000000000000001},
};
#define TIMES (sizeof times / sizeof times[0])

START_TEST(hazard_9_frames_come_whatever_their_times_say)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create_image("h9", depth), reader = open_image("h9"), copier = open_image("h9");

    for (unsigned i = 0; i < TIMES; i++) {
        uint32_t slot = field_write(&writer, depth, i + 1, FIELD_LED);
        DAO_FRAME frame;

        writer.md[slot].atime.tsfixed.firstlong = times[i].first;
        writer.md[slot].atime.tsfixed.secondlong = times[i].second;
        field_store(&writer, slot, i + 1, FIELD_DONE);
        expect_next(&reader, DAO_SUCCESS, slot, i + 1);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
        if (depth == 1) { /* times only a nanosecond apart make it look late: torn, but given */
            uint16_t pixels[FRAME_ELEMENTS];

            ck_assert_int_eq(daoShmCopyNextSegment(&copier, pixels, sizeof pixels, &frame),
                             DAO_SUCCESS);
            ck_assert_uint_eq(frame.cnt0, i + 1);
            expect_pixels(pixels, i + 1);
        } else {
            frame = expect_copy(&copier, DAO_SUCCESS, i + 1, 0, 0);
        }
        ck_assert_int_eq(frame.atime_ns, times[i].ns);
    }
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

START_TEST(hazard_9_a_clock_set_back_is_no_restart_for_a_reader_that_was_lapped)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create_image("h9", depth), reader = open_image("h9"), copier = open_image("h9");
    uint64_t last = 3 * depth + 1, first = depth < 3 ? last : last + 2 - depth;

    field_frames(&writer, depth, 1, last - 1);
    testbed_time_ns -= 1000 * TESTBED_INTERVAL_NS;
    field_frames(&writer, depth, last, last);
    expect_next(&reader, DAO_OVERWRITE, (uint32_t)((last - 1) % depth), last);
    expect_copy(&copier, DAO_OVERWRITE, first, first - 1, DAO_FRAME_LAPPED);
    for (uint64_t cnt0 = first + 1; cnt0 <= last; cnt0++)
        expect_copy(&copier, DAO_SUCCESS, cnt0, 0, 0);
    expect_no_next(&reader, DAO_NOTREADY);
    expect_no_copy(&copier, DAO_NOTREADY);
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

/* ---- hazard 10: counts jump ---- */

START_TEST(hazard_10_a_source_that_skips_counts_loses_no_frame_and_is_no_overwrite)
{
    static const uint64_t counts[] = {1, 2, 100, 101, 5000000, 5000001, 2000000000, 2000000001};
    uint32_t depth = testbed_depths[_i + 1];
    IMAGE writer = create_image("h10", depth), reader = open_image("h10");
    IMAGE copier = open_image("h10");
    struct timespec past = {0, 0};
    uint64_t before = 0;

    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint64_t skipped = counts[i] - before - 1;
        uint32_t slot = field_write(&writer, depth, counts[i], FIELD_DONE);

        ck_assert_int_eq(daoShmWaitForNextSegmentUntil(&reader, &past), DAO_SUCCESS);
        ck_assert_int_eq(daoShmWaitForTargetCounterUntil(&reader, before + 1, &past), DAO_SUCCESS);
        ck_assert_uint_eq(daoShmGetCounter(&reader), counts[i]);
        expect_next(&reader, DAO_SUCCESS, slot, counts[i]);
        expect_copy(&copier, DAO_SUCCESS, counts[i], skipped, skipped ? DAO_FRAME_JUMPED : 0);
        before = counts[i];
    }
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

START_TEST(hazard_10_a_jump_beyond_2_to_the_31_is_a_restart)
{
    IMAGE writer = create_image("h10", 4), reader = open_image("h10"), copier = open_image("h10");
    uint64_t far = 1ull << 40;

    field_frames(&writer, 4, 1, 2);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    expect_next(&reader, DAO_SUCCESS, 1, 2);
    expect_copy(&copier, DAO_SUCCESS, 1, 0, 0);
    expect_copy(&copier, DAO_SUCCESS, 2, 0, 0);
    field_frames(&writer, 4, far, far + 1);
    expect_next(&reader, DAO_OVERWRITE, 3, far + 1);
    expect_copy(&copier, DAO_OVERWRITE, far, 0, DAO_FRAME_RESTART);
    expect_copy(&copier, DAO_SUCCESS, far + 1, 0, 0);
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

START_TEST(hazard_10_our_own_writer_can_jump_too)
{
    IMAGE writer = create_image("h10", 4), copier = open_image("h10");
    DAO_FRAME stamp = {.cnt0 = 70};
    uint16_t frame[FRAME_ELEMENTS];

    write_frames(&writer, 1, 1);
    expect_copy(&copier, DAO_SUCCESS, 1, 0, 0);
    ramp_fill(frame, _DATATYPE_UINT16, 70, FRAME_ELEMENTS);
    ck_assert_int_eq(daoShmImage2ShmStamped(frame, FRAME_ELEMENTS, &writer, &stamp), DAO_SUCCESS);
    write_frames(&writer, 71, 71);
    expect_copy(&copier, DAO_SUCCESS, 70, 68, DAO_FRAME_JUMPED);
    expect_copy(&copier, DAO_SUCCESS, 71, 0, 0);
    close_images(&writer, &copier);
}
END_TEST

/* ---- hazard 11: one axis ---- */

START_TEST(hazard_11_a_segment_of_one_axis_works_here)
{
    static const struct foreign_shape line = {1, _DATATYPE_UINT16, {8, 0, 0}, 3};
    uint32_t size[] = {FRAME_ELEMENTS};
    IMAGE writer, reader;

    ck_assert_int_eq(
        daoShmImageCreate_FIFO(&writer, testbed_path("h11"), 1, size, _DATATYPE_UINT16, 1, 0, 3),
        DAO_SUCCESS);
    for (int i = 0; i < 2; i++) { /* ours, and one that a foreign program has made */
        reader = open_image("h11");
        ck_assert_uint_eq(reader.md[0].naxis, 1);
        ck_assert_uint_eq(reader.md[0].size[1], 0);
        ck_assert_uint_eq(reader.md[0].nelement, 8);
        write_frames(&writer, 1, 4);
        expect_next(&reader, DAO_OVERWRITE, 0, 4);
        expect_newest(&reader, 0, 4);
        close_images(&reader, NULL);
        foreign_restart("h11", &line);
    }
    expect_silence();
    close_images(&writer, NULL);
}
END_TEST

START_TEST(hazard_11_daoShmInit1D_makes_two_axes_for_the_sake_of_others)
{
    IMAGE *image;

    ck_assert_int_eq(daoShmInit1D(testbed_path("h11"), 97, &image), DAO_SUCCESS);
    ck_assert_uint_eq(image->md[0].naxis, 2);
    ck_assert_uint_eq(image->md[0].size[0], 97);
    ck_assert_uint_eq(image->md[0].size[1], 1);
    close_images(image, NULL);
    free(image);
}
END_TEST

/* ---- */

static void add_contents(TCase *all)
{
    tcase_add_loop_test(all,
                        hazard_7_overwritten_fifo_fields_mislead_nobody_and_are_over_when_they_are,
                        0, DAMAGES);
    tcase_add_test(all, hazard_7_a_damaged_segment_is_not_opened_but_explained);
    tcase_add_test(all, hazard_7_no_field_of_the_metadata_leads_out_of_the_segment);
    tcase_add_test(all, hazard_8_a_segment_on_a_disk_is_told_at_the_info_level);
    tcase_add_test(all, hazard_8_a_segment_in_memory_is_no_news);
    tcase_add_loop_test(all, hazard_9_frames_come_whatever_their_times_say, 0, DEPTHS);
    tcase_add_loop_test(all, hazard_9_a_clock_set_back_is_no_restart_for_a_reader_that_was_lapped,
                        0, DEPTHS);
    tcase_add_loop_test(
        all, hazard_10_a_source_that_skips_counts_loses_no_frame_and_is_no_overwrite, 0, 4);
    tcase_add_test(all, hazard_10_a_jump_beyond_2_to_the_31_is_a_restart);
    tcase_add_test(all, hazard_10_our_own_writer_can_jump_too);
    tcase_add_test(all, hazard_11_a_segment_of_one_axis_works_here);
    tcase_add_test(all, hazard_11_daoShmInit1D_makes_two_axes_for_the_sake_of_others);
}

int main(void)
{
    Suite *suite = suite_create("hazards: the content");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, catch_output, release_output);
    add_contents(all);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
