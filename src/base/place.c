/* place.c - see place.h. */
#include "base/place.h"

#include <sched.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"

static const char *format_set(const cpu_set_t *cpus, char *buf, size_t buf_bytes)
{
    size_t at = 0;

    buf[0] = '\0';
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, cpus))
            at = units_append(buf, buf_bytes, at, at ? ",%zu" : "%zu", cpu);
    return buf;
}

void place_thread_on(pthread_t thread, const cpu_set_t *cpus, int priority)
{
    static bool warned;
    struct sched_param param = {.sched_priority = priority};
    int r;

    if (CPU_COUNT(cpus) > 0 && (r = pthread_setaffinity_np(thread, sizeof *cpus, cpus)) != 0) {
        char list[256];

        if (!warned)
            log_warning("cannot run on CPU %s (%s); going on without",
                        format_set(cpus, list, sizeof list), strerror(r));
        warned = true;
    }
    if (priority > 0 && (r = pthread_setschedparam(thread, SCHED_FIFO, &param)) != 0) {
        if (!warned)
            log_warning("cannot have priority %d (%s); going on without, or allow it with "
                        "LimitRTPRIO or CAP_SYS_NICE",
                        priority, strerror(r));
        warned = true;
    }
}

void place_behind(void)
{
    if (sched_getscheduler(0) == SCHED_OTHER)
        sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}

void place_thread(pthread_t thread, int cpu, int priority)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (cpu >= 0)
        CPU_SET((size_t)cpu, &set);
    place_thread_on(thread, &set, priority);
}

bool place_is_cpu(double cpu)
{
    cpu_set_t set;

    return cpu >= 0 && cpu == (double)(int)cpu && cpu < CPU_SETSIZE &&
           sched_getaffinity(0, sizeof set, &set) == 0 && CPU_ISSET((size_t)cpu, &set);
}
