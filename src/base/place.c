/* place.c - see place.h. */
#include "base/place.h"

#include <sched.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"

const char *place_format_cpus(const cpu_set_t *set, char *buf, size_t buf_bytes)
{
    size_t at = 0;

    buf[0] = '\0';
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int last = cpu;

        if (!CPU_ISSET((size_t)cpu, set))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET((size_t)last + 1, set))
            last++;
        at = units_append(buf, buf_bytes, at, last > cpu ? "%s%d-%d" : "%s%d", at ? "," : "", cpu,
                          last);
        cpu = last;
    }
    return buf;
}

const char *place_missing_cpus(const cpu_set_t *set, char *buf, size_t buf_bytes)
{
    cpu_set_t missing;

    if (sched_getaffinity(0, sizeof missing, &missing) != 0)
        missing = *set;
    CPU_AND(&missing, &missing, set);
    CPU_XOR(&missing, &missing, set);
    return place_format_cpus(&missing, buf, buf_bytes);
}

void place_thread_on(pthread_t thread, const cpu_set_t *cpus, int priority)
{
    static cpu_set_t refused; /* and told */
    static bool is_told;      /* that there is no priority */
    struct sched_param param = {.sched_priority = priority};
    int r;

    if (CPU_COUNT(cpus) > 0 && (r = pthread_setaffinity_np(thread, sizeof *cpus, cpus)) != 0) {
        char list[256];

        if (!CPU_EQUAL(cpus, &refused))
            log_warning("cannot run on CPU %s (%s); going on without",
                        place_format_cpus(cpus, list, sizeof list), strerror(r));
        refused = *cpus;
    }
    if (priority > 0 && (r = pthread_setschedparam(thread, SCHED_FIFO, &param)) != 0) {
        if (!is_told)
            log_warning("cannot have priority %d (%s); going on without, or allow it with "
                        "LimitRTPRIO or CAP_SYS_NICE",
                        priority, strerror(r));
        is_told = true;
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
