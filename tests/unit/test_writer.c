/*
 * test_writer.c - what a published frame looks like, and in which order its stores are made: a
 * child publishes under the debugger, one machine instruction at a time, and after each one the
 * parent looks at the segment as any other process would see it.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "lib/clock.h"

/* With times far apart: at depth 1 frames that follow closely are taken for torn. */
static void write_frame(struct dao_segment *seg, uint64_t cnt0)
{
    struct dao_write w;

    ck_assert_int_eq(dao_writer_begin(seg, &w), 0);
    ck_assert_uint_eq(w.cnt0, cnt0);
    ramp_fill(w.pixels, seg->geo.dtype->atype, cnt0, seg->geo.nelement);
    dao_writer_publish(seg, &w, testbed_time_ns += TESTBED_INTERVAL_NS);
}

START_TEST(frames_go_round_the_slots_with_counts_from_1)
{
    uint32_t depth = testbed_depths[_i];
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "round", depth);
    r = testbed_reader(&seg);
    for (uint64_t cnt0 = 1; cnt0 <= 150; cnt0++) {
        struct dao_take take;

        write_frame(&seg, cnt0);
        take = take_frame(&r, cnt0);
        ck_assert_uint_eq(take.slot, (cnt0 - 1) % depth);
        ck_assert_uint_eq(get_head(&seg), take.slot);
        ck_assert_int_eq(take.atime_ns, testbed_time_ns);
        ck_assert_uint_eq(dao_segment_md(&seg, take.slot)->write, 0);
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(begin_raises_the_flag_and_publishes_nothing)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_write w;

    testbed_create(&seg, "begin", 3);
    r = testbed_reader(&seg);
    write_frame(&seg, 1);
    take_frame(&r, 1);
    ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
    ck_assert_uint_eq(w.slot, 1);
    ck_assert_ptr_eq(w.pixels, dao_segment_pixels(&seg, 1));
    ck_assert_uint_eq(dao_segment_md(&seg, 1)->write, 1);
    ck_assert_uint_eq(dao_segment_md(&seg, 1)->cnt0, 0);
    ck_assert_uint_eq(get_head(&seg), 0);
    expect_nothing(&r);
    dao_writer_publish(&seg, &w, 0);
    ck_assert_int_eq(dao_reader_begin(&r, (struct dao_take[]){{0}}), DAO_READ_FRAME);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(without_a_time_of_its_own_a_frame_has_that_of_its_publication)
{
    int64_t before_ns, atime_ns;
    struct dao_segment seg;
    struct dao_write w;

    testbed_create(&seg, "time", 3);
    ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
    before_ns = dao_clock_real_ns();
    dao_writer_publish(&seg, &w, 0);
    atime_ns = dao_segment_md(&seg, 0)->atime.tsfixed.secondlong;
    ck_assert_int_ge(atime_ns, before_ns);
    ck_assert_int_le(atime_ns, dao_clock_real_ns());
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_count_is_that_of_the_slot_before_plus_1)
{
    struct dao_segment seg;
    struct dao_write w;

    testbed_create(&seg, "count", 4);
    put_frame(&seg, 5001);
    ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
    ck_assert_uint_eq(w.cnt0, 5002);
    w.cnt0 = 7000; /* a source that stamps its own */
    dao_writer_publish(&seg, &w, 123);
    ck_assert_uint_eq(dao_segment_md(&seg, 1)->cnt0, 7000);
    ck_assert_int_eq(dao_segment_md(&seg, 1)->atime.tsfixed.secondlong, 123);
    ck_assert_int_eq(dao_segment_md(&seg, 1)->atime.tsfixed.firstlong, 0);
    ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
    ck_assert_uint_eq(w.cnt0, 7001);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(another_handle_goes_on_where_the_first_stopped)
{
    struct dao_segment a, b;

    testbed_create(&a, "handles", 3);
    write_frame(&a, 1);
    ck_assert_int_eq(dao_segment_open(&b, testbed_path("handles"), DAO_ACCESS_WRITE, NULL), 0);
    write_frame(&b, 2);
    write_frame(&a, 3);
    dao_segment_close(&a);
    dao_segment_close(&b);
}
END_TEST

START_TEST(what_cannot_be_written_is_refused_and_untouched)
{
    struct dao_segment seg, readonly;
    struct dao_write w = {.slot = 99};

    testbed_create(&seg, "refused", 3);
    ck_assert_int_eq(dao_segment_open(&readonly, testbed_path("refused"), DAO_ACCESS_READ, NULL),
                     0);
    ck_assert_int_eq(dao_writer_begin(&readonly, &w), -EROFS);
    set_head(&seg, 3);
    ck_assert_int_eq(dao_writer_begin(&seg, &w), -EBADMSG);
    set_head(&seg, 2);
    ck_assert_int_eq(ftruncate(seg.fd, 0), 0);
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->write, 0);
    ck_assert_int_eq(dao_writer_begin(&seg, &w), -ESTALE);
    ck_assert_uint_eq(w.slot, 99);
    dao_segment_close(&seg);
    dao_segment_close(&readonly);
}
END_TEST

/* ---- the order of stores ---- */

/* What a frame's publication moves, as one letter each. */
struct view {
    uint8_t write;
    uint16_t pixel;
    int64_t atime;
    uint64_t cnt0;
    uint32_t head;
};

#define STEPS_MAX 2000000

static struct view look(const struct dao_segment *seg, uint32_t slot)
{
    const IMAGE_METADATA *md = dao_segment_md(seg, slot);
    const uint16_t *pixels = (const uint16_t *)(const void *)dao_segment_pixels(seg, slot);

    return (struct view){
        __atomic_load_n(&md->write, __ATOMIC_ACQUIRE),
        __atomic_load_n(&pixels[0], __ATOMIC_ACQUIRE),
        __atomic_load_n(&md->atime.tsfixed.secondlong, __ATOMIC_ACQUIRE),
        __atomic_load_n(&md->cnt0, __ATOMIC_ACQUIRE),
        __atomic_load_n(&dao_segment_md(seg, 0)->fifo_last_written, __ATOMIC_ACQUIRE)};
}

static void note_changes(char *log, size_t bytes, const struct view *a, const struct view *b)
{
    size_t n = strlen(log);

    snprintf(log + n, bytes - n, "%s%s%s%s%s", a->write != b->write ? b->write ? "W" : "w" : "",
             a->pixel != b->pixel ? "p" : "", a->atime != b->atime ? "t" : "",
             a->cnt0 != b->cnt0 ? "c" : "", a->head != b->head ? "h" : "");
}

static _Noreturn void publish_under_trace(struct dao_segment *seg)
{
    struct dao_write w;

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP);
    if (dao_writer_begin(seg, &w) < 0)
        _exit(1);
    *(volatile uint16_t *)w.pixels = 0x4242;
    dao_writer_publish(seg, &w, 4242);
    _exit(0);
}

START_TEST(the_stores_become_visible_in_the_order_of_the_protocol)
{
    struct dao_segment seg;
    struct view before, after;
    char log[64] = "";
    int status;
    pid_t pid;

    testbed_create(&seg, "stores", 3);
    put_frames(&seg, 1, 4); /* the next slot is 1, with an old frame in it */
    before = look(&seg, 1);
    pid = fork();
    if (pid == 0)
        publish_under_trace(&seg);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return; /* no tracing on this machine */
    for (long i = 0; i < STEPS_MAX && WIFSTOPPED(status); i++) {
        after = look(&seg, 1);
        note_changes(log, sizeof log, &before, &after);
        before = after;
        ck_assert_int_eq((int)ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    }
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ck_assert_str_eq(log, "Wptcwh");
    dao_segment_close(&seg);
}
END_TEST

/* Between any two stores a reader finds the frame not there, or refuses it, or has it whole. */
START_TEST(a_reader_between_any_two_stores_takes_no_half_frame)
{
    uint32_t depth = testbed_depths[_i];
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "between", depth);
    r = testbed_reader(&seg);
    r.torn_look_ns = 0;
    for (uint64_t cnt0 = 1; cnt0 <= 70; cnt0++) {
        struct dao_write w;
        struct dao_take take;

        ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
        expect_nothing(&r);
        testbed_fill(&seg, w.slot, cnt0);
        expect_nothing(&r);
        set_cnt0(&seg, w.slot, cnt0);
        if (depth == 1) { /* a frame with its flag still up: never taken as whole */
            ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_FRAME);
        } else {
            expect_nothing(&r);
        }
        set_write(&seg, w.slot, 0);
        if (depth > 1)
            expect_nothing(&r);
        dao_writer_publish(&seg, &w, testbed_time_ns += TESTBED_INTERVAL_NS);
        take_frame(&r, cnt0);
    }
    dao_segment_close(&seg);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("writer");
    TCase *frames = tcase_create("frames"), *order = tcase_create("order of stores");

    tcase_set_timeout(order, 60);
    tcase_add_loop_test(frames, frames_go_round_the_slots_with_counts_from_1, 0, DEPTHS);
    tcase_add_test(frames, begin_raises_the_flag_and_publishes_nothing);
    tcase_add_test(frames, without_a_time_of_its_own_a_frame_has_that_of_its_publication);
    tcase_add_test(frames, the_count_is_that_of_the_slot_before_plus_1);
    tcase_add_test(frames, another_handle_goes_on_where_the_first_stopped);
    tcase_add_test(frames, what_cannot_be_written_is_refused_and_untouched);
    tcase_add_test(order, the_stores_become_visible_in_the_order_of_the_protocol);
    tcase_add_loop_test(order, a_reader_between_any_two_stores_takes_no_half_frame, 0, DEPTHS);
    suite_add_tcase(suite, frames);
    suite_add_tcase(suite, order);
    return testbed_run(suite);
}
