/* test_realtime.c - memory that is locked where that is allowed, what is told of CPUs and
 * priorities that cannot be had, and NUMA nodes of CPUs. */
#include <check.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/place.h"
#include "base/realtime.h"
#include "tests/support/suite.h"

#define NOBODY 65534 /* whoever that is here */

/* ---- locked memory; each test is a process of its own ---- */

static long locked_kib(void)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");

    while (f && kib < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "VmLck: %ld", &kib) != 1)
            kib = -1;
    if (f)
        fclose(f);
    return kib;
}

/* What is said on standard error between the two. */
static int said_file, stderr_kept;

static void listen_to_errors(void)
{
    said_file = memfd_create("said", 0);
    stderr_kept = dup(STDERR_FILENO);
    dup2(said_file, STDERR_FILENO);
}

static void end_listening(char *said, size_t bytes)
{
    ssize_t n;

    dup2(stderr_kept, STDERR_FILENO);
    n = pread(said_file, said, bytes - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(stderr_kept);
    close(said_file);
}

static bool lock_memory(char *said, size_t bytes)
{
    bool is_locked;

    listen_to_errors();
    is_locked = realtime_lock_memory();
    end_listening(said, bytes);
    return is_locked;
}

START_TEST(whoever_may_lock_all_locks_what_there_is_and_what_comes)
{
    struct rlimit limit;
    char said[512];
    unsigned char *memory;
    long before;

#if defined(__SANITIZE_ADDRESS__)
    printf("not tested: locked memory (the sanitizer makes nothing of it)\n");
    return;
#endif
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (geteuid() != 0 && limit.rlim_max != RLIM_INFINITY) {
        printf("not tested: locked memory (this user may not)\n");
        return;
    }
    ck_assert_msg(lock_memory(said, sizeof said), "%s", said);
    ck_assert_str_eq(said, "");
    before = locked_kib();
    ck_assert_int_gt(before, 0);
    memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(memory != MAP_FAILED);
    memset(memory, 1, 1 << 20);
    ck_assert_int_ge(locked_kib(), before + 1024);
}
END_TEST

START_TEST(with_a_small_limit_it_goes_on_without_after_one_line)
{
    struct rlimit limit = {65536, 65536};
    char said[512];

    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (geteuid() == 0) /* root may, whatever the limit */
        ck_assert_int_eq(setuid(NOBODY), 0);
    ck_assert(!lock_memory(said, sizeof said));
    ck_assert_int_eq(locked_kib(), 0);
    ck_assert_msg(strstr(said, "65.5 kB") && strstr(said, "LimitMEMLOCK"), "%s", said);
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
    /* Memory can be had as before. */
    ck_assert(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
              MAP_FAILED);
}
END_TEST

START_TEST(a_soft_limit_is_raised_first)
{
    struct rlimit limit = {65536, 1 << 20};
    char said[512];

    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(setuid(NOBODY), 0);
    ck_assert(!lock_memory(said, sizeof said));
    getrlimit(RLIMIT_MEMLOCK, &limit);
    ck_assert_uint_eq(limit.rlim_cur, 1 << 20);
}
END_TEST

/* ---- CPUs and priorities ---- */

static void place_self(size_t cpu, char *said, size_t bytes)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    listen_to_errors();
    place_thread_on(pthread_self(), &set, 50);
    end_listening(said, bytes);
}

START_TEST(of_cpus_and_of_a_priority_that_cannot_be_had_each_is_told_and_once)
{
    struct rlimit none = {0, 0};
    char said[512];

    ck_assert_int_eq(setrlimit(RLIMIT_RTPRIO, &none), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(setuid(NOBODY), 0);
    place_self(CPU_SETSIZE - 1, said, sizeof said);
    ck_assert_msg(strstr(said, "CPU 1023 "), "%s", said);
    ck_assert_msg(strstr(said, "priority 50"), "%s", said);
    place_self(CPU_SETSIZE - 1, said, sizeof said);
    ck_assert_str_eq(said, "");
    place_self(CPU_SETSIZE - 2, said, sizeof said); /* those of another kind of thread */
    ck_assert_msg(strstr(said, "CPU 1022 ") && !strstr(said, "priority"), "%s", said);
}
END_TEST

/* ---- NUMA: a machine of two nodes, as files ---- */

static char root[256];

static void make_file(const char *path, const char *text)
{
    char full[512], *slash;
    FILE *f;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (slash = full + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    f = fopen(full, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void make_machine(const char *online)
{
    const char *base = getenv("TMPDIR");
    char path[128];

    snprintf(root, sizeof root, "%s/daorec-numa.XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(root));
    make_file("/sys/devices/system/node/online", online);
    for (unsigned cpu = 0; cpu < 8; cpu++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/node%u/x", cpu, cpu / 4);
        make_file(path, "");
    }
}

static void remove_machine(void)
{
    char command[512];

    snprintf(command, sizeof command, "rm -rf '%s'", root);
    ck_assert_int_eq(system(command), 0);
}

static int node_of(unsigned long cpus)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (size_t cpu = 0; cpu < 64; cpu++)
        if (cpus >> cpu & 1)
            CPU_SET(cpu, &set);
    return realtime_node_of(root, &set);
}

START_TEST(cpus_of_one_node_have_it_others_have_none)
{
    make_machine("0-1\n");
    ck_assert_int_eq(node_of(0x02), 0);
    ck_assert_int_eq(node_of(0x0f), 0);
    ck_assert_int_eq(node_of(0x10), 1);
    ck_assert_int_eq(node_of(0xc0), 1);
    ck_assert_int_eq(node_of(0x18), -1); /* of both */
    ck_assert_int_eq(node_of(0), -1);
    ck_assert_int_eq(node_of(1ul << 40), -1); /* one that is not there */
    remove_machine();
}
END_TEST

START_TEST(on_a_machine_of_one_node_there_is_nothing_to_choose)
{
    make_machine("0\n");
    ck_assert_int_eq(node_of(0x02), -1);
    remove_machine();
    ck_assert_int_eq(node_of(0x02), -1); /* no files at all */
}
END_TEST

START_TEST(memory_is_preferred_on_a_node_and_then_anywhere_again)
{
    unsigned long mask[16] = {0};
    int policy = -1, r = realtime_prefer_node(0);

    if (r == -ENOSYS || r == -EPERM) {
        printf("not tested: memory of a NUMA node (%s)\n", strerror(-r));
        return;
    }
    ck_assert_int_eq(r, 0);
    ck_assert_int_eq(syscall(SYS_get_mempolicy, &policy, mask, 1024, NULL, 0), 0);
    ck_assert_int_eq(policy, MPOL_PREFERRED);
    ck_assert_uint_eq(mask[0], 1);
    ck_assert_int_eq(realtime_prefer_node(-1), 0);
    ck_assert_int_eq(syscall(SYS_get_mempolicy, &policy, NULL, 0, NULL, 0), 0);
    ck_assert_int_eq(policy, MPOL_DEFAULT);
    ck_assert_int_lt(realtime_prefer_node(1000), 0); /* it is not there */
    ck_assert_int_eq(realtime_prefer_node(5000), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("realtime");
    TCase *tcase = tcase_create("realtime");

    tcase_add_test(tcase, whoever_may_lock_all_locks_what_there_is_and_what_comes);
    tcase_add_test(tcase, with_a_small_limit_it_goes_on_without_after_one_line);
    tcase_add_test(tcase, a_soft_limit_is_raised_first);
    tcase_add_test(tcase, of_cpus_and_of_a_priority_that_cannot_be_had_each_is_told_and_once);
    tcase_add_test(tcase, cpus_of_one_node_have_it_others_have_none);
    tcase_add_test(tcase, on_a_machine_of_one_node_there_is_nothing_to_choose);
    tcase_add_test(tcase, memory_is_preferred_on_a_node_and_then_anywhere_again);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
