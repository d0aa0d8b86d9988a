/*
 * place.h - where a thread runs, and before which others.
 */
#ifndef DAOREC_BASE_PLACE_H
#define DAOREC_BASE_PLACE_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/* An empty set or cpu -1, priority 0: as it is. Priorities are SCHED_FIFO's. What cannot be had is
 * gone without, after one warning a program for the priority and one for each set of CPUs that
 * differs from the one before. One thread calls this. */
void place_thread_on(pthread_t thread, const cpu_set_t *cpus, int priority);
void place_thread(pthread_t thread, int cpu, int priority);

/* The calling thread does no hurried work: when it wakes it shall not take the core from a thread
 * that runs, such as the loop's or a drain. SCHED_BATCH, which needs no right; a real-time policy
 * that somebody has set stays. */
void place_behind(void);

/* Is this one of the CPUs that this process may run on? */
bool place_is_cpu(double cpu);

/* "0-3,8" of a set of CPUs; "" of an empty one. Returns buf. */
const char *place_format_cpus(const cpu_set_t *set, char *buf, size_t buf_bytes);

/* The same of those among them that this process may not run on; "" also where nobody knows. */
const char *place_missing_cpus(const cpu_set_t *set, char *buf, size_t buf_bytes);

#endif
