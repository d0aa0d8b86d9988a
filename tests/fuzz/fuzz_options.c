/*
 * fuzz_options.c - options, durations, sizes and counts from any text.
 *
 * What must hold: no crash; what is refused changes nothing; what is accepted is within its range;
 * what was printed can be read again.
 */
#include <errno.h>
#include <math.h>

#include "base/options.h"
#include "base/units.h"
#include "tests/fuzz/fuzz.h"

#define ARGUMENTS_MAX 24

struct target {
    bool flag;
    uint64_t count, bytes;
    int64_t duration_ns, wait_ns;
    double number;
    struct option_amount amount;
    const char *string;
    struct option_list list;
};

#define AT(member) offsetof(struct target, member)

static const struct option_spec specs[] = {
    {"flag", 'f', OPTION_FLAG, AT(flag), NULL, "a flag", 0, 0},
    {"count", 'n', OPTION_COUNT, AT(count), "N", "a count", 1, 9e15},
    {"bytes", 'b', OPTION_BYTES, AT(bytes), "S", "a size", 65536, 7e13},
    {"duration", 'd', OPTION_DURATION, AT(duration_ns), "T", "a time", 1e6, 9e18},
    {"wait", 0, OPTION_DURATION_OR_FLAG, AT(wait_ns), "T", "a time or none", 0, 0},
    {"number", 'r', OPTION_NUMBER, AT(number), "X", "a number", -10, 1e9},
    {"amount", 0, OPTION_AMOUNT, AT(amount), "S|P%", "a part", 0, 0},
    {"string", 'o', OPTION_STRING, AT(string), "DIR", "a text", 0, 0},
    {"list", 'l', OPTION_LIST, AT(list), "X", "texts", 0, 0},
    {"strong", 0, OPTION_FLAG, AT(flag), NULL, "nearly the same name", 0, 0},
    {0},
};

static const struct verb_usage usage = {
    .verb = "fuzz", .arguments = "FILE...", .summary = "Nothing.", .specs = specs};

static void check_target(const struct target *t)
{
    FUZZ_MUST(t->count == 5 || (t->count >= 1 && t->count <= 9000000000000000ull));
    FUZZ_MUST(t->bytes == 5 || (t->bytes >= 65536 && t->bytes <= 70000000000000ull));
    FUZZ_MUST(t->duration_ns == 5 || t->duration_ns >= 1000000);
    FUZZ_MUST(t->wait_ns >= 0);
    FUZZ_MUST(isfinite(t->number) && t->number >= -10.0 && t->number <= 1e9);
    FUZZ_MUST(isfinite(t->amount.percent) && t->amount.percent >= 0.0 &&
              t->amount.percent <= 100.0);
    FUZZ_MUST(!t->string || *t->string);
    for (size_t i = 0; i < t->list.count; i++)
        FUZZ_MUST(*t->list.values[i]);
}

/* Texts separated by newlines. */
static void parse_arguments(const char *text)
{
    struct target target = {.count = 5, .bytes = 5, .duration_ns = 5};
    char *copy = strdup(text), *at = copy, *argv[ARGUMENTS_MAX + 2] = {(char *)(uintptr_t) "fuzz"};
    int argc = 1, first;

    FUZZ_MUST(copy);
    while (at && argc <= ARGUMENTS_MAX)
        argv[argc++] = strsep(&at, "\n");
    first = options_parse(&usage, argc, argv, &target);
    FUZZ_MUST(first == -EINVAL || first == -ECANCELED || (first >= 1 && first <= argc));
    check_target(&target);
    free(copy);
}

static void parse_units(const char *text)
{
    uint64_t count = 77, bytes = 77;
    int64_t ns = 77;
    char buf[64];

    if (units_parse_count(text, &count) < 0)
        FUZZ_MUST(count == 77);
    if (units_parse_bytes(text, &bytes) < 0)
        FUZZ_MUST(bytes == 77);
    if (units_parse_duration(text, &ns) < 0)
        FUZZ_MUST(ns == 77);
    FUZZ_MUST(ns >= 0);
    snprintf(buf, sizeof buf, "%lluns", (unsigned long long)ns);
    bytes = (uint64_t)ns;
    FUZZ_MUST(units_parse_duration(buf, &ns) == 0 && (uint64_t)ns == bytes);
}

static void format(const uint8_t *data, size_t size)
{
    char buf[64];
    int64_t value = 0;

    memcpy(&value, data, size < 8 ? size : 8);
    FUZZ_MUST(strlen(units_format_bytes(buf, sizeof buf, (uint64_t)value)) < sizeof buf);
    FUZZ_MUST(strlen(units_format_duration(buf, sizeof buf, value)) < sizeof buf);
    for (int decimals = -1; decimals <= 10; decimals++)
        FUZZ_MUST(strlen(units_format_utc(buf, 36, value, decimals)) < 36);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    FUZZ_MUST(text);
    memcpy(text, data, size);
    text[size] = '\0';
    parse_arguments(text);
    parse_units(text);
    format(data, size);
    free(text);
    return 0;
}
