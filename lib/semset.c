/*
 * semset.c - opening, posting, draining and removing a segment's named semaphores.
 *
 * Opening and closing are for one thread; posting may be done from any.
 */
#include "lib/semset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* sem_open() makes "sem." + name a file name, and ours add "_semlog": what is left for the base. */
#define BASE_BYTES_MAX  (255 - 4 - 8)
#define NAME_BYTES      280
#define DRAIN_POSTS_MAX 1000000

/* The file's name up to its first dot. */
static int find_base(char *ret, size_t ret_bytes, const char *path, struct dao_text *text)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : path;
    size_t length = name ? strcspn(name, ".") : 0;

    if (length == 0) {
        dao_text_set(text,
                     "%s: the file's name has nothing before its first dot to name "
                     "semaphores by",
                     path ? path : "(no name)");
        return -EINVAL;
    }
    if (length > BASE_BYTES_MAX || length >= ret_bytes) {
        dao_text_set(text,
                     "%.200s: the name is too long: %zu characters before its first dot, at most "
                     "%d are allowed",
                     path, length, BASE_BYTES_MAX);
        return -ENAMETOOLONG;
    }
    memcpy(ret, name, length);
    ret[length] = '\0';
    return 0;
}

/* index -1: the log semaphore. */
static void make_name(char *ret, const char *base, int index)
{
    if (index < 0)
        snprintf(ret, NAME_BYTES, "/%s_semlog", base);
    else
        snprintf(ret, NAME_BYTES, "/%s_sem%02d", base, index);
}

/* Open one, creating it where it is missing, without ever opening an existing one O_CREAT. */
static sem_t *open_one(const char *name, bool *ret_made)
{
    sem_t *sem = sem_open(name, 0);

    *ret_made = false;
    if (sem == SEM_FAILED && errno == ENOENT) {
        sem = sem_open(name, O_CREAT | O_EXCL, 0666, 0u);
        *ret_made = sem != SEM_FAILED;
        if (sem == SEM_FAILED && errno == EEXIST) /* somebody was faster */
            sem = sem_open(name, 0);
    }
    return sem == SEM_FAILED ? NULL : sem;
}

static void drain_one(sem_t *sem)
{
    for (int i = 0; i < DRAIN_POSTS_MAX && sem_trywait(sem) == 0; i++)
        ;
}

/* Open one into its place; what is there stays where it is the same. 0 or negative errno. */
static int open_into(sem_t **place, struct dao_semset *set, int index, const char *path,
                     struct dao_text *text)
{
    char name[NAME_BYTES];
    bool is_made;
    sem_t *sem;

    make_name(name, set->base, index);
    sem = open_one(name, &is_made);
    if (!sem) {
        int error = -errno;

        dao_text_set(text, "%s: semaphore %s cannot be opened: %s", path, name, strerror(-error));
        return error;
    }
    if (*place)
        sem_close(*place); /* the same semaphore is counted by the C library, and stays open */
    *place = sem;
    set->made |= is_made ? 1u << (index + 1) : 0;
    return 0;
}

int dao_semset_renew(struct dao_semset *set, const char *path, int count, struct dao_text *text)
{
    int error = find_base(set->base, sizeof set->base, path, text);

    for (int i = -1; error == 0 && i < count; i++)
        error = open_into(i < 0 ? &set->semlog : &set->sem[i], set, i, path, text);
    return error;
}

int dao_semset_open(struct dao_semset *set, const char *path, bool drain, struct dao_text *text)
{
    int error;

    memset(set, 0, sizeof *set);
    error = dao_semset_renew(set, path, IMAGE_NB_SEMAPHORE, text);
    if (error < 0) {
        dao_semset_undo(set);
        return error;
    }
    if (drain)
        dao_semset_drain(set);
    return 0;
}

void dao_semset_undo(struct dao_semset *set)
{
    char name[NAME_BYTES];

    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++) {
        if (!(set->made & 1u << (i + 1)))
            continue;
        make_name(name, set->base, i);
        sem_unlink(name);
    }
    dao_semset_close(set);
}

void dao_semset_drain(struct dao_semset *set)
{
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        if (set->sem[i])
            drain_one(set->sem[i]);
    if (set->semlog)
        drain_one(set->semlog);
}

static void post_one(sem_t *sem)
{
    int value;

    if (sem && sem_getvalue(sem, &value) == 0 && value < SEMAPHORE_MAXVAL)
        sem_post(sem);
}

void dao_semset_post(struct dao_semset *set, int index)
{
    if (index >= 0 && index < IMAGE_NB_SEMAPHORE)
        post_one(set->sem[index]);
    else if (index == DAO_SEMSET_LOG)
        post_one(set->semlog);
    for (int i = 0; index == DAO_SEMSET_ALL && i < IMAGE_NB_SEMAPHORE; i++)
        post_one(set->sem[i]);
}

void dao_semset_close(struct dao_semset *set)
{
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        if (set->sem[i])
            sem_close(set->sem[i]);
    if (set->semlog)
        sem_close(set->semlog);
    memset(set, 0, sizeof *set);
}

void dao_semset_unlink(const char *path)
{
    char base[256], name[NAME_BYTES];

    if (find_base(base, sizeof base, path, NULL) < 0)
        return;
    for (int i = -1; i < IMAGE_NB_SEMAPHORE; i++) {
        make_name(name, base, i);
        sem_unlink(name);
    }
}
