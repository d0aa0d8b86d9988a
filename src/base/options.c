/*
 * options.c - see options.h. Parsing, --help and every message come from the verb's table.
 */
#include "base/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "base/version.h"

#define OPTIONS_MAX    64 /* of one verb; more is our own mistake */
#define NAME_BYTES_MAX 64
#define VALUE_HELP     1 /* what getopt_long returns; those of the table are VALUE_FIRST + index */
#define VALUE_VERSION  2
#define VALUE_FIRST    256

/* What an option of each kind takes: whether there is a value, and how a right one looks. */
static const struct kind {
    int has_arg;
    const char *remedy;
} kinds[] = {
    [OPTION_FLAG] = {no_argument, ""},
    [OPTION_COUNT] = {required_argument, "give a whole number"},
    [OPTION_AMOUNT] = {required_argument, "give a size such as 10GiB, or a part such as 2%"},
    [OPTION_BYTES] = {required_argument, "give a size such as 64MiB or 1.5GB"},
    [OPTION_DURATION] = {required_argument, "give a duration such as 500ms, 10s or 5min"},
    [OPTION_DURATION_OR_FLAG] = {optional_argument, "give a duration such as 500ms, 10s or 5min"},
    [OPTION_NUMBER] = {required_argument, "give a number"},
    [OPTION_STRING] = {required_argument, "give a value"},
    [OPTION_STRING_OR_FLAG] = {optional_argument, "give a value"},
    [OPTION_LIST] = {required_argument, "give a value"},
};

static void (*describer)(const struct verb_usage *usage, void *ctx);
static void *describer_ctx;

bool options_is_given(const struct verb_usage *usage, const char *option)
{
    for (size_t i = 0; usage->specs[i].name; i++)
        if (strcmp(usage->specs[i].name, option) == 0)
            return *usage->given & 1ull << i;
    return false;
}

enum option_value options_value_of(enum option_kind kind)
{
    int has_arg = kinds[kind].has_arg;

    return has_arg == no_argument         ? OPTION_VALUE_NONE
           : has_arg == optional_argument ? OPTION_VALUE_OPTIONAL
                                          : OPTION_VALUE_REQUIRED;
}

void options_describe_with(void (*describe)(const struct verb_usage *usage, void *ctx), void *ctx)
{
    describer = describe;
    describer_ctx = ctx;
}

/* ---- the nearest name ---- */

/* Edits that turn a into b: insert, delete, replace, or swap two neighbours. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_BYTES_MAX + 1];
    size_t na = strlen(a), nb = strlen(b);

    if (na > NAME_BYTES_MAX || nb > NAME_BYTES_MAX)
        return NAME_BYTES_MAX;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);

            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                above2[j - 2] + 1 < best)
                best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[na % 3][nb];
}

const char *options_nearest(const char *word, const char *const *names)
{
    unsigned limit = (unsigned)strlen(word) / 3 + 1, best = limit + 1;
    const char *nearest = NULL;

    if (!*word)
        return NULL;
    for (; *names; names++) {
        unsigned distance = edit_distance(word, *names);

        /* Fewer letters typed than names have: "dur" is near to "duration". */
        if (strlen(word) >= 3 && strncmp(word, *names, strlen(word)) == 0)
            distance = 1;
        /* A short word is not near to one that shares nothing with it. */
        if (distance >= strlen(*names))
            continue;
        if (distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    return nearest;
}

/* ---- help ---- */

static void print_option(char letter, const char *name, const char *arg, bool arg_optional,
                         const char *help)
{
    char left[96];
    int n = letter ? snprintf(left, sizeof(left), "  -%c, --%s", letter, name)
                   : snprintf(left, sizeof(left), "      --%s", name);

    if (arg && n > 0 && (size_t)n < sizeof(left))
        snprintf(left + n, sizeof(left) - (size_t)n, arg_optional ? "[=%s]" : " %s", arg);
    if (strlen(left) <= 28)
        printf("%-28s  %s\n", left, help);
    else
        printf("%s\n%-28s  %s\n", left, "", help);
}

static void print_help(const struct verb_usage *usage)
{
    const char *arguments = usage->arguments ? usage->arguments : "";

    if (describer) {
        describer(usage, describer_ctx);
        return;
    }
    printf("Usage: daorec %s [OPTION]...%s%s\n%s\n\n", usage->verb, *arguments ? " " : "",
           arguments, usage->summary);
    for (const struct option_spec *s = usage->specs; s->name; s++)
        print_option(s->letter, s->name, s->arg, kinds[s->kind].has_arg == optional_argument,
                     s->help);
    print_option('h', "help", NULL, false, "print this");
    print_option(0, "version", NULL, false, "print the version");
}

/* ---- values ---- */

/* One line: which option, which value, what would be right. */
static int refuse(const struct verb_usage *usage, const struct option_spec *spec, const char *value,
                  const char *what)
{
    log_error("%s: --%s '%s': %s", usage->verb, spec->name, value, what);
    return -EINVAL;
}

const char *options_format_bound(char *buf, size_t buf_bytes, enum option_kind kind, double bound)
{
    if (kind == OPTION_DURATION || kind == OPTION_DURATION_OR_FLAG)
        return units_exact_duration(buf, buf_bytes, (int64_t)bound);
    if (kind == OPTION_BYTES)
        return units_exact_bytes(buf, buf_bytes, (uint64_t)bound);
    snprintf(buf, buf_bytes, "%.15g", bound);
    return buf;
}

bool options_takes_zero(const struct verb_usage *usage, const struct option_spec *spec)
{
    return usage->takes_zero && usage->takes_zero(spec->name);
}

static int check_range(const struct verb_usage *usage, const struct option_spec *spec,
                       const char *text, double value)
{
    bool takes_zero = options_takes_zero(usage, spec);
    char low[48], high[48], what[160];
    bool bounded = spec->min != 0.0 || spec->max != 0.0; /* both 0: any */
    bool open_above = spec->max < spec->min;             /* only a least one was given */

    if (!bounded || (takes_zero && value == 0.0) ||
        (value >= spec->min && (open_above || value <= spec->max)))
        return 0;
    options_format_bound(low, sizeof(low), spec->kind, spec->min);
    options_format_bound(high, sizeof(high), spec->kind, spec->max);
    if (value < spec->min)
        snprintf(what, sizeof(what), "too small, the least is %s%s", low,
                 takes_zero ? "; 0 is allowed, too" : "");
    else
        snprintf(what, sizeof(what), "too large, the most is %s", high);
    return refuse(usage, spec, text, what);
}

static int parse_number(const char *text, double *ret)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return -EINVAL;
    if (errno == ERANGE && fabs(value) > 1.0)
        return -ERANGE;
    *ret = value;
    return 0;
}

/* "64MiB" or "2%". Above 100 % is out of range. */
static int parse_amount(const char *text, struct option_amount *ret)
{
    struct option_amount amount = {0, 0.0};
    size_t length = strlen(text);
    char number[32];
    int r;

    if (length == 0 || text[length - 1] != '%') {
        r = units_parse_bytes(text, &amount.bytes);
    } else if (length >= sizeof number) {
        r = -EINVAL;
    } else {
        memcpy(number, text, length - 1);
        number[length - 1] = '\0';
        r = parse_number(number, &amount.percent);
        if (r == 0 && (amount.percent < 0.0 || amount.percent > 100.0))
            r = -EINVAL;
    }
    if (r == 0)
        *ret = amount;
    return r;
}

static int append(const struct verb_usage *usage, const struct option_spec *spec, const char *text,
                  struct option_list *list)
{
    char what[64];

    if (!*text)
        return refuse(usage, spec, text, "is empty, give a value");
    if (list->count == OPTION_LIST_MAX) {
        snprintf(what, sizeof what, "is one too many, the most are %d", OPTION_LIST_MAX);
        return refuse(usage, spec, text, what);
    }
    list->values[list->count++] = text;
    return 0;
}

/* A value as text into the option's place in the verb's struct. Nothing is changed on failure. */
static int take_value(const struct verb_usage *usage, const struct option_spec *spec,
                      const char *text, void *target)
{
    void *place = (unsigned char *)target + spec->offset;
    uint64_t count = 0;
    int64_t ns = 0;
    double number = 0.0;
    int r = 0;

    switch (spec->kind) {
    case OPTION_FLAG:
        *(bool *)place = true;
        return 0;
    case OPTION_STRING_OR_FLAG:
        if (!text) {
            *(const char **)place = "";
            return 0;
        }
        /* fall through */
    case OPTION_STRING:
        if (!*text)
            return refuse(usage, spec, text, "is empty, give a value");
        *(const char **)place = text;
        return 0;
    case OPTION_LIST:
        return append(usage, spec, text, place);
    case OPTION_COUNT:
        r = units_parse_count(text, &count);
        number = (double)count;
        break;
    case OPTION_BYTES:
        r = units_parse_bytes(text, &count);
        number = (double)count;
        break;
    case OPTION_DURATION_OR_FLAG:
        if (!text) {
            *(int64_t *)place = INT64_MAX;
            return 0;
        }
        r = units_parse_duration(text, &ns);
        number = (double)ns;
        break;
    case OPTION_DURATION:
        r = units_parse_duration(text, &ns);
        number = (double)ns;
        break;
    case OPTION_NUMBER:
        r = parse_number(text, &number);
        break;
    case OPTION_AMOUNT:
        r = parse_amount(text, place);
        break;
    }
    if (r == -ERANGE)
        return refuse(usage, spec, text, "too large");
    if (r < 0)
        return refuse(usage, spec, text, kinds[spec->kind].remedy);
    if (spec->kind == OPTION_AMOUNT)
        return 0;
    r = check_range(usage, spec, text, number);
    if (r < 0)
        return r;
    if (spec->kind == OPTION_NUMBER)
        *(double *)place = number;
    else if (spec->kind == OPTION_COUNT || spec->kind == OPTION_BYTES)
        *(uint64_t *)place = count;
    else
        *(int64_t *)place = ns;
    return 0;
}

/* ---- getopt_long ---- */

struct tables {
    struct option longs[OPTIONS_MAX + 3];
    const char *names[OPTIONS_MAX + 3]; /* for the nearest one */
    char shorts[3 * OPTIONS_MAX + 8];
    size_t count;
};

static void make_tables(struct tables *t, const struct option_spec *specs)
{
    char *s = t->shorts;

    *s++ = ':'; /* a missing value is told from an unknown option */
    *s++ = 'h';
    for (t->count = 0; specs[t->count].name && t->count < OPTIONS_MAX; t->count++) {
        const struct option_spec *spec = &specs[t->count];
        int has_arg = kinds[spec->kind].has_arg;

        t->longs[t->count] = (struct option){
            .name = spec->name, .has_arg = has_arg, .val = VALUE_FIRST + (int)t->count};
        t->names[t->count] = spec->name;
        if (!spec->letter)
            continue;
        *s++ = spec->letter;
        if (has_arg != no_argument)
            *s++ = ':';
        if (has_arg == optional_argument)
            *s++ = ':';
    }
    *s = '\0';
    t->longs[t->count] = (struct option){.name = "help", .val = VALUE_HELP};
    t->longs[t->count + 1] = (struct option){.name = "version", .val = VALUE_VERSION};
    t->longs[t->count + 2] = (struct option){0};
    t->names[t->count] = "help";
    t->names[t->count + 1] = "version";
    t->names[t->count + 2] = NULL;
}

/* Which row of the table a value of getopt_long stands for, or NULL. */
static const struct option_spec *find_spec(const struct tables *t, const struct option_spec *specs,
                                           int value)
{
    if (value >= VALUE_FIRST && (size_t)(value - VALUE_FIRST) < t->count)
        return &specs[value - VALUE_FIRST];
    for (size_t i = 0; i < t->count; i++) {
        if (specs[i].letter && specs[i].letter == value)
            return &specs[i];
    }
    return NULL;
}

/* The long option as typed, without dashes and value. */
static void typed_name(char *name, size_t name_bytes, const char *arg)
{
    snprintf(name, name_bytes, "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
}

/* How many long options an abbreviation fits; with more than one it is ambiguous. */
static unsigned count_prefix(const struct tables *t, const char *name, char *list,
                             size_t list_bytes)
{
    unsigned found = 0;
    size_t used = 0;

    for (size_t i = 0; t->names[i]; i++) {
        if (strncmp(name, t->names[i], strlen(name)) != 0)
            continue;
        if (used < list_bytes) {
            int n =
                snprintf(list + used, list_bytes - used, "%s--%s", found ? ", " : "", t->names[i]);
            used += n > 0 ? (size_t)n : 0;
        }
        found++;
    }
    return found;
}

/* getopt_long said '?': an unknown option, an ambiguous one, or a flag that was given a value. */
static int report_unknown(const struct verb_usage *usage, const struct tables *t, const char *arg)
{
    char name[NAME_BYTES_MAX], list[256];
    const char *nearest;

    if (strncmp(arg, "--", 2) != 0) {
        log_error("%s: unknown option '-%c'; see daorec %s --help", usage->verb, optopt,
                  usage->verb);
        return -EINVAL;
    }
    typed_name(name, sizeof(name), arg);
    if (optopt) {
        log_error("%s: --%s takes no value", usage->verb, name);
    } else if (*name && count_prefix(t, name, list, sizeof(list)) > 1) {
        log_error("%s: option '--%s' is ambiguous: %s", usage->verb, name, list);
    } else {
        nearest = options_nearest(name, t->names);
        if (nearest)
            log_error("%s: unknown option '--%s'; did you mean '--%s'?", usage->verb, name,
                      nearest);
        else
            log_error("%s: unknown option '--%s'; see daorec %s --help", usage->verb, name,
                      usage->verb);
    }
    return -EINVAL;
}

static int report_missing_value(const struct verb_usage *usage, const struct option_spec *spec)
{
    log_error("%s: --%s needs a value: %s", usage->verb, spec->name, kinds[spec->kind].remedy);
    return -EINVAL;
}

int options_parse(const struct verb_usage *usage, int argc, char **argv, void *target)
{
    struct tables t;
    const struct option_spec *spec;

    make_tables(&t, usage->specs);
    opterr = 0;
    optind = 0; /* glibc: start anew, also where another parse was left half-way */
    for (;;) {
        int current = optind ? optind : 1;
        int value = getopt_long(argc, argv, t.shorts, t.longs, NULL);

        if (value == -1)
            return optind;
        if (value == VALUE_HELP || value == 'h') {
            print_help(usage);
            return -ECANCELED;
        }
        if (value == VALUE_VERSION) {
            printf("daorec %s\n", DAOREC_VERSION);
            return -ECANCELED;
        }
        spec = find_spec(&t, usage->specs, value == ':' ? optopt : value);
        if (value == ':' && spec)
            return report_missing_value(usage, spec);
        if (!spec) /* getopt moves positional arguments away: the culprit is the one just passed */
            return report_unknown(usage, &t, argv[optind > current ? optind - 1 : current]);
        if (take_value(usage, spec, optarg, target) < 0)
            return -EINVAL;
        if (usage->given)
            *usage->given |= 1ull << (spec - usage->specs);
    }
}

/* ---- lists ---- */

int options_split_names(char *list, const char **ret, unsigned most)
{
    unsigned used = 0;

    for (char *name = strsep(&list, ","); name; name = strsep(&list, ",")) {
        if (*name == '\0' || used == most)
            return -EINVAL;
        ret[used++] = name;
    }
    ret[used] = NULL;
    return (int)used;
}
