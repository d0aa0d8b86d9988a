/*
 * kept.h - the files of a stream that are there, of this session and of earlier ones,
 * oldest first: for retention.h, which decides of them and holds a lock while it calls.
 *
 * Earlier sessions are in the order of their names; the session that is being recorded comes behind
 * all of them, also where its name is an earlier one, since the clock was set back.
 */
#ifndef DAOREC_RECORD_KEPT_H
#define DAOREC_RECORD_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recording/tree.h"

struct kept_file {
    char session[TREE_SESSION_BYTES];
    uint64_t seq, bytes;
    int64_t end_ns; /* POSIX: when it was last changed */
    bool is_left;   /* it must not be removed, at present: not counted */
    bool is_odd;    /* and never: nobody's recording, or not to be opened */
    bool is_part;   /* a crash left it unfinished: never removed, but it takes room */
};

struct kept_list {
    const char *stream; /* borrowed */
    struct kept_file *files;
    size_t count, room;
};

/* Find those of all sessions below root_fd, for each of the lists, which are empty. What was
 * changed later than latest_ns (a clock was wrong then) counts as of latest_ns. 0 or negative
 * errno. */
int kept_scan(struct kept_list *lists, unsigned count, int root_fd, int64_t latest_ns);

/* Which of them must not be removed, now: those that are marked or locked, of sessions that are
 * recorded by others, and unfinished files. `own`: the session that is being recorded. Returns the
 * session of which nothing may be removed for another reason than that it lives, "" where there is
 * none; with a text. */
const char *kept_survey(struct kept_list *list, int root_fd, const char *own,
                        struct dao_text *text);

/* Fill in what the file system says of it; false: it is no regular file (any more). */
bool kept_measure(struct kept_file *ret, int dir_fd, const char *name);

/* One more, newer than all others. False: no memory. */
bool kept_append(struct kept_list *list, const struct kept_file *file);
void kept_remove(struct kept_list *list, struct kept_file *file);
void kept_free(struct kept_list *list);

/* NULL: none. */
struct kept_file *kept_find(const struct kept_list *list, const char *session, uint64_t seq);
struct kept_file *kept_oldest(const struct kept_list *list);
struct kept_file *kept_changed_before(const struct kept_list *list, int64_t ns);

uint64_t kept_count(const struct kept_list *list);
uint64_t kept_bytes(const struct kept_list *list);
/* The same without the newest of them. */
uint64_t kept_spare_bytes(const struct kept_list *list);
/* Of unfinished files whose recorder died. */
uint64_t kept_part_bytes(const struct kept_list *list);

#endif
