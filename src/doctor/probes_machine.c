/* probes_machine.c - what the machine is like: kernel, CPUs, memory, clock. See probes.h. */
#include "doctor/probes.h"

#include <dirent.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "base/units.h"
#include "doctor/system.h"

#define KERNEL_MAJOR     5
#define KERNEL_MINOR     15
#define CPUS_FOLDER      "/sys/devices/system/cpu"
#define GOVERNORS_MAX    8
#define SHM_BYTES_FEW    (128ull << 20) /* what a container has by default is less */
#define MEMORY_BYTES_FEW (1ull << 30)

static void look_at_kernel(struct doctor_context *context, struct findings *findings)
{
    char release[SYSTEM_TEXT_BYTES];
    int major = 0, minor = 0;
    struct finding *f;

    if (!system_read(context->root, "/proc/sys/kernel/osrelease", release))
        return;
    if (sscanf(release, "%d.%d", &major, &minor) == 2 &&
        (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))) {
        f = findings_add(findings, "kernel", FINDING_NOTE,
                         "Linux %.100s is older than %d.%d, with which daorec is tested", release,
                         KERNEL_MAJOR, KERNEL_MINOR);
        finding_remedy(f, "sudo apt full-upgrade # or what this distribution has for a newer "
                          "kernel");
    } else {
        findings_add(findings, "kernel", FINDING_OK, "Linux %.100s", release);
    }
}

/* ---- CPUs ---- */

static void look_at_cpus(struct doctor_context *context, struct findings *findings)
{
    char allowed[SYSTEM_TEXT_BYTES], online[SYSTEM_TEXT_BYTES];
    double quota = system_cgroup_cpus(context->root);
    unsigned may, all;
    struct finding *f;

    system_field(context->root, "/proc/self/status", "Cpus_allowed_list", allowed);
    system_read(context->root, CPUS_FOLDER "/online", online);
    may = system_list_count(allowed);
    all = system_list_count(online);
    if (may == 0)
        return;
    context->machine.cores = quota > 0.0 && quota < may ? quota : may;
    if (quota > 0.0 && quota < may) {
        f = findings_add(findings, "cpus", FINDING_NOTE,
                         "%u, but the cgroup allows the time of %.3g: a recorder that used it up "
                         "is stopped for up to a tenth of a second",
                         may, quota);
        finding_remedy(f, "sudo systemctl set-property NAME.service CPUQuota= # or docker run "
                          "without --cpus");
    } else if (may == 1) {
        f = findings_add(findings, "cpus", FINDING_NOTE,
                         "1%s: source and recorder take turns on it; make FIFOs deeper",
                         all > 1 ? " of several" : "");
        if (all > 1)
            finding_remedy(f, "taskset -pc 0-%u $$", all - 1);
    } else {
        f = findings_add(findings, "cpus", FINDING_OK, "%u%s", may,
                         all > may ? " that this process may use" : "");
    }
    finding_value(f, "allowed", may);
    finding_value(f, "online", all);
    finding_value(f, "usable", context->machine.cores);
}

/* How many CPUs have which governor. */
struct governors {
    char name[GOVERNORS_MAX][32];
    unsigned count[GOVERNORS_MAX], kinds, others; /* others: all but "performance" */
};

static void note_governor(struct governors *g, const char *name)
{
    unsigned i = 0;

    while (i < g->kinds && strcmp(g->name[i], name) != 0)
        i++;
    if (i == GOVERNORS_MAX)
        return;
    if (i == g->kinds)
        snprintf(g->name[g->kinds++], sizeof g->name[0], "%.31s", name);
    g->count[i]++;
    g->others += strcmp(name, "performance") != 0;
}

static void look_at_governor(struct doctor_context *context, struct findings *findings)
{
    char online[SYSTEM_TEXT_BYTES], path[256], name[SYSTEM_TEXT_BYTES], list[256] = "";
    struct governors g = {.kinds = 0};
    struct finding *f;

    system_read(context->root, CPUS_FOLDER "/possible", online);
    for (unsigned cpu = 0; cpu < 4096; cpu++) {
        if (!system_list_has(online, cpu))
            continue;
        snprintf(path, sizeof path, CPUS_FOLDER "/cpu%u/cpufreq/scaling_governor", cpu);
        if (system_read(context->root, path, name))
            note_governor(&g, name);
    }
    for (unsigned i = 0; i < g.kinds; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s on %u CPU%s", i ? ", " : "",
                 g.name[i], g.count[i], units_plural(g.count[i]));
    if (g.kinds == 0) {
        findings_add(findings, "governor", FINDING_OK,
                     "none: the clock rate is not this system's to choose");
    } else if (g.others > 0) {
        f = findings_add(findings, "governor", FINDING_NOTE,
                         "%s: cores that slow down while they idle are late when they wake", list);
        finding_remedy(f,
                       "echo performance | sudo tee " CPUS_FOLDER "/cpu*/cpufreq/scaling_governor");
    } else {
        findings_add(findings, "governor", FINDING_OK, "%s", list);
    }
}

static void look_at_smt(struct doctor_context *context, struct findings *findings)
{
    char siblings[SYSTEM_TEXT_BYTES];
    int64_t active;
    struct finding *f;

    if (!system_number(context->root, CPUS_FOLDER "/smt/active", &active))
        return;
    if (active == 0) {
        findings_add(findings, "smt", FINDING_OK, "off: every CPU is a core of its own");
        return;
    }
    system_read(context->root, CPUS_FOLDER "/cpu0/topology/thread_siblings_list", siblings);
    f = findings_add(findings, "smt", FINDING_NOTE,
                     "on (CPUs %.60s are one core): a loop and a recorder on one core slow each "
                     "other down",
                     *siblings ? siblings : "in pairs");
    finding_remedy(f,
                   "lscpu -e # then record --cpu N with an N of another core than the loop's; or "
                   "echo off | sudo tee " CPUS_FOLDER "/smt/control");
}

/* Is every CPU of `list` among the `others`? */
static bool is_within(const char *list, const char *others)
{
    for (unsigned cpu = 0; cpu < 4096; cpu++)
        if (system_list_has(list, cpu) && !system_list_has(others, cpu))
            return false;
    return true;
}

/* Isolated CPUs are for loops: the scheduler puts nothing there, and moves nothing away, either. */
static void look_at_isolation(struct doctor_context *context, struct findings *findings)
{
    char isolated[SYSTEM_TEXT_BYTES], nohz[SYSTEM_TEXT_BYTES], allowed[SYSTEM_TEXT_BYTES];
    bool has_nohz;
    struct finding *f;

    system_read(context->root, CPUS_FOLDER "/isolated", isolated);
    system_read(context->root, CPUS_FOLDER "/nohz_full", nohz);
    system_field(context->root, "/proc/self/status", "Cpus_allowed_list", allowed);
    has_nohz = system_list_count(nohz) > 0;
    if (system_list_count(isolated) == 0) {
        findings_add(findings, "isolation", FINDING_OK,
                     "no isolated CPUs%s%.60s: a recorder needs none, a loop of several kHz may",
                     has_nohz ? "; without tick: " : "", has_nohz ? nohz : "");
    } else if (system_list_count(allowed) > 1 && is_within(allowed, isolated)) {
        f = findings_add(findings, "isolation", FINDING_NOTE,
                         "this process may only use isolated CPUs (%.60s): all of its threads stay "
                         "on one of them",
                         isolated);
        finding_remedy(f, "taskset -c N daorec record ... # N: CPUs that are not isolated");
    } else {
        findings_add(findings, "isolation", FINDING_OK,
                     "CPUs %.60s are isolated%s%.60s: for loops; the recorder runs on the others",
                     isolated, has_nohz ? ", without tick: " : "", has_nohz ? nohz : "");
    }
}

/* ---- memory and time ---- */

static void look_at_hugepages(struct doctor_context *context, struct findings *findings)
{
    char text[SYSTEM_TEXT_BYTES], choice[32];
    struct finding *f;

    if (!system_read(context->root, "/sys/kernel/mm/transparent_hugepage/enabled", text) ||
        !system_choice(text, choice, sizeof choice)) {
        findings_add(findings, "hugepages", FINDING_OK,
                     "this kernel has no transparent huge pages; staging memory does without");
        return;
    }
    if (strcmp(choice, "never") != 0) {
        findings_add(findings, "hugepages", FINDING_OK, "%s: staging memory gets them", choice);
        return;
    }
    f = findings_add(findings, "hugepages", FINDING_NOTE,
                     "never: writing from staging memory costs more CPU");
    finding_remedy(f, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
}

static void look_at_clock(struct doctor_context *context, struct findings *findings)
{
    /* What a program reads without a system call, and finely enough. */
    static const char *const good[] = {"tsc",
                                       "kvm-clock",
                                       "hyperv_clocksource_tsc_page",
                                       "arch_sys_counter",
                                       "timebase",
                                       "riscv_clocksource",
                                       "stp"};
    static const char folder[] = "/sys/devices/system/clocksource/clocksource0/";
    char path[128], current[SYSTEM_TEXT_BYTES], available[SYSTEM_TEXT_BYTES];
    struct finding *f;

    snprintf(path, sizeof path, "%scurrent_clocksource", folder);
    if (!system_read(context->root, path, current))
        return;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (strcmp(current, good[i]) == 0) {
            findings_add(findings, "clock", FINDING_OK, "%s", current);
            return;
        }
    }
    snprintf(path, sizeof path, "%savailable_clocksource", folder);
    system_read(context->root, path, available);
    f = findings_add(findings, "clock", FINDING_NOTE, "%.40s: %s", current,
                     strcmp(current, "jiffies") == 0
                         ? "it moves every few ms only, and time stamps with it"
                         : "every look at it is a system call of a microsecond or more");
    if (strstr(available, "tsc"))
        finding_remedy(f, "echo tsc | sudo tee %scurrent_clocksource", folder);
    else
        finding_remedy(f, "sudo dmesg | grep -i -e clocksource -e tsc # why there is no tsc; the "
                          "kernel's option tsc=reliable, if it is known to be good");
}

static void look_at_memory(struct doctor_context *context, struct findings *findings)
{
    uint64_t available = system_memory_available(context->root);
    uint64_t group = system_cgroup_memory(context->root);
    char have[32], total[32];
    struct finding *f;

    context->machine.memory_total = system_memory_total(context->root);
    if (available == UINT64_MAX)
        return;
    context->machine.memory_bytes = available;
    units_format_bytes(have, sizeof have, available);
    if (available < MEMORY_BYTES_FEW) {
        f = findings_add(findings, "memory", FINDING_NOTE,
                         "%s available%s: little for frames while the disk pauses", have,
                         group == available ? " in this cgroup" : "");
        if (group == available)
            finding_remedy(f, "sudo systemctl set-property NAME.service MemoryMax=infinity # or "
                              "docker run without --memory");
        else
            finding_remedy(f, "ps -e --sort=-rss -o rss,pid,comm | head # who has it?");
    } else {
        f = findings_add(findings, "memory", FINDING_OK, "%s available%s%s", have,
                         group == available ? " in this cgroup, of " : " of ",
                         units_format_bytes(total, sizeof total, context->machine.memory_total));
    }
    finding_value(f, "available_bytes", (double)available);
    finding_value(f, "total_bytes", (double)context->machine.memory_total);
}

/* Semaphores of segments are files there, and most segments lie there, too. */
static void look_at_semaphores(struct doctor_context *context, struct findings *findings)
{
    char path[SYSTEM_TEXT_BYTES], left[32];
    struct statfs kind;
    struct statvfs room;
    struct finding *f;
    uint64_t bytes;

    if (snprintf(path, sizeof path, "%s/dev/shm", context->root) >= (int)sizeof path ||
        statfs(path, &kind) != 0 || statvfs(path, &room) != 0) {
        f = findings_add(findings, "/dev/shm", FINDING_NOTE,
                         "is not there: sources cannot make their semaphores");
        finding_remedy(f,
                       "sudo mkdir -p /dev/shm && sudo mount -t tmpfs -o mode=1777 shm /dev/shm");
        return;
    }
    bytes = (uint64_t)room.f_bavail * room.f_frsize;
    units_format_bytes(left, sizeof left, bytes);
    if (kind.f_type != TMPFS_MAGIC && kind.f_type != RAMFS_MAGIC) {
        f = findings_add(findings, "/dev/shm", FINDING_NOTE,
                         "lies on a disk: segments in it suffer its write-back");
        finding_remedy(f, "sudo mount -t tmpfs -o mode=1777 shm /dev/shm");
    } else if (bytes < SHM_BYTES_FEW) {
        f = findings_add(findings, "/dev/shm", FINDING_NOTE, "a tmpfs with %s left for segments",
                         left);
        finding_remedy(f, "sudo mount -o remount,size=50%% /dev/shm # or docker run --shm-size 8g");
    } else {
        f = findings_add(findings, "/dev/shm", FINDING_OK,
                         "a tmpfs with %s left for segments and semaphores", left);
    }
    finding_value(f, "free_bytes", (double)bytes);
}

/* By habit sources make their segments in /tmp, which is not everywhere in memory. */
static void look_at_segments(struct doctor_context *context, struct findings *findings)
{
    char path[SYSTEM_TEXT_BYTES];
    unsigned count = 0;
    struct dirent *entry;
    struct statfs fs;
    struct finding *f;
    DIR *dir;

    if (snprintf(path, sizeof path, "%s/tmp", context->root) >= (int)sizeof path ||
        statfs(path, &fs) != 0 || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ||
        !(dir = opendir(path)))
        return;
    while ((entry = readdir(dir)))
        count += fnmatch("[!.]*.shm", entry->d_name, 0) == 0;
    closedir(dir);
    if (count > 0) {
        f = findings_add(findings, "/tmp", FINDING_NOTE,
                         "%u segment%s there lie%s on a disk, whose write-back disturbs source and "
                         "recorder",
                         count, units_plural(count), count == 1 ? "s" : "");
        finding_remedy(f, "sudo systemctl enable --now tmp.mount # or have sources use /dev/shm");
        finding_value(f, "segments", count);
    }
}

const struct doctor_probe doctor_probes_machine[] = {
    {"kernel", look_at_kernel},
    {"cpus", look_at_cpus},
    {"governor", look_at_governor},
    {"smt", look_at_smt},
    {"isolation", look_at_isolation},
    {"hugepages", look_at_hugepages},
    {"clock", look_at_clock},
    {"memory", look_at_memory},
    {"/dev/shm", look_at_semaphores},
    {"/tmp", look_at_segments},
    {NULL, NULL},
};

void doctor_probes_run(const struct doctor_probe *probes, struct doctor_context *context,
                       struct findings *findings)
{
    for (; probes->check; probes++)
        probes->look(context, findings);
}

uint64_t doctor_stream_count(const struct doctor_context *context)
{
    uint64_t count = 0;

    for (size_t i = 0; i < context->load_count; i++)
        count += context->loads[i].count;
    return count;
}
