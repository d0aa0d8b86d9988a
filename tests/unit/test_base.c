/*
 * test_base.c - dao.h: the helpers that have nothing to do with segments.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/dao.h"
#include "tests/support/suite.h"

START_TEST(an_address_becomes_a_number_with_its_first_byte_on_top)
{
    ck_assert_uint_eq(daoBaseIp2Int("10.1.2.3"), 0x0a010203);
    ck_assert_uint_eq(daoBaseIp2Int("127.0.0.1"), 0x7f000001);
    ck_assert_uint_eq(daoBaseIp2Int("255.255.255.255"), 0xffffffff);
    ck_assert_uint_eq(daoBaseIp2Int("0.0.0.0"), 0);
}
END_TEST

START_TEST(what_is_no_address_is_0)
{
    static const char *const texts[] = {"",           "10.1.2",    "10.1.2.3.4", "10.1.2.256",
                                        "10.1.2.-3",  "10.1.2.3 ", " 10.1.2.3",  "0x0a.1.2.3",
                                        "localhost",  "::1",       "10,1,2,3",   "10.1.2.3\n",
                                        "99999.1.2.3"};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_msg(daoBaseIp2Int(texts[i]) == 0, "\"%s\"", texts[i]);
    ck_assert_uint_eq(daoBaseIp2Int(NULL), 0);
}
END_TEST

/* Nanoseconds since the epoch of a text as the library writes it. */
static int64_t parse(const char *text)
{
    struct tm utc;
    const char *rest;
    char *end;
    long us;

    memset(&utc, 0, sizeof utc);
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    ck_assert_msg(rest && *rest == '.', "%s", text);
    us = strtol(rest + 1, &end, 10);
    ck_assert_int_eq(end - rest, 7); /* six digits and the point */
    ck_assert_str_eq(end, "");
    return (int64_t)timegm(&utc) * 1000000000 + us * 1000;
}

START_TEST(a_time_stamp_is_now_in_utc_to_the_microsecond)
{
    int64_t before_ns, after_ns;
    char *first, *second;

    setenv("TZ", "XYZ-5:30", 1); /* must not matter */
    tzset();
    before_ns = dao_clock_real_ns();
    first = daoBaseGetTimeStamp();
    after_ns = dao_clock_real_ns();
    second = daoBaseGetTimeStamp();
    ck_assert_uint_eq(strlen(first), strlen("2026-11-25T18:55:56.123456"));
    ck_assert_int_ge(parse(first), before_ns - before_ns % 1000);
    ck_assert_int_le(parse(first), after_ns);
    ck_assert_ptr_ne(first, second); /* each its own memory */
    ck_assert_str_le(first, second);
    free(first);
    free(second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tcase = tcase_create("base");

    tcase_add_test(tcase, an_address_becomes_a_number_with_its_first_byte_on_top);
    tcase_add_test(tcase, what_is_no_address_is_0);
    tcase_add_test(tcase, a_time_stamp_is_now_in_utc_to_the_microsecond);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
