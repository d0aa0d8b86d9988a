/*
 * setting.h - what a key of a configuration is set to, in words, and when it is taken: for whoever
 * tells what has changed in one. Made by config.h, compared by record/apply.h. Data only.
 */
#ifndef DAOREC_BASE_SETTING_H
#define DAOREC_BASE_SETTING_H

#include <stdbool.h>
#include <stddef.h>

enum setting_when {
    SETTING_AT_START,   /* when a session begins */
    SETTING_AT_ONCE,    /* also while one records */
    SETTING_OF_RING,    /* the same, where that session removes old files already */
    SETTING_OF_PROGRAM, /* when the program begins */
};

struct setting {
    const char *key;   /* "file_rollover.frames", of one source "/tmp/wfs.im.shm latency" */
    const char *value; /* as it stands in a file; NULL: `key` is a source itself */
    const char *began; /* SETTING_OF_PROGRAM: what the program has, NULL: that */
    bool is_inherited; /* of a source, which has it from the whole */
    enum setting_when when;
};

/* In an order of their own, no key twice. Borrowed. */
struct setting_list {
    struct setting *items;
    size_t count;
};

#endif
