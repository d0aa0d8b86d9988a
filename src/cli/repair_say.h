/*
 * repair_say.h - what `daorec repair` prints, for people or as JSON. A part of repair.c.
 */
#ifndef DAOREC_CLI_REPAIR_SAY_H
#define DAOREC_CLI_REPAIR_SAY_H

#include <stdbool.h>

#include "verify/doubts.h"
#include "repair/rebuild.h"
#include "repair/repair.h"

struct repair_options {
    bool apply, json;
};

/* One file; `doubts` are those of reading it back. */
void repair_say_file(const struct repair_options *options, const char *path,
                     const struct repair_file *file, const struct verify_doubts *doubts);

/* The ledger of a session. */
void repair_say_ledger(const struct repair_options *options, const char *session,
                       const struct rebuild *ledger);

/* What is refused before anything was looked at. */
void repair_say_refused(const struct repair_options *options, const char *path, const char *why);

#endif
