/*
 * keys.h - the table of all keys, and a value of each type as text and back. For the files of this
 * folder. Any thread.
 */
#ifndef DAOREC_CONFIG_KEYS_H
#define DAOREC_CONFIG_KEYS_H

#include "base/setting.h"
#include "config/config.h"

enum config_type {
    CONFIG_MAP,      /* keys of its own: those of section `below` */
    CONFIG_ROLL,     /* the same, or one scalar that sets one of them */
    CONFIG_LIST,     /* sources */
    CONFIG_PATH,     /* const char * */
    CONFIG_TEXT,     /* const char *: a value of a FITS card */
    CONFIG_NAME,     /* const char *: of a stream */
    CONFIG_URI,      /* const char * */
    CONFIG_ADDRESS,  /* const char *: host:port */
    CONFIG_COMMAND,  /* const char *; its $VAR are the shell's */
    CONFIG_PROM,     /* const char *: of a file that node_exporter reads */
    CONFIG_SOCKET,   /* const char *: its path; "true": CONFIG_CONTROL_DEFAULT; "false": "" */
    CONFIG_COUNT,    /* uint64_t */
    CONFIG_BYTES,    /* uint64_t */
    CONFIG_DURATION, /* int64_t, ns */
    CONFIG_WAIT,     /* the same, "no" (0) or "forever" (INT64_MAX) */
    CONFIG_BOOL,     /* bool */
    CONFIG_CHOICE,   /* int: index in `choices` */
    CONFIG_CPUS,     /* cpu_set_t */
    CONFIG_AMOUNT,   /* struct option_amount */
    CONFIG_OVERLOAD, /* struct config_overload */
};

enum config_section {
    CONFIG_TOP,
    CONFIG_ROLLOVER,
    CONFIG_RETENTION,
    CONFIG_KEYWORDS,
    CONFIG_METRICS,
    CONFIG_HOOKS,
    CONFIG_SOURCE, /* offsets of this and the next are in struct config_source */
    CONFIG_SOURCE_ROLLOVER,
};

struct config_key {
    const char *name;
    enum config_section section;
    enum config_type type;
    size_t offset;
    const char *fallback; /* the default, as it would be written; NULL: none, or that of all */
    double min, max;      /* of numbers (bytes, ns), if max > 0 */
    bool zero;            /* 0 is allowed besides: none, or chosen */
    enum config_section below;
    const char *const *choices; /* NULL-terminated */
    const char *alias;          /* another name for it, or NULL */
    const char *option;         /* of `record` without its dashes, or NULL */
    const char *help;
    enum setting_when when; /* of one that is changed while the program runs */
};

extern const struct config_key config_keys[];
extern const unsigned config_key_count;

/* The row that a key of a section stands for, or NULL. */
const struct config_key *config_find_key(enum config_section section, const char *name);
/* The row whose keys are this section; NULL: they stand at the top. */
const struct config_key *config_parent(enum config_section section);
unsigned config_key_index(const struct config_key *key);

static inline bool config_is_of_source(const struct config_key *key)
{
    return key->section == CONFIG_SOURCE || key->section == CONFIG_SOURCE_ROLLOVER;
}

/* A row of the source as the whole has it, or NULL: what it does not say is taken from there. */
const struct config_key *config_key_of_all(const struct config_key *key);

/* "file_rollover.size", "sources.samples". Returns buf. */
const char *config_key_path(const struct config_key *key, char *buf, size_t buf_bytes);

#define CONFIG_WHY_BYTES 512

/* Text into the value at `place`; strings are kept in `config`. 0; -EINVAL with what is wrong (not
 * what is allowed); -ENOMEM. The place is untouched then. */
int config_parse(const struct config_key *key, const char *text, void *place, struct config *config,
                 char why[CONFIG_WHY_BYTES]);

/* One scalar for file_rollover: frames, size or duration. */
int config_parse_rollover(const char *text, struct config_rollover *rollover,
                          const struct config_key **ret_key, char why[CONFIG_WHY_BYTES]);

/* What parsing gives this value again, as it stands in a file: whole, however long it is. To be
 * freed; NULL without memory. */
char *config_format_new(const struct config_key *key, const void *place);

/* What may stand there: "a size such as 64MiB, 1MiB to 64TiB, or 0". Returns buf. */
const char *config_allowed(const struct config_key *key, char *buf, size_t buf_bytes);

/* "size", "whole number", ... */
const char *config_type_name(const struct config_key *key);

/* Bytes of the value in its struct. */
size_t config_value_bytes(const struct config_key *key);

/* Memory that lives as long as the configuration, zeroed; a copy of a text. NULL without memory. */
void *config_keep(struct config *config, size_t bytes);
const char *config_keep_text(struct config *config, const char *text);

/* A text as it stands in a file, in quotes where it needs them. Returns buf. */
const char *config_format_text(const char *text, bool keeps_dollars, char *buf, size_t buf_bytes);

#endif
