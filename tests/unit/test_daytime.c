/* test_daytime.c - a time of day within a night, and a region of a frame, as people write them. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "series/daytime.h"
#include "extract/extract.h"
#include "tests/support/suite.h"

#define S 1000000000ll
/* 2026-11-24T22:00:00 to 2026-11-25T05:30:00 UTC */
#define BEGIN_NS 1795557600000000000ll
#define END_NS   (BEGIN_NS + 27000 * S)

static const struct {
    const char *words, *expected; /* NULL: refused */
} times[] = {
    {"23:15:00", "2026-11-24T23:15:00"},
    {"23:15", "2026-11-24T23:15:00"},
    {"02:01:08.5", "2026-11-25T02:01:08.5"},
    {"00:00:00Z", "2026-11-25T00:00:00"},
    {"22:00:00", "2026-11-24T22:00:00"},
    {"05:30:00", "2026-11-25T05:30:00"},
    /* before and behind it: the day with the night in its middle */
    {"05:30:00.000000001", "2026-11-25T05:30:00.000000001"},
    {"21:59:59", "2026-11-24T21:59:59"},
    {"13:44:59", "2026-11-25T13:44:59"},
    {"13:45", "2026-11-24T13:45:00"},
    {"12:00", "2026-11-25T12:00:00"},
    /* what is no time of day comes out as it is */
    {"24:00:00", "24:00:00"},
    {"23:60", "23:60"},
    {"5:30", "5:30"},
    {"23:15:00x", "23:15:00x"},
    {"23:15:0", "23:15:0"},
    {"2026-11-24T23:15:00", "2026-11-24T23:15:00"},
    {"cnt0:12", "cnt0:12"},
    {"+10s", "+10s"},
    {"5000", "5000"},
    {"", ""},
    {"00000000000000000000000000000000000000000000000000", NULL},
};

START_TEST(a_time_of_day_gets_the_date_that_puts_it_into_the_night)
{
    char resolved[DAYTIME_BYTES] = "untouched";
    struct dao_text text = {""};
    int r = daytime_resolve(resolved, times[_i].words, BEGIN_NS, END_NS, &text);

    if (times[_i].expected) {
        ck_assert_int_eq(r, 0);
        ck_assert_str_eq(resolved, times[_i].expected);
    } else {
        ck_assert_int_eq(r, -EINVAL);
        ck_assert_str_ne(text.s, "");
    }
}
END_TEST

START_TEST(a_time_that_comes_twice_or_of_frames_without_times_is_refused)
{
    char resolved[DAYTIME_BYTES];
    struct dao_text text = {""};

    ck_assert_int_eq(daytime_resolve(resolved, "23:15", BEGIN_NS, BEGIN_NS + 100000 * S, &text),
                     -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "more than once"));
    ck_assert_int_eq(daytime_resolve(resolved, "12:00", BEGIN_NS, BEGIN_NS + 100000 * S, &text), 0);
    ck_assert_int_eq(daytime_resolve(resolved, "23:15", 0, 0, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "none"));
    ck_assert_int_eq(daytime_resolve(resolved, "17", 0, 0, &text), 0);
}
END_TEST

static const struct {
    const char *words;
    struct extract_region region; /* axes -1: refused */
} regions[] = {
    {NULL, {0}},
    {"1:2", {1, {1}, {2}}},
    {"10:20,30:40", {2, {10, 30}, {20, 40}}},
    {":,5:,:7", {3, {0, 5, 0}, {UINT32_MAX, UINT32_MAX, 7}}},
    {"3,4", {2, {3, 4}, {4, 5}}},
    {"0:4294967294", {1, {0}, {4294967294u}}},
    {"", {.axes = -1}},
    {",", {.axes = -1}},
    {"1:2,", {.axes = -1}},
    {",1:2", {.axes = -1}},
    {"2:1", {.axes = -1}},
    {"2:2", {.axes = -1}},
    {"1:2:3", {.axes = -1}},
    {"-1:2", {.axes = -1}},
    {"1 :2", {.axes = -1}},
    {"x", {.axes = -1}},
    {"0:4294967295", {.axes = -1}},
    {"1,2,3,4", {.axes = -1}},
    {"99999999999999999999:", {.axes = -1}},
};

START_TEST(a_region_is_a_range_for_each_axis)
{
    struct extract_region got = {.axes = 77}, expected = regions[_i].region;
    int r = extract_region_parse(&got, regions[_i].words);

    if (expected.axes < 0) {
        ck_assert_int_eq(r, -EINVAL);
        ck_assert_int_eq(got.axes, 77);
        return;
    }
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(got.axes, expected.axes);
    ck_assert_mem_eq(got.from, expected.from, sizeof got.from);
    ck_assert_mem_eq(got.to, expected.to, sizeof got.to);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("daytime");
    TCase *tcase = tcase_create("daytime");

    tcase_add_loop_test(tcase, a_time_of_day_gets_the_date_that_puts_it_into_the_night, 0,
                        (int)(sizeof times / sizeof times[0]));
    tcase_add_test(tcase, a_time_that_comes_twice_or_of_frames_without_times_is_refused);
    tcase_add_loop_test(tcase, a_region_is_a_range_for_each_axis, 0,
                        (int)(sizeof regions / sizeof regions[0]));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
