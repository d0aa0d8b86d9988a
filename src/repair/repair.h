/*
 * repair.h - what a crash has left of one recording file, made into a closed one. Blocking; any
 * thread. Nothing is ever deleted, no file is ever replaced.
 *
 * Failure cases, and what is done:
 *
 *   its recorder lives, or another repair is at it   left alone; the session's lock tells which
 *   (the lock is held)
 *   bits of its headers are wrong                    restored first (restore.h), in place
 *   died while it was being filled                   frames up to the last row that is there and
 *                                                    whose pixels fit DSUM are kept, then closed
 *   died, or lost power, between or in the steps     the state is told from the units that rule
 *   of closing (see adopt.c), or in a repair         (adopt.c); the remaining steps are taken
 *   a row is there, its pixels are not               kept where it stands, TORN and RECOVERED; DSUM
 *                                                    stays what the pixels should have summed to
 *   pixels may be there, their row is not, but       a row is made up, TORN, RECOVERED, BADTIME:
 *   later rows are                                   CNT0 by the counts on either side (LOST, and
 *                                                    RESET where a restart lies between, too),
 *                                                    ATIME 0, TIME NaN, RTIME the next frame's (it
 *                                                    was taken no later), CNT1, CNT2, SLOT -1, DSUM
 *                                                    what the plane sums to as it is
 *   no row reached the disk                          the first frame, of which the header tells
 *                                                    CNT0 and time, is kept in the same way
 *   rows behind the last one that fits               their frames are counted in NLOST
 *   complete but for its name                        it gets its name, nothing else changes
 *   the final name is another file's                 left alone, said so
 *   the final name is this very file's               the .part name goes, the file stays
 *   ... but the file is not finished                 left alone, said so
 *   cut off, headers that cannot be restored or      left alone, said so, before anything is
 *   that cfitsio does not take, no room, no          changed
 *   recording, a link, no file
 *
 * Marks that session.json has for a file that is closed here are put into its header, as its
 * recorder would have done (noted.h); without a session.json that can be read there are none.
 *
 * Planes are never moved, rows only as closing moves them. Every step is on disk before the next
 * begins, and every intermediate state is one that the next repair finishes.
 */
#ifndef DAOREC_REPAIR_REPAIR_H
#define DAOREC_REPAIR_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "recording/file.h"

enum repair_verdict {
    REPAIR_CLOSE,   /* to be closed, or closed */
    REPAIR_RENAME,  /* complete but for its name */
    REPAIR_UNNAME,  /* it has both names */
    REPAIR_OWNED,   /* a recorder or another repair has it, or has just finished it */
    REPAIR_REFUSED, /* cannot be repaired; text says why */
};

struct repair_file {
    enum repair_verdict verdict;
    char final_name[TREE_FILE_BYTES];
    uint64_t frames;      /* kept */
    uint64_t flagged;     /* of these, TORN and RECOVERED */
    uint64_t dropped;     /* rows behind them whose pixels do not fit */
    bool no_rows;         /* none reached the disk: the one frame is what the header tells of it */
    unsigned restored;    /* cards of its headers that had wrong bits */
    char cards[192];      /* their names: "NAXIS3, FRAMES TFORM4" */
    struct dao_text text; /* why it is refused, or who has it; does not name the file */
};

/*
 * Look at the file `name` ("....fits.part") in dir_fd, and with `apply` repair it. 0; -EWOULDBLOCK
 * with REPAIR_OWNED; other negative errno with REPAIR_REFUSED. `hooks` as in
 * recording_file_close(); also called after "rows", when rows were flagged in place.
 */
int repair_file(struct repair_file *ret, int dir_fd, const char *name, bool apply,
                const struct sink_backend *backend, const struct recording_hooks *hooks);

/* The same for the file of this path, as far as looking goes: what would be done. */
int repair_plan(struct repair_file *ret, const char *path);
/* A plan in words, "unfinished, ...; daorec repair finishes it with 12 frames", into ret. */
void repair_describe(const struct repair_file *plan, char *ret, size_t ret_bytes);

#endif
