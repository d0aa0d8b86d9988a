/*
 * hooks.h - commands of the user's that are run when something happens to a session: a file was
 * closed, frames were lost, the disk runs low.
 *
 *     keepers, session's thread --post--> what is pending --thread--> `sh -c COMMAND`
 *
 * What can happen:
 *   more of it while a command runs    one at a time of a kind and session: it waits; closed files
 *                                      one by one, losses and the disk are added to what waits
 *   more files than can wait           HOOKS_FILES_MAX wait; the rest is counted, and told with the
 *                                      next one (DAOREC_MISSED)
 *   frames are lost again and again    those of a stream within a second are one event
 *   a command hangs                    it is killed after a limit, with what it has started
 *   it fails, or cannot be started     one line, and not more than one in ten seconds of a kind
 *   the session ends                   what is pending is still told, for as long as one command
 *                                      may take, while the process goes on with the next session;
 *                                      what is not told then is said in a line
 *   and a signal asks to hurry         what runs is killed at once, nothing more is started
 *
 * Posting takes a lock that is held for moments only, and is never done by a drain or the writer.
 * A command gets its facts in its environment: README.md has the table of them.
 */
#ifndef DAOREC_RECORD_HOOKS_H
#define DAOREC_RECORD_HOOKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/command.h"
#include "record/books.h"

enum hook_kind { HOOK_FILE_CLOSED, HOOK_LOSS, HOOK_LOW_DISK };
#define HOOK_KINDS 3
extern const char *const hook_kind_names[HOOK_KINDS]; /* "file-closed", .. */

#define HOOKS_FILES_MAX 64u

struct hooks_config {
    const char *commands[HOOK_KINDS]; /* for sh -c; NULL: none */
    /* What a low disk is: less free than so many bytes, or this part of it where it is above 0. */
    uint64_t low_bytes;
    double low_percent;
    int64_t limit_ns; /* for a command; 0: 30 s */
};

/* A file that was closed. */
struct hook_file {
    const char *stream; /* its name */
    char name[TREE_FILE_BYTES];
    const char *end_cause;
    uint64_t frames, bytes, lost;
};

/* Frames that were lost and are not told of yet. */
struct hook_loss {
    uint64_t seen_by[LEDGER_CAUSES]; /* of the stream, when it was looked at last */
    uint64_t lost_by[LEDGER_CAUSES]; /* of them: to be told */
    int64_t since_ns;                /* monotonic: the first of them; 0: there is nothing to tell */
};

struct hooks {
    /* set by hooks_start() */
    struct hooks_config config;
    const struct books *books; /* while the session lives: the thread has what follows */
    const struct room *room;   /* the same */
    char session[TREE_SESSION_BYTES];
    char *folder; /* the session's, as an absolute path */
    char (*names)[FITS_STREAM_NAME_MAX + 1];
    unsigned count; /* of streams */
    pthread_t thread;
    struct hooks *next;   /* the owner's, for a list */
    atomic_bool is_over;  /* the thread has nothing more to do */
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t wake;
    bool ending, is_hurried;
    int64_t end_ns;      /* monotonic: then it ends in any case */
    uint64_t free_bytes; /* on the disk, when it was looked at last */
    /* pending */
    struct hook_file files[HOOKS_FILES_MAX]; /* a ring */
    unsigned file_head, file_count;
    uint64_t files_missed;
    struct hook_loss *losses; /* [streams] */
    unsigned next_stream;     /* looked at first, so that none starves the others */
    bool is_low, is_low_pending;
    /* the thread's own */
    struct command running[HOOK_KINDS];
    int64_t said_ns[HOOK_KINDS]; /* monotonic: that it fails; 0: never */
};

/*
 * The session's thread, once `books` know its name. The texts of the configuration are borrowed
 * until hooks_stop(), books and room until hooks_end(). 0, with *ret NULL where there is no
 * command; or negative errno. All of the following are safe on NULL.
 */
int hooks_start(struct hooks **ret, const struct hooks_config *config, const struct books *books,
                const struct room *room);

/* A keeper: this file was closed, with so many bytes. Before hooks_end(). */
void hooks_post_file(struct hooks *hooks, const struct record_file *file, uint64_t bytes);

/* The session's thread, about twice a second, and once more when all threads have ended: were
 * frames lost, does the disk run low? Before hooks_end(). */
void hooks_look(struct hooks *hooks, int64_t now_ns);

/* The session has ended, nothing more happens: tell what is pending. Does not wait. */
void hooks_end(struct hooks *hooks);

/* After hooks_end(): do not wait any longer, kill what runs. Does not wait; says in a line what was
 * not told. */
void hooks_hurry(struct hooks *hooks);

/* Any thread: would hooks_stop() not have to wait any more? */
bool hooks_are_over(const struct hooks *hooks);

/* End it where that was not done, wait until all is told or its time is up, and free it. */
void hooks_stop(struct hooks *hooks);

#endif
