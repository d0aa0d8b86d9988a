/*
 * test_view.c - the cells that a person sees of a recorder: within their columns whatever is in
 * them, and of JSON that is odd nothing that was not said.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "serve/view.h"
#include "tests/support/suite.h"

static struct view view;

static unsigned columns_of(const char *text)
{
    unsigned columns = 0;

    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

/* A state with one stream, whose members are given. */
static int update(const char *uuid, const char *stream)
{
    char json[2000];

    snprintf(json, sizeof json,
             "{\"condition\": \"running\", \"uuid\": \"%s\", \"streams\": [{\"name\": "
             "\"a_name_that_is_longer_than_any_column\", \"condition\": \"running\"%s}]}",
             uuid, stream);
    return view_update(&view, json);
}

static void expect_cells_in_their_columns(void)
{
    struct view_cell cells[VIEW_COLUMNS];

    for (unsigned columns = 0; columns <= 200; columns++) {
        for (int of_stream = 0; of_stream < 2; of_stream++) {
            unsigned end = 0,
                     count = view_row(&view, of_stream ? view.streams : NULL, columns, cells);

            ck_assert(columns < 80 || count == VIEW_COLUMNS);
            for (unsigned i = 0; i < count; i++) {
                ck_assert_uint_ge(cells[i].x, end);
                end = cells[i].x + columns_of(cells[i].text);
                ck_assert_msg(end <= columns, "%u columns: '%s'", columns, cells[i].text);
                end++; /* a space between */
            }
        }
    }
}

START_TEST(cells_stay_in_their_columns_and_apart_whatever_is_in_them)
{
    static const char *const streams[] = {
        "",
        ", \"rate_hz\": 1e300, \"frames\": 9223372036854775807, \"lost\": 9223372036854775807, "
        "\"fifo_backlog\": 9223372036854775807, \"fifo_depth\": 1, \"buffer_fill\": 1.0, "
        "\"bytes_per_s\": 9e11, \"file\": {\"name\": \"a_very_long_name_of_a_file_000078.fits\"}, "
        "\"latency\": {\"buckets_ns\": [[1000000000000, 5]]}",
        ", \"rate_hz\": 999.96, \"lost\": 999999, \"frames\": 99999999, \"bytes_per_s\": 999.7e6",
        (", \"rate_hz\": 9.996e3, \"lost\": 1000000, \"frames\": 100000000, \"fifo_backlog\": 1, "
         "\"fifo_depth\": 4000000000"),
        ", \"file\": {\"name\": \"nounderscore.fits\"}",
    };

    for (int plain = 0; plain < 2; plain++) {
        view.is_plain = plain;
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
            ck_assert_int_eq(update("u", ", \"rate_hz\": 1"), 0);
            ck_assert_int_eq(update("u", streams[i]), 0);
            expect_cells_in_their_columns();
        }
    }
    view_free(&view);
}
END_TEST

START_TEST(members_of_another_type_are_nothing_and_what_is_no_state_changes_nothing)
{
    static const char *const none[] = {"",
                                       "[]",
                                       "{",
                                       "{\"condition\": 1, \"streams\": []}",
                                       "{\"condition\": \"idle\", \"streams\": {}}",
                                       "null"};
    struct view_cell lines[2];

    ck_assert_int_eq(update("u", ", \"frames\": \"many\", \"rate_hz\": [], \"file\": 3, "
                                 "\"lost\": -5, \"lost_by\": [1], \"latency\": {\"buckets_ns\": "
                                 "[[-1, 5], [1, -5], 7, [], [[], {}], [99, 2]]}"),
                     0);
    ck_assert_uint_eq(view.streams[0].frames, 0);
    ck_assert_uint_eq(view.streams[0].lost, 0);
    ck_assert_str_eq(view.streams[0].file, "");
    ck_assert_uint_eq(view.streams[0].latency.count, 2);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        ck_assert_int_eq(view_update(&view, none[i]), -EBADMSG);
    ck_assert_uint_eq(view.count, 1);
    ck_assert_int_eq(view_update(&view, "{\"condition\": \"idle\", \"streams\": []}"), 0);
    ck_assert_uint_eq(view.count, 0);
    view_session_lines(&view, lines);
    ck_assert_str_eq(lines[1].text, "no session"); /* and not that it has lost nothing */
    view_free(&view);
}
END_TEST

static uint64_t newest_latency(void)
{
    return view.streams[0].late_ns[VIEW_HISTORY - 1];
}

START_TEST(a_latency_is_of_what_came_since_the_look_before_of_the_same_session)
{
    ck_assert_int_eq(update("u", ", \"latency\": {\"buckets_ns\": [[1023, 100]]}"), 0);
    ck_assert_uint_eq(newest_latency(), 0); /* nothing to compare with */
    ck_assert_int_eq(update("u", ", \"latency\": {\"buckets_ns\": [[1023, 100], [8191, 1]]}"), 0);
    ck_assert_uint_eq(newest_latency(), 8191);
    ck_assert_int_eq(update("u", ", \"latency\": {\"buckets_ns\": [[1023, 100], [8191, 1]]}"), 0);
    ck_assert_uint_eq(newest_latency(), 0);
    ck_assert_uint_eq(view.streams[0].late_ns[VIEW_HISTORY - 2], 8191);
    ck_assert_int_eq(update("v", ", \"latency\": {\"buckets_ns\": [[4095, 500]]}"), 0);
    ck_assert_uint_eq(newest_latency(), 0);
    ck_assert_uint_eq(view.streams[0].late_ns[VIEW_HISTORY - 2], 0);
    view_free(&view);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("view");
    TCase *tcase = tcase_create("view");

    tcase_add_test(tcase, cells_stay_in_their_columns_and_apart_whatever_is_in_them);
    tcase_add_test(tcase, members_of_another_type_are_nothing_and_what_is_no_state_changes_nothing);
    tcase_add_test(tcase, a_latency_is_of_what_came_since_the_look_before_of_the_same_session);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
