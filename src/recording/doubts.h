/*
 * doubts.h - what a verification found: a list of sentences, the first of them kept. One thread.
 */
#ifndef DAOREC_RECORDING_DOUBTS_H
#define DAOREC_RECORDING_DOUBTS_H

#include <stddef.h>
#include <stdint.h>

#define VERIFY_DOUBTS_KEPT 200

struct verify_doubt {
    int64_t frame; /* index in the file, -1: none in particular */
    char text[256];
};

struct verify_doubts {
    struct verify_doubt *kept; /* the first of them */
    size_t kept_count;
    uint64_t count; /* all */
};
void verify_doubts_add(struct verify_doubts *doubts, int64_t frame, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void verify_doubts_free(struct verify_doubts *doubts); /* safe on zeroed ones */

#endif
