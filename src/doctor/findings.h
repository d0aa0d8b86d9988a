/*
 * findings.h - what was found out about a machine: a list of lines, each with a state, a sentence
 * and the remedy as a command. Probes add to it, the verb prints it. One thread.
 */
#ifndef DAOREC_DOCTOR_FINDINGS_H
#define DAOREC_DOCTOR_FINDINGS_H

#include <stddef.h>

enum finding_state {
    FINDING_OK,
    FINDING_NOTE,    /* costs something, loses nothing by itself */
    FINDING_PROBLEM, /* frames would be lost, or nothing could be recorded */
};

#define FINDING_VALUES 6

/* A number that was found, for programs; units last in its name. */
struct finding_value {
    const char *name; /* static */
    double value;
};

struct finding {
    const char *check; /* static; what was looked at */
    enum finding_state state;
    char found[512];
    char remedy[512]; /* "": there is nothing to be done */
    struct finding_value values[FINDING_VALUES];
    size_t value_count;
};

/* Zeroed, it is empty. */
struct findings {
    struct finding *list;
    size_t count, capacity;
    struct finding scrap; /* what is written to where there is no memory for more */
};

void findings_free(struct findings *findings); /* safe on a zeroed one */

/* Add a line. What is returned is good until the next one is added; never NULL. */
struct finding *findings_add(struct findings *findings, const char *check, enum finding_state state,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));

void finding_remedy(struct finding *finding, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void finding_value(struct finding *finding, const char *name, double value);

/* The worst of all states; OK where there are none. */
enum finding_state findings_worst(const struct findings *findings);
size_t findings_count(const struct findings *findings, enum finding_state state);

const char *finding_state_name(enum finding_state state); /* "ok", "note", "problem" */

/* A path as a word of a shell's command line, in quotes where it needs them. Returns `buf`. */
char *finding_quote(char *buf, size_t buf_bytes, const char *path);

#endif
