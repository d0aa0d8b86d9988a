/* manual_prose.h - what manual pages say beyond the tables of options. */
#ifndef DAOREC_CLI_MANUAL_PROSE_H
#define DAOREC_CLI_MANUAL_PROSE_H

/* One section of a page; by the rules of mdoc_prose(). */
struct manual_prose {
    const char *verb;  /* "" for the page of the program; NULL ends the table */
    const char *title; /* "DESCRIPTION": goes on after the verb's summary */
    const char *text;
};

extern const struct manual_prose manual_prose[];

#endif
