/* test_units.c - sizes, durations, counts and times as people write them. */
#include <check.h>
#include <errno.h>

#include "base/units.h"
#include "tests/support/suite.h"

static const struct good_bytes {
    const char *text;
    uint64_t bytes;
} good_bytes[] = {
    {"0", 0},
    {"4096", 4096},
    {"4096B", 4096},
    {"10k", 10000},
    {"10K", 10000},
    {"64MiB", 64ull << 20},
    {"64Mi", 64ull << 20},
    {"64 MiB", 64ull << 20},
    {"1.5GB", 1500000000},
    {"0.3k", 300},
    {".5k", 500},
    {"1.5KiB", 1536},
    {"2TB", 2000000000000},
    {"1gib", 1ull << 30},
    {"18446744073709551615", UINT64_MAX},
    {"0.0000000000000000001PB", 0},
};

START_TEST(sizes_with_and_without_units_are_exact)
{
    uint64_t bytes = 77;

    ck_assert_int_eq(units_parse_bytes(good_bytes[_i].text, &bytes), 0);
    ck_assert_uint_eq(bytes, good_bytes[_i].bytes);
}
END_TEST

static const char *const bad_bytes[] = {"",    " ",    "B",      "abc",  "-1",   "+1", "1e6",
                                        "10 ", " 10",  "1,5GB",  "10XB", "1..5", ".",  "10MBs",
                                        "1 0", "0x10", "10  MB", "k",    "10kk"};

START_TEST(what_is_no_size_is_refused_and_changes_nothing)
{
    uint64_t bytes = 77;

    ck_assert_int_eq(units_parse_bytes(bad_bytes[_i], &bytes), -EINVAL);
    ck_assert_uint_eq(bytes, 77);
}
END_TEST

START_TEST(a_size_beyond_64_bits_is_out_of_range)
{
    uint64_t bytes = 77;

    ck_assert_int_eq(units_parse_bytes("18446744073709551616", &bytes), -ERANGE);
    ck_assert_int_eq(units_parse_bytes("99999999999999999999999999", &bytes), -ERANGE);
    ck_assert_int_eq(units_parse_bytes("20000PB", &bytes), -ERANGE);
    ck_assert_int_eq(units_parse_bytes("18446744073709551615k", &bytes), -ERANGE);
    ck_assert_uint_eq(bytes, 77);
}
END_TEST

static const struct good_duration {
    const char *text;
    int64_t ns;
} good_durations[] = {
    {"0", 0},
    {"1", 1000000000},
    {"0.5", 500000000},
    {"10s", 10000000000},
    {"10sec", 10000000000},
    {"500ms", 500000000},
    {"1.5ms", 1500000},
    {"250us", 250000},
    {"250\xc2\xb5s", 250000},
    {"10ns", 10},
    {"0.4ns", 0},
    {"5min", 300000000000},
    {"2h", 7200000000000},
    {"1d", 86400000000000},
    {"2 s", 2000000000},
    {"0.000000001", 1},
    {"36500d", 36500 * 86400ll * 1000000000},
};

START_TEST(durations_with_every_unit_are_exact)
{
    int64_t ns = 77;

    ck_assert_int_eq(units_parse_duration(good_durations[_i].text, &ns), 0);
    ck_assert_int_eq(ns, good_durations[_i].ns);
}
END_TEST

static const char *const bad_durations[] = {"",           "s",   "-1s", "1m",
                                            "1 hour ago", "1s2", "abc", "1:30"};

START_TEST(what_is_no_duration_is_refused_and_changes_nothing)
{
    int64_t ns = 77;

    ck_assert_int_eq(units_parse_duration(bad_durations[_i], &ns), -EINVAL);
    ck_assert_int_eq(ns, 77);
}
END_TEST

START_TEST(a_duration_beyond_a_hundred_years_is_out_of_range)
{
    int64_t ns = 77;

    ck_assert_int_eq(units_parse_duration("36501d", &ns), -ERANGE);
    ck_assert_int_eq(units_parse_duration("99999999999999999999s", &ns), -ERANGE);
    ck_assert_int_eq(ns, 77);
}
END_TEST

START_TEST(counts_are_whole_decimal_numbers)
{
    uint64_t count = 77;

    ck_assert_int_eq(units_parse_count("18446744073709551615", &count), 0);
    ck_assert_uint_eq(count, UINT64_MAX);
    ck_assert_int_eq(units_parse_count("007", &count), 0);
    ck_assert_uint_eq(count, 7);
    ck_assert_int_eq(units_parse_count("18446744073709551616", &count), -ERANGE);
    ck_assert_int_eq(units_parse_count("-1", &count), -EINVAL);
    ck_assert_int_eq(units_parse_count("1.5", &count), -EINVAL);
    ck_assert_int_eq(units_parse_count("10k", &count), -EINVAL);
    ck_assert_int_eq(units_parse_count("", &count), -EINVAL);
    ck_assert_uint_eq(count, 7);
}
END_TEST

START_TEST(sizes_are_printed_with_three_digits)
{
    char buf[32];

    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 0), "0 B");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 999), "999 B");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 1000), "1.00 kB");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 1280000000), "1.28 GB");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 97000000), "97.0 MB");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 9999), "10.0 kB");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 99960), "100 kB");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), 999600), "1.00 MB");
    ck_assert_str_eq(units_format_bytes(buf, sizeof(buf), UINT64_MAX), "18.4 EB");
}
END_TEST

START_TEST(durations_are_printed_in_the_unit_a_person_would_choose)
{
    char buf[48];

    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 0), "0 ns");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 250000), "250 us");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 999999), "1.00 ms");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 12340000000), "12.3 s");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), -12340000000), "-12.3 s");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 59940000000), "59.9 s");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 59990000000), "1 min 00 s");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 245000000000), "4 min 05 s");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 3599600000000), "1 h 00 min");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 7500000000000), "2 h 05 min");
    ck_assert_str_eq(units_format_duration(buf, sizeof(buf), 3 * 86400000000000), "3 d 00 h");
    units_format_duration(buf, sizeof(buf), INT64_MIN);
}
END_TEST

START_TEST(times_are_cut_to_the_digits_asked_for)
{
    char buf[40];
    int64_t ns = 1795485668123456789;

    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), ns, 9), "2026-11-24T02:01:08.123456789");
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), ns, 3), "2026-11-24T02:01:08.123");
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), ns, 0), "2026-11-24T02:01:08");
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), 0, 1), "1970-01-01T00:00:00.0");
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), 999999999, 0), "1970-01-01T00:00:00");
}
END_TEST

START_TEST(times_before_1970_count_from_the_second_they_lie_in)
{
    char buf[40];

    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), -1, 9), "1969-12-31T23:59:59.999999999");
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), -1000000000, 9),
                     "1969-12-31T23:59:59.000000000");
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), INT64_MIN, 9),
                     "1677-09-21T00:12:43.145224192");
}
END_TEST

START_TEST(a_time_that_was_printed_is_read_again)
{
    static const int64_t times[] = {
        0, 1, 1764000000123456789, 951782400000000000 /* a leap day */, -1, 999999999};
    static const char *const bad[] = {"",
                                      "2026-11-24",
                                      "2026-11-24T02:01",
                                      "2026-13-24T02:01:08",
                                      "2026-11-24T02:01:08Z",
                                      "2026-11-24 02:01:08",
                                      "2026-11-24T02:01:08.1234567891",
                                      "9999-11-24T02:01:08",
                                      "2026-02-29T02:01:08",
                                      "2100-02-29T02:01:08",
                                      "2026-11-31T02:01:08"};
    char buf[48];
    int64_t ns = 42;

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        ck_assert_int_eq(units_parse_utc(units_format_utc(buf, sizeof(buf), times[i], 9), &ns), 0);
        ck_assert_int_eq(ns, times[i]);
    }
    ck_assert_int_eq(units_parse_utc("2024-02-29T23:59:60", &ns), 0);
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), ns, 0), "2024-03-01T00:00:00");
    ck_assert_int_eq(units_parse_utc("2026-11-24T02:01:08", &ns), 0);
    ck_assert_str_eq(units_format_utc(buf, sizeof(buf), ns, 1), "2026-11-24T02:01:08.0");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ns = 42;
        ck_assert_int_eq(units_parse_utc(bad[i], &ns), -EINVAL);
        ck_assert_int_eq(ns, 42);
    }
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(what_is_appended_is_cut_where_the_line_is_full)
{
    char line[9] = "";
    size_t at = units_append(line, sizeof line, 0, "%d", 12);

    ck_assert_uint_eq(at, 2);
    at = units_append(line, sizeof line, at, " %s", "abc");
    ck_assert_uint_eq(at, 6);
    ck_assert_str_eq(line, "12 abc");
    at = units_append(line, sizeof line, at, "%s", "defg");
    ck_assert_uint_eq(at, 8);
    ck_assert_str_eq(line, "12 abcde");
    ck_assert_uint_eq(units_append(line, sizeof line, at, "x"), 8);
    ck_assert_str_eq(line, "12 abcde");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *tc = tcase_create("units");

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, sizes_with_and_without_units_are_exact, 0, COUNT(good_bytes));
    tcase_add_loop_test(tc, what_is_no_size_is_refused_and_changes_nothing, 0, COUNT(bad_bytes));
    tcase_add_test(tc, a_size_beyond_64_bits_is_out_of_range);
    tcase_add_loop_test(tc, durations_with_every_unit_are_exact, 0, COUNT(good_durations));
    tcase_add_loop_test(tc, what_is_no_duration_is_refused_and_changes_nothing, 0,
                        COUNT(bad_durations));
    tcase_add_test(tc, a_duration_beyond_a_hundred_years_is_out_of_range);
    tcase_add_test(tc, counts_are_whole_decimal_numbers);
    tcase_add_test(tc, sizes_are_printed_with_three_digits);
    tcase_add_test(tc, durations_are_printed_in_the_unit_a_person_would_choose);
    tcase_add_test(tc, times_are_cut_to_the_digits_asked_for);
    tcase_add_test(tc, times_before_1970_count_from_the_second_they_lie_in);
    tcase_add_test(tc, a_time_that_was_printed_is_read_again);
    tcase_add_test(tc, what_is_appended_is_cut_where_the_line_is_full);
    return suite_run(suite);
}
