/*
 * realtime.h - memory that real-time threads do not wait for: locked, and on the NUMA node of the
 * CPUs that use it. Main thread, before other threads are there.
 */
#ifndef DAOREC_BASE_REALTIME_H
#define DAOREC_BASE_REALTIME_H

#include <sched.h>
#include <stdbool.h>

/*
 * From now on no page of this process, once it was touched, goes to swap: mlockall(), also for what
 * is mapped later, which with a limit on locked memory would then fail; so the process is locked
 * only where it has the right to lock all it wants. Otherwise one warning with the remedy, and
 * false.
 */
bool realtime_lock_memory(void);

/* Not any more. */
void realtime_unlock_memory(void);

/* The NUMA node that all of these CPUs belong to, by the system's files below `root` ("/"; another
 * one is for tests). -1: of several nodes, an empty set, or there is only one node. */
int realtime_node_of(const char *root, const cpu_set_t *cpus);

/* What this thread touches first from now on lies on this node, as long as there is room; -1: where
 * the thread runs, as it is by default. By a system call of its own: libnuma would be one more
 * dependency for it. 0 or negative errno. */
int realtime_prefer_node(int node);

#endif
