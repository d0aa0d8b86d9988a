/*
 * options.h - command-line options from one table: parsing, ranges, --help and the nearest right
 * name for a misspelt one. On top of getopt_long.
 */
#ifndef DAOREC_BASE_OPTIONS_H
#define DAOREC_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,             /* target: bool */
    OPTION_COUNT,            /* uint64_t */
    OPTION_BYTES,            /* uint64_t */
    OPTION_DURATION,         /* int64_t, ns */
    OPTION_DURATION_OR_FLAG, /* int64_t; given without value: INT64_MAX */
    OPTION_NUMBER,           /* double */
    OPTION_AMOUNT,           /* struct option_amount */
    OPTION_STRING,           /* const char * */
    OPTION_STRING_OR_FLAG,   /* const char *; given without value: "" */
    OPTION_LIST,             /* struct option_list; may be given again */
};

/* A size, or a part of something. */
struct option_amount {
    uint64_t bytes;
    double percent; /* above 0: this, and not bytes */
};

#define OPTION_LIST_MAX 256

/* The values of an option that was given several times, in that order; they belong to argv. */
struct option_list {
    const char *values[OPTION_LIST_MAX];
    size_t count;
};

struct option_spec {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* short form or 0 */
    enum option_kind kind;
    size_t offset;    /* of the target within the verb's option struct */
    const char *arg;  /* "DIR", "N", ...; NULL for flags */
    const char *help; /* one line; may say the default */
    double min, max;  /* allowed range of numbers (ns for durations); 0, 0: any */
};

struct verb_usage {
    const char *verb;      /* "record" */
    const char *arguments; /* "SHM..." */
    const char *summary;   /* one line */
    const struct option_spec *specs;
    uint64_t *given; /* NULL, or: bit i is set where specs[i] was given */
    /* NULL, or: may this option be 0 although its range does not have it? "No limit". */
    bool (*takes_zero)(const char *option);
};

/*
 * Parse argv (argv[0] is the verb) into the struct at `target`, which holds the defaults.
 * Returns the index of the first positional argument in argv (permuted to the end); -EINVAL after
 * one line on stderr (exit status 2); -ECANCELED after --help or --version was printed (exit 0).
 */
int options_parse(const struct verb_usage *usage, int argc, char **argv, void *target);

/* Was this option among those that were parsed? By usage->given, which is not NULL. */
bool options_is_given(const struct verb_usage *usage, const char *option);

/* Does an option of this kind have a value? For --help, and whatever else tells of the table. */
enum option_value { OPTION_VALUE_NONE, OPTION_VALUE_OPTIONAL, OPTION_VALUE_REQUIRED };
enum option_value options_value_of(enum option_kind kind);

/* Is 0 allowed beside its range? */
bool options_takes_zero(const struct verb_usage *usage, const struct option_spec *spec);

/* A bound of the kind as people write it: sizes and durations with their unit. Returns `buf`. */
const char *options_format_bound(char *buf, size_t buf_bytes, enum option_kind kind, double bound);

/* From now on --help calls `describe` with the verb's table instead of printing it; NULL: it prints
 * again. So manual pages and completion have the table of each verb, which is the verb's own. */
void options_describe_with(void (*describe)(const struct verb_usage *usage, void *ctx), void *ctx);

/* "a,b" into at most `most` names, NULL-terminated (ret has most + 1), which point into `list`. How
 * many, at least 1; -EINVAL: an empty one, or too many. */
int options_split_names(char *list, const char **ret, unsigned most);

/* The nearest of `names` (NULL-terminated) to `word` by edit distance; NULL: none is near. */
const char *options_nearest(const char *word, const char *const *names);

#endif
