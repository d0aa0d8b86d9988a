/* place.c - see place.h. */
#include "base/place.h"

#include <sched.h>
#include <string.h>

#include "base/log.h"

static int pin_thread(pthread_t thread, int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return pthread_setaffinity_np(thread, sizeof set, &set);
}

void place_thread(pthread_t thread, int cpu, int priority)
{
    static bool warned;
    struct sched_param param = {.sched_priority = priority};
    int r;

    if (cpu >= 0 && (r = pin_thread(thread, cpu)) != 0) {
        if (!warned)
            log_warning("cannot run on CPU %d (%s); going on without", cpu, strerror(r));
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

bool place_is_cpu(double cpu)
{
    cpu_set_t set;

    return cpu >= 0 && cpu == (double)(int)cpu && cpu < CPU_SETSIZE &&
           sched_getaffinity(0, sizeof set, &set) == 0 && CPU_ISSET((size_t)cpu, &set);
}
