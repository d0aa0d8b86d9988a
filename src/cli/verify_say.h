/*
 * verify_say.h - daorec verify: one run of it, a file that is looked at in it, and what is printed.
 */
#ifndef DAOREC_CLI_VERIFY_SAY_H
#define DAOREC_CLI_VERIFY_SAY_H

#include <stdbool.h>
#include <stdint.h>

#include "verify/verify.h"

struct verify_options {
    bool json, quiet;
};

struct verify_run {
    const struct verify_options *options;
    uint64_t files, frames, bytes, doubts;
    uint64_t recordings; /* files that are, or may be, and ledgers */
    uint64_t foreign;    /* FITS files of others */
    const char *unread;  /* a folder that could not be read, as was said; "": none */
    int64_t begin_ns, last_tick_ns;
    bool on_terminal;
};

/* Verify one file and print what was found. `shown`: its path as it is printed. False, and nothing
 * is printed or counted: it `was_listed` a moment ago, and is not there any more. Whether it should
 * be, its session's ledger tells. */
bool verify_check_file(struct verify_run *run, const char *path, const char *shown, bool was_listed,
                       struct verify_file *ret);

/* Print the doubts about something that is no file: a stream's folder, a ledger, a link; under its
 * path. Counts and frees them. A ledger without any is said to be good. */
void verify_print_whole(struct verify_run *run, const char *path, const char *kind,
                        struct verify_doubts *doubts);

#endif
