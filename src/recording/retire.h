/*
 * retire.h - remove a finished recording file in order, to keep within a limit. Blocking; any
 * thread, one file by one thread.
 *
 *     open, lock --> marked? a recording? --> ledger: "removed" --> name gone, or blocks used again
 *
 * What can go wrong, and what happens:
 *
 *   somebody holds its lock, or it is marked        left: -EWOULDBLOCK, -EPERM
 *   it is no finished recording of this stream      left: -EMEDIUMTYPE
 *   its session's recorder died                     its ledger is told what the stream's numbers
 *                                                   were up to this file, so that repair goes on
 *                                                   from there
 *   that cannot be known: the file was finished     left: -EUCLEAN, since repair is to count its
 *   after the ledger was written last, and lost     frames
 *   frames; a ledger of an earlier version; its
 *   ledger never knew it
 *   who may write it may not remove it              left: -EACCES, before the ledger is told
 *   the session's ledger cannot be told of it       left: nothing is removed without a word
 *   killed after the ledger was told                the ledger has it as removed, and it is there
 *                                                   yet: it is removed by whoever comes next
 */
#ifndef DAOREC_RECORDING_RETIRE_H
#define DAOREC_RECORDING_RETIRE_H

#include <stdint.h>

#include "recording/ledger.h"

struct retire {
    int dir_fd; /* of the stream's folder; -1: closed */
    int fd;     /* the file, locked; for reading and writing; -1: given away */
    char name[TREE_FILE_BYTES];
    uint64_t file_seq;
    uint64_t cube_off, cube_end; /* where its frames lie */
    struct ledger_file facts;    /* by itself: frames, lost, cnt0_begin, cnt0_end */
    uint64_t torn;
};

/* Take hold of <stream>/<name> below session_fd. 0; -ENOENT: it is not there; else it is to be
 * left, see above, with a text that does not name the file. */
int retire_begin(struct retire *ret, int session_fd, const char *stream, const char *name,
                 struct dao_text *text);

#define RETIRE_MANY 64u /* of a session at once: its ledger is written once for all of them */

/* Tell the ledger in session_fd, whose recorder does not live, of `count` of them, RETIRE_MANY at
 * most. 0, also where it knows already; -EWOULDBLOCK: somebody holds the session; -EUCLEAN: see
 * above; else negative errno. With a text; then it was told of none. */
int retire_note(const struct retire *retires, size_t count, int session_fd, const char *stream,
                struct dao_text *text);

/* May files of this session, which is not the one being recorded, be removed at all? 0;
 * -EWOULDBLOCK: see above; else negative errno: its ledger cannot be told. With a text. */
int retire_check_session(int session_fd, struct dao_text *text);

/* Remove its name. 0 or negative errno. */
int retire_unlink(struct retire *retire);

/* Let go of it. Safe on one that was not begun but zeroed with both descriptors -1. */
void retire_end(struct retire *retire);

/* Remove the folder of a stream, and that of its session, if nothing is left in them but a ledger
 * and copied files, which go with it.
 * Not for the session that is being recorded. */
void retire_folders(int root_fd, const char *session, const char *stream);

#endif
