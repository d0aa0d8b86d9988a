/*
 * out.h - one file that appears under its name when it is complete, or not at all. One
 * thread, blocking.
 *
 * While it is written it has no name where the file system has such files (a kill then leaves
 * nothing), else a hidden one in the same folder. A name that is taken is never touched, unless by
 * force, and then only at the end: both files exchange their names, so that what was there can come
 * back until the drop. Where the file system cannot exchange names, the new file stays.
 */
#ifndef DAOREC_EXTRACT_OUT_H
#define DAOREC_EXTRACT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/layout.h"

struct extract_out {
    char path[4096]; /* as it was given */
    int dir_fd, fd;
    char temp[256];   /* hidden name, "" where there is none */
    bool is_named;    /* it has its final name */
    bool has_old;     /* and what had it before has the hidden one */
    bool is_for_good; /* and what had it before is gone */
    unsigned char *buffer;
    size_t filled;
    uint64_t off; /* of the buffer's first byte */
};

/*
 * Begin a file that will have `bytes` bytes, for which room is claimed. 0; -EEXIST: the name is
 * taken (and not `force`); other errno. Always with a text naming the file.
 */
int extract_out_create(struct extract_out *out, const char *path, uint64_t bytes, bool force,
                       struct dao_text *text);

/* Bytes behind those that were put before; NULL: zeros. 0 or negative errno. */
int extract_out_put(struct extract_out *out, const void *bytes, size_t count);
/* What was put is in the file. */
int extract_out_flush(struct extract_out *out);
/* Bytes anywhere, once those that were put there are in the file. */
int extract_out_write_at(struct extract_out *out, uint64_t off, const void *bytes, size_t count);

/* Everything is on disk. 0 or negative errno with a text; drop it then. */
int extract_out_sync(struct extract_out *out, struct dao_text *text);

/* After a sync: it has its name. 0 or negative errno with a text; drop it then. */
int extract_out_commit(struct extract_out *out, bool force, struct dao_text *text);

/* Close; what has no final name is gone, and what was replaced. With `undo` a final name goes, too,
 * or is again that of what was replaced. Safe on a zeroed one and after all of the above. */
void extract_out_drop(struct extract_out *out, bool undo);

/* A text for an errno of put and write_at. */
void extract_out_explain(const struct extract_out *out, int error, struct dao_text *text);

#endif
