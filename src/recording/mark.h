/*
 * mark.h - files that are to be kept: a mark beside a file, "<file>.keep", says that it is not to
 * be removed to make room for others. Any thread, blocking.
 *
 * Who marks a file, and who removes one, hold its lock (flock) while they look at mark and name, so
 * that a file is never gone once its mark was reported as set. A file that is being recorded is
 * locked by its recorder, and is not removed by anybody: its mark bears the name that it will get.
 */
#ifndef DAOREC_RECORDING_MARK_H
#define DAOREC_RECORDING_MARK_H

#include <stdbool.h>

#define MARK_SUFFIX ".keep"

/* Is this file in dir_fd ("wfs_000001.fits", with ".part" or without) marked? What cannot be told
 * counts as marked. */
bool mark_is_set(int dir_fd, const char *name);

/* Mark it. 0, also where it was marked already; -ENOENT: there is no such file (any more);
 * -EWOULDBLOCK: somebody is removing it, or repairing it; -EINVAL: it is no regular file named
 * *.fits or *.fits.part; other errno. */
int mark_set(int dir_fd, const char *name);

/* Take the mark away. 0, also where there was none; negative errno. The file may be gone. */
int mark_clear(int dir_fd, const char *name);

#endif
