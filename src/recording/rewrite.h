/*
 * rewrite.h - a small file that is written anew again and again, always by rename, and once more
 * when the disk is full.
 *
 * As long as that can be had every content goes to a fresh file, which keeps some room behind its
 * end and then takes the name: whoever reads the old one goes on reading it. Beside it a spare file
 * without a name keeps the same room. When no fresh one can be made (a full disk, a quota, no
 * descriptor), the spare takes the content into blocks that are its own, and changes names with the
 * file; the old one is the spare then. Whatever is under the name is whole, on disk, at each
 * instant.
 *
 *     name          one content after the other
 *     .name.new     for an instant, before it is renamed
 *     .name.spare   only once the spare had to be used; rewrite_end() removes it
 *
 * What can fail: a content larger than the room there is (at least twice the last one, as far as
 * the disk gave it): the old one stays. A file system that reserves no blocks, or cannot exchange
 * names: then a full disk may refuse, and the old one stays. Somebody gave the spare another name:
 * it is left to him. Blocking calls, one thread at a time.
 */
#ifndef DAOREC_RECORDING_REWRITE_H
#define DAOREC_RECORDING_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rewrite_file {
    int fd;         /* -1: there is none */
    uint64_t room;  /* bytes that can be written without asking the disk for any */
    uint64_t bytes; /* that are in it */
};

struct rewrite {
    int dir_fd;       /* borrowed */
    const char *name; /* borrowed, at most 50 characters */
    struct rewrite_file current, spare;
    bool spare_is_named;
};

void rewrite_init(struct rewrite *rewrite, int dir_fd, const char *name);

/* 0 or negative errno; then what was there is there. */
int rewrite_put(struct rewrite *rewrite, const char *content, size_t bytes);

/* The last content: no room is kept behind it, and the spare goes. */
int rewrite_end(struct rewrite *rewrite, const char *content, size_t bytes);

/* Close what is open; safe on an initialised one, and twice. */
void rewrite_close(struct rewrite *rewrite);

#endif
