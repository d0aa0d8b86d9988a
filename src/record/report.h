/*
 * report.h - what keepers report goes into the books, and in lines to stderr: each thing is said
 * once, however often it is tried. The events are called in the keepers' threads.
 */
#ifndef DAOREC_RECORD_REPORT_H
#define DAOREC_RECORD_REPORT_H

#include <stdbool.h>

#include "record/books.h"
#include "record/disk.h"
#include "record/hooks.h"
#include "record/keeper.h"

/* All of it is borrowed. */
struct report {
    struct books *books;
    struct disk *disk;
    struct hooks *hooks;
    const char *session; /* its name */
    int dir_fd;          /* its folder */
    bool quiet;          /* errors only */
};

/* The report is borrowed, too. */
struct keeper_events report_events(struct report *report);

#endif
