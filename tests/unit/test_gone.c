/*
 * test_gone.c - what every function of dao.h says of a segment that was truncated, removed,
 * replaced or reshaped while it was open: the documented code, each time, and daoShmShm2Img works
 * again afterwards. Restarts with the same shape are test_hazards_file.c and test_copy.c.
 */
#include "tests/support/frozen.h"

/* ---- what happens to the segment ---- */

static void cut_to_nothing(void)
{
    foreign_resize("gone", 0);
}

static void cut_in_the_pixels(void)
{
    foreign_resize("gone", foreign_bytes(&shape_same) - 1);
}

static void cut_in_the_metadata(void)
{
    foreign_resize("gone", 5000);
}

static void lengthen(void)
{
    foreign_resize("gone", foreign_bytes(&shape_same) + 4096);
}

static void remove_it(void)
{
    ck_assert_int_eq(unlink(testbed_path("gone")), 0);
}

static void replace_with_the_same(void)
{
    foreign_replace("gone", &shape_same);
}

static void replace_with_another(void)
{
    foreign_replace("gone", &shape_larger);
}

static void reshape_to_the_same_length(void)
{
    foreign_restart("gone", &shape_turned);
}

static void reshape_larger(void)
{
    foreign_restart("gone", &shape_larger);
}

static void reshape_by_ours(void)
{
    uint32_t size[] = {2, 4};
    IMAGE image;

    ck_assert_int_eq(
        daoShmImageCreate_FIFO(&image, testbed_path("gone"), 2, size, _DATATYPE_UINT16, 1, 0, 3),
        DAO_SUCCESS);
    daoShmCloseShm(&image);
}

/* The path is another file's, while this one is whole. */
#define BY_PATH true

static const struct {
    void (*happen)(void);
    bool by_path;
} ends[] = {
    {cut_to_nothing, !BY_PATH},
    {cut_in_the_pixels, !BY_PATH},
    {cut_in_the_metadata, !BY_PATH},
    {lengthen, !BY_PATH},
    {remove_it, BY_PATH},
    {replace_with_the_same, BY_PATH},
    {replace_with_another, BY_PATH},
    {reshape_to_the_same_length, !BY_PATH},
    {reshape_larger, !BY_PATH},
    {reshape_by_ours, BY_PATH},
};
#define ENDS (int)(sizeof ends / sizeof ends[0])

/* ---- what is asked then ---- */

static void *given;
static uint16_t copied[FRAME_ELEMENTS];
static DAO_FRAME told;
static uint32_t given_idx;
static uint64_t given_cnt0;

static int_fast8_t ask_next(IMAGE *image)
{
    return daoShmGetNextSegment(image, &given, &given_idx, &given_cnt0);
}

static int_fast8_t ask_newest(IMAGE *image)
{
    return daoShmGetNewestSegment(image, &given, &given_idx, &given_cnt0);
}

static int_fast8_t ask_arbitrary(IMAGE *image)
{
    return daoShmGetArbitrarySegment(image, &given, 1);
}

static int_fast8_t ask_reset(IMAGE *image)
{
    return daoShmResetTail(image, &given_idx, &given_cnt0);
}

static int_fast8_t ask_reset_oldest(IMAGE *image)
{
    return daoShmResetTailOldest(image, &given_idx, &given_cnt0);
}

static int_fast8_t ask_copy(IMAGE *image)
{
    return daoShmCopyNextSegment(image, copied, sizeof copied, &told);
}

static int_fast8_t ask_target(IMAGE *image)
{
    return daoShmWaitForTargetCounter(image, 1000);
}

static int_fast8_t ask_target_there(IMAGE *image)
{
    return daoShmWaitForTargetCounter(image, 1);
}

static int_fast8_t ask_target_until(IMAGE *image)
{
    struct timespec past = {0, 0};

    return daoShmWaitForTargetCounterUntil(image, 2, &past);
}

static int_fast8_t ask_next_until(IMAGE *image)
{
    struct timespec far = {INT32_MAX, 0};

    return daoShmWaitForNextSegmentUntil(image, &far);
}

/* One of many short waits. */
static int_fast8_t ask_next_shortly(IMAGE *image)
{
    struct timespec past = {0, 0};

    return daoShmWaitForNextSegmentUntil(image, &past);
}

static int_fast8_t ask_semaphore(IMAGE *image)
{
    return daoShmWaitForSemaphore(image, 3);
}

static int_fast8_t ask_counter(IMAGE *image)
{
    return daoShmGetCounter(image) == 0 ? DAO_ERROR : DAO_SUCCESS;
}

static const struct {
    const char *name;
    int_fast8_t (*ask)(IMAGE *image);
} questions[] = {
    {"daoShmGetNextSegment", ask_next},
    {"daoShmGetNewestSegment", ask_newest},
    {"daoShmGetArbitrarySegment", ask_arbitrary},
    {"daoShmResetTail", ask_reset},
    {"daoShmResetTailOldest", ask_reset_oldest},
    {"daoShmCopyNextSegment", ask_copy},
    {"daoShmWaitForNextSegment", daoShmWaitForNextSegment},
    {"daoShmWaitForNextSegmentUntil", ask_next_until},
    {"daoShmWaitForNextSegmentUntil", ask_next_shortly},
    {"daoShmWaitForCounter", daoShmWaitForCounter},
    {"daoShmWaitForTargetCounter", ask_target},
    {"daoShmWaitForTargetCounter", ask_target_there},
    {"daoShmWaitForTargetCounterUntil", ask_target_until},
    {"daoShmWaitForSemaphore", ask_semaphore},
    {"daoShmGetCounter", ask_counter},
};
#define QUESTIONS (int)(sizeof questions / sizeof questions[0])

/* Frames 1 .. 3, of which the reader has all. */
static void begin(IMAGE *writer, IMAGE *reader, int end)
{
    *writer = create_image("gone", shape_same.depth);
    write_frames(writer, 1, 3);
    *reader = open_image("gone");
    forget_messages();
    ends[end].happen();
}

static void expect_works_again(void)
{
    static float frame[FRAME_ELEMENTS] = {7, 6, 5, 4, 3, 2, 1, 0}; /* as large as of any shape */
    IMAGE image;
    void *pixels;

    if (daoShmShm2Img(testbed_path("gone"), &image) != DAO_SUCCESS)
        image = create_image("gone", 3);
    ck_assert_int_eq(daoShmResetTail(&image, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImage2Shm(frame, FRAME_ELEMENTS, &image), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNextSegment(&image, &pixels, NULL, NULL), DAO_SUCCESS);
    ck_assert_mem_eq(pixels, frame, FRAME_BYTES);
    close_images(&image, NULL);
    remove_it();
}

static void expect_error_said_once(int end, int question)
{
    const char *name = questions[question].name, *line;
    IMAGE writer, reader, before;

    begin(&writer, &reader, end);
    before = reader;
    given = &given;
    given_idx = 77;
    given_cnt0 = 88;
    ck_assert_msg(questions[question].ask(&reader) == DAO_ERROR, "%s", name);
    ck_assert_int_eq(ask_next(&reader), DAO_ERROR);
    ck_assert_ptr_eq(given, &given);
    ck_assert_uint_eq(given_idx, 77);
    ck_assert_uint_eq(given_cnt0, 88);
    ck_assert_mem_eq(&reader, &before, sizeof reader);
    line = strstr(messages(), name);
    ck_assert_msg(line && strstr(line, "close it and open it again"), "%s: %s", name, messages());
    ck_assert_ptr_eq(strchr(messages(), '\n') + 1, strchr(messages(), '\0')); /* one line */
    close_images(&writer, &reader);
    expect_works_again();
}

START_TEST(every_function_returns_the_error_and_says_why_once)
{
    for (int question = 0; question < QUESTIONS; question++)
        expect_error_said_once(_i, question);
}
END_TEST

/* One handle, all questions, in any order: none is answered by a crash. */
START_TEST(a_handle_of_what_is_gone_can_be_asked_everything_and_closed)
{
    int end = _i;
    IMAGE writer, reader;

    begin(&writer, &reader, end);
    for (int i = 0; i < QUESTIONS; i++)
        ck_assert_int_eq(questions[i * 7 % QUESTIONS].ask(&reader), DAO_ERROR);
    /* The frame at the tail: its pixels are no more, or nobody touched them. */
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader),
                     ends[end].by_path ? DAO_SUCCESS : DAO_ERROR);
    daoSemPostAll(&reader);
    close_images(&writer, &reader);
    expect_works_again();
}
END_TEST

/* A writer is told when the file is cut; what it writes into a file that is whole but nobody's any
 * more hurts nobody. */
START_TEST(a_writer_of_what_is_gone_does_not_crash)
{
    int end = _i;
    IMAGE writer, reader;
    uint16_t frame[FRAME_ELEMENTS] = {0};
    bool is_whole = ends[end].by_path || ends[end].happen == reshape_to_the_same_length;

    begin(&writer, &reader, end);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(daoShmImage2Shm(frame, FRAME_ELEMENTS, &writer),
                         is_whole ? DAO_SUCCESS : DAO_ERROR);
        ck_assert_int_eq(daoShmImagePart2ShmFinalize(&writer), is_whole ? DAO_SUCCESS : DAO_ERROR);
        ck_assert_int_eq(daoShmTimestampShm(&writer), is_whole ? DAO_SUCCESS : DAO_ERROR);
    }
    close_images(&writer, &reader);
    if (end != 7) /* where the writer has set the head of a segment that it did not know */
        expect_works_again();
}
END_TEST

START_TEST(frames_that_were_there_are_read_before_a_removal_is_told)
{
    IMAGE writer = create_image("gone", 4), reader = open_image("gone"),
          copier = open_image("gone");

    write_frames(&writer, 1, 3);
    remove_it();
    for (uint64_t cnt0 = 1; cnt0 <= 3; cnt0++) {
        ck_assert_int_eq(daoShmWaitForNextSegment(&reader), DAO_SUCCESS);
        expect_next(&reader, DAO_SUCCESS, (uint32_t)cnt0 - 1, cnt0);
        expect_copy(&copier, DAO_SUCCESS, cnt0, 0, 0);
    }
    expect_no_next(&reader, DAO_ERROR);
    expect_no_copy(&copier, DAO_ERROR);
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

/* Inside its last page a shortened file reads as zeros, without a fault. */
static void expect_no_zeros(uint32_t width, uint32_t depth, off_t length)
{
    static uint16_t pixels[64 * 64], expected[64 * 64];
    uint32_t size[] = {width, width};
    IMAGE writer, reader;
    int status;

    ck_assert_int_eq(daoShmImageCreate_FIFO(&writer, testbed_path("gone"), 2, size,
                                            _DATATYPE_UINT16, 1, 0, depth),
                     DAO_SUCCESS);
    reader = open_image("gone");
    for (uint64_t cnt0 = 1; cnt0 <= depth; cnt0++) {
        ramp_fill(expected, _DATATYPE_UINT16, cnt0, width * width);
        ck_assert_int_eq(daoShmImage2Shm(expected, width * width, &writer), DAO_SUCCESS);
    }
    foreign_resize("gone", length);
    do {
        status = daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &told);
        ramp_fill(expected, _DATATYPE_UINT16, told.cnt0, width * width);
        if (status != DAO_ERROR)
            ck_assert_msg(memcmp(pixels, expected, width * width * 2) == 0,
                          "zeros in frame %u of %u, file cut to %ld", (unsigned)told.cnt0, depth,
                          (long)length);
    } while (status == DAO_SUCCESS || status == DAO_OVERWRITE);
    ck_assert_int_eq(status, DAO_ERROR);
    close_images(&writer, &reader);
    remove_it();
}

START_TEST(a_copy_never_passes_zeros_that_a_truncation_left)
{
    static const struct {
        uint32_t width, depth;
    } shapes[] = {{4, 3}, {16, 64}, {64, 4}}; /* within a page; many a page; a frame of two pages */
    uint32_t width = shapes[_i].width, depth = shapes[_i].depth;
    off_t pixels = (off_t)(depth * sizeof(IMAGE_METADATA));
    off_t end = pixels + (off_t)(depth * width * width * 2);

    for (off_t length = pixels; length < end; length += (end - pixels) / 40 + 1)
        expect_no_zeros(width, depth, length);
}
END_TEST

/* A pointer given out stays one that can be read, or written, whatever becomes of the file. */
START_TEST(pointers_given_out_outlive_the_file)
{
    IMAGE writer, reader;
    volatile uint16_t *pixels = NULL;

    writer = create_image("gone", 3);
    reader = open_image("gone");
    write_frames(&writer, 1, 1);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &given, NULL, NULL), DAO_SUCCESS);
    pixels = given;
    ends[_i].happen();
    for (int i = 0; i < 8; i++)
        ck_assert(ends[_i].happen != cut_to_nothing || pixels[i] == 0);
    pixels[0] = 1;
    ck_assert_uint_eq(writer.md[2].write, 0);
    close_images(&writer, &reader);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gone");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, catch_output, release_output);
    tcase_add_loop_test(all, every_function_returns_the_error_and_says_why_once, 0, ENDS);
    tcase_add_loop_test(all, a_handle_of_what_is_gone_can_be_asked_everything_and_closed, 0, ENDS);
    tcase_add_loop_test(all, a_writer_of_what_is_gone_does_not_crash, 0, ENDS);
    tcase_add_test(all, frames_that_were_there_are_read_before_a_removal_is_told);
    tcase_add_loop_test(all, a_copy_never_passes_zeros_that_a_truncation_left, 0, 3);
    tcase_add_loop_test(all, pointers_given_out_outlive_the_file, 0, ENDS);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
