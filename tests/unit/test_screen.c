/*
 * test_screen.c - what is shown while segments are watched, and how times are written.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "measure/report.h"
#include "measure/screen.h"
#include "tests/support/suite.h"

#define MS      1000000ll
#define SECOND  1000000000ll
#define START   (1764000000ll * SECOND)
#define STREAMS 40u

static struct screen_stream *streams;
static struct tally_gap gaps[STREAMS][8];
static char names[STREAMS][16];
static char page[32768];

static void begin(void)
{
    streams = calloc(STREAMS, sizeof *streams);
    for (unsigned i = 0; i < STREAMS; i++) {
        struct watch_view *view = &streams[i].view;

        snprintf(names[i], sizeof names[i], "stream_%03u", i);
        streams[i].name = names[i];
        view->tally.gaps = gaps[i];
        view->tally.gaps_most = 8;
        view->depth = 4096;
        view->backlog = 20;
        view->time_ns = SECOND;
        tally_begin_run(&view->tally, 1, TALLY_START);
        for (int64_t k = 1; k <= 100; k++) {
            struct tally_frame frame = {.cnt0 = k,
                                        .atime_ns = START + k * MS + (k % 7) * 1000,
                                        .taken_ns = START + k * MS + 50000};

            tally_take(&view->tally, &frame);
            histogram_add(&view->delay, 60000);
        }
        spread_settle(&view->tally.interval);
        screen_note(&streams[i]);
    }
}

static void end(void)
{
    free(streams);
}

static void lose(unsigned stream, unsigned cause, uint64_t count, int64_t at_ns)
{
    struct tally *t = &streams[stream].view.tally;

    tally_lose(t, cause, t->run.last_cnt0 + 1, count, START + at_ns);
}

/* Lines of the page, none wider than 79 columns. */
static unsigned format(unsigned count, unsigned rows)
{
    unsigned lines = 1;

    screen_format(page, sizeof page, streams, count, 83 * SECOND, rows);
    for (char *line = page; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        ck_assert_msg(strcspn(line, "\n") <= 79, "%zu: %.100s", strcspn(line, "\n"), line);
    }
    for (char *c = page; *c; c++)
        lines += *c == '\n';
    return lines;
}

static void expect(const char *text)
{
    ck_assert_msg(strstr(page, text) != NULL, "no '%s' in\n%s", text, page);
}

static void expect_not(const char *text)
{
    ck_assert_msg(strstr(page, text) == NULL, "'%s' in\n%s", text, page);
}

START_TEST(one_stream_has_its_numbers)
{
    ck_assert_uint_lt(format(1, 24), 24);
    expect("stream_000");
    expect("20/4096");
    expect("age p50");
    expect("1 min 23 s");
    expect_not("Losses");
    expect_not("shallow");
    streams[0].each_frame = true;
    format(1, 24);
    expect("latency");
}
END_TEST

START_TEST(the_rate_is_that_since_the_view_before)
{
    struct watch_view *view = &streams[0].view;

    ck_assert_double_eq(streams[0].rate_hz, 0.0);
    view->time_ns += SECOND / 2;
    view->tally.seen += 500;
    screen_note(&streams[0]);
    ck_assert_double_eq_tol(streams[0].rate_hz, 1000.0, 1e-9);
    screen_note(&streams[0]); /* the same view again */
    ck_assert_double_eq_tol(streams[0].rate_hz, 1000.0, 1e-9);
}
END_TEST

START_TEST(no_more_frames_wait_than_the_fifo_holds)
{
    streams[0].view.depth = 2;
    streams[0].view.backlog = 62;
    format(1, 24);
    expect("2/2");
    expect_not("62/2");
    screen_format_line(page, sizeof page, streams, 1);
    expect("fifo 2/2");
}
END_TEST

START_TEST(seven_streams_fit_into_24_rows_with_their_times)
{
    ck_assert_uint_lt(format(7, 24), 24);
    for (unsigned i = 0; i < 7; i++)
        ck_assert_ptr_nonnull(strstr(strstr(page, names[i]) + 1, names[i])); /* in both tables */
}
END_TEST

START_TEST(more_streams_than_rows_are_told)
{
    for (unsigned rows = 2; rows < 60; rows++) {
        unsigned lines = format(STREAMS, rows);

        ck_assert_uint_lt(lines, rows);
        if (rows >= 8 && rows < STREAMS)
            expect("more");
    }
}
END_TEST

START_TEST(large_numbers_do_not_make_lines_wider)
{
    struct watch_view *view = &streams[0].view;

    streams[0].rate_hz = 1234567.8;
    view->tally.seen = 98765432109ull;
    view->tally.lost_by[LEDGER_LAPPED] = 9999999;
    view->backlog = 8191;
    view->depth = 8192;
    format(1, 24);
    expect("98765432109");
}
END_TEST

START_TEST(losses_are_listed_the_last_ones_first)
{
    const char *first, *second, *third;

    lose(0, LEDGER_LAPPED, 12, 5 * SECOND);
    lose(1, LEDGER_SOURCE, 34, 7 * SECOND);
    lose(0, LEDGER_RESTART, 56, 9 * SECOND);
    ck_assert_uint_lt(format(2, 24), 24);
    first = strstr(page, "56 frames");
    second = strstr(page, "34 frames");
    third = strstr(page, "12 frames");
    ck_assert(first && second && third && first < second && second < third);
    expect("lapped");
    expect("from count 113 on, restart");
}
END_TEST

START_TEST(a_segment_that_is_gone_is_said_to_be)
{
    streams[0].view.condition = WATCH_GONE;
    format(1, 24);
    expect("gone");
    expect_not("20/4096");
    screen_format_line(page, sizeof page, streams, 2);
    expect("gone");
    expect("stream_001");
}
END_TEST

START_TEST(a_fifo_that_is_too_shallow_is_told_with_the_depth_it_needs)
{
    struct watch_view *view = &streams[0].view;
    uint32_t usual, most;

    view->depth = 16;
    for (int i = 0; i < 3; i++) /* of 103: not beyond p99.9 */
        histogram_add(&view->delay, 100 * MS);
    screen_depth_needed(view, false, &usual, &most);
    ck_assert_uint_ge(most, 100);
    format(1, 24);
    expect("depth 16 too shallow");
    view->depth = most;
    format(1, 24);
    expect_not("too shallow");
    view->depth = most - 1;
    format(1, 24);
    expect("too shallow");
}
END_TEST

START_TEST(a_source_that_pauses_is_taken_at_the_rate_it_has_when_it_does_not)
{
    struct watch_view *view = &streams[0].view;
    uint32_t usual, most, faster;

    histogram_add(&view->delay, 100 * MS);
    screen_depth_needed(view, false, &usual, &most);
    view->rate_hz_max = 500.0; /* less than the mean */
    screen_depth_needed(view, false, &usual, &faster);
    ck_assert_uint_eq(faster, most);
    view->rate_hz_max = 2000.0;
    screen_depth_needed(view, false, &usual, &faster);
    ck_assert_uint_gt(faster, most + most / 2);
}
END_TEST

START_TEST(frames_that_came_in_a_burst_need_as_many_slots)
{
    struct watch_view *view = &streams[0].view;
    uint32_t usual, most;

    view->depth = 16;
    view->backlog_max = 15; /* they fit */
    screen_depth_needed(view, false, &usual, &most);
    ck_assert_uint_le(most, 16);
    view->backlog_max = 50;
    screen_depth_needed(view, false, &usual, &most);
    ck_assert_uint_eq(most, 52);
}
END_TEST

START_TEST(times_have_so_many_digits)
{
    static const struct {
        int64_t ns;
        int digits;
        const char *text;
    } cases[] = {{0, 3, "0ns"},
                 {999, 3, "999ns"},
                 {-5, 3, "-5ns"},
                 {1000, 3, "1.00us"},
                 {12345, 3, "12.3us"},
                 {123456, 3, "123us"},
                 {123456, 5, "123.46us"},
                 {1000300, 5, "1.0003ms"},
                 {-1234567, 3, "-1.23ms"},
                 {2 * SECOND, 5, "2.0000s"},
                 {999998, 5, "1.0000ms"},
                 {999990, 5, "999.99us"},
                 {-999999, 3, "-1.00ms"},
                 {100 * SECOND, 3, "100s"},
                 {5000, 1, "5us"}};
    char text[REPORT_NS_BYTES];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_str_eq(report_format_ns(text, cases[i].ns, cases[i].digits), cases[i].text);
    ck_assert_str_eq(report_format_offset(text, 1500, 3), "+1.50us");
    ck_assert_str_eq(report_format_offset(text, -1500, 3), "-1.50us");
    ck_assert_str_eq(report_format_offset(text, 0, 3), "0");
    report_format_ns(text, INT64_MAX, 5); /* fits */
    report_format_offset(text, INT64_MIN + 1, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("screen");
    TCase *tcase = tcase_create("screen");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, one_stream_has_its_numbers);
    tcase_add_test(tcase, the_rate_is_that_since_the_view_before);
    tcase_add_test(tcase, no_more_frames_wait_than_the_fifo_holds);
    tcase_add_test(tcase, seven_streams_fit_into_24_rows_with_their_times);
    tcase_add_test(tcase, more_streams_than_rows_are_told);
    tcase_add_test(tcase, large_numbers_do_not_make_lines_wider);
    tcase_add_test(tcase, losses_are_listed_the_last_ones_first);
    tcase_add_test(tcase, a_segment_that_is_gone_is_said_to_be);
    tcase_add_test(tcase, a_fifo_that_is_too_shallow_is_told_with_the_depth_it_needs);
    tcase_add_test(tcase, a_source_that_pauses_is_taken_at_the_rate_it_has_when_it_does_not);
    tcase_add_test(tcase, frames_that_came_in_a_burst_need_as_many_slots);
    tcase_add_test(tcase, times_have_so_many_digits);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
