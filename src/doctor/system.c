/* system.c - see system.h. */
#include "doctor/system.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PATH_BYTES  4096
#define LINE_BYTES  1024
#define HOLDERS_MAX 64
#define CPU_MAX     100000u

static bool join(char path[PATH_BYTES], const char *root, const char *name)
{
    return snprintf(path, PATH_BYTES, "%s%s", root, name) < PATH_BYTES;
}

/* Not O_NONBLOCK's business: these are files of the kernel, or of a test. */
bool system_read(const char *root, const char *path, char ret[SYSTEM_TEXT_BYTES])
{
    char full[PATH_BYTES];
    size_t used = 0;
    ssize_t n = 0;
    int fd = join(full, root, path) ? open(full, O_RDONLY | O_CLOEXEC) : -1;

    ret[0] = '\0';
    if (fd < 0)
        return false;
    while (used < SYSTEM_TEXT_BYTES - 1 &&
           (n = read(fd, ret + used, SYSTEM_TEXT_BYTES - 1 - used)) > 0)
        used += (size_t)n;
    close(fd);
    while (used > 0 && ret[used - 1] == '\n')
        used--;
    ret[used] = '\0';
    return n >= 0;
}

bool system_number(const char *root, const char *path, int64_t *ret)
{
    char text[SYSTEM_TEXT_BYTES], *end;
    long long value;

    if (!system_read(root, path, text))
        return false;
    value = strtoll(text, &end, 10);
    if (end == text)
        return false;
    *ret = value;
    return true;
}

bool system_has(const char *root, const char *path)
{
    char full[PATH_BYTES];

    return join(full, root, path) && access(full, F_OK) == 0;
}

/* The first line that `take` has use for. */
static bool find_line(const char *root, const char *path, bool (*take)(const char *line, void *ctx),
                      void *ctx)
{
    char full[PATH_BYTES], line[LINE_BYTES];
    FILE *f = join(full, root, path) ? fopen(full, "re") : NULL;
    bool found = false;

    if (!f)
        return false;
    while (!found && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        found = take(line, ctx);
    }
    fclose(f);
    return found;
}

struct field {
    const char *name;
    char *ret;
};

static bool take_field(const char *line, void *ctx)
{
    const struct field *field = ctx;
    size_t length = strlen(field->name);

    if (strncmp(line, field->name, length) != 0 || line[length] != ':')
        return false;
    line += length + 1;
    snprintf(field->ret, SYSTEM_TEXT_BYTES, "%s", line + strspn(line, " \t"));
    return true;
}

bool system_field(const char *root, const char *path, const char *field,
                  char ret[SYSTEM_TEXT_BYTES])
{
    ret[0] = '\0';
    return find_line(root, path, take_field, &(struct field){field, ret});
}

struct limit {
    const char *name;
    uint64_t value[2];
};

static bool take_limit(const char *line, void *ctx)
{
    struct limit *limit = ctx;
    size_t length = strlen(limit->name);
    char *end;

    if (strncmp(line, limit->name, length) != 0)
        return false;
    line += length;
    for (int i = 0; i < 2; i++) {
        line += strspn(line, " ");
        if (strncmp(line, "unlimited", 9) == 0) {
            limit->value[i] = UINT64_MAX;
            line += 9;
            continue;
        }
        limit->value[i] = strtoull(line, &end, 10);
        if (end == line)
            return false;
        line = end;
    }
    return true;
}

bool system_limit(const char *root, const char *name, uint64_t *ret_soft, uint64_t *ret_hard)
{
    struct limit limit = {.name = name};

    if (!find_line(root, "/proc/self/limits", take_limit, &limit))
        return false;
    *ret_soft = limit.value[0];
    *ret_hard = limit.value[1];
    return true;
}

bool system_capability(const char *root, unsigned number)
{
    char text[SYSTEM_TEXT_BYTES];

    return system_field(root, "/proc/self/status", "CapEff", text) &&
           (strtoull(text, NULL, 16) >> number & 1) != 0;
}

bool system_choice(const char *text, char *ret, size_t ret_bytes)
{
    const char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

    if (!close)
        return false;
    snprintf(ret, ret_bytes, "%.*s", (int)(close - open - 1), open + 1);
    return true;
}

/* ---- lists of CPUs ---- */

/* The next range of a list; false at its end. */
static bool next_range(const char **list, unsigned *ret_first, unsigned *ret_last)
{
    char *end;
    unsigned long first, last;

    *list += strspn(*list, ", \n");
    first = last = strtoul(*list, &end, 10);
    if (end == *list)
        return false;
    *list = end;
    if (**list == '-') {
        last = strtoul(*list + 1, &end, 10);
        *list = end;
    }
    if (last < first || last > CPU_MAX)
        return false;
    *ret_first = (unsigned)first;
    *ret_last = (unsigned)last;
    return true;
}

unsigned system_list_count(const char *list)
{
    unsigned first, last, count = 0;

    while (next_range(&list, &first, &last))
        count += last - first + 1;
    return count;
}

bool system_list_has(const char *list, unsigned number)
{
    unsigned first, last;

    while (next_range(&list, &first, &last))
        if (number >= first && number <= last)
            return true;
    return false;
}

/* ---- cgroups ---- */

/* The path of this process in a hierarchy: of that controller (version 1), or the one that has all
 * (version 2, controller ""). Lines are "4:cpu,cpuacct:/path" and "0::/path". */
struct group {
    const char *controller;
    char list[256], path[PATH_BYTES];
};

static bool take_group(const char *line, void *ctx)
{
    struct group *group = ctx;
    const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    char part[256], *rest = part, *name;

    if (!path)
        return false;
    snprintf(part, sizeof part, "%.*s", (int)(path - list - 1), list + 1);
    snprintf(group->list, sizeof group->list, "%s", part);
    snprintf(group->path, sizeof group->path, "%s", path + 1);
    if (!*group->controller || !*part)
        return !*group->controller && !*part;
    while ((name = strsep(&rest, ",")))
        if (strcmp(name, group->controller) == 0)
            return true;
    return false;
}

/* Calls look(root, folder, ret) for the group of this process and all above it. In a container the
 * path may be one of the host's, which is not there: its ancestors are. */
static void visit_groups(const char *root, const char *controller,
                         void (*look)(const char *root, const char *folder, void *ret), void *ret)
{
    struct group group = {.controller = controller};
    char folder[2 * PATH_BYTES], *slash;

    if (!find_line(root, "/proc/self/cgroup", take_group, &group))
        return;
    for (;;) {
        if (*controller) {
            snprintf(folder, sizeof folder, "/sys/fs/cgroup/%s%s", group.list, group.path);
            if (!system_has(root, folder))
                snprintf(folder, sizeof folder, "/sys/fs/cgroup/%s%s", controller, group.path);
        } else {
            snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", group.path);
        }
        look(root, folder, ret);
        slash = strrchr(group.path, '/');
        if (!slash || group.path[1] == '\0')
            return;
        slash[slash == group.path] = '\0'; /* the root stays "/" */
    }
}

static bool read_in(const char *root, const char *folder, const char *name,
                    char ret[SYSTEM_TEXT_BYTES])
{
    char path[PATH_BYTES];

    ret[0] = '\0';
    return snprintf(path, sizeof path, "%s/%s", folder, name) < PATH_BYTES &&
           system_read(root, path, ret);
}

static void lower_cpus(double *cpus, double quota, double period)
{
    if (quota > 0 && period > 0 && (*cpus <= 0.0 || quota / period < *cpus))
        *cpus = quota / period;
}

static void look_for_quota(const char *root, const char *folder, void *ret)
{
    char text[SYSTEM_TEXT_BYTES], period[SYSTEM_TEXT_BYTES];
    double quota, per;

    if (read_in(root, folder, "cpu.max", text) && sscanf(text, "%lf %lf", &quota, &per) == 2)
        lower_cpus(ret, quota, per);
    if (read_in(root, folder, "cpu.cfs_quota_us", text) &&
        read_in(root, folder, "cpu.cfs_period_us", period))
        lower_cpus(ret, strtod(text, NULL), strtod(period, NULL));
}

double system_cgroup_cpus(const char *root)
{
    double cpus = 0.0;

    visit_groups(root, "", look_for_quota, &cpus);
    visit_groups(root, "cpu", look_for_quota, &cpus);
    return cpus;
}

/* Pages of files that nobody has used lately are counted as used, and given up first. */
static uint64_t reclaimable(const char *root, const char *folder)
{
    char text[SYSTEM_TEXT_BYTES], *at;

    if (!read_in(root, folder, "memory.stat", text))
        return 0;
    at = strstr(text, "inactive_file ");
    return at ? strtoull(at + strlen("inactive_file "), NULL, 10) : 0;
}

static void look_for_memory(const char *root, const char *folder, void *ret)
{
    static const char *const names[][2] = {{"memory.max", "memory.current"},
                                           {"memory.limit_in_bytes", "memory.usage_in_bytes"}};
    char text[SYSTEM_TEXT_BYTES];
    uint64_t *least = ret, limit, used, left;

    for (int i = 0; i < 2; i++) {
        if (!read_in(root, folder, names[i][0], text) || text[0] < '0' || text[0] > '9')
            continue; /* "max" */
        limit = strtoull(text, NULL, 10);
        if (limit > UINT64_MAX / 4 || !read_in(root, folder, names[i][1], text))
            continue;
        used = strtoull(text, NULL, 10);
        left = (limit > used ? limit - used : 0) + reclaimable(root, folder);
        left = left < limit ? left : limit;
        *least = left < *least ? left : *least;
    }
}

uint64_t system_cgroup_memory(const char *root)
{
    uint64_t least = UINT64_MAX;

    visit_groups(root, "", look_for_memory, &least);
    visit_groups(root, "memory", look_for_memory, &least);
    return least;
}

/* ---- memory ---- */

static uint64_t meminfo(const char *root, const char *field)
{
    char text[SYSTEM_TEXT_BYTES];

    return system_field(root, "/proc/meminfo", field, text) ? strtoull(text, NULL, 10) << 10 : 0;
}

uint64_t system_memory_available(const char *root)
{
    uint64_t machine = meminfo(root, "MemAvailable"), group = system_cgroup_memory(root);

    machine = machine ? machine : UINT64_MAX;
    return machine < group ? machine : group;
}

uint64_t system_memory_total(const char *root)
{
    return meminfo(root, "MemTotal");
}

/* ---- locks ---- */

struct holders {
    const char *root, *comm;
    dev_t device;
    long pids[HOLDERS_MAX]; /* seen already */
    unsigned count;
};

/* "1: FLOCK  ADVISORY  READ 1234 fd:00:12345 0 EOF", the device in hexadecimal digits. */
static bool take_lock(const char *line, void *ctx)
{
    struct holders *holders = ctx;
    char path[64], comm[SYSTEM_TEXT_BYTES];
    unsigned major_number, minor_number;
    long pid;

    if (sscanf(line, "%*d: FLOCK ADVISORY READ %ld %x:%x:", &pid, &major_number, &minor_number) !=
            3 ||
        makedev(major_number, minor_number) != holders->device || pid <= 0)
        return false;
    for (unsigned i = 0; i < holders->count; i++)
        if (holders->pids[i] == pid)
            return false;
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    if (!system_read(holders->root, path, comm) || strcmp(comm, holders->comm) != 0)
        return false;
    holders->pids[holders->count++] = pid;
    return holders->count == HOLDERS_MAX;
}

unsigned system_lock_holders(const char *root, const char *comm, dev_t device)
{
    struct holders holders = {.root = root, .comm = comm, .device = device};

    find_line(root, "/proc/locks", take_lock, &holders);
    return holders.count;
}
