/*
 * textfile.c - see textfile.h.
 *
 * The file at the path is always locked (flock) by who has written it: the lock is taken before it
 * gets its name, and let go after the next one has it. So no file of its own is needed for it, and
 * one that dies leaves nothing that holds up the next. Who writes has the folder for that moment,
 * so that of two that start at once one finds the other; a folder that may not be read, or where
 * nothing can be locked, is gone on with.
 *
 * Where somebody removes the file, another recorder may begin to write one of that name: then ours
 * is not written until that one has ended.
 */
#include "serve/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/clock.h"
#include "serve/metrics.h"

#define EVERY_NS   10000000000ll
#define LOCK_TRIES 400 /* of 5 ms: who starts has the folder for a moment */

struct textfile {
    char *path, *temporary; /* beside it: node_exporter reads *.prom only */
    struct state_source source;
    int held_fd; /* the file that has the name, locked; -1: none yet */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool ending;
};

static int write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        text += n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* What the writes have come to: some file systems tell of an error (a disk quota, a server that has
 * no room) when a descriptor is closed. This one stays, for the lock. */
static int check_written(int fd)
{
    int twin = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return twin < 0 || close(twin) != 0 ? -errno : 0;
}

/* Readable by all, whatever the umask is: node_exporter is somebody else. */
static int replace(struct textfile *textfile, const char *text, size_t bytes)
{
    int fd = open(textfile->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    int r;

    if (fd < 0)
        return -errno;
    flock(fd, LOCK_EX | LOCK_NB); /* nobody else knows it yet */
    r = write_all(fd, text, bytes);
    if (r == 0 && fchmod(fd, 0644) != 0)
        r = -errno;
    if (r == 0)
        r = check_written(fd);
    if (r == 0 && rename(textfile->temporary, textfile->path) != 0)
        r = -errno;
    if (r < 0) {
        unlink(textfile->temporary);
        close(fd);
        return r;
    }
    if (textfile->held_fd >= 0)
        close(textfile->held_fd);
    textfile->held_fd = fd;
    return 0;
}

/* Does the path lead to this file? */
static bool is_at(const char *path, int fd)
{
    struct stat there, st;

    return fd >= 0 && lstat(path, &there) == 0 && fstat(fd, &st) == 0 &&
           there.st_dev == st.st_dev && there.st_ino == st.st_ino;
}

/* Does another recorder write it? One that was locked and has lost its name meanwhile tells
 * nothing: then the next one is asked. */
static bool is_in_use(const char *path)
{
    bool is_locked = false, is_there = false;

    for (int i = 0; i < LOCK_TRIES && !is_there; i++) {
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

        if (fd < 0)
            return false;
        is_locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        is_there = is_at(path, fd);
        close(fd);
    }
    return is_locked;
}

/* The path's folder, locked, so that of two that start at once one finds the other; -1: it cannot
 * be. */
static int hold_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(copy);
    for (int i = 0;
         fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
         i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return fd;
}

static int format_and_replace(struct textfile *textfile)
{
    struct session_state state = {.count = 0};
    size_t bytes = 0;
    int r = textfile->source.take(textfile->source.ctx, &state);
    char *text = r == 0 ? metrics_format(&state, &bytes) : NULL;

    state_free(&state);
    r = text ? replace(textfile, text, bytes) : -ENOMEM;
    free(text);
    return r;
}

/* -EADDRINUSE: another recorder does. */
static int write_it(struct textfile *textfile)
{
    int folder_fd = hold_folder(textfile->path), r = -EADDRINUSE;

    if (is_at(textfile->path, textfile->held_fd) || !is_in_use(textfile->path))
        r = format_and_replace(textfile);
    if (folder_fd >= 0)
        close(folder_fd);
    return r;
}

static const char *reason_of(int error)
{
    return error == -EADDRINUSE ? "another recorder writes it" : strerror(-error);
}

static void *run(void *arg)
{
    struct textfile *textfile = arg;
    int64_t next_ns = dao_clock_mono_ns() + EVERY_NS;
    bool is_said = false;

    pthread_mutex_lock(&textfile->lock);
    while (!textfile->ending) {
        struct timespec until = {next_ns / 1000000000ll, next_ns % 1000000000ll};
        int r;

        pthread_cond_timedwait(&textfile->wake, &textfile->lock, &until);
        if (textfile->ending || dao_clock_mono_ns() < next_ns)
            continue;
        pthread_mutex_unlock(&textfile->lock);
        r = write_it(textfile);
        if (r < 0 && !is_said)
            log_warning("--metrics-file %s: cannot be written: %s; it is tried again",
                        textfile->path, reason_of(r));
        is_said = r < 0;
        next_ns = dao_clock_mono_ns() + EVERY_NS;
        pthread_mutex_lock(&textfile->lock);
    }
    pthread_mutex_unlock(&textfile->lock);
    return NULL;
}

static int start_thread(struct textfile *textfile)
{
    pthread_condattr_t monotonic;
    sigset_t all, before;
    int r;

    pthread_mutex_init(&textfile->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&textfile->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all); /* signals are for whoever records */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&textfile->thread, NULL, run, textfile);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static void release(struct textfile *textfile)
{
    if (is_at(textfile->path, textfile->held_fd))
        unlink(textfile->path);
    if (textfile->held_fd >= 0)
        close(textfile->held_fd);
    free(textfile->path);
    free(textfile->temporary);
    free(textfile);
}

int textfile_start(struct textfile **ret, const char *path, const struct state_source *source,
                   struct dao_text *why)
{
    struct textfile *textfile = calloc(1, sizeof *textfile);
    int r = -ENOMEM;

    if (!textfile)
        goto fail;
    textfile->source = *source;
    textfile->held_fd = -1;
    textfile->path = strdup(path);
    if (!textfile->path || asprintf(&textfile->temporary, "%s.%ld.tmp", path, (long)getpid()) < 0) {
        textfile->temporary = NULL;
        goto fail;
    }
    r = write_it(textfile);
    if (r == 0)
        r = start_thread(textfile);
    if (r < 0)
        goto fail;
    *ret = textfile;
    return 0;
fail:
    if (r == -EADDRINUSE)
        snprintf(why->s, sizeof why->s,
                 "%.300s: another recorder writes it; give this one a file of its own", path);
    else
        snprintf(why->s, sizeof why->s, "%.300s: cannot be written: %s", path, strerror(-r));
    if (textfile)
        release(textfile);
    return r;
}

void textfile_stop(struct textfile *textfile)
{
    if (!textfile)
        return;
    pthread_mutex_lock(&textfile->lock);
    textfile->ending = true;
    pthread_cond_signal(&textfile->wake);
    pthread_mutex_unlock(&textfile->lock);
    pthread_join(textfile->thread, NULL);
    pthread_cond_destroy(&textfile->wake);
    pthread_mutex_destroy(&textfile->lock);
    release(textfile);
}
