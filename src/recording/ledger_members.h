/*
 * ledger_members.h - members of the JSON objects of a ledger, each looked at for its kind and
 * range. For ledger_read.c only; any thread, a parser of its own each.
 *
 * Of what is wrong the first is kept, with a text: whoever asks looks at `error` when it likes, and
 * believes nothing that it was given since.
 */
#ifndef DAOREC_RECORDING_LEDGER_MEMBERS_H
#define DAOREC_RECORDING_LEDGER_MEMBERS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "recording/ledger.h"

struct members {
    struct ledger_document *document;
    struct dao_text *text;
    int error;
};

/* -EBADMSG, and "KEY WHAT" for a text, where nothing was wrong before. */
void members_fail(struct members *p, const char *key, const char *what);

/* Zeroed memory that lives as long as the document; NULL, also where something was wrong before:
 * there is none. */
void *members_keep(struct members *p, size_t count, size_t bytes);

/* Both 0 where anything is wrong. */
int64_t members_integer(struct members *p, const json_t *object, const char *key);
uint64_t members_count(struct members *p, const json_t *object, const char *key);

/* A copy, as by members_keep(); "" where there is none. */
const char *members_text(struct members *p, const json_t *object, const char *key);

/* A time, or null: 0. */
int64_t members_time(struct members *p, const json_t *object, const char *key);

/* Of so many entries at most, borrowed from its object; NULL: it is none. */
const json_t *members_list(struct members *p, const json_t *object, const char *key, size_t most);

/* How many of a list that may have `most` entries are not in it: only a full one leaves any out. */
uint64_t members_left_out(struct members *p, const json_t *object, const char *key, size_t count,
                          size_t most);

#endif
