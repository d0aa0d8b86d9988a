/* test_doctor.c - the probes of daorec doctor, on /proc and /sys trees made up here: each thing
 * that limits a machine is seen and told with its remedy, and what is in order is said to be. */
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "doctor/probes.h"
#include "doctor/system.h"
#include "tests/support/suite.h"

#define CPU   "/sys/devices/system/cpu"
#define CLOCK "/sys/devices/system/clocksource/clocksource0/"
#define MIB   1048576ull

static char root[256];
static struct doctor_context context;
static struct findings findings;

/* ---- a machine ---- */

/* A file of the tree, with its folders. */
static void put(const char *path, const char *format, ...)
{
    char full[600];
    va_list args;
    FILE *f;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0777);
        *slash = '/';
    }
    f = fopen(full, "w");
    ck_assert_msg(f != NULL, "%s", full);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    ck_assert_int_eq(fclose(f), 0);
}

static void put_limits(const char *name, const char *soft, const char *hard)
{
    put("/proc/self/limits",
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max cpu time              unlimited            unlimited            seconds   \n"
        "%-25s %-20s %-20s units     \n",
        name, soft, hard);
}

static void put_status(const char *cap_eff, const char *cpus, int seccomp)
{
    put("/proc/self/status",
        "Name:\tdaorec\nCapEff:\t%s\nSeccomp:\t%d\nSeccomp_filters:\t0\nCpus_allowed:\tf\n"
        "Cpus_allowed_list:\t%s\n",
        cap_eff, seccomp, cpus);
}

static void begin(void)
{
    const char *parent = getenv("TMPDIR");

    snprintf(root, sizeof root, "%s/daorec-doctor.XXXXXX", parent && *parent ? parent : "/tmp");
    ck_assert(mkdtemp(root) != NULL);
    context = (struct doctor_context){.root = root};
    put_status("0000000000000000", "0-3", 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void end(void)
{
    findings_free(&findings);
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The line of that check, after looking; NULL: none. */
static const struct finding *look(const char *check)
{
    findings_free(&findings);
    doctor_probes_run(doctor_probes_limits, &context, &findings);
    doctor_probes_run(doctor_probes_machine, &context, &findings);
    for (size_t i = 0; i < findings.count; i++)
        if (strcmp(findings.list[i].check, check) == 0)
            return &findings.list[i];
    return NULL;
}

/* It is told, in that state, with these words; the remedy (NULL: there is none). */
static void expect(const char *check, enum finding_state state, const char *words,
                   const char *remedy)
{
    const struct finding *f = look(check);

    ck_assert_msg(f != NULL, "nothing of %s", check);
    ck_assert_msg(f->state == state && strstr(f->found, words), "%s %s: %s",
                  finding_state_name(f->state), check, f->found);
    if (remedy)
        ck_assert_msg(strstr(f->remedy, remedy) != NULL, "%s: %s", check, f->remedy);
    else
        ck_assert_str_eq(f->remedy, "");
}

static double value(const char *check, const char *name)
{
    const struct finding *f = look(check);

    for (size_t i = 0; f && i < f->value_count; i++)
        if (strcmp(f->values[i].name, name) == 0)
            return f->values[i].value;
    ck_abort_msg("no %s of %s", name, check);
}

/* ---- what happens without anything ---- */

START_TEST(an_empty_machine_tells_little_and_alarms_nobody)
{
    char path[600];

    snprintf(path, sizeof path, "%s/proc/self/status", root);
    unlink(path);
    look("");
    for (size_t i = 0; i < findings.count; i++)
        ck_assert_msg(findings.list[i].state != FINDING_PROBLEM, "%s: %s", findings.list[i].check,
                      findings.list[i].found);
    ck_assert(look("cpus") == NULL);
    ck_assert(look("clock") == NULL);
    ck_assert(look("memlock") == NULL);
}
END_TEST

/* ---- CPUs ---- */

START_TEST(a_governor_that_slows_down_is_a_note)
{
    put(CPU "/possible", "0-2\n");
    put(CPU "/cpu0/cpufreq/scaling_governor", "performance\n");
    put(CPU "/cpu1/cpufreq/scaling_governor", "performance\n");
    expect("governor", FINDING_OK, "performance on 2 CPUs", NULL);
    put(CPU "/cpu2/cpufreq/scaling_governor", "powersave\n");
    expect("governor", FINDING_NOTE,
           "performance on 2 CPUs, powersave on 1 CPU:", "echo performance | sudo tee");
}
END_TEST

START_TEST(without_governors_nothing_is_wrong)
{
    put(CPU "/possible", "0-3\n");
    expect("governor", FINDING_OK, "none", NULL);
}
END_TEST

START_TEST(two_threads_of_one_core_are_a_note)
{
    put(CPU "/smt/active", "0\n");
    expect("smt", FINDING_OK, "off", NULL);
    put(CPU "/smt/active", "1\n");
    put(CPU "/cpu0/topology/thread_siblings_list", "0,4\n");
    expect("smt", FINDING_NOTE, "CPUs 0,4 are one core", "--cpu");
}
END_TEST

START_TEST(isolated_cpus_are_told_and_a_recorder_on_them_alone_is_a_note)
{
    expect("isolation", FINDING_OK, "no isolated CPUs", NULL);
    put(CPU "/isolated", "2-3\n");
    put(CPU "/nohz_full", "3\n");
    expect("isolation", FINDING_OK, "CPUs 2-3 are isolated, without tick: 3", NULL);
    put_status("0", "2-3", 0);
    expect("isolation", FINDING_NOTE, "only use isolated CPUs", "taskset");
    put_status("0", "1-3", 0);
    expect("isolation", FINDING_OK, "isolated", NULL);
}
END_TEST

START_TEST(one_cpu_is_a_note)
{
    put(CPU "/online", "0-3\n");
    expect("cpus", FINDING_OK, "4", NULL);
    put_status("0", "2", 0);
    expect("cpus", FINDING_NOTE, "1 of several", "taskset");
    ck_assert_double_eq(context.machine.cores, 1.0);
}
END_TEST

START_TEST(a_quota_of_the_cgroup_is_found_at_any_level)
{
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    expect("cpus", FINDING_OK, "4", NULL);
    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    expect("cpus", FINDING_NOTE, "the time of 1.5", "CPUQuota");
    ck_assert_double_eq(context.machine.cores, 1.5);
    put("/proc/self/cgroup", "4:cpu,cpuacct:/x\n1:name=systemd:/y\n"); /* version 1 */
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    expect("cpus", FINDING_OK, "4", NULL);
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "200000\n");
    ck_assert_double_eq(value("cpus", "usable"), 2.0);
}
END_TEST

/* ---- memory and time ---- */

START_TEST(huge_pages_that_are_never_given_are_a_note)
{
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    expect("hugepages", FINDING_NOTE, "never", "echo madvise | sudo tee");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    expect("hugepages", FINDING_OK, "madvise", NULL);
    put("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
    expect("hugepages", FINDING_OK, "always", NULL);
}
END_TEST

static const struct clock_case {
    const char *current, *available, *words, *remedy;
} clocks[] = {
    {"tsc", "tsc hpet", "tsc", NULL},
    {"kvm-clock", "kvm-clock tsc", "kvm-clock", NULL},
    {"hpet", "tsc hpet acpi_pm", "system call", "echo tsc | sudo tee"},
    {"acpi_pm", "acpi_pm", "system call", "tsc=reliable"},
    {"jiffies", "jiffies", "every few ms", "dmesg"},
};

START_TEST(a_slow_or_coarse_clock_is_a_note)
{
    const struct clock_case *c = &clocks[_i];

    put(CLOCK "current_clocksource", "%s\n", c->current);
    put(CLOCK "available_clocksource", "%s\n", c->available);
    expect("clock", c->remedy ? FINDING_NOTE : FINDING_OK, c->words, c->remedy);
}
END_TEST

START_TEST(memory_is_the_least_of_machine_and_cgroup)
{
    put("/proc/meminfo", "MemTotal:  16777216 kB\nMemFree: 1 kB\nMemAvailable:  8388608 kB\n");
    expect("memory", FINDING_OK, "8.59 GB available of 17.2 GB", NULL);
    put("/proc/self/cgroup", "0::/c\n");
    put("/sys/fs/cgroup/c/memory.max", "%llu\n", 600 * MIB);
    put("/sys/fs/cgroup/c/memory.current", "%llu\n", 500 * MIB);
    expect("memory", FINDING_NOTE, "in this cgroup", "MemoryMax");
    ck_assert_uint_eq(context.machine.memory_bytes, 100 * MIB);
    put("/sys/fs/cgroup/c/memory.stat", "anon 1\ninactive_file %llu\n", 50 * MIB);
    look("memory");
    ck_assert_uint_eq(context.machine.memory_bytes, 150 * MIB);
    put("/sys/fs/cgroup/c/memory.max", "max\n");
    expect("memory", FINDING_OK, "available of", NULL);
}
END_TEST

START_TEST(without_dev_shm_sources_cannot_make_their_semaphores)
{
    struct statfs fs;

    expect("/dev/shm", FINDING_NOTE, "not there", "sudo mount -t tmpfs");
    put("/dev/shm/sem.x", "x");
    ck_assert_int_eq(statfs(root, &fs), 0);
    if (fs.f_type != TMPFS_MAGIC)
        expect("/dev/shm", FINDING_NOTE, "on a disk", "mount");
    else
        ck_assert(strstr(look("/dev/shm")->found, "a tmpfs with") != NULL);
}
END_TEST

START_TEST(segments_in_tmp_on_a_disk_are_a_note)
{
    struct statfs fs;

    put("/tmp/notes.txt", "x");
    ck_assert(look("/tmp") == NULL);
    put("/tmp/wfs.im.shm", "x");
    ck_assert_int_eq(statfs(root, &fs), 0);
    if (fs.f_type != TMPFS_MAGIC)
        expect("/tmp", FINDING_NOTE, "1 segment there lies on a disk", "tmp.mount");
    else
        ck_assert(look("/tmp") == NULL);
}
END_TEST

START_TEST(an_old_kernel_is_a_note)
{
    put("/proc/sys/kernel/osrelease", "5.15.0-91-generic\n");
    expect("kernel", FINDING_OK, "5.15.0-91-generic", NULL);
    put("/proc/sys/kernel/osrelease", "5.4.0\n");
    expect("kernel", FINDING_NOTE, "older than 5.15", "upgrade");
    put("/proc/sys/kernel/osrelease", "6.1.0\n");
    expect("kernel", FINDING_OK, "6.1.0", NULL);
}
END_TEST

/* ---- what the process is allowed ---- */

static int uring_result, fifo_result;
static uint64_t registered_most;

static int made_up_uring(void)
{
    return uring_result;
}

static int made_up_fifo(void)
{
    return fifo_result;
}

static uint64_t made_up_registered(uint64_t bytes)
{
    return bytes < registered_most ? bytes : registered_most;
}

static const struct doctor_tries made_up = {made_up_uring, made_up_registered, made_up_fifo};

START_TEST(a_ring_that_is_forbidden_is_told_with_who_forbids_it)
{
    context.tries = &made_up;
    uring_result = 0;
    expect("io_uring", FINDING_OK, "allowed", NULL);
    uring_result = -EPERM;
    put_status("0", "0-3", 2);
    expect("io_uring", FINDING_NOTE, "seccomp", "seccomp=");
    put("/proc/sys/kernel/io_uring_disabled", "2\n");
    expect("io_uring", FINDING_NOTE, "kernel.io_uring_disabled",
           "sudo sysctl kernel.io_uring_disabled=0");
    put("/proc/sys/kernel/io_uring_disabled", "0\n");
    put_status("0", "0-3", 0);
    uring_result = -ENOMEM;
    expect("io_uring", FINDING_NOTE, "Cannot allocate memory", "ulimit -l");
}
END_TEST

START_TEST(locked_memory_below_the_staging_memory_is_a_note)
{
    context.machine.staging_bytes = 64 * MIB;
    put_limits("Max locked memory", "8388608", "8388608");
    expect("memlock", FINDING_NOTE, "8.39 MB: of 67.1 MB", "ulimit -l unlimited");
    ck_assert_double_eq(value("memlock", "registered_bytes"), 8388608.0);
    put_limits("Max locked memory", "67108864", "unlimited");
    expect("memlock", FINDING_OK, "all 67.1 MB", NULL);
    put_limits("Max locked memory", "0", "0");
    put_status("0000000000004000", "0-3", 0); /* CAP_IPC_LOCK */
    expect("memlock", FINDING_OK, "unlimited", NULL);
    context.tries = &made_up; /* what was tried is believed, not the limit */
    put("/proc/meminfo", "MemAvailable:  8388608 kB\n");
    look("memory"); /* so that it is known that there is memory enough to try it */
    registered_most = 16 * MIB;
    expect("memlock", FINDING_NOTE, "16.8 MB can be registered", "LimitMEMLOCK");
}
END_TEST

START_TEST(too_few_open_files_are_a_problem)
{
    struct doctor_load load = {.count = 100, .rate_hz = 1};

    context.loads = &load;
    context.load_count = 1;
    put_limits("Max open files", "256", "1024");
    expect("open files", FINDING_OK, "1024 allowed, 612 needed", NULL);
    put_limits("Max open files", "256", "512");
    expect("open files", FINDING_PROBLEM, "100 streams takes 612", "ulimit -n 612");
}
END_TEST

START_TEST(a_limit_on_the_size_of_files_is_a_note_and_below_a_frame_a_problem)
{
    struct doctor_load load = {.count = 1, .rate_hz = 1, .geometry = {.frame_bytes = 4 * MIB}};

    context.loads = &load;
    context.load_count = 1;
    put_limits("Max file size", "unlimited", "unlimited");
    expect("file size", FINDING_OK, "unlimited", NULL);
    put_limits("Max file size", "16777216", "unlimited");
    expect("file size", FINDING_NOTE, "16.8 MB", "ulimit -f unlimited");
    ck_assert_uint_eq(context.machine.file_bytes_max, 16 * MIB);
    put_limits("Max file size", "8388608", "unlimited");
    expect("file size", FINDING_PROBLEM, "not even a file of one frame", "ulimit -f unlimited");
}
END_TEST

START_TEST(a_priority_is_what_was_granted_and_not_what_the_limit_says)
{
    put_limits("Max realtime priority", "0", "0");
    expect("priority", FINDING_NOTE, "refused", "rtprio");
    put_limits("Max realtime priority", "50", "50");
    expect("priority", FINDING_OK, "granted", NULL);
    context.tries = &made_up;
    fifo_result = -EPERM;
    expect("priority", FINDING_NOTE, "in spite of", "sched_rt_runtime_us");
    fifo_result = 0;
    put_limits("Max realtime priority", "0", "0");
    expect("priority", FINDING_OK, "granted", NULL);
}
END_TEST

START_TEST(a_real_attempt_leaves_the_caller_as_it_was)
{
    int policy = sched_getscheduler(0), r = doctor_tries_system.fifo();

    ck_assert_int_le(r, 0);
    ck_assert_int_eq(sched_getscheduler(0), policy);
}
END_TEST

START_TEST(the_share_of_real_time_threads_is_told)
{
    put("/proc/sys/kernel/sched_rt_runtime_us", "950000\n");
    put("/proc/sys/kernel/sched_rt_period_us", "1000000\n");
    expect("rt share", FINDING_OK, "95 %", NULL);
    put("/proc/sys/kernel/sched_rt_runtime_us", "0\n");
    expect("rt share", FINDING_NOTE, "no time", "sysctl");
    put("/proc/sys/kernel/sched_rt_runtime_us", "-1\n");
    expect("rt share", FINDING_OK, "no limit", NULL);
}
END_TEST

/* ---- reading ---- */

START_TEST(lists_of_cpus_are_counted_and_searched)
{
    ck_assert_uint_eq(system_list_count(""), 0);
    ck_assert_uint_eq(system_list_count("0"), 1);
    ck_assert_uint_eq(system_list_count("0-3,8,10-11"), 7);
    ck_assert_uint_eq(system_list_count("3-1"), 0);
    ck_assert(system_list_has("0-3,8", 8) && system_list_has("0-3,8", 2));
    ck_assert(!system_list_has("0-3,8", 7) && !system_list_has("", 0));
}
END_TEST

START_TEST(recorders_are_found_by_the_locks_they_hold_on_a_device)
{
    put("/proc/locks", "1: FLOCK  ADVISORY  READ 100 fd:01:77 0 EOF\n"
                       "2: FLOCK  ADVISORY  READ 100 fd:01:78 0 EOF\n"  /* the same one */
                       "3: FLOCK  ADVISORY  WRITE 200 fd:01:79 0 EOF\n" /* writes a segment */
                       "4: FLOCK  ADVISORY  READ 300 fd:02:77 0 EOF\n"  /* elsewhere */
                       "5: POSIX  ADVISORY  READ 400 fd:01:80 0 EOF\n"
                       "6: FLOCK  ADVISORY  READ 500 fd:01:81 0 EOF\n" /* another program */
                       "7: FLOCK  ADVISORY  READ 600 fd:01:82 0 EOF\n");
    for (int pid = 100; pid <= 600; pid += 100) {
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/comm", pid);
        put(path, "%s\n", pid == 500 ? "other" : "daorec");
    }
    ck_assert_uint_eq(system_lock_holders(root, "daorec", makedev(0xfd, 1)), 2);
    ck_assert_uint_eq(system_lock_holders(root, "daorec", makedev(0xfd, 2)), 1);
    ck_assert_uint_eq(system_lock_holders(root, "daorec", makedev(0xfd, 3)), 0);
}
END_TEST

START_TEST(paths_are_quoted_where_a_shell_needs_it)
{
    char buf[64];

    ck_assert_str_eq(finding_quote(buf, sizeof buf, "/data/night_1"), "/data/night_1");
    ck_assert_str_eq(finding_quote(buf, sizeof buf, "/my data"), "'/my data'");
    ck_assert_str_eq(finding_quote(buf, sizeof buf, "it's"), "'it'\\''s'");
    ck_assert_str_eq(finding_quote(buf, sizeof buf, ""), "''");
    ck_assert_str_eq(finding_quote(buf, 12, "/a b/c d/e f/g h"), "'/a b'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor");
    TCase *tcase = tcase_create("probes");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, an_empty_machine_tells_little_and_alarms_nobody);
    tcase_add_test(tcase, a_governor_that_slows_down_is_a_note);
    tcase_add_test(tcase, without_governors_nothing_is_wrong);
    tcase_add_test(tcase, two_threads_of_one_core_are_a_note);
    tcase_add_test(tcase, isolated_cpus_are_told_and_a_recorder_on_them_alone_is_a_note);
    tcase_add_test(tcase, one_cpu_is_a_note);
    tcase_add_test(tcase, a_quota_of_the_cgroup_is_found_at_any_level);
    tcase_add_test(tcase, huge_pages_that_are_never_given_are_a_note);
    tcase_add_loop_test(tcase, a_slow_or_coarse_clock_is_a_note, 0,
                        (int)(sizeof clocks / sizeof clocks[0]));
    tcase_add_test(tcase, memory_is_the_least_of_machine_and_cgroup);
    tcase_add_test(tcase, without_dev_shm_sources_cannot_make_their_semaphores);
    tcase_add_test(tcase, segments_in_tmp_on_a_disk_are_a_note);
    tcase_add_test(tcase, an_old_kernel_is_a_note);
    tcase_add_test(tcase, a_ring_that_is_forbidden_is_told_with_who_forbids_it);
    tcase_add_test(tcase, locked_memory_below_the_staging_memory_is_a_note);
    tcase_add_test(tcase, too_few_open_files_are_a_problem);
    tcase_add_test(tcase, a_limit_on_the_size_of_files_is_a_note_and_below_a_frame_a_problem);
    tcase_add_test(tcase, a_priority_is_what_was_granted_and_not_what_the_limit_says);
    tcase_add_test(tcase, a_real_attempt_leaves_the_caller_as_it_was);
    tcase_add_test(tcase, the_share_of_real_time_threads_is_told);
    tcase_add_test(tcase, lists_of_cpus_are_counted_and_searched);
    tcase_add_test(tcase, recorders_are_found_by_the_locks_they_hold_on_a_device);
    tcase_add_test(tcase, paths_are_quoted_where_a_shell_needs_it);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
