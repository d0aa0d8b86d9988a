/*
 * test_arguments.c - every function of dao.h with every argument NULL, absurd or out of range:
 * DAO_ERROR, one line on stderr that names the function, outputs and segment untouched. And where
 * nothing is wrong, not a word. Names and shapes are test_arguments_open.c.
 */
#include "tests/support/frozen.h"

#include <limits.h>

/* ---- one line, from this function ---- */

static void expect_one_line(const char *function, const char *word)
{
    const char *text = messages(), *end = strchr(text, '\n');
    char begin[100];

    snprintf(begin, sizeof begin, "[error] %s: ", function);
    ck_assert_msg(strncmp(text, begin, strlen(begin)) == 0, "no \"%s\" in: %s", begin, text);
    ck_assert_msg(end && end[1] == '\0', "%s: not one line: %s", function, text);
    ck_assert_msg(strstr(text, word), "%s: no \"%s\" in: %s", function, word, text);
    fflush(stdout);
    ck_assert_str_eq(frozen_output("stdout"), "");
    forget_messages();
}

#define REFUSED(function, word, call)                                                              \
    do {                                                                                           \
        ck_assert_msg((call) == DAO_ERROR, "%s, %s: no error", #call, word);                       \
        expect_one_line(function, word);                                                           \
    } while (0)

/* ---- everything that takes an image ---- */

static uint16_t frame[FRAME_ELEMENTS + 1];
static void *given = frame;
static uint32_t given_idx = 77;
static uint64_t given_cnt0 = 88;
static DAO_FRAME told = {.cnt0 = 99};
static const DAO_FRAME stamp = {.cnt0 = 5};
static const struct timespec past = {1, 0};

static void expect_outputs_untouched(void)
{
    ck_assert_ptr_eq(given, frame);
    ck_assert_uint_eq(given_idx, 77);
    ck_assert_uint_eq(given_cnt0, 88);
    ck_assert_uint_eq(told.cnt0, 99);
    for (unsigned i = 0; i < FRAME_ELEMENTS; i++)
        ck_assert_uint_eq(frame[i], 0);
}

#define CALL(name, ...)                                                                            \
    static int_fast8_t call_##name(IMAGE *image)                                                   \
    {                                                                                              \
        return name(__VA_ARGS__);                                                                  \
    }

CALL(daoShmCloseShm, image)
CALL(daoShmImageCreateSem, image, 10)
CALL(daoImageCreateSem, image, 10)
CALL(daoShmImage2Shm, frame, FRAME_ELEMENTS, image)
CALL(daoShmImage2ShmQuiet, frame, FRAME_ELEMENTS, image)
CALL(daoShmImage2ShmStamped, frame, FRAME_ELEMENTS, image, &stamp)
CALL(daoShmImagePart2Shm, (char *)frame, 4, image, 0, 0, 2, 1)
CALL(daoShmImagePart2ShmFinalize, image)
CALL(daoShmTimestampShm, image)
CALL(daoShmCombineShm2Shm, (IMAGE *[]){image}, image, 1, FRAME_ELEMENTS)
CALL(daoShmLockWriter, image)
CALL(daoSemPost, image, 0)
CALL(daoSemPostAll, image)
CALL(daoSemLogPost, image)
CALL(daoShmWaitForSemaphore, image, 0)
CALL(daoShmWaitForSemaphoreTimeout, image, 0, &past)
CALL(daoShmGetNextSegment, image, &given, &given_idx, &given_cnt0)
CALL(daoShmGetNewestSegment, image, &given, &given_idx, &given_cnt0)
CALL(daoShmGetArbitrarySegment, image, &given, 0)
CALL(daoShmCheckSegmentOverwrite, image)
CALL(daoShmResetTail, image, &given_idx, &given_cnt0)
CALL(daoShmResetTailOldest, image, &given_idx, &given_cnt0)
CALL(daoShmCopyNextSegment, image, frame, FRAME_BYTES, &told)
CALL(daoShmWaitForNextSegment, image)
CALL(daoShmWaitForNextSegmentUntil, image, &past)
CALL(daoShmWaitForCounter, image)
CALL(daoShmWaitForTargetCounter, image, 1)
CALL(daoShmWaitForTargetCounterUntil, image, 1, &past)

/* The one that has no code to return. */
static int_fast8_t call_daoShmGetCounter(IMAGE *image)
{
    return daoShmGetCounter(image) == 0 ? DAO_ERROR : DAO_SUCCESS;
}

enum kind { ANY, WRITES, POSTS, FOLLOWS_TAIL };

#define ROW(name, kind)                                                                            \
    {                                                                                              \
#name, call_##name, kind                                                                   \
    }

static const struct {
    const char *name;
    int_fast8_t (*call)(IMAGE *image);
    enum kind kind;
} functions[] = {
    ROW(daoShmImageCreateSem, ANY),
    ROW(daoImageCreateSem, ANY),
    ROW(daoShmImage2Shm, WRITES),
    ROW(daoShmImage2ShmQuiet, WRITES),
    ROW(daoShmImage2ShmStamped, WRITES),
    ROW(daoShmImagePart2Shm, WRITES),
    ROW(daoShmImagePart2ShmFinalize, WRITES),
    ROW(daoShmTimestampShm, WRITES),
    ROW(daoShmCombineShm2Shm, WRITES),
    ROW(daoShmLockWriter, ANY),
    ROW(daoSemPost, POSTS),
    ROW(daoSemPostAll, POSTS),
    ROW(daoSemLogPost, POSTS),
    ROW(daoShmWaitForSemaphore, POSTS),
    ROW(daoShmWaitForSemaphoreTimeout, POSTS),
    ROW(daoShmGetNextSegment, FOLLOWS_TAIL),
    ROW(daoShmGetNewestSegment, FOLLOWS_TAIL),
    ROW(daoShmGetArbitrarySegment, ANY),
    ROW(daoShmCheckSegmentOverwrite, FOLLOWS_TAIL),
    ROW(daoShmResetTail, ANY),
    ROW(daoShmResetTailOldest, ANY),
    ROW(daoShmCopyNextSegment, FOLLOWS_TAIL),
    ROW(daoShmWaitForNextSegment, FOLLOWS_TAIL),
    ROW(daoShmWaitForNextSegmentUntil, FOLLOWS_TAIL),
    ROW(daoShmWaitForCounter, ANY),
    ROW(daoShmWaitForTargetCounter, ANY),
    ROW(daoShmWaitForTargetCounterUntil, ANY),
    ROW(daoShmGetCounter, ANY),
    ROW(daoShmCloseShm, ANY),
};
#define FUNCTIONS (int)(sizeof functions / sizeof functions[0])

START_TEST(an_image_that_is_null_zeroed_or_closed_is_refused)
{
    IMAGE zeroed, closed = create_image("closed", 3);
    IMAGE *images[] = {NULL, &zeroed, &closed};

    memset(&zeroed, 0, sizeof zeroed);
    close_images(&closed, NULL);
    for (int i = 0; i < FUNCTIONS; i++)
        for (int which = 0; which < 3; which++) {
            REFUSED(functions[i].name, which ? "not open" : "NULL",
                    functions[i].call(images[which]));
            expect_outputs_untouched();
        }
    ck_assert_mem_eq(&closed, &zeroed, sizeof zeroed);
}
END_TEST

START_TEST(a_tail_out_of_range_is_refused_until_it_is_reset)
{
    static const uint32_t tails[] = {3, 4, INT32_MAX, UINT32_MAX};
    IMAGE image = create_image("tail", 3), before;

    write_frames(&image, 1, 2);
    for (unsigned t = 0; t < 4; t++) {
        for (int i = 0; i < FUNCTIONS; i++) {
            if (functions[i].kind != FOLLOWS_TAIL)
                continue;
            image.fifo_last_read = tails[t];
            before = image;
            REFUSED(functions[i].name, "fifo_last_read", functions[i].call(&image));
            expect_outputs_untouched();
            ck_assert_mem_eq(&image, &before, sizeof image);
        }
        image.fifo_last_read = tails[t];
        ck_assert_int_eq(_i ? daoShmResetTail(&image, NULL, NULL)
                            : daoShmResetTailOldest(&image, NULL, NULL),
                         DAO_SUCCESS);
        ck_assert_uint_lt(image.fifo_last_read, 3);
        expect_silence();
    }
    close_images(&image, NULL);
}
END_TEST

START_TEST(what_is_read_only_is_not_written)
{
    IMAGE writer = create_image("readonly", 3), reader;
    void *before = malloc(writer.memsize);

    write_frames(&writer, 1, 2);
    memcpy(before, writer.md, writer.memsize);
    ck_assert_int_eq(daoShmShm2ImgReadOnly(testbed_path("readonly"), &reader), DAO_SUCCESS);
    for (int i = 0; i < FUNCTIONS; i++) {
        if (functions[i].kind == WRITES)
            REFUSED(functions[i].name, "read-only", functions[i].call(&reader));
        if (functions[i].kind == POSTS)
            REFUSED(functions[i].name, "not open", functions[i].call(&reader));
    }
    ck_assert_mem_eq(writer.md, before, writer.memsize);
    free(before);
    close_images(&writer, &reader);
}
END_TEST

START_TEST(private_memory_has_no_semaphores)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, "p", 2, size, _DATATYPE_UINT16, 0, 0, 3),
                     DAO_SUCCESS);
    for (int i = 0; i < FUNCTIONS; i++)
        if (functions[i].kind == POSTS)
            REFUSED(functions[i].name, "semaphore", functions[i].call(&image));
    REFUSED("daoShmImageCreateSem", "private", daoShmImageCreateSem(&image, 10));
    REFUSED("daoImageCreateSem", "private", daoImageCreateSem(&image, 10));
    close_images(&image, NULL);
}
END_TEST

START_TEST(a_damaged_head_refuses_every_frame)
{
    static const uint32_t heads[] = {3, 4, INT32_MAX, UINT32_MAX};
    IMAGE image = create_image("head", 3);
    void *before = malloc(image.memsize);

    for (unsigned h = 0; h < 4; h++) {
        image.md[0].fifo_last_written = heads[h];
        memcpy(before, image.md, image.memsize);
        for (int i = 0; i < FUNCTIONS; i++)
            if (functions[i].kind == WRITES)
                REFUSED(functions[i].name, "fifo_last_written", functions[i].call(&image));
        ck_assert_mem_eq(image.md, before, image.memsize);
    }
    free(before);
    close_images(&image, NULL);
}
END_TEST

/* ---- the other arguments of those ---- */

START_TEST(pointers_that_are_null_are_refused_where_they_are_needed)
{
    IMAGE image = create_image("null", 3);
    IMAGE *none[] = {NULL};
    DAO_FRAME zero = {.cnt0 = 0}, negative = {.cnt0 = 1, .atime_ns = -1};
    void *before = malloc(image.memsize);

    write_frames(&image, 1, 2);
    memcpy(before, image.md, image.memsize);
    REFUSED("daoShmImage2Shm", "im is NULL", daoShmImage2Shm(NULL, 8, &image));
    REFUSED("daoShmImage2Shm", "im is NULL", daoShmImage2Shm(NULL, 0, &image));
    REFUSED("daoShmImage2ShmQuiet", "im is NULL", daoShmImage2ShmQuiet(NULL, 8, &image));
    REFUSED("daoShmImage2ShmStamped", "im is NULL",
            daoShmImage2ShmStamped(NULL, 8, &image, &stamp));
    REFUSED("daoShmImage2ShmStamped", "frame is NULL",
            daoShmImage2ShmStamped(frame, 8, &image, NULL));
    REFUSED("daoShmImage2ShmStamped", "cnt0 is 0", daoShmImage2ShmStamped(frame, 8, &image, &zero));
    REFUSED("daoShmImage2ShmStamped", "atime_ns",
            daoShmImage2ShmStamped(frame, 8, &image, &negative));
    REFUSED("daoShmImagePart2Shm", "im is NULL", daoShmImagePart2Shm(NULL, 8, &image, 0, 0, 1, 1));
    REFUSED("daoShmCombineShm2Shm", "cubes is NULL", daoShmCombineShm2Shm(NULL, &image, 1, 8));
    REFUSED("daoShmCombineShm2Shm", "channel 0", daoShmCombineShm2Shm(none, &image, 1, 8));
    REFUSED("daoShmGetNextSegment", "segment_ptr",
            daoShmGetNextSegment(&image, NULL, &given_idx, &given_cnt0));
    REFUSED("daoShmGetNewestSegment", "segment_ptr",
            daoShmGetNewestSegment(&image, NULL, &given_idx, &given_cnt0));
    REFUSED("daoShmGetArbitrarySegment", "segment_ptr", daoShmGetArbitrarySegment(&image, NULL, 0));
    REFUSED("daoShmCopyNextSegment", "pixels",
            daoShmCopyNextSegment(&image, NULL, FRAME_BYTES, &told));
    REFUSED("daoShmWaitForSemaphoreTimeout", "NULL",
            daoShmWaitForSemaphoreTimeout(&image, 0, NULL));
    REFUSED("daoShmWaitForNextSegmentUntil", "NULL", daoShmWaitForNextSegmentUntil(&image, NULL));
    REFUSED("daoShmWaitForTargetCounterUntil", "NULL",
            daoShmWaitForTargetCounterUntil(&image, 1, NULL));
    expect_outputs_untouched();
    ck_assert_uint_eq(image.fifo_last_read_cnt0, 0);
    ck_assert_mem_eq(image.md, before, image.memsize);
    free(before);
    close_images(&image, NULL);
}
END_TEST

START_TEST(more_elements_than_there_are_are_refused)
{
    static const struct {
        uint32_t position, count;
    } parts[] = {
        {0, 9},          {1, 8},
        {8, 1},          {9, 0},
        {0, UINT32_MAX}, {UINT32_MAX, 1},
        {UINT32_MAX, 0}, {UINT32_MAX, UINT32_MAX},
        {8, UINT32_MAX}, {UINT32_MAX - 7, 8},
    };
    static const uint32_t counts[] = {9, 10, INT32_MAX, UINT32_MAX};
    IMAGE image = create_image("elements", 3);
    void *before = malloc(image.memsize);

    write_frames(&image, 1, 2);
    memcpy(before, image.md, image.memsize);
    for (unsigned i = 0; i < 4; i++) {
        REFUSED("daoShmImage2Shm", "elements", daoShmImage2Shm(frame, counts[i], &image));
        REFUSED("daoShmImage2ShmQuiet", "elements", daoShmImage2ShmQuiet(frame, counts[i], &image));
        REFUSED("daoShmImage2ShmStamped", "elements",
                daoShmImage2ShmStamped(frame, counts[i], &image, &stamp));
    }
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        REFUSED(
            "daoShmImagePart2Shm", "elements",
            daoShmImagePart2Shm((char *)frame, parts[i].count, &image, parts[i].position, 0, 1, 1));
    REFUSED("daoShmImagePart2Shm", "packetId is 512",
            daoShmImagePart2Shm((char *)frame, 8, &image, 0, 512, 1, 1));
    REFUSED("daoShmImagePart2Shm", "packetId is 65535",
            daoShmImagePart2Shm((char *)frame, 8, &image, 0, 65535, 65535, UINT64_MAX));
    ck_assert_mem_eq(image.md, before, image.memsize);
    free(before);
    close_images(&image, NULL);
}
END_TEST

START_TEST(sums_that_cannot_be_are_refused)
{
    static const int channels[] = {0, -1, DAO_MAX_COMBINE_CHANNELS + 1, INT_MAX, INT_MIN};
    static const int counts[] = {-1, 9, INT_MAX, INT_MIN};
    uint32_t size[] = {4, 2}, small[] = {3, 2};
    IMAGE image = create_image("sum", 3), other, less, closed;
    IMAGE *cubes[] = {&image, &image, &image};
    void *before = malloc(image.memsize);

    ck_assert_int_eq(daoShmImageCreate(&other, "other", 2, size, _DATATYPE_INT16, 0, 0),
                     DAO_SUCCESS);
    ck_assert_int_eq(daoShmImageCreate(&less, "less", 2, small, _DATATYPE_UINT16, 0, 0),
                     DAO_SUCCESS);
    memset(&closed, 0, sizeof closed);
    memcpy(before, image.md, image.memsize);
    for (unsigned i = 0; i < sizeof channels / sizeof channels[0]; i++)
        REFUSED("daoShmCombineShm2Shm", "channels",
                daoShmCombineShm2Shm(cubes, &image, channels[i], 8));
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++)
        REFUSED("daoShmCombineShm2Shm", "nbVal", daoShmCombineShm2Shm(cubes, &image, 3, counts[i]));
    cubes[1] = &other;
    REFUSED("daoShmCombineShm2Shm", "type", daoShmCombineShm2Shm(cubes, &image, 3, 8));
    cubes[1] = &less;
    REFUSED("daoShmCombineShm2Shm", "6 elements", daoShmCombineShm2Shm(cubes, &image, 3, 8));
    cubes[1] = &closed;
    REFUSED("daoShmCombineShm2Shm", "channel 1", daoShmCombineShm2Shm(cubes, &image, 3, 8));
    cubes[1] = NULL;
    REFUSED("daoShmCombineShm2Shm", "channel 1", daoShmCombineShm2Shm(cubes, &image, 3, 8));
    ck_assert_mem_eq(image.md, before, image.memsize);
    free(before);
    close_images(&image, &other);
    close_images(&less, NULL);
}
END_TEST

START_TEST(semaphores_and_times_out_of_range_are_refused)
{
    static const int32_t numbers[] = {-1, IMAGE_NB_SEMAPHORE, INT32_MIN, INT32_MAX};
    static const long amounts[] = {0, -1, IMAGE_NB_SEMAPHORE + 1, LONG_MIN, LONG_MAX};
    static const struct timespec times[] = {
        {0, -1}, {0, 1000000000}, {INT64_MAX, LONG_MAX}, {INT64_MIN, LONG_MIN}, {5, INT32_MAX}};
    IMAGE image = create_image("numbers", 3);

    for (unsigned i = 0; i < 4; i++) {
        REFUSED("daoSemPost", "semNb", daoSemPost(&image, numbers[i]));
        REFUSED("daoShmWaitForSemaphore", "semNb", daoShmWaitForSemaphore(&image, numbers[i]));
        REFUSED("daoShmWaitForSemaphoreTimeout", "semNb",
                daoShmWaitForSemaphoreTimeout(&image, numbers[i], &past));
    }
    for (unsigned i = 0; i < 5; i++) {
        REFUSED("daoShmImageCreateSem", "NBsem", daoShmImageCreateSem(&image, amounts[i]));
        REFUSED("daoImageCreateSem", "NBsem", daoImageCreateSem(&image, amounts[i]));
        REFUSED("daoShmWaitForSemaphoreTimeout", "out of range",
                daoShmWaitForSemaphoreTimeout(&image, 0, &times[i]));
        REFUSED("daoShmWaitForNextSegmentUntil", "out of range",
                daoShmWaitForNextSegmentUntil(&image, &times[i]));
        REFUSED("daoShmWaitForTargetCounterUntil", "out of range",
                daoShmWaitForTargetCounterUntil(&image, 1, &times[i]));
    }
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&image, 0, &past), DAO_TIMEOUT);
    expect_silence();
    close_images(&image, NULL);
}
END_TEST

START_TEST(a_buffer_below_a_frame_is_refused)
{
    IMAGE image = create_image("buffer", 3);

    write_frames(&image, 1, 1);
    for (uint64_t bytes = 0; bytes < FRAME_BYTES; bytes++)
        REFUSED("daoShmCopyNextSegment", "bytes",
                daoShmCopyNextSegment(&image, frame, bytes, &told));
    expect_outputs_untouched();
    close_images(&image, NULL);
}
END_TEST

START_TEST(odds_and_ends_take_null_too)
{
    ck_assert_uint_eq(daoBaseIp2Int(NULL), 0);
    ck_assert_uint_eq(daoBaseIp2Int(""), 0);
    ck_assert_uint_eq(daoBaseIp2Int("256.1.1.1"), 0);
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_TRACE; level++)
        ck_assert_int_eq(daoLog(level, NULL), DAO_ERROR);
    ck_assert_int_eq(daoLog(INT_MAX, "x"), DAO_ERROR);
    ck_assert_int_eq(daoLog(INT_MIN, "x"), DAO_ERROR);
    ck_assert_int_eq(daoLogAt(INT_MAX, NULL, 0, "x"), DAO_ERROR);
    ck_assert_int_eq(daoPrintAt(NULL, 0, NULL), DAO_ERROR);
    ck_assert_int_eq(daoLogPrint(NULL), DAO_ERROR);
    expect_silence();
}
END_TEST

/* ---- where nothing is wrong ---- */

/* Success, DAO_TIMEOUT and DAO_NOTREADY alike, also with the library told to be quieter. */
START_TEST(nothing_is_printed_where_nothing_is_wrong)
{
    IMAGE image, reader;

    daoSetLogLevel(_i ? -1 : DAO_WARNING);
    image = create_image("silence", 3);
    reader = open_image("silence");
    write_frames(&image, 1, 1);
    for (int i = 0; i < FUNCTIONS - 1; i++) { /* the last one closes */
        daoShmImage2Shm(frame, FRAME_ELEMENTS, &image);
        daoShmResetTail(&reader, NULL, NULL);
        daoShmImage2Shm(frame, FRAME_ELEMENTS, &image);
        if (functions[i].call == call_daoShmWaitForCounter)
            continue;
        ck_assert_msg(functions[i].call(&reader) == DAO_SUCCESS, "%s", functions[i].name);
    }
    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &(void *){NULL}, NULL, NULL), DAO_NOTREADY);
    ck_assert_int_eq(daoShmWaitForNextSegmentUntil(&reader, &past), DAO_TIMEOUT);
    ck_assert_int_eq(daoShmWaitForSemaphore(&reader, 9), DAO_SUCCESS);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&reader, 9, &past), DAO_TIMEOUT);
    close_images(&image, &reader);
    expect_silence();
}
END_TEST

/* A segment whose semaphores cannot be had: a warning, which a level of -1 holds back. */
START_TEST(a_level_of_minus_1_leaves_errors_alone)
{
    IMAGE image = create_image("level", 3), reader;
    char name[200];

    close_images(&image, NULL);
    snprintf(name, sizeof name, "/dev/shm/sem.%s_level_sem04", testbed_prefix);
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(mkdir(name, 0755), 0);
    reader = open_image("level");
    ck_assert_ptr_nonnull(strstr(messages(), "[warning] daoShmShm2Img: "));
    close_images(&reader, NULL);
    forget_messages();
    daoSetLogLevel(-1);
    reader = open_image("level");
    expect_silence();
    REFUSED("daoShmImage2Shm", "im is NULL", daoShmImage2Shm(NULL, 8, &reader));
    close_images(&reader, NULL);
    rmdir(name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arguments");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, catch_output, release_output);
    tcase_add_test(all, an_image_that_is_null_zeroed_or_closed_is_refused);
    tcase_add_loop_test(all, a_tail_out_of_range_is_refused_until_it_is_reset, 0, 2);
    tcase_add_test(all, what_is_read_only_is_not_written);
    tcase_add_test(all, private_memory_has_no_semaphores);
    tcase_add_test(all, a_damaged_head_refuses_every_frame);
    tcase_add_test(all, pointers_that_are_null_are_refused_where_they_are_needed);
    tcase_add_test(all, more_elements_than_there_are_are_refused);
    tcase_add_test(all, sums_that_cannot_be_are_refused);
    tcase_add_test(all, semaphores_and_times_out_of_range_are_refused);
    tcase_add_test(all, a_buffer_below_a_frame_is_refused);
    tcase_add_test(all, odds_and_ends_take_null_too);
    tcase_add_loop_test(all, nothing_is_printed_where_nothing_is_wrong, 0, 2);
    tcase_add_test(all, a_level_of_minus_1_leaves_errors_alone);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
