/*
 * recycle.h - a new file out of the blocks of an old one. For who prepares files; calls block.
 *
 * What can go wrong, and the old name is gone in each case: somebody has the old file open, or
 * another name for it: its contents stay, and the file is made afresh by the caller; the file
 * system cannot zero a range that is allocated; a power cut in between, after which the dot-file is
 * nobody's.
 */
#ifndef DAOREC_IO_RECYCLE_H
#define DAOREC_IO_RECYCLE_H

#include "io/sink.h"

/*
 * Instead of sink_create(): the blocks of a file that nobody wants any more. They were written once
 * already, which makes writing them up to twice as fast as blocks that are only allocated.
 *
 * `old` is that file, open for reading and writing and locked by flock, under the name old->name in
 * old->dir_fd; its contents may stay in [keep_off, keep_end), whole pages, and nowhere else: all
 * other bytes read as zeros. In any case old->fd is taken over and the old name is gone. The new
 * file is a dot-file until it is published.
 * 0, or negative errno: -EBUSY: somebody else has it open, or it has another name, and is to see
 * what was in it; -EOPNOTSUPP: the file system cannot; others. Nothing is left behind, then.
 */
struct sink_old {
    int fd, dir_fd;
    const char *name;
    uint64_t keep_off, keep_end;
};
int sink_recycle(struct sink *sink, int dir_fd, const char *name, uint64_t bytes, bool want_direct,
                 const struct sink_backend *backend, const struct sink_old *old);

#endif
