/*
 * copies.h - files that are copied into a session: what the loop was made of that night, beside the
 * frames. Blocking; one thread a session.
 *
 *     <session>/files.d/<name>      name, size and SHA-256 stand in the ledger
 *
 * A dot is in no stream's name, so that the folder is none; those who look for recordings pass it
 * by, since what is in it may be FITS, too.
 *
 * What can fail: a source is not there, no regular file, may not be read, changes while it is
 * copied (tried three times); the disk is full. Then the session does not begin, and nothing is
 * left. A copy has its name once it is on disk, never over another.
 */
#ifndef DAOREC_RECORDING_COPIES_H
#define DAOREC_RECORDING_COPIES_H

#include "recording/find.h"
#include "recording/ledger.h"

#define COPIES_NAME_MAX 200 /* of a file's name, without its folders */

struct copies {
    struct ledger_copy *list;
    size_t count;
    char *names; /* what the list's names lie in */
};

/* Could these be copied, as things are? 0, or negative errno with a text about the first that could
 * not. */
int copies_look(char *const *paths, size_t count, struct dao_text *text);

/* Copy these into the session; the paths are borrowed, and have names of their own. 0 or negative
 * errno with a text; then there is no folder. */
int copies_make(struct copies *ret, int session_fd, char *const *paths, size_t count,
                struct dao_text *text);
void copies_free(struct copies *copies); /* safe on zeroed ones */

/* Remove the folder with all files in it: of a session that did not begin, or that goes. */
void copies_remove(int session_fd);

/* Is the copy as the ledger has it? 0; -EUCLEAN: it is not, with a text that does not name it;
 * other negative errno with one: it cannot be read. */
int copies_check(int session_fd, const struct ledger_copy *copy, struct dao_text *text);

#endif
