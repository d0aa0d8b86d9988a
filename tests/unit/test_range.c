/*
 * test_range.c - which frames --from and --until mean.
 */
#include <check.h>
#include <stdatomic.h>

#include "series/range.h"
#include "tests/support/fake_series.h"
#include "tests/support/suite.h"

#define S 1000000000ll
/* 2026-11-24T02:01:08 UTC */
#define BEGIN_NS 1795485668000000000ll

static const struct {
    const char *text;
    enum range_kind kind;
    int64_t value;
} good[] = {
    {NULL, RANGE_OPEN, 0},
    {"0", RANGE_INDEX, 0},
    {"5000", RANGE_INDEX, 5000},
    {"9223372036854775807", RANGE_INDEX, INT64_MAX},
    {"cnt0:0", RANGE_COUNT, 0},
    {"cnt0:120000", RANGE_COUNT, 120000},
    {"+10s", RANGE_AFTER, 10 * S},
    {"+250ms", RANGE_AFTER, S / 4},
    {"+0", RANGE_AFTER, 0},
    {"2026-11-24T02:01:08", RANGE_TIME, BEGIN_NS},
    {"2026-11-24T02:01:08Z", RANGE_TIME, BEGIN_NS},
    {"2026-11-24T02:01:08.5", RANGE_TIME, BEGIN_NS + S / 2},
    {"2026-11-24T02:01:08.000000001Z", RANGE_TIME, BEGIN_NS + 1},
};
#define GOOD (int)(sizeof good / sizeof good[0])

static const char *const bad[] = {
    "",
    " ",
    "-1",
    "1.5",
    "x",
    "cnt0",
    "cnt0:",
    "cnt0:-1",
    "cnt0:x",
    "cnt1:5",
    "+",
    "+x",
    "10s",
    "2026-11-24",
    "02:01:08",
    "++1s",
    "5000 ",
    "9223372036854775808",
    "Z",
    "2026-11-24T02:01:08ZZ",
    "2026-11-24T02:01:08.000000001+00:00:00:00:00",
};
#define BAD (int)(sizeof bad / sizeof bad[0])

START_TEST(each_form_is_understood)
{
    struct range_point point = {RANGE_INDEX, 77};

    ck_assert_int_eq(range_parse(&point, good[_i].text), 0);
    ck_assert_int_eq(point.kind, good[_i].kind);
    ck_assert_int_eq(point.value, good[_i].value);
}
END_TEST

START_TEST(what_is_none_of_them_is_refused)
{
    struct range_point point = {RANGE_INDEX, 77};

    ck_assert_int_eq(range_parse(&point, bad[_i]), -EINVAL);
    ck_assert_int_eq(point.kind, RANGE_INDEX);
    ck_assert_int_eq(point.value, 77);
}
END_TEST

/* ---- finding: ten frames, counts 101 ..., one a second ---- */

static struct fits_row rows[10];
static struct fake_series fake;
static struct series_reader *reader;

static void open_fake(void)
{
    static const uint32_t size[] = {2};
    struct dao_geometry geo;

    for (int i = 0; i < 10; i++)
        rows[i] = (struct fits_row){.atime_ns = BEGIN_NS + i * S, .cnt0 = 101 + i};
    ck_assert_int_eq(dao_geometry_make(&geo, 1, size, _DATATYPE_UINT16, 4, 0, NULL), 0);
    fake_series_init(&fake, "wfs", &geo, rows, 10);
    ck_assert_int_eq(series_reader_open(&reader, &fake.series, 0, NULL), 0);
}

static void close_fake(void)
{
    series_reader_close(reader);
}

static const struct {
    const char *from, *until;
    uint64_t begin, end;
} cases[] = {
    {NULL, NULL, 0, 10},
    {"3", NULL, 3, 10},
    {NULL, "3", 0, 3},
    {"3", "3", 3, 3},
    {"7", "3", 7, 7}, /* the wrong way round: nothing */
    {"10", NULL, 10, 10},
    {"1000", "2000", 10, 10},
    {"cnt0:104", "cnt0:106", 3, 5},
    {"cnt0:0", "cnt0:101", 0, 0},
    {"cnt0:110", NULL, 9, 10},
    {"cnt0:111", NULL, 10, 10},
    {"+0s", "+3s", 0, 3},
    {"+2.5s", "+2500000000s", 3, 10},
    {"2026-11-24T02:01:09", "2026-11-24T02:01:10.5", 1, 3},
    {"2026-11-24T02:01:09.000000001", NULL, 2, 10},
    {"2020-01-01T00:00:00", "2020-01-01T00:00:01", 0, 0},
    {"cnt0:103", "+5s", 2, 5},
};
#define CASES (int)(sizeof cases / sizeof cases[0])

START_TEST(a_range_ends_before_its_until)
{
    struct range range;
    uint64_t begin = 99, end = 99;

    ck_assert_int_eq(range_parse(&range.from, cases[_i].from), 0);
    ck_assert_int_eq(range_parse(&range.until, cases[_i].until), 0);
    ck_assert_int_eq(range_find(&range, &fake.series, reader, BEGIN_NS, &begin, &end, NULL), 0);
    ck_assert_uint_eq(begin, cases[_i].begin);
    ck_assert_uint_eq(end, cases[_i].end);
}
END_TEST

START_TEST(times_of_a_series_without_times_are_refused_by_its_name)
{
    static const char *const points[] = {"+1s", "2026-11-24T02:01:09"};

    for (int i = 0; i < 4; i++) {
        struct range range = {0};
        struct dao_text text = {""};
        uint64_t begin = 99, end = 99;

        fake.series.has_times = false;
        ck_assert_int_eq(range_parse(i & 2 ? &range.from : &range.until, points[i & 1]), 0);
        ck_assert(range_needs_times(&range));
        ck_assert_int_eq(range_find(&range, &fake.series, reader, 0, &begin, &end, &text),
                         -ENODATA);
        ck_assert_uint_eq(begin, 99);
        ck_assert_ptr_nonnull(strstr(text.s, "wfs"));
    }
}
END_TEST

START_TEST(a_time_after_a_first_frame_that_has_none_is_refused)
{
    for (int i = 0; i < 2; i++) {
        struct range range = {0};
        struct dao_text text = {""};
        uint64_t begin = 99, end = 99;

        ck_assert_int_eq(range_parse(i ? &range.from : &range.until, "+1s"), 0);
        ck_assert_int_eq(range_find(&range, &fake.series, reader, 0, &begin, &end, &text),
                         -ENODATA);
        ck_assert_uint_eq(begin, 99);
        ck_assert_ptr_nonnull(strstr(text.s, "has no time"));
    }
}
END_TEST

START_TEST(both_ends_are_resolved_and_a_bad_one_is_told_by_its_option)
{
    struct range range = {0};
    struct dao_text text = {""};

    ck_assert_int_eq(range_resolve(&range, "02:01:08.5", "+3s", BEGIN_NS, BEGIN_NS + 10 * S, &text),
                     0);
    ck_assert_int_eq(range.from.kind, RANGE_TIME);
    ck_assert_int_eq(range.from.value, BEGIN_NS + S / 2);
    ck_assert_int_eq(range.until.kind, RANGE_AFTER);
    ck_assert_int_eq(range_resolve(&range, "5", "soon", BEGIN_NS, BEGIN_NS + S, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "--until soon: give "));
    ck_assert_int_eq(range.from.kind, RANGE_TIME); /* untouched */
    ck_assert_int_eq(range_resolve(&range, "02:01", NULL, 0, 0, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "--from: '02:01'"));
    ck_assert_int_eq(range_resolve(&range, NULL, NULL, 0, 0, &text), 0);
    ck_assert_int_eq(range.until.kind, RANGE_OPEN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range");
    TCase *tcase = tcase_create("range");

    tcase_add_checked_fixture(tcase, open_fake, close_fake);
    tcase_add_loop_test(tcase, each_form_is_understood, 0, GOOD);
    tcase_add_loop_test(tcase, what_is_none_of_them_is_refused, 0, BAD);
    tcase_add_loop_test(tcase, a_range_ends_before_its_until, 0, CASES);
    tcase_add_test(tcase, times_of_a_series_without_times_are_refused_by_its_name);
    tcase_add_test(tcase, a_time_after_a_first_frame_that_has_none_is_refused);
    tcase_add_test(tcase, both_ends_are_resolved_and_a_bad_one_is_told_by_its_option);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
