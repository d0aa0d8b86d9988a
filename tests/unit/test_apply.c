/* test_apply.c - a new configuration for a session that records; and common boundaries of files. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "record/apply.h"
#include "record/rolling.h"
#include "tests/support/suite.h"

static struct config now, fresh;
static struct config_source sources[2][3];

static void begin(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct config *config = i ? &fresh : &now;

        ck_assert_int_eq(config_init(config), 0);
        for (unsigned k = 0; k < 3; k++)
            sources[i][k] = (struct config_source){.name = "", .unit = "", .latency_ns = 100000000};
        sources[i][0].path = sources[i][0].uri = "/tmp/a.im.shm";
        sources[i][1].path = sources[i][1].uri = "/tmp/b.im.shm";
        sources[i][2].path = "/etc/night.txt";
        sources[i][2].uri = "file:///etc/night.txt";
        sources[i][2].is_file = true;
        config->sources = sources[i];
        config->source_count = 3;
    }
}

/* What is told, a line each: '+' changed, '-' not. */
static const char *tell(bool has_ring)
{
    static char text[8192];
    struct setting_list lists[2], *began = &lists[0];
    struct apply_lists told;

    ck_assert_int_eq(config_list(&now, &lists[0]), 0);
    ck_assert_int_eq(config_list(&fresh, &lists[1]), 0);
    config_list_began(&lists[1], began);
    told = apply_compare(&lists[0], &lists[1], has_ring);
    text[0] = '\0';
    for (unsigned i = 0; i < 2; i++) {
        const json_t *list = i ? told.unchanged : told.changed;

        for (size_t k = 0; k < json_array_size(list); k++) {
            strcat(strcat(text, i ? "-" : "+"), json_string_value(json_array_get(list, k)));
            strcat(text, "\n");
        }
        json_decref(i ? told.unchanged : told.changed);
    }
    config_free(&now);
    config_free(&fresh);
    return text;
}

START_TEST(nothing_has_changed_where_nothing_has)
{
    begin();
    ck_assert_str_eq(tell(true), "");
    begin();
    sources[1][0] = sources[0][1]; /* another order is none of it */
    sources[1][1] = sources[0][0];
    ck_assert_str_eq(tell(true), "");
}
END_TEST

static bool is_same(void)
{
    struct setting_list lists[2];
    bool ret;

    ck_assert_int_eq(config_list(&now, &lists[0]), 0);
    ck_assert_int_eq(config_list(&fresh, &lists[1]), 0);
    ret = config_list_is_same(&lists[0], &lists[1]);
    config_free(&now);
    config_free(&fresh);
    return ret;
}

START_TEST(lists_are_the_same_where_all_of_them_is)
{
    static char long_one[2][9000];

    begin();
    ck_assert(is_same());
    begin();
    fresh.latency_ns++;
    ck_assert(!is_same());
    begin();
    sources[1][1].given = ~0ull; /* it says itself what it had from the whole */
    ck_assert(!is_same());
    begin();
    fresh.source_count = 2;
    ck_assert(!is_same());
    begin();
    sources[1][2].uri = "file:///etc/day.txt";
    ck_assert(!is_same());
    begin();
    memset(long_one, 'x', sizeof long_one);
    long_one[0][8999] = long_one[1][8999] = '\0';
    long_one[1][8998] = 'y';
    now.hook_loss = long_one[0];
    fresh.hook_loss = long_one[1];
    ck_assert(!is_same());
}
END_TEST

START_TEST(limits_of_rolling_of_room_and_latency_change)
{
    begin();
    fresh.rollover.frames = 100;
    fresh.rollover.bytes = 1 << 20;
    fresh.rollover.time_ns = 60000000000ll;
    fresh.latency_ns = 5000000;
    fresh.keep_free.percent = 5;
    for (unsigned k = 0; k < 2; k++) { /* they have it from the whole */
        sources[1][k].rollover = fresh.rollover;
        sources[1][k].latency_ns = fresh.latency_ns;
    }
    ck_assert_str_eq(tell(false), "+file_rollover.frames: 0 -> 100\n"
                                  "+file_rollover.size: 0 -> 1MiB\n"
                                  "+file_rollover.time: 10min -> 1min\n"
                                  "+latency: 100ms -> 5ms\n"
                                  "+keep.free: 2% -> 5%\n");
}
END_TEST

START_TEST(what_one_source_says_itself_is_told_of_it)
{
    const struct config_key *latency = config_find_key(CONFIG_SOURCE, "latency");

    begin();
    sources[1][1].latency_ns = 1000000;
    sources[1][1].given = 1ull << config_key_index(latency);
    sources[1][0].unit = "adu";
    ck_assert_str_eq(tell(false), "+/tmp/b.im.shm latency: 100ms -> 1ms\n"
                                  "-/tmp/a.im.shm unit: \"\" -> adu (stop and start)\n");
}
END_TEST

START_TEST(what_is_kept_changes_where_files_are_removed_already)
{
    begin();
    fresh.keep_files = 7;
    ck_assert_str_eq(tell(true), "+keep.files: 0 -> 7\n");
    begin();
    fresh.keep_files = 7;
    ck_assert_str_eq(tell(false), "-keep.files: 0 -> 7 (stop and start)\n");
}
END_TEST

START_TEST(sources_that_come_and_go_are_told)
{
    begin();
    fresh.source_count = 1;
    sources[1][0] = sources[1][2];
    sources[1][0].uri = "file:///etc/other.txt";
    sources[1][0].path = "/etc/other.txt";
    ck_assert_str_eq(tell(false), "-sources: file:///etc/other.txt is new (stop and start)\n"
                                  "-sources: /tmp/a.im.shm is left out (stop and start)\n"
                                  "-sources: /tmp/b.im.shm is left out (stop and start)\n"
                                  "-sources: file:///etc/night.txt is left out (stop and start)\n");
}
END_TEST

/* A value that is not the default of any key of its type. */
static const char *another(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_BYTES:
        return "77MB";
    case CONFIG_DURATION:
    case CONFIG_WAIT:
        return "77ms";
    case CONFIG_COUNT:
    case CONFIG_CPUS:
        return "7";
    case CONFIG_BOOL:
        return strcmp(key->fallback, "true") == 0 ? "false" : "true";
    case CONFIG_CHOICE:
        return key->choices[1];
    case CONFIG_AMOUNT:
        return "7%";
    case CONFIG_OVERLOAD:
        return "stop";
    case CONFIG_ADDRESS:
        return "127.0.0.1:7777";
    default:
        return "./seven.prom";
    }
}

START_TEST(no_key_is_left_out_and_each_says_what_it_takes)
{
    unsigned count = 0;

    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *text = another(key), *told;
        char why[CONFIG_WHY_BYTES], path[128];

        if (config_is_of_source(key) || key->type <= CONFIG_LIST)
            continue;
        if (key->type == CONFIG_DURATION && key->min > 77e6)
            text = "77s";
        begin();
        ck_assert_msg(config_parse(key, text, (char *)&fresh + key->offset, &fresh, why) == 0,
                      "%s: %s", key->name, why);
        told = tell(true);
        config_key_path(key, path, sizeof path);
        ck_assert_msg(strncmp(told + 1, path, strlen(path)) == 0, "%s: %s", path, told);
        ck_assert_ptr_eq(strchr(told, '\n'), told + strlen(told) - 1);
        ck_assert_int_eq(told[0],
                         key->when == SETTING_AT_ONCE || key->when == SETTING_OF_RING ? '+' : '-');
        ck_assert_int_eq(strstr(told, "end the program") != NULL, key->when == SETTING_OF_PROGRAM);
        count++;
    }
    ck_assert_uint_gt(count, 30);
}
END_TEST

START_TEST(what_the_program_began_with_is_compared_with_that)
{
    struct setting_list first, second;
    struct apply_lists told;

    begin();
    fresh.control = "/run/other";
    ck_assert_int_eq(config_list(&now, &first), 0);
    ck_assert_int_eq(config_list(&fresh, &second), 0);
    config_list_began(&second, &first);
    told = apply_compare(&second, &second, false); /* a session that began with it */
    ck_assert_uint_eq(json_array_size(told.unchanged), 1);
    ck_assert_str_eq(json_string_value(json_array_get(told.unchanged, 0)),
                     "control: false -> /run/other (end the program and start it again)");
    json_decref(told.changed);
    json_decref(told.unchanged);
    config_free(&now);
    config_free(&fresh);
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

    tcase_add_test(tc, nothing_has_changed_where_nothing_has);
    tcase_add_test(tc, lists_are_the_same_where_all_of_them_is);
    tcase_add_test(tc, limits_of_rolling_of_room_and_latency_change);
    tcase_add_test(tc, what_one_source_says_itself_is_told_of_it);
    tcase_add_test(tc, what_is_kept_changes_where_files_are_removed_already);
    tcase_add_test(tc, sources_that_come_and_go_are_told);
    tcase_add_test(tc, no_key_is_left_out_and_each_says_what_it_takes);
    tcase_add_test(tc, what_the_program_began_with_is_compared_with_that);
    tcase_add_test(tc, a_common_boundary_is_the_next_multiple_of_the_time);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
