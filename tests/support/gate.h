/*
 * gate.h - a disk that takes as many writes as the test allows it, for a recorder of recorder.h
 * with IO_ENGINE_PWRITE. Further ones wait until they are allowed.
 */
#ifndef TESTS_GATE_H
#define TESTS_GATE_H

#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/support/recorder.h"

#define GATE_OPEN UINT_MAX /* any number of them */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned allowed;
} gate = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .allowed = GATE_OPEN};

static inline void gate_allow(unsigned writes)
{
    pthread_mutex_lock(&gate.lock);
    gate.allowed = writes;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static inline void hold_disk(bool is_held)
{
    gate_allow(is_held ? 0 : GATE_OPEN);
}

/* Of those that were allowed, how many have not come yet. */
static inline unsigned gate_left(void)
{
    unsigned allowed;

    pthread_mutex_lock(&gate.lock);
    allowed = gate.allowed;
    pthread_mutex_unlock(&gate.lock);
    return allowed;
}

static inline ssize_t gate_write_at(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    pthread_mutex_lock(&gate.lock);
    while (gate.allowed == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    if (gate.allowed != GATE_OPEN)
        gate.allowed--;
    pthread_mutex_unlock(&gate.lock);
    return pwrite(fd, buf, bytes, off);
}

static inline const struct sink_backend *gate_backend(void)
{
    static struct sink_backend backend;

    backend = sink_backend_system;
    backend.write_at = gate_write_at;
    return &backend;
}

/* The signal that ends a recorder is the recorder's. */
static inline void block_stop(void)
{
    sigset_t asked;

    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &asked, NULL);
}

/* The session's folder, once the first file has its name: the recorder takes frames. */
static inline int wait_for_file(void)
{
    int session_fd = open_session();
    struct stat st;

    for (int64_t hang_ns = hang_after();
         fstatat(session_fd, "wfs/wfs_000001.fits.part", &st, 0) != 0;)
        rest_until(hang_ns, "there is no file");
    return session_fd;
}

#endif
