/*
 * cpu_trial.h - what recording costs a core of this machine, and how late its threads are woken.
 */
#ifndef DAOREC_DOCTOR_CPU_TRIAL_H
#define DAOREC_DOCTOR_CPU_TRIAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/dtype.h"

/* How long encoding takes (byte order, sign, checksum), in ns of processor time a byte, from memory
 * that is not in the cache; tried for time_ns. 0: there was no memory to try it with. Blocking, any
 * thread. */
double cpu_trial_encode(const struct dao_dtype *dtype, int64_t time_ns);

/* A thread that sleeps for a millisecond again and again, as a drain does. */
struct wake_trial {
    pthread_t thread;
    atomic_bool stop;
    uint64_t count;      /* of wake-ups */
    int64_t lateness_ns; /* of the latest of them */
};

/* 0 or negative errno. Then wake_trial_end() at some time, after which the numbers are there. */
int wake_trial_begin(struct wake_trial *trial);
void wake_trial_end(struct wake_trial *trial);

#endif
