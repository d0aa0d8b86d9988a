/*
 * parts.h - what the files that read a configuration have in common. One thread.
 */
#ifndef DAOREC_CONFIG_PARTS_H
#define DAOREC_CONFIG_PARTS_H

#include "config/config.h"

struct config_key;

/* What is being read, for messages. */
struct config_reading {
    struct config *config;
    const char *file; /* as messages name it */
    struct config_mistakes *mistakes;
    bool no_memory;
    unsigned told; /* mistakes, those that were dropped too */
};

/* "file:line: key: what"; line 0: the file as a whole; key NULL: none. The same again is dropped.
 */
void config_mistake(struct config_reading *reading, unsigned line, const char *key, const char *fmt,
                    ...) __attribute__((format(printf, 4, 5)));

/* The same of a value that config_parse() refused: with what is allowed, and a guess behind it. */
void config_mistake_value(struct config_reading *reading, unsigned line, const char *name,
                          const struct config_key *key, char *why);

/* The whole file (or standard input) in memory that the configuration keeps, NUL behind it; NULL
 * after a mistake. It is text: UTF-8 without NUL. */
char *config_read_text(struct config_reading *reading, const char *path, size_t *ret_bytes);

/* $VAR and ${VAR} become what they are in the environment, $$ a dollar. 0; -EINVAL with what is
 * wrong; -ENOMEM. *ret is malloc'ed. */
int config_expand(const char *text, char **ret, char *why, size_t why_bytes);

/* So many that nobody reads more: what is still looked at is not worth the time. */
bool config_is_hopeless(const struct config_reading *reading);

/* Is it small and flat enough to be made a document of? False after a mistake. text: of bytes, NUL
 * behind it. */
bool config_check_bounds(struct config_reading *reading, const char *text, size_t bytes);

/* YAML into config: every mistake is told. */
void config_walk_text(struct config_reading *reading, const char *text, size_t bytes);

/* Sources once all is read: what they have from the whole, streams' names, none twice. */
void config_settle_sources(struct config_reading *reading, bool needs_sources);

/* One more source, at its defaults, with its line; NULL after a mistake. */
struct config_source *config_add_source(struct config_reading *reading, unsigned line);

#endif
