/*
 * semset.h - the ten named semaphores beside a segment and its log semaphore.
 *
 * "/<base>_sem00" .. "_sem09" and "/<base>_semlog", base = the file's name up to its first dot.
 * They wake, they do not count: a writer posts each at every frame while its value is below 1.
 */
#ifndef DAO_SEMSET_H
#define DAO_SEMSET_H

#include <semaphore.h>

#include <stdint.h>

#include "lib/layout.h"

struct dao_semset {
    sem_t *sem[IMAGE_NB_SEMAPHORE]; /* NULL where not opened */
    sem_t *semlog;
    char base[256];
    uint32_t made; /* bit i + 1: semaphore i was not there before; bit 0: the log semaphore */
};

/* Open, creating what is missing (mode 0666 under the umask, value 0); with `drain` stale posts
 * are taken out. 0 or negative errno. Safe to close after failure. */
int dao_semset_open(struct dao_semset *set, const char *path, bool drain, struct dao_text *text);

/* Close, and remove those that were not there before: what they were made for has failed. */
void dao_semset_undo(struct dao_semset *set);

/* Take out stale posts. */
void dao_semset_drain(struct dao_semset *set);

/* The first `count` (1..IMAGE_NB_SEMAPHORE) and the log semaphore of a set that is open, or zeroed,
 * again: those that are missing are created, those whose name leads elsewhere by now are replaced,
 * the others stay. 0 or negative errno; what was open is still open then. */
int dao_semset_renew(struct dao_semset *set, const char *path, int count, struct dao_text *text);

#define DAO_SEMSET_ALL (-1) /* all ten */
#define DAO_SEMSET_LOG (-2) /* the log semaphore */

/* Post a semaphore where it is open and its value is below SEMAPHORE_MAXVAL. */
void dao_semset_post(struct dao_semset *set, int index);

void dao_semset_close(struct dao_semset *set);

/* Remove the names of a segment's semaphores from the system (tests, sim). */
void dao_semset_unlink(const char *path);

#endif
