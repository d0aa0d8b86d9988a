/* realtime.c - see realtime.h. */
#include "base/realtime.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/units.h"

#define NODES_MAX 1024
#define LONG_BITS (8 * sizeof(unsigned long))

/* ---- locked memory ---- */

static bool has_ipc_lock(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

/* The limit, raised as far as it may be; RLIM_INFINITY where there is none. */
static rlim_t raise_limit(void)
{
    struct rlimit limit;

    if (has_ipc_lock() || getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return RLIM_INFINITY;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
            getrlimit(RLIMIT_MEMLOCK, &limit);
    }
    return limit.rlim_cur;
}

bool realtime_lock_memory(void)
{
    rlim_t limit = raise_limit();
    char bytes[32];

    if (limit != RLIM_INFINITY) {
        log_warning("memory is not locked: no more than %s may be; going on without, or allow it "
                    "with ulimit -l unlimited, LimitMEMLOCK=infinity or CAP_IPC_LOCK",
                    units_format_bytes(bytes, sizeof bytes, limit));
        return false;
    }
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
        log_warning("memory is not locked (%s); going on without", strerror(errno));
        return false;
    }
    return true;
}

void realtime_unlock_memory(void)
{
    munlockall();
}

/* ---- NUMA ---- */

/* A CPU's folder has a link to that of its node. */
static int node_of_cpu(const char *root, size_t cpu)
{
    char path[512];
    struct dirent *entry;
    int node = -1;
    DIR *dir;

    snprintf(path, sizeof path, "%.400s/sys/devices/system/cpu/cpu%zu", root, cpu);
    dir = opendir(path);
    while (dir && node < 0 && (entry = readdir(dir)))
        if (sscanf(entry->d_name, "node%d", &node) != 1)
            node = -1;
    if (dir)
        closedir(dir);
    return node < NODES_MAX ? node : -1;
}

/* "0", or "0-1". */
static bool has_one_node(const char *root)
{
    char path[512], online[64] = "";
    FILE *f;

    snprintf(path, sizeof path, "%.400s/sys/devices/system/node/online", root);
    f = fopen(path, "re");
    if (!f)
        return true;
    if (!fgets(online, sizeof online, f))
        online[0] = '\0';
    fclose(f);
    return !strpbrk(online, "-,");
}

int realtime_node_of(const char *root, const cpu_set_t *cpus)
{
    int node = -1;

    if (CPU_COUNT(cpus) == 0 || has_one_node(root))
        return -1;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int its;

        if (!CPU_ISSET(cpu, cpus))
            continue;
        its = node_of_cpu(root, cpu);
        if (its < 0 || (node >= 0 && its != node))
            return -1;
        node = its;
    }
    return node;
}

int realtime_prefer_node(int node)
{
    unsigned long mask[NODES_MAX / LONG_BITS] = {0};
    long r;

    if (node >= NODES_MAX)
        return -EINVAL;
    if (node < 0) {
        r = syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
    } else {
        mask[(size_t)node / LONG_BITS] = 1ul << ((size_t)node % LONG_BITS);
        r = syscall(SYS_set_mempolicy, MPOL_PREFERRED, mask, NODES_MAX);
    }
    return r == 0 ? 0 : -errno;
}
