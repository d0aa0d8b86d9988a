/*
 * config.h - a configuration file (YAML) and what it says, as one struct.
 *
 * What there may be in it is the table in keys.c: from it come parsing, defaults, ranges, messages,
 * --print-config, the manual and the table in README.md. Nothing here starts, opens or creates
 * anything but the file that is read. One thread; called by the verbs `record`, `check` and
 * `doctor` before anything else happens.
 *
 * What can be wrong: the file (not there, none, empty, too large, no UTF-8, NUL bytes, no YAML, two
 * documents), a key (unknown, twice, of another section), a value (missing, of the wrong kind, out
 * of range, an unknown $VAR, a tag), the sources (none, twice, two of one name). Each mistake is a
 * line that names file, line, key and what is allowed; all of a file are told.
 */
#ifndef DAOREC_CONFIG_CONFIG_H
#define DAOREC_CONFIG_CONFIG_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/options.h"
#include "base/setting.h"
#include "recording/tree.h"

#define CONFIG_FILE_BYTES_MAX (1u << 20)
#define CONFIG_SOURCES_MAX    1000u
#define CONFIG_KEYS_MAX       64 /* rows of the table: one bit each in `given` */

#define CONFIG_CONTROL_DEFAULT "true"
#define CONFIG_CONTROL_MAX     107u /* bytes of a socket's path */

enum config_io {
    CONFIG_IO_AUTO,
    CONFIG_IO_URING,
    CONFIG_IO_PWRITE,
};

/* What happens where the disk does not keep up and staging memory runs out. */
enum config_policy {
    CONFIG_DROP_NEWEST,
    CONFIG_DECIMATE, /* record each each-th frame */
    CONFIG_STOP,
};

struct config_overload {
    enum config_policy policy;
    uint64_t each; /* 2 or more with CONFIG_DECIMATE */
};

struct config_rollover {
    uint64_t frames; /* 0: no limit */
    uint64_t bytes;  /* 0: the default; less where retention wants smaller files */
    int64_t time_ns; /* 0: no limit */
};

/* A segment to record, or a file to be copied into the session. What it does not say itself it has
 * from the whole. */
struct config_source {
    const char *uri;                       /* as it was written */
    const char *path;                      /* what it leads to */
    bool is_file;                          /* file://: copied */
    const char *name;                      /* "": after the segment */
    char stream[FITS_STREAM_NAME_MAX + 1]; /* the stream it becomes; of a file: "" */
    const char *unit;                      /* BUNIT; "": none */
    uint64_t samples, priority;
    int64_t latency_ns;
    struct config_rollover rollover;
    struct config_overload overload;
    unsigned line;
    uint64_t device, inode; /* what the path led to when it was read; 0: nothing */
    uint64_t given;         /* a bit a row of the table: it says that itself */
};

struct config {
    const char *file; /* where it was read, as messages name it; NULL: nowhere */
    const char *root_storage;
    struct config_source *sources;
    size_t source_count;
    uint64_t samples;    /* frames of each stream, 0: until stopped */
    int64_t duration_ns; /* 0: until stopped */
    struct config_rollover rollover;
    uint64_t buffer_bytes;         /* 0: chosen */
    cpu_set_t daq_cpus, sink_cpus; /* empty: any */
    uint64_t priority;             /* SCHED_FIFO, 0: none */
    bool lock_memory;              /* keep the process out of swap */
    bool eager_start;              /* a session begins when the program does */
    bool backlog;
    int64_t wait_ns;    /* for segments: 0 not, INT64_MAX for ever */
    bool all;           /* record nothing before all segments are there */
    bool roll_together; /* files end at whole multiples of their time, UTC */
    int64_t latency_ns;
    struct config_overload overload;
    int io; /* enum config_io */
    bool direct;
    struct option_amount keep_free;
    uint64_t keep_files, keep_bytes; /* 0: no limit */
    int64_t keep_time_ns;
    const char *origin, *telescope, *instrument, *observer, *object; /* "": no such card */
    const char *control; /* "": none; CONFIG_CONTROL_DEFAULT: where `daorec ctl` looks for it */
    const char *metrics_listen, *metrics_textfile;
    const char *hook_file_closed, *hook_loss, *hook_low_disk;
    struct option_amount low_disk; /* what a low disk is */
    /* kept here */
    size_t source_room;
    uint64_t given;                  /* a bit a row of the table: it stands in the file */
    unsigned lines[CONFIG_KEYS_MAX]; /* where; 0: it does not, or an option says something else */
    void **blocks;                   /* what strings and sources lie in */
    size_t block_count;
};

/* What was found to be wrong, in lines of the form "file:line: key: what; what is allowed", in
 * the order of the file; what belongs to no line comes last. */
struct config_mistakes {
    struct config_mistake_line {
        unsigned number; /* 0: none */
        char *text;
    } * lines;
    size_t count;
    size_t left_out;   /* beyond CONFIG_MISTAKES_MAX */
    bool has_given_up; /* there were more, which were not counted */
};

#define CONFIG_MISTAKES_MAX 200u

/* The defaults, no source. 0 or -ENOMEM. config_free() is safe on a zeroed one, and after failure.
 */
int config_init(struct config *ret);
void config_free(struct config *config);

/*
 * Read `path` ("-": standard input) on top of the defaults. `needs_sources`: none at all is a
 * mistake. 0; -EINVAL: there are mistakes; -ENOMEM. `ret` is to be freed in each case; after
 * -EINVAL it is good for nothing else.
 */
int config_load(struct config *ret, const char *path, bool needs_sources,
                struct config_mistakes *mistakes);

/* Print them, a line each, on stderr. */
void config_mistakes_print(const struct config_mistakes *mistakes);
void config_mistakes_free(struct config_mistakes *mistakes);

/* This option of `record` ("roll-size") has set what its key says: it holds for all sources now,
 * whatever the file says of them. Options without a key change nothing here. */
void config_override(struct config *config, const char *option);

/* Does this option of `record` take 0 as its key does? Those of rolling do: no such limit. (To keep
 * or to record nothing would be a mistake.) */
bool config_takes_zero(const char *option);

/* Who said what this option of `record` is about, for messages: "night.yaml:12: keep.size", or
 * "daorec record: --keep-size". Returns buf. */
const char *config_name_of(const struct config *config, const char *option, char *buf,
                           size_t buf_bytes);

/* Parse text as this option's key takes it. 0; -EINVAL after mistakes; -ENOMEM. */
int config_set_option(struct config *config, const char *option, const char *text,
                      struct config_mistakes *mistakes);

/* Record these segments instead of those of the file (its files stay): one that the file has, too,
 * as it has it. `who` begins the messages. 0; -EINVAL after mistakes (two of one name, ...);
 * -ENOMEM. */
int config_set_segments(struct config *config, const char *who, char *const *paths, size_t count,
                        struct config_mistakes *mistakes);

/* What all keys are set to, for the whole and then for each source: kept in the configuration. 0 or
 * -ENOMEM. */
int config_list(struct config *config, struct setting_list *ret);

/* Do two of them say the same, in the same order? */
bool config_list_is_same(const struct setting_list *a, const struct setting_list *b);

/* What the program began with, for those of a list that only then are taken. */
void config_list_began(struct setting_list *fresh, const struct setting_list *began);

/* A file with every key, what it means and what it is set to; config_load() of it gives the same
 * again. Without a source an example stands in their place. 0; -ENOMEM: it is not whole. */
int config_print(const struct config *config, FILE *out);

/* The table, for programs to read: a line a key with tabs between key, type, what is allowed,
 * default, other name, option of `record`, and what it means. */
void config_print_keys(FILE *out);

#endif
