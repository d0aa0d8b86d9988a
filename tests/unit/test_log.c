/*
 * test_log.c - lines to standard error, written at once or by a thread of its own: their order,
 * and that nobody waits for a reader who does not read.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_queue.h"
#include "tests/support/suite.h"

#define MANY    20000u /* lines: more than a pipe and the queue have room for */
#define THREADS 4u

static int reader; /* of the pipe that standard error is */

/* Each test is its own process. */
static void begin(void)
{
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    unsetenv("JOURNAL_STREAM");
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    fcntl(reader, F_SETPIPE_SZ, 4096);
}

/* The next line, without what is in front of it; it must come (else the test times out). */
static const char *next_line(void)
{
    static char buf[1 << 16];
    static size_t used, at;
    char *line, *end;
    ssize_t n;

    while (!(end = memchr(buf + at, '\n', used - at))) {
        memmove(buf, buf + at, used - at);
        used -= at;
        at = 0;
        n = read(reader, buf + used, sizeof buf - used);
        ck_assert_int_gt(n, 0);
        used += (size_t)n;
    }
    *end = '\0';
    line = buf + at;
    at = (size_t)(end - buf) + 1;
    ck_assert_msg(strncmp(line, "daorec: ", 8) == 0, "'%s' is no line", line);
    return line + 8;
}

static bool is_something_there(void)
{
    struct pollfd in = {.fd = reader, .events = POLLIN};

    return poll(&in, 1, 0) == 1;
}

static void start(void)
{
    ck_assert_int_eq(log_start_thread(), 0);
}

/* ---- the queue ---- */

START_TEST(pieces_come_out_as_they_went_in_wherever_the_buffer_ends)
{
    char bytes[101], piece[64], expected[64];
    struct log_queue queue;
    unsigned in = 0, out = 0;

    log_queue_init(&queue, bytes, sizeof bytes);
    ck_assert_uint_eq(log_queue_pop(&queue, piece), 0);
    while (out < 5000) {
        memset(piece, (int)(in % 251), sizeof piece);
        while (log_queue_push(&queue, piece, 1 + in * 7 % 60)) {
            in++;
            memset(piece, (int)(in % 251), sizeof piece);
        }
        for (unsigned i = 0; i < 1 + out % 3 && out < in; i++, out++) {
            memset(expected, (int)(out % 251), sizeof expected);
            ck_assert_uint_eq(log_queue_pop(&queue, piece), 1 + out * 7 % 60);
            ck_assert_mem_eq(piece, expected, 1 + out * 7 % 60);
        }
    }
    ck_assert_uint_eq(queue.pushed_count, in);
}
END_TEST

START_TEST(a_piece_without_room_is_not_taken_at_all)
{
    char bytes[32], piece[64] = "x";
    struct log_queue queue;

    log_queue_init(&queue, bytes, sizeof bytes);
    ck_assert(!log_queue_push(&queue, piece, 29));
    ck_assert_uint_eq(queue.used, 0);
    ck_assert(log_queue_push(&queue, piece, 28)); /* with its length the buffer is full */
    ck_assert(!log_queue_push(&queue, piece, 1));
    ck_assert_uint_eq(log_queue_pop(&queue, piece), 28);
    ck_assert_uint_eq(log_queue_pop(&queue, piece), 0);
    ck_assert_uint_eq(queue.pushed_count, 1);
}
END_TEST

/* ---- lines ---- */

START_TEST(without_the_thread_a_line_is_written_when_it_is_logged)
{
    begin();
    log_warning("one");
    ck_assert(is_something_there());
    ck_assert_str_eq(next_line(), "warning: one");
    log_flush();
    log_stop_thread();
    log_info("two");
    ck_assert(is_something_there());
    ck_assert_str_eq(next_line(), "two");
}
END_TEST

START_TEST(who_logs_waits_for_no_reader_and_what_was_dropped_is_counted_once)
{
    unsigned count = 0, dropped = 0;
    const char *line;

    begin();
    start();
    for (unsigned i = 0; i < MANY; i++) /* nobody reads */
        log_info("line %u", i);
    for (line = next_line(); strncmp(line, "warning: ", 9) != 0; line = next_line())
        ck_assert_uint_eq(strtoul(line + 5, NULL, 10), count++);
    ck_assert_int_eq(sscanf(line, "warning: %u lines were not written here", &dropped), 1);
    ck_assert_uint_gt(count, 1000);
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_eq(count + dropped, MANY);
    log_info("again");
    ck_assert_str_eq(next_line(), "again");
    log_stop_thread();
    ck_assert(!is_something_there());
    log_info("at once");
    ck_assert(is_something_there());
}
END_TEST

START_TEST(a_line_after_a_gap_stands_behind_what_tells_of_the_gap)
{
    unsigned next = 0, n, logged = 0, gaps = 0;
    const char *line;

    begin();
    start();
    for (; logged < MANY; logged++)
        log_info("line %u", logged);
    while (next < logged) {
        line = next_line();
        if (sscanf(line, "warning: %u line", &n) == 1) {
            next += n;
            gaps++;
            continue;
        }
        ck_assert_uint_eq(strtoul(line + 5, NULL, 10), next);
        next++;
        if (next % 3 == 0 && logged < 2 * MANY) /* while it is read */
            log_info("line %u", logged++);
    }
    ck_assert_uint_gt(gaps, 0);
    ck_assert_uint_lt(gaps, 100);
    log_stop_thread();
}
END_TEST

/* Else every other line would tell of a gap. */
START_TEST(where_more_comes_than_is_read_gaps_are_few)
{
    unsigned n, gaps = 0;

    begin();
    start();
    for (unsigned i = 0; i < MANY; i++)
        log_info("line %u", i);
    for (unsigned i = 0; i < 2 * MANY; i++) {
        gaps += sscanf(next_line(), "warning: %u line", &n) == 1;
        for (unsigned k = 0; k < 3; k++)
            log_info("line %u", MANY + 3 * i + k);
    }
    ck_assert_uint_gt(gaps, 0);
    ck_assert_uint_lt(gaps, 20);
    close(reader);
    log_stop_thread();
}
END_TEST

START_TEST(the_end_does_not_wait_for_ever_and_nothing_after_it_does)
{
    begin();
    start();
    for (unsigned i = 0; i < MANY; i++)
        log_info("line %u", i);
    log_flush();
    log_stop_thread();
    for (unsigned i = 0; i < MANY; i++)
        log_info("nobody hears it");
    log_live(NULL);
    log_flush();
    log_stop_thread();
    ck_assert_str_eq(next_line(), "line 0");
}
END_TEST

static void *read_slowly(void *ctx)
{
    unsigned *count = ctx;

    for (*count = 0; strcmp(next_line(), "last") != 0; ++*count)
        ;
    return NULL;
}

START_TEST(the_end_is_written_when_somebody_reads)
{
    pthread_t thread;
    unsigned count;

    begin();
    ck_assert_int_eq(pthread_create(&thread, NULL, read_slowly, &count), 0);
    start();
    for (unsigned i = 0; i < 1000; i++)
        log_info("line %u", i);
    log_info("last");
    log_stop_thread();
    pthread_join(thread, NULL);
    ck_assert_uint_eq(count, 1000);
}
END_TEST

START_TEST(lines_are_whole_where_standard_error_does_not_block)
{
    begin();
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK), 0);
    start();
    for (unsigned i = 0; i < 2000; i++)
        log_info("line %u", i);
    for (unsigned i = 0; i < 2000; i++)
        ck_assert_uint_eq(strtoul(next_line() + 5, NULL, 10), i);
    log_stop_thread();
}
END_TEST

START_TEST(a_reader_that_is_gone_stops_nobody)
{
    begin();
    start();
    close(reader);
    for (unsigned i = 0; i < MANY; i++)
        log_info("line %u", i);
    log_stop_thread();
    ck_assert(log_has_failed());
}
END_TEST

static void *log_some(void *ctx)
{
    for (unsigned i = 0; i < 300; i++)
        log_info("%u %u", *(unsigned *)ctx, i);
    return NULL;
}

START_TEST(lines_of_several_threads_keep_the_order_of_each)
{
    unsigned names[THREADS], next[THREADS] = {0}, name, i;
    pthread_t threads[THREADS];

    begin();
    start();
    for (unsigned k = 0; k < THREADS; k++) {
        names[k] = k;
        ck_assert_int_eq(pthread_create(&threads[k], NULL, log_some, &names[k]), 0);
    }
    for (unsigned k = 0; k < 300 * THREADS; k++) {
        ck_assert_int_eq(sscanf(next_line(), "%u %u", &name, &i), 2);
        ck_assert_uint_lt(name, THREADS);
        ck_assert_uint_eq(i, next[name]++);
    }
    for (unsigned k = 0; k < THREADS; k++)
        pthread_join(threads[k], NULL);
    log_stop_thread();
    ck_assert(!is_something_there());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("log");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, pieces_come_out_as_they_went_in_wherever_the_buffer_ends);
    tcase_add_test(tcase, a_piece_without_room_is_not_taken_at_all);
    tcase_add_test(tcase, without_the_thread_a_line_is_written_when_it_is_logged);
    tcase_add_test(tcase, who_logs_waits_for_no_reader_and_what_was_dropped_is_counted_once);
    tcase_add_test(tcase, a_line_after_a_gap_stands_behind_what_tells_of_the_gap);
    tcase_add_test(tcase, where_more_comes_than_is_read_gaps_are_few);
    tcase_add_test(tcase, the_end_does_not_wait_for_ever_and_nothing_after_it_does);
    tcase_add_test(tcase, the_end_is_written_when_somebody_reads);
    tcase_add_test(tcase, lines_are_whole_where_standard_error_does_not_block);
    tcase_add_test(tcase, a_reader_that_is_gone_stops_nobody);
    tcase_add_test(tcase, lines_of_several_threads_keep_the_order_of_each);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
