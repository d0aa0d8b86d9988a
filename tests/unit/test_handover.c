/*
 * test_handover.c - the drain's side of ending files, with the files in the test's own hands: an
 * end that is due (by time, at a common boundary, on request) goes on in the current file while no
 * other can be had, and comes as soon as one can. What is full or has failed ends in any case.
 */
#include <errno.h>

#include "lib/clock.h"
#include "record/handover.h"
#include "record/setup.h"
#include "record/stopping.h"
#include "tests/support/testbed.h"

#define SECOND 1000000000ll
#define FREE   (1ull << 40) /* bytes of the disk, where there is room */

static struct record_stream *stream;
static struct room room;
static struct dao_text text;
static struct record_file *away[STREAM_FILES]; /* taken from the stream: the disk has them */
static unsigned away_count;
static int64_t mono_ns;

/* ---- a stream with a file that has a frame ---- */

static void begin(struct rolling_limits limits)
{
    stream = aligned_alloc(64, (sizeof *stream + 63) / 64 * 64);
    ck_assert_ptr_nonnull(stream);
    memset(stream, 0, sizeof *stream);
    testbed_create(&stream->segment, "handover", 8);
    stream->fresh.fd = stream->dir_fd = -1;
    stream->path = "handover.im.shm";
    stream->config.rolling = limits;
    room = (struct room){.left_bytes = FREE, .file_most = UINT64_MAX};
    room.limits.file_bytes_max = UINT64_MAX;
    stream->room = &room;
    stream->file_bytes_most = UINT64_MAX;
    account_init(&stream->account);
    ck_assert_int_eq(io_engine_create(&stream->engine, IO_ENGINE_PWRITE, 1, NULL), 0);
    ck_assert_int_eq(stream_name(stream, &text), 0);
    ck_assert_msg(stream_allocate(stream, 1 << 20, &text) == 0, "%s", text.s);
    ck_assert_msg(stream_describe(stream, "here", "session", &text) == 0, "%s", text.s);
    ck_assert(handover_ensure_file(stream, dao_clock_real_ns()));
    stream->current->frames = 1;
    mono_ns = stream->current->opened_mono_ns = dao_clock_mono_ns();
}

static void end(void)
{
    for (unsigned i = 0; i < STREAM_FILES; i++)
        stream->files[i].stream = NULL; /* none was made */
    stream_close(stream);
    account_fini(&stream->account);
    io_engine_destroy(stream->engine);
    free(stream);
}

/* ---- other files ---- */

/* The others wait for the disk, which stands still. */
static void take_all_files(void)
{
    struct record_file *const *file;

    for (away_count = 0; (file = io_queue_peek(&stream->free_files)); away_count++) {
        away[away_count] = *file;
        io_queue_pop(&stream->free_files);
    }
    ck_assert_uint_eq(away_count, STREAM_FILES - 1);
}

static void give_one_back(void)
{
    ck_assert(io_queue_push(&stream->free_files, &away[--away_count]));
}

/* All of what is left is to be kept free. */
static void take_all_room(void)
{
    atomic_store(&room.left_bytes, 0);
    room.limits.keep_bytes = 1;
}

static void give_room_back(void)
{
    atomic_store(&room.left_bytes, FREE);
}

static const struct {
    void (*take)(void), (*give)(void);
} scarce[] = {{take_all_files, give_one_back}, {take_all_room, give_room_back}};
#define SCARCE (int)(sizeof scarce / sizeof scarce[0])

/* ---- ends that are due ---- */

static void expect_current(const struct record_file *file)
{
    ck_assert_ptr_eq(stream->current, file);
    ck_assert_ptr_null(stream->ending);
    ck_assert_uint_eq(io_queue_room(&stream->row_queue), stream->row_queue.capacity);
}

static void expect_ended(const struct record_file *file, const char *cause)
{
    ck_assert_ptr_ne(stream->current, file);
    ck_assert_ptr_eq(stream->ending, file);
    ck_assert_str_eq(file->end_cause, cause);
}

/* By what is not in the frames: once a look. */
static void expect_that_it_waits(int which, int64_t now_ns)
{
    bool is_asked = atomic_load(&stream->roll_requested);
    struct record_file *file = stream->current;

    scarce[which].take();
    for (int i = 0; i < 3; i++) {
        handover_roll_if_due(stream, now_ns);
        expect_current(file);
        ck_assert_uint_eq(atomic_load(&stream->roll_requested), is_asked);
    }
    scarce[which].give();
    handover_roll_if_due(stream, now_ns);
    expect_ended(file, "ROLL");
    ck_assert_ptr_nonnull(stream->next);
}

START_TEST(a_limit_in_time_waits_until_another_file_can_be_had)
{
    begin((struct rolling_limits){.time_ns = 10 * SECOND});
    handover_roll_if_due(stream, mono_ns + 9 * SECOND);
    expect_current(stream->current); /* not due */
    expect_that_it_waits(_i, mono_ns + 11 * SECOND);
    end();
}
END_TEST

START_TEST(whoever_asks_for_a_new_file_waits_for_it_and_is_answered_then)
{
    begin((struct rolling_limits){.frames = 100});
    atomic_store(&stream->roll_requested, true);
    expect_that_it_waits(_i, mono_ns);
    ck_assert(!atomic_load(&stream->roll_requested));
    ck_assert_uint_eq(atomic_load(&stream->rolled_seq), 1);
    end();
}
END_TEST

START_TEST(a_boundary_that_the_clock_has_passed_waits_until_another_file_can_be_had)
{
    begin((struct rolling_limits){.time_ns = 10 * SECOND, .together = true});
    stream->current->boundary_clock_ns = dao_clock_real_ns() - 10 * SECOND;
    expect_that_it_waits(_i, mono_ns);
    end();
}
END_TEST

START_TEST(a_frame_behind_the_boundary_goes_into_the_file_before_it_while_there_is_no_other)
{
    struct record_file *file;
    int64_t behind_ns;

    begin((struct rolling_limits){.time_ns = 10 * SECOND, .together = true});
    file = stream->current;
    behind_ns = file->boundary_ns;
    ck_assert_int_lt(behind_ns, INT64_MAX);
    scarce[_i].take();
    for (int i = 0; i < 3; i++) {
        ck_assert(handover_ensure_file(stream, behind_ns + i));
        expect_current(file);
    }
    scarce[_i].give();
    ck_assert(handover_ensure_file(stream, behind_ns - 1)); /* one from before it */
    expect_current(file);
    ck_assert(handover_ensure_file(stream, behind_ns));
    expect_ended(file, "ROLL");
    ck_assert_ptr_nonnull(stream->current);
    end();
}
END_TEST

/* ---- other limits ---- */

static void take_wish(struct rolling_limits limits)
{
    stream->wished_rolling = limits;
    stream->wished_latency_ns = 1000000;
    atomic_store(&stream->has_wishes, true);
    handover_take_wishes(stream);
    ck_assert(!atomic_load(&stream->has_wishes));
}

/* Between two boundaries of 10 s, 3 s behind the first. */
START_TEST(a_file_ends_at_the_common_boundary_that_was_asked_for_while_it_was_written)
{
    const struct rolling_limits from[] = {{.time_ns = 3600 * SECOND, .together = true},
                                          {.time_ns = 3600 * SECOND}};
    const struct rolling_limits to = {.time_ns = 10 * SECOND, .together = true};
    int64_t before_ns = dao_clock_real_ns() / (10 * SECOND) * 10 * SECOND;
    struct record_file *file;

    begin(from[_i]);
    file = stream->current;
    file->last_ns = before_ns - 7 * SECOND;
    file->frames = 400;
    stream->rate_hz = 10; /* 10 s: 125 frames and some; they are not to end it */
    take_wish(to);
    ck_assert_int_eq(file->boundary_ns, before_ns);
    ck_assert_uint_gt(file->capacity, 1000);
    ck_assert(handover_ensure_file(stream, before_ns - 1));
    expect_current(file);
    ck_assert(handover_ensure_file(stream, before_ns));
    expect_ended(file, "ROLL");
    end();
}
END_TEST

START_TEST(a_file_whose_common_boundary_is_given_up_ends_by_its_age)
{
    begin((struct rolling_limits){.time_ns = 10 * SECOND, .together = true});
    take_wish((struct rolling_limits){.time_ns = 10 * SECOND});
    ck_assert_int_eq(stream->current->boundary_ns, INT64_MAX);
    ck_assert_int_eq(stream->current->boundary_clock_ns, INT64_MAX);
    end();
}
END_TEST

/* The boundary has passed, and frames go on behind it for want of another file. */
START_TEST(an_end_that_is_due_waits_no_longer_when_the_same_limits_are_read_again)
{
    struct rolling_limits limits = {.time_ns = 10 * SECOND, .together = true};
    int64_t boundary_ns = dao_clock_real_ns() / (10 * SECOND) * 10 * SECOND;
    struct record_file *file;

    begin(limits);
    file = stream->current;
    file->boundary_ns = file->boundary_clock_ns = boundary_ns;
    file->last_ns = boundary_ns + 1;
    limits.bytes = 1ull << 30;
    take_wish(limits);
    ck_assert_int_eq(file->boundary_ns, boundary_ns);
    ck_assert(handover_ensure_file(stream, boundary_ns + 2));
    expect_ended(file, "ROLL");
    end();
}
END_TEST

/* ---- ends that do not wait ---- */

START_TEST(a_file_that_is_full_or_has_failed_ends_though_there_is_no_other)
{
    struct record_file *file;
    bool failed = _i >= SCARCE;

    begin((struct rolling_limits){.time_ns = 10 * SECOND});
    file = stream->current;
    scarce[_i % SCARCE].take();
    if (failed)
        atomic_store(&file->error, -EIO);
    else
        file->frames = file->capacity;
    handover_roll_if_due(stream, mono_ns);
    expect_ended(file, failed ? "ERROR" : "ROLL");
    ck_assert(!handover_ensure_file(stream, dao_clock_real_ns()));
    ck_assert_ptr_null(stream->current);
    end();
}
END_TEST

/* ---- the last one ---- */

/* Full, and ended at mono_ns. */
static struct record_file *end_full_file(void)
{
    struct record_file *file = stream->current;

    file->frames = file->capacity;
    handover_roll_if_due(stream, mono_ns);
    expect_ended(file, "ROLL");
    return file;
}

START_TEST(a_full_file_is_not_closed_as_one_among_others_while_it_may_be_the_last)
{
    struct record_file *file;

    begin((struct rolling_limits){.frames = 100});
    file = end_full_file();
    stream->starved = true; /* a frame waits for the next file */
    handover_roll_if_due(stream, mono_ns + 60 * SECOND);
    expect_ended(file, "ROLL");
    stream->stop_cause = "STOP";
    stopping_finish(stream);
    ck_assert_ptr_null(stream->ending);
    ck_assert_str_eq(file->end_cause, "STOP");
    end();
}
END_TEST

START_TEST(a_full_file_that_no_frame_follows_is_closed_after_a_second)
{
    struct record_file *file;

    begin((struct rolling_limits){.frames = 100});
    file = end_full_file();
    handover_roll_if_due(stream, mono_ns + SECOND / 2);
    expect_ended(file, "ROLL");
    handover_roll_if_due(stream, mono_ns + 2 * SECOND);
    ck_assert_ptr_null(stream->ending);
    ck_assert_str_eq(file->end_cause, "ROLL");
    end();
}
END_TEST

START_TEST(what_ended_a_file_before_the_recording_stays_its_cause)
{
    struct record_file *file;

    begin((struct rolling_limits){.frames = 100});
    file = stream->current;
    handover_retire(stream, "SHMGONE", mono_ns);
    expect_ended(file, "SHMGONE");
    stream->stop_cause = "SIGNAL";
    stopping_finish(stream);
    ck_assert_str_eq(file->end_cause, "SHMGONE");
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handover");
    TCase *tcase = tcase_create("ends");

    tcase_add_loop_test(
        tcase, a_file_ends_at_the_common_boundary_that_was_asked_for_while_it_was_written, 0, 2);
    tcase_add_test(tcase, a_file_whose_common_boundary_is_given_up_ends_by_its_age);
    tcase_add_test(tcase, an_end_that_is_due_waits_no_longer_when_the_same_limits_are_read_again);
    tcase_add_test(tcase, a_full_file_is_not_closed_as_one_among_others_while_it_may_be_the_last);
    tcase_add_test(tcase, a_full_file_that_no_frame_follows_is_closed_after_a_second);
    tcase_add_test(tcase, what_ended_a_file_before_the_recording_stays_its_cause);
    tcase_add_loop_test(tcase, a_limit_in_time_waits_until_another_file_can_be_had, 0, SCARCE);
    tcase_add_loop_test(tcase, whoever_asks_for_a_new_file_waits_for_it_and_is_answered_then, 0,
                        SCARCE);
    tcase_add_loop_test(
        tcase, a_boundary_that_the_clock_has_passed_waits_until_another_file_can_be_had, 0, SCARCE);
    tcase_add_loop_test(
        tcase, a_frame_behind_the_boundary_goes_into_the_file_before_it_while_there_is_no_other, 0,
        SCARCE);
    tcase_add_loop_test(tcase, a_file_that_is_full_or_has_failed_ends_though_there_is_no_other, 0,
                        2 * SCARCE);
    suite_add_tcase(suite, tcase);
    return testbed_run(suite);
}
