/* test_options.c - one table gives parsing, ranges, help and the nearest right name. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/options.h"
#include "tests/support/suite.h"

struct target {
    bool quiet;
    uint64_t frames, buffer;
    int64_t duration, wait;
    double rate;
    const char *output;
    struct option_amount keep;
    struct option_list streams;
};

#define AT(member) offsetof(struct target, member)

static const struct option_spec specs[] = {
    {"quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "say less", 0, 0},
    {"frames", 'n', OPTION_COUNT, AT(frames), "N", "stop after N frames", 1, 1000000},
    {"buffer", 0, OPTION_BYTES, AT(buffer), "S", "staging memory", 4096, 1e15},
    {"duration", 'd', OPTION_DURATION, AT(duration), "T", "stop after T", 1e6, 1e18},
    {"wait", 0, OPTION_DURATION_OR_FLAG, AT(wait), "T", "wait for the segment", 0, 0},
    {"rate", 'r', OPTION_NUMBER, AT(rate), "HZ", "frames a second", 0, 1e9},
    {"output", 'o', OPTION_STRING, AT(output), "DIR", "where to", 0, 0},
    {"keep", 0, OPTION_AMOUNT, AT(keep), "S|P%", "to be kept free", 0, 0},
    {"stream", 's', OPTION_LIST, AT(streams), "X", "a stream", 0, 0},
    {"roll-size", 0, OPTION_BYTES, AT(buffer), "S", "", 0, 0},
    {"roll-time", 0, OPTION_DURATION, AT(duration), "T", "", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};
static uint64_t given;

static bool takes_zero(const char *option)
{
    return strcmp(option, "duration") == 0;
}

static const struct verb_usage usage = {.verb = "trial",
                                        .arguments = "SHM...",
                                        .summary = "Try things.",
                                        .specs = specs,
                                        .given = &given,
                                        .takes_zero = takes_zero};

static const struct target untouched = {
    .frames = 7, .rate = 2.5, .output = "here", .keep = {5, 0.0}};

#define ARGUMENTS_MAX 16

/* One call of the parser, with what it wrote to a descriptor. */
struct call {
    char text[4096];
    char copy[512];
    char *argv[ARGUMENTS_MAX + 1];
    int argc;
    int result;
    struct target target;
};

/* Split "trial -n 5 a" at the blanks and parse, with `fd` (1 or 2) caught in call->text. */
static void parse(struct call *call, const char *line, int fd)
{
    int file = memfd_create("caught", 0), kept = dup(fd);
    ssize_t n;

    *call = (struct call){.target = untouched};
    snprintf(call->copy, sizeof(call->copy), "%s", line);
    for (char *word = strtok(call->copy, " "); word && call->argc < ARGUMENTS_MAX;
         word = strtok(NULL, " "))
        call->argv[call->argc++] = word;
    fflush(stdout);
    dup2(file, fd);
    call->result = options_parse(&usage, call->argc, call->argv, &call->target);
    fflush(stdout);
    dup2(kept, fd);
    n = pread(file, call->text, sizeof(call->text) - 1, 0);
    call->text[n > 0 ? n : 0] = '\0';
    close(file);
    close(kept);
}

/* Refused: -EINVAL, one line on stderr that holds `part`, nothing changed. */
static void expect_refusal(const char *line, const char *part)
{
    struct call c;

    parse(&c, line, STDERR_FILENO);
    ck_assert_msg(c.result == -EINVAL, "%s: result %d", line, c.result);
    ck_assert_msg(strstr(c.text, part) != NULL, "%s: said: %s", line, c.text);
    ck_assert_msg(strchr(c.text, '\n') == c.text + strlen(c.text) - 1, "not one line: %s", c.text);
    ck_assert_msg(strncmp(c.text, "daorec: trial: ", 15) == 0, "prefix: %s", c.text);
    ck_assert_uint_eq(c.target.frames, untouched.frames);
    ck_assert_str_eq(c.target.output, untouched.output);
}

START_TEST(every_kind_of_value_reaches_its_place)
{
    struct call c;

    parse(&c, "trial -q --frames 12 --buffer=64KiB -d 1.5s --wait=2min -r 1e3 --output there",
          STDERR_FILENO);
    ck_assert_int_eq(c.result, c.argc);
    ck_assert(c.target.quiet);
    ck_assert_uint_eq(c.target.frames, 12);
    ck_assert_uint_eq(c.target.buffer, 65536);
    ck_assert_int_eq(c.target.duration, 1500000000);
    ck_assert_int_eq(c.target.wait, 120000000000);
    ck_assert(c.target.rate == 1000.0);
    ck_assert_str_eq(c.target.output, "there");
    ck_assert_str_eq(c.text, "");
}
END_TEST

START_TEST(an_option_that_may_be_given_again_keeps_all_values_in_their_order)
{
    struct call c;

    parse(&c, "trial --stream one -q -s two --stream=three file", STDERR_FILENO);
    ck_assert_int_eq(c.result, c.argc - 1);
    ck_assert_uint_eq(c.target.streams.count, 3);
    ck_assert_str_eq(c.target.streams.values[0], "one");
    ck_assert_str_eq(c.target.streams.values[1], "two");
    ck_assert_str_eq(c.target.streams.values[2], "three");
    parse(&c, "trial -q", STDERR_FILENO);
    ck_assert_uint_eq(c.target.streams.count, 0);
    expect_refusal("trial --stream=", "--stream '': is empty");
    expect_refusal("trial --stream", "--stream needs a value");
}
END_TEST

START_TEST(more_values_than_an_option_can_keep_are_refused)
{
    char *argv[2 * OPTION_LIST_MAX + 3] = {"trial"};
    static struct target target;
    int argc = 1, kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY), r;

    while (argc < 2 * OPTION_LIST_MAX + 1) {
        argv[argc++] = "--stream";
        argv[argc++] = "x";
    }
    ck_assert_int_eq(options_parse(&usage, argc, argv, &target), argc);
    ck_assert_uint_eq(target.streams.count, OPTION_LIST_MAX);
    target = untouched;
    argv[argc++] = "-sy";
    dup2(null, STDERR_FILENO);
    r = options_parse(&usage, argc, argv, &target);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(null);
    ck_assert_int_eq(r, -EINVAL);
}
END_TEST

START_TEST(an_amount_is_a_size_or_a_part)
{
    static const struct {
        const char *line;
        uint64_t bytes;
        double percent;
    } good[] = {
        {"trial --keep 64MiB", 64 << 20, 0.0},
        {"trial --keep=2%", 0, 2.0},
        {"trial --keep 0", 0, 0.0},
        {"trial --keep 0%", 0, 0.0},
        {"trial --keep 100%", 0, 100.0},
        {"trial --keep 0.25%", 0, 0.25},
        {"trial --keep 1.5GB", 1500000000, 0},
        {"trial --keep 3% --keep 1kB", 1000, 0.0},
    };
    static const char *const bad[] = {
        "-1%",
        "101%",
        "%",
        "2%%",
        "x%",
        "nan%",
        "inf%",
        "-5",
        "1XB",
        "1e400%",
        "00000000000000000000000000000000000000001%",
    };
    struct call c;
    char line[100];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        parse(&c, good[i].line, STDERR_FILENO);
        ck_assert_msg(c.result == c.argc, "%s: %s", good[i].line, c.text);
        ck_assert_uint_eq(c.target.keep.bytes, good[i].bytes);
        ck_assert(c.target.keep.percent == good[i].percent);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(line, sizeof(line), "trial --keep=%s", bad[i]);
        expect_refusal(line, bad[i]);
        parse(&c, line, STDERR_FILENO);
        ck_assert_uint_eq(c.target.keep.bytes, untouched.keep.bytes);
        ck_assert(c.target.keep.percent == untouched.keep.percent);
    }
    expect_refusal("trial --keep=2x", "such as 10GiB, or a part such as 2%");
    expect_refusal("trial --keep", "needs a value");
}
END_TEST

START_TEST(what_is_not_given_keeps_its_default)
{
    struct call c;

    parse(&c, "trial", STDERR_FILENO);
    ck_assert_int_eq(c.result, 1);
    ck_assert_mem_eq(&c.target, &untouched, sizeof(untouched));
}
END_TEST

START_TEST(arguments_may_stand_between_options)
{
    struct call c;

    parse(&c, "trial first -n 5 second -q third", STDERR_FILENO);
    ck_assert_int_eq(c.result, 4);
    ck_assert_str_eq(c.argv[4], "first");
    ck_assert_str_eq(c.argv[5], "second");
    ck_assert_str_eq(c.argv[6], "third");
    ck_assert_uint_eq(c.target.frames, 5);
}
END_TEST

START_TEST(two_dashes_end_the_options)
{
    struct call c;

    parse(&c, "trial -n 5 -- -q", STDERR_FILENO);
    ck_assert_int_eq(c.result, 4);
    ck_assert_str_eq(c.argv[4], "-q");
    ck_assert(!c.target.quiet);
}
END_TEST

START_TEST(a_duration_or_flag_without_value_means_for_ever)
{
    struct call c;

    parse(&c, "trial --wait shm", STDERR_FILENO);
    ck_assert_int_eq(c.target.wait, INT64_MAX);
    ck_assert_str_eq(c.argv[c.result], "shm");
}
END_TEST

START_TEST(a_misspelt_option_names_the_nearest)
{
    expect_refusal("trial --frmaes 5", "did you mean '--frames'?");
    expect_refusal("trial --durration=5", "did you mean '--duration'?");
    expect_refusal("trial --hepl", "did you mean '--help'?");
    expect_refusal("trial a b --ouput x", "'--ouput'; did you mean '--output'?");
    expect_refusal("trial --wavelength 5", "unknown option '--wavelength'; see");
}
END_TEST

START_TEST(an_unknown_letter_is_named)
{
    expect_refusal("trial -z", "unknown option '-z'");
    expect_refusal("trial shm -qz", "unknown option '-z'");
}
END_TEST

START_TEST(an_ambiguous_abbreviation_lists_what_it_could_be)
{
    struct call c;

    expect_refusal("trial --roll 5", "ambiguous: --roll-size, --roll-time");
    parse(&c, "trial --dur 5", STDERR_FILENO);
    ck_assert_int_eq(c.target.duration, 5000000000);
}
END_TEST

START_TEST(a_wrong_value_is_named_with_its_option_and_a_right_example)
{
    expect_refusal("trial --frames many", "--frames 'many': give a whole number");
    expect_refusal("trial -n -1", "--frames '-1': give a whole number");
    expect_refusal("trial --buffer 5XB", "--buffer '5XB': give a size such as 64MiB");
    expect_refusal("trial --duration soon", "--duration 'soon': give a duration such as");
    expect_refusal("trial --wait=soon", "--wait 'soon': give a duration such as");
    expect_refusal("trial --rate fast", "--rate 'fast': give a number");
    expect_refusal("trial --rate nan", "--rate 'nan': give a number");
    expect_refusal("trial --rate inf", "--rate 'inf': give a number");
    expect_refusal("trial --output=", "--output '': is empty");
}
END_TEST

START_TEST(a_value_out_of_range_is_told_the_bound)
{
    expect_refusal("trial --frames 0", "--frames '0': too small, the least is 1");
    expect_refusal("trial --frames 1000001", "too large, the most is 1000000");
    expect_refusal("trial --frames 99999999999999999999", "too large");
    expect_refusal("trial --buffer 1k", "too small, the least is 4KiB");
    expect_refusal("trial --duration 1us", "too small, the least is 1ms; 0 is allowed, too");
    expect_refusal("trial --rate -1", "too small, the least is 0");
}
END_TEST

START_TEST(a_missing_value_and_one_too_many_are_told)
{
    expect_refusal("trial --frames", "--frames needs a value");
    expect_refusal("trial -n", "--frames needs a value");
    expect_refusal("trial --quiet=yes", "--quiet takes no value");
    expect_refusal("trial --help=yes", "--help takes no value");
}
END_TEST

START_TEST(help_lists_every_option_of_the_table_on_stdout)
{
    struct call c;

    parse(&c, "trial --help", STDOUT_FILENO);
    ck_assert_int_eq(c.result, -ECANCELED);
    ck_assert_ptr_nonnull(strstr(c.text, "Usage: daorec trial [OPTION]... SHM...\nTry things.\n"));
    ck_assert_ptr_nonnull(strstr(c.text, "  -n, --frames N"));
    ck_assert_ptr_nonnull(strstr(c.text, "      --wait[=T]"));
    for (const struct option_spec *s = specs; s->name; s++)
        ck_assert_ptr_nonnull(strstr(c.text, s->name));
    parse(&c, "trial -h", STDOUT_FILENO);
    ck_assert_int_eq(c.result, -ECANCELED);
}
END_TEST

START_TEST(which_options_were_given_is_told_whatever_their_value)
{
    struct call call;

    given = 0;
    parse(&call, "trial -n 7 --roll-time 1s a --keep=0", 2);
    ck_assert_uint_eq(given, 1u << 1 | 1u << 7 | 1u << 10);
}
END_TEST

START_TEST(version_is_printed_on_stdout)
{
    struct call c;

    parse(&c, "trial --version", STDOUT_FILENO);
    ck_assert_int_eq(c.result, -ECANCELED);
    ck_assert_ptr_nonnull(strstr(c.text, "daorec 0."));
}
END_TEST

START_TEST(the_nearest_name_is_found_or_none)
{
    static const char *const names[] = {"record", "replay", "info", "sim", NULL};

    ck_assert_str_eq(options_nearest("recrod", names), "record");
    ck_assert_str_eq(options_nearest("inof", names), "info");
    ck_assert_str_eq(options_nearest("rep", names), "replay");
    ck_assert_str_eq(options_nearest("sims", names), "sim");
    ck_assert_ptr_null(options_nearest("telescope", names));
    ck_assert_ptr_null(options_nearest("x", names));
    ck_assert_ptr_null(options_nearest("", names));
}
END_TEST

START_TEST(a_list_is_split_into_names_none_of_which_is_empty)
{
    static const struct {
        const char *list;
        int count;
    } lists[] = {{"wfs", 1},    {"wfs,dm", 2},     {"a,b,c", 3},    {"a,b,c,d", -EINVAL},
                 {"", -EINVAL}, {"a,,b", -EINVAL}, {"a,", -EINVAL}, {",a", -EINVAL}};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        const char *names[4];
        char copy[20];

        snprintf(copy, sizeof(copy), "%s", lists[i].list);
        ck_assert_int_eq(options_split_names(copy, names, 3), lists[i].count);
        if (lists[i].count > 0) {
            ck_assert_ptr_null(names[lists[i].count]);
            ck_assert_int_eq(names[0][0], lists[i].list[0]);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tc = tcase_create("options");

    suite_add_tcase(suite, tc);
    tcase_add_test(tc, every_kind_of_value_reaches_its_place);
    tcase_add_test(tc, an_option_that_may_be_given_again_keeps_all_values_in_their_order);
    tcase_add_test(tc, more_values_than_an_option_can_keep_are_refused);
    tcase_add_test(tc, an_amount_is_a_size_or_a_part);
    tcase_add_test(tc, what_is_not_given_keeps_its_default);
    tcase_add_test(tc, arguments_may_stand_between_options);
    tcase_add_test(tc, two_dashes_end_the_options);
    tcase_add_test(tc, a_duration_or_flag_without_value_means_for_ever);
    tcase_add_test(tc, a_misspelt_option_names_the_nearest);
    tcase_add_test(tc, an_unknown_letter_is_named);
    tcase_add_test(tc, an_ambiguous_abbreviation_lists_what_it_could_be);
    tcase_add_test(tc, a_wrong_value_is_named_with_its_option_and_a_right_example);
    tcase_add_test(tc, a_value_out_of_range_is_told_the_bound);
    tcase_add_test(tc, a_missing_value_and_one_too_many_are_told);
    tcase_add_test(tc, help_lists_every_option_of_the_table_on_stdout);
    tcase_add_test(tc, version_is_printed_on_stdout);
    tcase_add_test(tc, which_options_were_given_is_told_whatever_their_value);
    tcase_add_test(tc, the_nearest_name_is_found_or_none);
    tcase_add_test(tc, a_list_is_split_into_names_none_of_which_is_empty);
    return suite_run(suite);
}
