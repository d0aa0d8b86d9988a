/*
 * test_serve.c - addresses as people write them, and a session's state as text for Prometheus. That
 * others can read it is for the integration tests.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "serve/metrics.h"
#include "tests/support/suite.h"

START_TEST(an_address_is_a_port_or_a_number_and_a_port)
{
    static const char *const good[][2] = {
        {"0", "127.0.0.1:"},           {"127.0.0.1:0", "127.0.0.1:"}, {"0.0.0.0:0", "0.0.0.0:"},
        {"127.0.0.2:0", "127.0.0.2:"}, {"[::1]:0", "[::1]:"},
    };
    char text[ADDRESS_TEXT_BYTES];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct address address;
        struct dao_text why = {""};
        int fd;

        ck_assert_int_eq(address_parse(&address, good[i][0], &why), 0);
        fd = address_listen(&address);
        if (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT)
            continue; /* a machine without IPv6 */
        ck_assert_int_ge(fd, 0);
        address_format(text, fd);
        ck_assert_int_eq(strncmp(text, good[i][1], strlen(good[i][1])), 0);
        ck_assert_int_gt(atoi(text + strlen(good[i][1])), 0); /* the port that it got */
        close(fd);
    }
}
END_TEST

START_TEST(what_is_no_address_is_refused_with_what_it_was_and_what_is_allowed)
{
    static const char *const bad[] = {"",
                                      ":",
                                      ":9464",
                                      "localhost:9464",
                                      "65536",
                                      "-1",
                                      "9464x",
                                      "127.0.0.1:",
                                      "127.0.0.1",
                                      "::1:9464",
                                      "[::1]",
                                      "[]:1",
                                      "[127.0.0.1:1",
                                      "1.2.3.4.5:1",
                                      "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:1"};
    struct address address;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dao_text why = {""};

        ck_assert_msg(address_parse(&address, bad[i], &why) == -EINVAL, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(why.s, bad[i]));
        ck_assert_ptr_nonnull(strstr(why.s, "9464"));
    }
}
END_TEST

START_TEST(a_taken_port_is_an_error)
{
    struct address address;
    struct dao_text why;
    char text[ADDRESS_TEXT_BYTES];
    int fd;

    ck_assert_int_eq(address_parse(&address, "0", &why), 0);
    fd = address_listen(&address);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(address_parse(&address, address_format(text, fd), &why), 0);
    ck_assert_int_eq(address_listen(&address), -EADDRINUSE);
    close(fd);
}
END_TEST

START_TEST(a_label_is_escaped_and_never_cut_within_an_escape)
{
    char text[64];

    ck_assert_str_eq(metrics_escape(text, sizeof text, "a\"b\\c\nd\xc3\xa9"),
                     "a\\\"b\\\\c\\nd\xc3\xa9");
    ck_assert_str_eq(metrics_escape(text, 4, "ab\"c"), "ab");
    ck_assert_str_eq(metrics_escape(text, 5, "ab\"c"), "ab\\\"");
    ck_assert_str_eq(metrics_escape(text, 1, "ab"), "");
}
END_TEST

/* The value behind this name and labels; -1: it is not there. */
static double value_of(const char *text, const char *sample)
{
    const char *at = text;

    while ((at = strstr(at, sample)) && at != text && at[-1] != '\n')
        at++;
    return at ? strtod(at + strlen(sample), NULL) : -1;
}

static char *format(const struct session_state *state)
{
    size_t bytes = 0;
    char *text = metrics_format(state, &bytes);

    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(strlen(text), bytes);
    return text;
}

START_TEST(each_stream_has_its_counts_and_a_latency_is_in_every_bucket_above_it)
{
    static struct stream_state streams[2] = {
        {.name = "wfs",
         .frames = 5, /* some were taken back */
         .frames_most = 1ull << 63,
         .lost_by = {1, 2, 0, 4},
         .lost_by_most = {1, 2, 3, 4},
         .backlog = 5,
         .buffer_bytes = 4,
         .buffer_used_bytes = 1,
         .bytes_written = 77},
        {.name = "dm"},
    };
    struct session_state state = {
        .start_ns = 1, .disk_free_bytes = 42, .count = 2, .streams = streams};
    struct latency latency = {.sum_ns = 0};
    char *text;

    latency_add(&latency, 1023);
    latency_add(&latency, 1024);
    latency_add(&latency, 1ll << 36);
    latency_read(&latency, &streams[0].latency);
    text = format(&state);
    ck_assert_double_eq(value_of(text, "daorec_frames_recorded_total{stream=\"wfs\"}"),
                        9223372036854775808.0);
    ck_assert_double_eq(value_of(text, "daorec_frames_recorded_total{stream=\"dm\"}"), 0);
    ck_assert_double_eq(
        value_of(text, "daorec_frames_lost_total{stream=\"wfs\",reason=\"source\"}"), 3);
    ck_assert_double_eq(value_of(text, "daorec_bytes_written_total{stream=\"wfs\"}"), 77);
    ck_assert_double_eq(value_of(text, "daorec_fifo_backlog_frames{stream=\"wfs\"}"), 5);
    ck_assert_double_eq(value_of(text, "daorec_buffer_fill_ratio{stream=\"wfs\"}"), 0.25);
    ck_assert_double_eq(value_of(text, "daorec_buffer_fill_ratio{stream=\"dm\"}"), 0);
    ck_assert_double_eq(value_of(text, "daorec_disk_free_bytes"), 42);
#define BUCKET(le)                                                                                 \
    value_of(text, "daorec_frame_latency_seconds_bucket{stream=\"wfs\",le=\"" le "\"}")
    ck_assert_double_eq(BUCKET("1.023e-06"), 1);
    ck_assert_double_eq(BUCKET("2.047e-06"), 2);
    ck_assert_double_eq(BUCKET("17.179869183"), 2);
    ck_assert_double_eq(BUCKET("+Inf"), 3);
    ck_assert_double_eq(value_of(text, "daorec_frame_latency_seconds_count{stream=\"wfs\"}"), 3);
    free(text);
}
END_TEST

START_TEST(counts_go_on_from_those_of_earlier_sessions)
{
    static struct stream_state streams[1] = {
        {.name = "wfs", .frames_most = 5, .backlog = 3, .bytes_written = 7, .latency.count = 5}};
    static struct stream_totals past[2] = {
        {.name = "dm", .frames = 30, .lost_by = {4}, .latency.count = 30},
        {.name = "wfs", .frames = 20, .lost_by = {0, 1}, .bytes_written = 70, .latency.count = 20}};
    struct session_state state = {.disk_free_bytes = STATE_UNKNOWN,
                                  .count = 1,
                                  .streams = streams,
                                  .past_count = 2,
                                  .past = past};
    char *text;

    state.start_ns = _i; /* 0: its segment is waited for, or there is none */
    text = format(&state);
    ck_assert_double_eq(value_of(text, "daorec_frames_recorded_total{stream=\"dm\"}"), 30);
    ck_assert_double_eq(value_of(text, "daorec_frames_lost_total{stream=\"dm\",reason=\"lapped\"}"),
                        4);
    ck_assert_double_eq(value_of(text, "daorec_frames_recorded_total{stream=\"wfs\"}"),
                        _i ? 25 : 20);
    ck_assert_double_eq(value_of(text, "daorec_frames_lost_total{stream=\"wfs\",reason=\"disk\"}"),
                        1);
    ck_assert_double_eq(value_of(text, "daorec_bytes_written_total{stream=\"wfs\"}"), _i ? 77 : 70);
    ck_assert_double_eq(value_of(text, "daorec_frame_latency_seconds_count{stream=\"wfs\"}"),
                        _i ? 25 : 20);
    ck_assert_double_eq(value_of(text, "daorec_fifo_backlog_frames{stream=\"wfs\"}"), _i ? 3 : -1);
    ck_assert_ptr_null(strstr(text, "daorec_fifo_backlog_frames{stream=\"dm\"}"));
    free(text);
}
END_TEST

START_TEST(without_a_session_only_the_program_is_told_of)
{
    struct session_state state = {.disk_free_bytes = STATE_UNKNOWN};
    char *text = format(&state);

    ck_assert_ptr_nonnull(strstr(text, "\ndaorec_build_info{version=\""));
    ck_assert_ptr_null(strstr(text, "daorec_frames"));
    ck_assert_ptr_null(strstr(text, "\ndaorec_disk_free_bytes "));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("serve");
    TCase *tcase = tcase_create("serve");

    tcase_add_test(tcase, an_address_is_a_port_or_a_number_and_a_port);
    tcase_add_test(tcase, what_is_no_address_is_refused_with_what_it_was_and_what_is_allowed);
    tcase_add_test(tcase, a_taken_port_is_an_error);
    tcase_add_test(tcase, a_label_is_escaped_and_never_cut_within_an_escape);
    tcase_add_test(tcase, each_stream_has_its_counts_and_a_latency_is_in_every_bucket_above_it);
    tcase_add_loop_test(tcase, counts_go_on_from_those_of_earlier_sessions, 0, 2);
    tcase_add_test(tcase, without_a_session_only_the_program_is_told_of);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
