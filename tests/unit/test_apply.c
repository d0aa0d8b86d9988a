/* test_apply.c - a new configuration for a session that records; and common boundaries of files. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "record/apply.h"
#include "record/rolling.h"

static char *paths[] = {(char *)(uintptr_t) "/tmp/a.im.shm", (char *)(uintptr_t) "/tmp/b.im.shm"};
static struct session_config now, fresh;

static void begin(void)
{
    now = (struct session_config){
        .paths = paths, .path_count = 1, .root = "/data", .room = {.keep_percent = 2}};
    now.stream.rolling.time_ns = 600000000000ll;
    fresh = now;
}

static void check(bool has_retention, const char *changed, const char *unchanged)
{
    struct apply_lists lists = apply_compare(&now, &fresh, has_retention);

    ck_assert_uint_eq(json_array_size(lists.changed), changed != NULL);
    ck_assert_uint_eq(json_array_size(lists.unchanged), unchanged != NULL);
    if (changed)
        ck_assert_str_eq(json_string_value(json_array_get(lists.changed, 0)), changed);
    if (unchanged)
        ck_assert_str_eq(json_string_value(json_array_get(lists.unchanged, 0)), unchanged);
    json_decref(lists.changed);
    json_decref(lists.unchanged);
}

START_TEST(nothing_has_changed_where_nothing_has)
{
    begin();
    check(true, NULL, NULL);
    fresh.wait_ns = 5; /* of the next session */
    fresh.all = true;
    check(true, NULL, NULL);
}
END_TEST

START_TEST(limits_of_rolling_of_room_and_latency_change)
{
    begin();
    fresh.stream.rolling.frames = 100;
    check(false, "roll-frames: 0 -> 100", NULL);
    begin();
    fresh.stream.rolling.bytes = 1 << 20;
    check(false, "roll-size: none -> 1.05 MB", NULL);
    begin();
    fresh.stream.rolling.time_ns = 60000000000ll;
    check(false, "roll-time: 10 min 00 s -> 1 min 00 s", NULL);
    begin();
    fresh.stream.rolling.together = true;
    check(false, "roll-together: no -> yes", NULL);
    begin();
    fresh.stream.latency_ns = 5000000;
    check(false, "latency: none -> 5.00 ms", NULL);
    begin();
    fresh.room.keep_percent = 5;
    check(false, "keep-free: 2% -> 5%", NULL);
}
END_TEST

START_TEST(what_is_kept_changes_where_files_are_removed_already)
{
    begin();
    fresh.retention.files = 7;
    check(true, "keep-files: 0 -> 7", NULL);
    check(false, NULL, "keep-files: 0 -> 7 (stop and start)");
}
END_TEST

START_TEST(what_was_laid_out_at_the_start_does_not_change)
{
    begin();
    fresh.root = "/other";
    check(true, NULL, "output: /data -> /other (stop and start)");
    begin();
    fresh.buffer_bytes = 1 << 20;
    check(true, NULL, "buffer: none -> 1.05 MB (stop and start)");
    begin();
    CPU_SET(3, &fresh.stream.cpus);
    check(true, NULL, "cpu: 0 CPUs -> 1 CPUs (stop and start)");
    begin();
    fresh.path_count = 2;
    check(true, NULL, "sources (stop and start)");
    begin();
    fresh.paths = (char *const[]){paths[1]};
    check(true, NULL, "sources (stop and start)");
}
END_TEST

START_TEST(cards_copies_and_how_it_is_reached_do_not_change)
{
    static char *files[] = {(char *)(uintptr_t) "/tmp/matrix.fits"};
    static const struct stream_keywords keywords = {.object = "M 31"};

    begin();
    fresh.stream.keywords = &keywords;
    check(true, NULL, "keywords.OBJECT: none -> M 31 (stop and start)");
    begin();
    fresh.files = files;
    fresh.file_count = 1;
    check(true, NULL, "sources (stop and start)");
    begin();
    fresh.lock_memory = true;
    check(true, NULL, "lock-memory: no -> yes (stop and start)");
    begin();
    fresh.process.control = "true";
    check(true, NULL, "control: none -> true (restart daorec)");
    begin();
    fresh.process.metrics_file = "/tmp/x.prom";
    check(true, NULL, "metrics-file: none -> /tmp/x.prom (restart daorec)");
}
END_TEST

/* ---- boundaries ---- */

#define S 1000000000ll

START_TEST(a_common_boundary_is_the_next_multiple_of_the_time)
{
    struct rolling_limits limits = {.time_ns = 60 * S, .together = true};

    ck_assert_int_eq(rolling_boundary(&limits, 120 * S), 180 * S);
    ck_assert_int_eq(rolling_boundary(&limits, 120 * S - 1), 120 * S);
    ck_assert_int_eq(rolling_boundary(&limits, 120 * S + 1), 180 * S);
    ck_assert_int_eq(rolling_boundary(&limits, 0), 60 * S);
    ck_assert_int_eq(rolling_boundary(&limits, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(rolling_boundary(&limits, -1), INT64_MAX);
    limits.together = false;
    ck_assert_int_eq(rolling_boundary(&limits, 120 * S), INT64_MAX);
    limits = (struct rolling_limits){.together = true};
    ck_assert_int_eq(rolling_boundary(&limits, 120 * S), INT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("apply");
    TCase *tc = tcase_create("apply");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, nothing_has_changed_where_nothing_has);
    tcase_add_test(tc, limits_of_rolling_of_room_and_latency_change);
    tcase_add_test(tc, what_is_kept_changes_where_files_are_removed_already);
    tcase_add_test(tc, what_was_laid_out_at_the_start_does_not_change);
    tcase_add_test(tc, cards_copies_and_how_it_is_reached_do_not_change);
    tcase_add_test(tc, a_common_boundary_is_the_next_multiple_of_the_time);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
