/*
 * test_config.c - src/config: the table of keys, values of every type as text and back, and whole
 * configurations from text. The messages are in tests/integration/test_config.py.
 */
#include <errno.h>

#include "base/place.h"
#include "base/units.h"
#include "config/keys.h"
#include "config/parts.h"
#include "tests/support/testbed.h"

static struct config config;
static struct config_mistakes mistakes;

static void set_up(void)
{
    ck_assert_int_eq(config_init(&config), 0);
}

static void tear_down(void)
{
    config_free(&config);
    config_mistakes_free(&mistakes);
}

/* ---- the table ---- */

START_TEST(every_default_is_a_value_of_its_key_and_is_printed_as_it_stands_in_the_table)
{
    const struct config_key *key = &config_keys[_i];
    char why[CONFIG_WHY_BYTES], bare[8192], *text;

    if (!key->fallback)
        return;
    ck_assert_int_eq(config_parse(key, key->fallback, (char *)&config + key->offset, &config, why),
                     0);
    text = config_format_new(key, (char *)&config + key->offset);
    ck_assert_ptr_nonnull(text);
    snprintf(bare, sizeof bare, "%s", text);
    if (text[0] == '"') { /* quotes are YAML's */
        snprintf(bare, sizeof bare, "%s", text + 1);
        bare[strlen(bare) - 1] = '\0';
    }
    ck_assert_str_eq(bare, key->fallback);
    free(text);
}
END_TEST

START_TEST(no_name_stands_for_two_keys_of_a_section)
{
    const struct config_key *key = &config_keys[_i];

    ck_assert_ptr_eq(config_find_key(key->section, key->name), key);
    if (key->alias)
        ck_assert_ptr_eq(config_find_key(key->section, key->alias), key);
}
END_TEST

START_TEST(every_key_says_what_it_means_and_what_is_allowed)
{
    const struct config_key *key = &config_keys[_i];
    char text[400];

    ck_assert(key->help && *key->help);
    ck_assert(*config_allowed(key, text, sizeof text));
    ck_assert_uint_lt(strlen(text), sizeof text - 1);
    ck_assert(key->section == CONFIG_TOP || config_parent(key->section));
    ck_assert(key->type > CONFIG_LIST || !key->fallback);
}
END_TEST

START_TEST(what_a_source_does_not_say_is_a_value_of_all_with_the_same_range)
{
    const struct config_key *key = &config_keys[_i], *all = config_key_of_all(key);

    if (!all)
        return;
    ck_assert(config_is_of_source(key) && !config_is_of_source(all));
    ck_assert(key->min == all->min && key->max == all->max && key->zero == all->zero);
    ck_assert_ptr_null(key->fallback);
}
END_TEST

/* ---- values ---- */

static int parse(const char *path, const char *text, void *ret)
{
    char own[128], why[CONFIG_WHY_BYTES] = "";
    unsigned i = 0;
    int r;

    while (strcmp(config_key_path(&config_keys[i], own, sizeof own), path) != 0)
        ck_assert_uint_lt(++i, config_key_count);
    r = config_parse(&config_keys[i], text, ret, &config, why);
    ck_assert_int_eq(r == 0, why[0] == '\0');
    return r;
}

START_TEST(a_count_is_a_whole_number_in_its_range)
{
    uint64_t value = 77;

    ck_assert_int_eq(parse("samples", "1000", &value), 0);
    ck_assert_uint_eq(value, 1000);
    ck_assert_int_eq(parse("samples", "0", &value), 0);
    ck_assert_uint_eq(value, 0);
    for (const char *const *bad =
             (const char *const[]){"-1", "1.5", "1k", "", "0x10", "1e3", "9000000000000001", NULL};
         *bad; bad++)
        ck_assert_int_eq(parse("samples", *bad, &value), -EINVAL);
    ck_assert_int_eq(parse("priority", "100", &value), -EINVAL);
    ck_assert_uint_eq(value, 0); /* untouched */
}
END_TEST

START_TEST(a_size_has_a_unit_or_is_in_bytes)
{
    uint64_t value = 77;

    ck_assert_int_eq(parse("buffer_limit", "64MiB", &value), 0);
    ck_assert_uint_eq(value, 64u << 20);
    ck_assert_int_eq(parse("buffer_limit", "2000000", &value), 0);
    ck_assert_uint_eq(value, 2000000);
    ck_assert_int_eq(parse("buffer_limit", "512", &value), -EINVAL); /* MB would be meant */
    ck_assert_int_eq(parse("buffer_limit", "64 elephants", &value), -EINVAL);
    ck_assert_uint_eq(value, 2000000);
}
END_TEST

START_TEST(a_duration_has_a_unit_or_is_in_seconds)
{
    int64_t value = 77;

    ck_assert_int_eq(parse("duration", "90", &value), 0);
    ck_assert_int_eq(value, 90000000000);
    ck_assert_int_eq(parse("latency", "250us", &value), 0);
    ck_assert_int_eq(value, 250000);
    ck_assert_int_eq(parse("latency", "0", &value), -EINVAL);
    ck_assert_int_eq(parse("latency", "2s", &value), -EINVAL);
    ck_assert_int_eq(value, 250000);
}
END_TEST

START_TEST(a_wait_may_be_no_or_for_ever)
{
    int64_t value = 77;

    ck_assert_int_eq(parse("wait", "forever", &value), 0);
    ck_assert(value == INT64_MAX);
    ck_assert_int_eq(parse("wait", "false", &value), 0);
    ck_assert_int_eq(value, 0);
    ck_assert_int_eq(parse("wait", "2s", &value), 0);
    ck_assert_int_eq(value, 2000000000);
    ck_assert_int_eq(parse("wait", "long", &value), -EINVAL);
}
END_TEST

START_TEST(true_and_false_have_several_names)
{
    static const char *const names[] = {"false", "true", "No", "yes", "OFF", "on"};
    bool value = false;

    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(parse("backlog", names[i], &value), 0);
        ck_assert_int_eq(value, i % 2);
    }
    ck_assert_int_eq(parse("backlog", "1", &value), -EINVAL);
    ck_assert_int_eq(parse("backlog", "", &value), -EINVAL);
}
END_TEST

START_TEST(a_choice_is_one_of_its_words)
{
    int value = 77;

    ck_assert_int_eq(parse("io", "pwrite", &value), 0);
    ck_assert_int_eq(value, CONFIG_IO_PWRITE);
    ck_assert_int_eq(parse("io", "PWRITE", &value), -EINVAL);
    ck_assert_int_eq(value, CONFIG_IO_PWRITE);
}
END_TEST

START_TEST(cpus_are_numbers_and_ranges)
{
    char text[256];
    cpu_set_t value;

    ck_assert_int_eq(parse("daq_affinity", "3", &value), 0);
    ck_assert_str_eq(place_format_cpus(&value, text, sizeof text), "3");
    ck_assert_int_eq(parse("daq_affinity", "8, 0-3,2,1023", &value), 0);
    ck_assert_str_eq(place_format_cpus(&value, text, sizeof text), "0-3,8,1023");
    ck_assert_int_eq(parse("daq_affinity", "", &value), 0);
    ck_assert_int_eq(CPU_COUNT(&value), 0);
    for (const char *const *bad = (const char *const[]){"1024", "3-1", "a", "1,,2", "-1", "1-",
                                                        "99999999999999999999", "0-3 8", NULL};
         *bad; bad++)
        ck_assert_int_eq(parse("daq_affinity", *bad, &value), -EINVAL);
}
END_TEST

START_TEST(an_amount_is_a_size_or_a_part)
{
    struct option_amount value = {77, 0};

    ck_assert_int_eq(parse("keep.free", "2.5%", &value), 0);
    ck_assert(value.percent == 2.5 && value.bytes == 0);
    ck_assert_int_eq(parse("keep.free", "10GiB", &value), 0);
    ck_assert(value.percent == 0.0 && value.bytes == 10ull << 30);
    for (const char *const *bad =
             (const char *const[]){"101%", "-1%", "%", "nan%", "0x1p3%", "two", "", NULL};
         *bad; bad++)
        ck_assert_int_eq(parse("keep.free", *bad, &value), -EINVAL);
    ck_assert_uint_eq(value.bytes, 10ull << 30);
}
END_TEST

START_TEST(an_overload_policy_has_a_number_where_it_needs_one)
{
    struct config_overload value = {0};

    ck_assert_int_eq(parse("overload", "decimate 4", &value), 0);
    ck_assert(value.policy == CONFIG_DECIMATE && value.each == 4);
    ck_assert_int_eq(parse("overload", "stop", &value), 0);
    ck_assert_int_eq(value.policy, CONFIG_STOP);
    ck_assert_int_eq(parse("overload", "drop_newest", &value), 0);
    ck_assert_int_eq(value.policy, CONFIG_DROP_NEWEST);
    for (const char *const *bad = (const char *const[]){"decimate", "decimate 1", "decimate 1e3",
                                                        "stop 4", "decimate 4 5", "", NULL};
         *bad; bad++)
        ck_assert_int_eq(parse("overload", *bad, &value), -EINVAL);
    ck_assert_int_eq(value.policy, CONFIG_DROP_NEWEST);
}
END_TEST

START_TEST(a_card_takes_what_fits_on_it)
{
    char long_text[128];
    const char *value = NULL;

    memset(long_text, 'x', sizeof long_text);
    long_text[60] = '\0';
    ck_assert_int_eq(parse("keywords.OBJECT", long_text, &value), 0);
    ck_assert_str_eq(value, long_text);
    long_text[59] = '\''; /* is written twice */
    ck_assert_int_eq(parse("keywords.OBJECT", long_text, &value), -EINVAL);
    ck_assert_int_eq(parse("keywords.OBJECT", "\xc3\xb6", &value), -EINVAL);
    ck_assert_int_eq(parse("keywords.OBJECT", "a\nb", &value), -EINVAL);
    ck_assert_int_eq(parse("keywords.OBJECT", "", &value), 0);
    ck_assert_str_eq(value, "");
}
END_TEST

START_TEST(one_value_for_a_rollover_says_by_its_unit_what_it_is)
{
    static const struct {
        const char *text, *key;
    } cases[] = {{"5000", "frames"}, {"1GiB", "size"},  {"10min", "time"}, {"2h", "time"},
                 {"0.5h", "time"},   {"100MB", "size"}, {"10m", NULL},     {"10M", NULL},
                 {"0", NULL},        {"two", NULL},     {"", NULL},        {"1.5", NULL},
                 {"10us", NULL},     {"1KiB", NULL}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config_rollover rollover = {0};
        const struct config_key *key = NULL;
        char why[CONFIG_WHY_BYTES] = "";
        int r = config_parse_rollover(cases[i].text, &rollover, &key, why);

        ck_assert_msg((r == 0) == (cases[i].key != NULL), "%s: %s", cases[i].text, why);
        if (r == 0)
            ck_assert_str_eq(key->name, cases[i].key);
    }
}
END_TEST

START_TEST(variables_are_expanded_once)
{
    static const struct {
        const char *text, *expanded;
    } cases[] = {{"a$TEST_Cb", NULL},    {"a${TEST_C}b", "a$TEST_Db"},
                 {"$TEST_C", "$TEST_D"}, {"$$TEST_C", "$TEST_C"},
                 {"$$$$", "$$"},         {"$", NULL},
                 {"${TEST_C", NULL},     {"$1", NULL},
                 {"${}", NULL},          {"$TEST_EMPTY/x", "/x"},
                 {"no", "no"},           {"", ""}};

    setenv("TEST_C", "$TEST_D", 1);
    setenv("TEST_EMPTY", "", 1);
    unsetenv("TEST_Cb");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = NULL, why[400] = "";
        int r = config_expand(cases[i].text, &text, why, sizeof why);

        ck_assert_msg((r == 0) == (cases[i].expanded != NULL), "%s: %s", cases[i].text, why);
        if (r == 0)
            ck_assert_str_eq(text, cases[i].expanded);
        free(text);
    }
}
END_TEST

START_TEST(texts_are_quoted_where_yaml_would_take_them_for_something_else)
{
    char text[200];

    ck_assert_str_eq(config_format_text("/data/x-1.fits", false, text, sizeof text),
                     "/data/x-1.fits");
    ck_assert_str_eq(config_format_text("no", false, text, sizeof text), "\"no\"");
    ck_assert_str_eq(config_format_text("a: b", false, text, sizeof text), "\"a: b\"");
    ck_assert_str_eq(config_format_text("", false, text, sizeof text), "\"\"");
    ck_assert_str_eq(config_format_text("a\"b\\\n$x", false, text, sizeof text),
                     "\"a\\\"b\\\\\\x0a$$x\"");
    ck_assert_str_eq(config_format_text("$x", true, text, sizeof text), "\"$x\"");
}
END_TEST

START_TEST(sizes_and_durations_are_printed_exactly)
{
    char text[64];

    ck_assert_str_eq(units_exact_bytes(text, sizeof text, 3ull << 30), "3GiB");
    ck_assert_str_eq(units_exact_bytes(text, sizeof text, 1500000000), "1500MB");
    ck_assert_str_eq(units_exact_bytes(text, sizeof text, 1025), "1025");
    ck_assert_str_eq(units_exact_bytes(text, sizeof text, 0), "0");
    ck_assert_str_eq(units_exact_duration(text, sizeof text, 90000000000), "90s");
    ck_assert_str_eq(units_exact_duration(text, sizeof text, 7200000000000), "2h");
    ck_assert_str_eq(units_exact_duration(text, sizeof text, 1), "1ns");
}
END_TEST

/* ---- whole configurations ---- */

static int load(const char *text)
{
    char path[400];
    FILE *f;
    int r;

    snprintf(path, sizeof path, "%s/test.yaml", testbed_dir);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    config_free(&config);
    r = config_load(&config, path, true, &mistakes);
    unlink(path);
    return r;
}

START_TEST(a_source_has_from_all_what_it_does_not_say_wherever_it_stands)
{
    ck_assert_int_eq(load("sources:\n"
                          "- smem:///tmp/a.im.shm\n"
                          "- uri: /tmp/b.im.shm\n"
                          "  samples: 5\n"
                          "  file_rollover: {time: 1h}\n"
                          "  overload: stop\n"
                          "samples: 7\n"
                          "file_rollover: 300\n"
                          "latency: 1ms\n"
                          "priority: 3\n"),
                     0);
    ck_assert_uint_eq(config.source_count, 2);
    ck_assert_uint_eq(config.sources[0].samples, 7);
    ck_assert_uint_eq(config.sources[1].samples, 5);
    ck_assert_uint_eq(config.sources[1].rollover.frames, 300);
    ck_assert_int_eq(config.sources[1].rollover.time_ns, 3600000000000);
    ck_assert_int_eq(config.sources[0].rollover.time_ns, 600000000000);
    ck_assert_int_eq(config.sources[1].latency_ns, 1000000);
    ck_assert_uint_eq(config.sources[1].priority, 3);
    ck_assert_int_eq(config.sources[0].overload.policy, CONFIG_DROP_NEWEST);
    ck_assert_int_eq(config.sources[1].overload.policy, CONFIG_STOP);
    ck_assert_str_eq(config.sources[0].stream, "a");
    ck_assert_str_eq(config.sources[0].path, "/tmp/a.im.shm");
}
END_TEST

START_TEST(an_option_holds_for_all_sources)
{
    ck_assert_int_eq(load("sources: [{uri: /tmp/a.im.shm, samples: 5, latency: 1ms}, "
                          "/tmp/b.im.shm]\n"),
                     0);
    config.samples = 9;
    config_override(&config, "frames");
    config_override(&config, "keep-files");
    config_override(&config, "json");
    ck_assert_uint_eq(config.sources[0].samples, 9);
    ck_assert_uint_eq(config.sources[1].samples, 9);
    ck_assert_int_eq(config.sources[0].latency_ns, 1000000);
}
END_TEST

START_TEST(segments_of_the_command_line_take_the_place_of_those_of_the_file)
{
    char a[] = "/tmp/a.im.shm", c[] = "/tmp/c.im.shm", *paths[] = {c, a}, *both[] = {c, c};

    ck_assert_int_eq(load("samples: 3\n"
                          "sources: [{uri: /tmp/a.im.shm, samples: 5}, file:///tmp/x,"
                          " /tmp/b.im.shm]\n"),
                     0);
    ck_assert_int_eq(config_set_segments(&config, "daorec x", paths, 2, &mistakes), 0);
    ck_assert_uint_eq(config.source_count, 3);
    ck_assert_str_eq(config.sources[0].path, "/tmp/c.im.shm");
    ck_assert_uint_eq(config.sources[0].samples, 3);
    ck_assert_str_eq(config.sources[1].path, "/tmp/a.im.shm");
    ck_assert_uint_eq(config.sources[1].samples, 5);
    ck_assert(config.sources[2].is_file);
    ck_assert_int_eq(config_set_segments(&config, "daorec x", both, 2, &mistakes), -EINVAL);
    ck_assert_uint_eq(mistakes.count, 1);
    ck_assert_str_eq(mistakes.lines[0].text, "daorec x: sources: '/tmp/c.im.shm' is there twice "
                                             "(also in the command line); leave one");
}
END_TEST

START_TEST(every_mistake_is_told_once_in_the_order_of_the_file)
{
    ck_assert_int_eq(load("io: none\nsources: []\nsamples: -1\nbacklog: maybe\nio: auto\n"),
                     -EINVAL);
    ck_assert_uint_eq(mistakes.count, 5);
    for (size_t i = 0; i + 1 < mistakes.count - 1; i++)
        ck_assert_uint_lt(mistakes.lines[i].number, mistakes.lines[i + 1].number);
    ck_assert_uint_eq(mistakes.lines[4].number, 0); /* that there is no segment */
}
END_TEST

START_TEST(of_a_file_of_nothing_but_mistakes_so_many_are_told_and_the_rest_counted)
{
    static char text[40000];
    size_t at = 0;

    for (int i = 0; i < 1000; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "zz%d: 1\n", i);
    ck_assert_int_eq(load(text), -EINVAL);
    ck_assert_uint_eq(mistakes.count, CONFIG_MISTAKES_MAX);
    ck_assert_uint_ge(mistakes.left_out, 1000 - CONFIG_MISTAKES_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *table = tcase_create("table"), *values = tcase_create("values");
    TCase *whole = tcase_create("whole");

    tcase_add_checked_fixture(table, set_up, tear_down);
    tcase_add_loop_test(
        table, every_default_is_a_value_of_its_key_and_is_printed_as_it_stands_in_the_table, 0,
        (int)config_key_count);
    tcase_add_loop_test(table, no_name_stands_for_two_keys_of_a_section, 0, (int)config_key_count);
    tcase_add_loop_test(table, every_key_says_what_it_means_and_what_is_allowed, 0,
                        (int)config_key_count);
    tcase_add_loop_test(table, what_a_source_does_not_say_is_a_value_of_all_with_the_same_range, 0,
                        (int)config_key_count);
    suite_add_tcase(suite, table);
    tcase_add_checked_fixture(values, set_up, tear_down);
    tcase_add_test(values, a_count_is_a_whole_number_in_its_range);
    tcase_add_test(values, a_size_has_a_unit_or_is_in_bytes);
    tcase_add_test(values, a_duration_has_a_unit_or_is_in_seconds);
    tcase_add_test(values, a_wait_may_be_no_or_for_ever);
    tcase_add_test(values, true_and_false_have_several_names);
    tcase_add_test(values, a_choice_is_one_of_its_words);
    tcase_add_test(values, cpus_are_numbers_and_ranges);
    tcase_add_test(values, an_amount_is_a_size_or_a_part);
    tcase_add_test(values, an_overload_policy_has_a_number_where_it_needs_one);
    tcase_add_test(values, a_card_takes_what_fits_on_it);
    tcase_add_test(values, one_value_for_a_rollover_says_by_its_unit_what_it_is);
    tcase_add_test(values, variables_are_expanded_once);
    tcase_add_test(values, texts_are_quoted_where_yaml_would_take_them_for_something_else);
    tcase_add_test(values, sizes_and_durations_are_printed_exactly);
    suite_add_tcase(suite, values);
    tcase_add_checked_fixture(whole, set_up, tear_down);
    tcase_add_test(whole, a_source_has_from_all_what_it_does_not_say_wherever_it_stands);
    tcase_add_test(whole, an_option_holds_for_all_sources);
    tcase_add_test(whole, segments_of_the_command_line_take_the_place_of_those_of_the_file);
    tcase_add_test(whole, every_mistake_is_told_once_in_the_order_of_the_file);
    tcase_add_test(whole, of_a_file_of_nothing_but_mistakes_so_many_are_told_and_the_rest_counted);
    suite_add_tcase(suite, whole);
    return testbed_run(suite);
}
