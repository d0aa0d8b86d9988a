/* probes_limits.c - what this process is allowed: io_uring, memory, files, priorities.
 * See probes.h.
 *
 * Where a recorder goes on without, it is a note; where it could not begin, a problem. */
#include "doctor/probes.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "doctor/system.h"
#include "io/engine.h"

#define CAP_NUMBER_IPC_LOCK 14u
#define CAP_NUMBER_SYS_NICE 23u
#define PRIORITY_TRIED      20
#define BLOCK_BYTES         (4u << 20)
#define BLOCKS_MAX          512u
#define ENGINE_DEPTH        64u
/* What record needs, see record/start.c: so many, and a stream so many more. */
#define FILES_OF_PROCESS 3u
#define FILES_OF_SESSION 9u
#define FILES_OF_STREAM  6u
#define ROLL_BYTES       (1ull << 30)

/* ---- real attempts ---- */

static int try_uring(void)
{
    struct io_engine *engine = NULL;
    int r = io_engine_create(&engine, IO_ENGINE_URING, ENGINE_DEPTH, NULL);

    if (r == 0)
        io_engine_destroy(engine);
    return r;
}

static uint64_t try_registered(uint64_t bytes)
{
    uint64_t blocks = bytes / BLOCK_BYTES;
    struct io_engine *engine = NULL;
    struct io_pool pool = {0}, *pools[] = {&pool};
    unsigned registered = 0;

    blocks = blocks < 1 ? 1 : blocks > BLOCKS_MAX ? BLOCKS_MAX : blocks;
    if (io_engine_create(&engine, IO_ENGINE_URING, ENGINE_DEPTH, NULL) < 0)
        return 0;
    if (io_pool_init(&pool, (uint32_t)blocks, BLOCK_BYTES) == 0)
        registered = io_engine_register(engine, pools, 1);
    io_engine_destroy(engine);
    io_pool_fini(&pool);
    return registered == blocks ? bytes : (uint64_t)registered * BLOCK_BYTES;
}

/* In a thread of its own, which ends as it began. */
static void *become_fifo(void *ret)
{
    struct sched_param fifo = {.sched_priority = PRIORITY_TRIED}, other = {0};
    int r = pthread_setschedparam(pthread_self(), SCHED_FIFO, &fifo);

    if (r == 0)
        pthread_setschedparam(pthread_self(), SCHED_OTHER, &other);
    *(int *)ret = -r;
    return NULL;
}

static int try_fifo(void)
{
    pthread_t thread;
    int result = 0, r = pthread_create(&thread, NULL, become_fifo, &result);

    if (r != 0)
        return -r;
    pthread_join(thread, NULL);
    return result;
}

const struct doctor_tries doctor_tries_system = {
    .uring = try_uring,
    .registered = try_registered,
    .fifo = try_fifo,
};

/* ---- io_uring ---- */

static void look_at_uring(struct doctor_context *context, struct findings *findings)
{
    char seccomp[SYSTEM_TEXT_BYTES];
    int64_t disabled = 0;
    int r = context->tries && context->tries->uring ? context->tries->uring() : 0;
    bool is_tried = context->tries && context->tries->uring;
    struct finding *f;

    system_number(context->root, "/proc/sys/kernel/io_uring_disabled", &disabled);
    system_field(context->root, "/proc/self/status", "Seccomp", seccomp);
    if (r == 0 && (is_tried || disabled == 0)) {
        findings_add(findings, "io_uring", FINDING_OK, "allowed");
        return;
    }
    f = findings_add(findings, "io_uring", FINDING_NOTE,
                     "not to be had (%s): record writes with pwrite, more slowly",
                     disabled != 0               ? "kernel.io_uring_disabled"
                     : strcmp(seccomp, "2") == 0 ? "a seccomp filter, as containers have it"
                                                 : strerror(-r));
    if (disabled != 0)
        finding_remedy(f, "sudo sysctl kernel.io_uring_disabled=0");
    else if (strcmp(seccomp, "2") == 0)
        finding_remedy(f, "docker run --security-opt seccomp=PROFILE.json ... # one that allows "
                          "io_uring_setup, io_uring_enter and io_uring_register");
    else if (r == -ENOMEM)
        finding_remedy(f, "ulimit -l unlimited # or LimitMEMLOCK=infinity in the unit");
}

/* ---- limits ---- */

static const char *amount(char buf[32], uint64_t bytes)
{
    return bytes == UINT64_MAX ? "unlimited" : units_format_bytes(buf, 32, bytes);
}

static void look_at_memlock(struct doctor_context *context, struct findings *findings)
{
    uint64_t soft, hard, want = context->machine.staging_bytes, have;
    /* What is registered is taken from memory: not where that is scarce. */
    bool is_tried =
        context->tries && context->tries->registered && want <= context->machine.memory_bytes / 4;
    char limit[32], wanted[32], got[32];
    struct finding *f;

    if (!system_limit(context->root, "Max locked memory", &soft, &hard) ||
        (context->tries && context->tries->uring && context->tries->uring() < 0))
        return; /* without a ring nothing is registered */
    if (system_capability(context->root, CAP_NUMBER_IPC_LOCK))
        soft = UINT64_MAX;
    have = is_tried ? context->tries->registered(want) : soft < want ? soft : want;
    units_format_bytes(wanted, sizeof wanted, want);
    if (have >= want) {
        f = findings_add(findings, "memlock", FINDING_OK,
                         "%s: all %s of staging memory can be registered with io_uring",
                         amount(limit, soft), wanted);
    } else {
        f = findings_add(findings, "memlock", FINDING_NOTE,
                         "%s: of %s of staging memory, %s can be registered with io_uring; "
                         "writing from the rest costs more CPU",
                         amount(limit, soft), wanted, units_format_bytes(got, sizeof got, have));
        finding_remedy(f, "ulimit -l unlimited # or LimitMEMLOCK=infinity in the unit");
    }
    finding_value(f, "limit_bytes", soft == UINT64_MAX ? -1.0 : (double)soft);
    finding_value(f, "registered_bytes", (double)have);
    finding_value(f, "wanted_bytes", (double)want);
}

static void look_at_files(struct doctor_context *context, struct findings *findings)
{
    uint64_t soft, hard, streams = doctor_stream_count(context);
    double need = FILES_OF_PROCESS + FILES_OF_SESSION +
                  (double)FILES_OF_STREAM * (double)(streams ? streams : 1);
    struct finding *f;

    if (!system_limit(context->root, "Max open files", &soft, &hard))
        return;
    if ((double)hard >= need) { /* record raises the soft one itself */
        f = findings_add(findings, "open files", FINDING_OK, "%" PRIu64 " allowed, %.0f needed",
                         hard, need);
    } else {
        f = findings_add(findings, "open files", FINDING_PROBLEM,
                         "%" PRIu64 " allowed, recording %" PRIu64 " stream%s takes %.0f", hard,
                         streams ? streams : 1, units_plural(streams ? streams : 1), need);
        finding_remedy(f, "ulimit -n %.0f # or LimitNOFILE=%.0f in the unit", need, need);
    }
    finding_value(f, "limit", hard == UINT64_MAX ? -1.0 : (double)hard);
    finding_value(f, "needed", need);
}

/* A file of one frame also has room in reserve for two, tables, and a few blocks. */
static uint64_t smallest_file(const struct doctor_context *context)
{
    uint64_t largest = 0;

    for (size_t i = 0; i < context->load_count; i++)
        if (context->loads[i].geometry.frame_bytes > largest)
            largest = context->loads[i].geometry.frame_bytes;
    return largest > UINT64_MAX / 4 ? UINT64_MAX : 3 * largest + (128u << 10);
}

static void look_at_file_size(struct doctor_context *context, struct findings *findings)
{
    uint64_t soft, hard, least = smallest_file(context);
    char limit[32], needed[32];
    struct finding *f;

    context->machine.file_bytes_max = UINT64_MAX;
    if (!system_limit(context->root, "Max file size", &soft, &hard))
        return;
    context->machine.file_bytes_max = soft;
    amount(limit, soft);
    if (soft < least) {
        f = findings_add(findings, "file size", FINDING_PROBLEM,
                         "limited to %s: not even a file of one frame, %s", amount(limit, soft),
                         units_format_bytes(needed, sizeof needed, least));
        finding_remedy(f, "ulimit -f unlimited # or LimitFSIZE=infinity in the unit");
    } else if (soft < ROLL_BYTES) {
        f = findings_add(findings, "file size", FINDING_NOTE,
                         "limited to %s: files are no larger than that", amount(limit, soft));
        finding_remedy(f, "ulimit -f unlimited # or LimitFSIZE=infinity in the unit");
    } else {
        f = findings_add(findings, "file size", FINDING_OK, "%s", amount(limit, soft));
    }
    finding_value(f, "limit_bytes", soft == UINT64_MAX ? -1.0 : (double)soft);
}

/* ---- priorities ---- */

static void look_at_priority(struct doctor_context *context, struct findings *findings)
{
    uint64_t soft = 0, hard = 0;
    bool is_tried = context->tries && context->tries->fifo, may;
    struct finding *f;
    int r = 0;

    if (!system_limit(context->root, "Max realtime priority", &soft, &hard) && !is_tried)
        return;
    may = soft >= PRIORITY_TRIED || system_capability(context->root, CAP_NUMBER_SYS_NICE);
    if (is_tried)
        r = context->tries->fifo();
    if (is_tried ? r == 0 : may) {
        f = findings_add(findings, "priority", FINDING_OK,
                         "SCHED_FIFO is granted: record --priority 20 works");
    } else if (may) {
        f = findings_add(findings, "priority", FINDING_NOTE,
                         "SCHED_FIFO is refused (%s) in spite of the right to it: the cgroup has "
                         "no real-time share",
                         strerror(-r));
        finding_remedy(f, "sudo sysctl kernel.sched_rt_runtime_us=-1 # or run it outside of the "
                          "cgroup");
    } else {
        f = findings_add(findings, "priority", FINDING_NOTE,
                         "SCHED_FIFO is refused: record --priority goes on without");
        finding_remedy(f,
                       "echo \"$USER - rtprio 50\" | sudo tee "
                       "/etc/security/limits.d/daorec.conf # then log in anew; or LimitRTPRIO=50 "
                       "in the unit");
    }
    finding_value(f, "limit", (double)soft);
}

static void look_at_throttling(struct doctor_context *context, struct findings *findings)
{
    int64_t runtime_us, period_us = 1000000;
    struct finding *f;

    if (!system_number(context->root, "/proc/sys/kernel/sched_rt_runtime_us", &runtime_us))
        return;
    system_number(context->root, "/proc/sys/kernel/sched_rt_period_us", &period_us);
    if (runtime_us < 0) {
        f = findings_add(findings, "rt share", FINDING_OK,
                         "no limit: a real-time thread that never sleeps takes its core for ever");
    } else if (runtime_us == 0 || period_us <= 0) {
        f = findings_add(findings, "rt share", FINDING_NOTE,
                         "real-time threads get no time beside others");
        finding_remedy(f, "sudo sysctl kernel.sched_rt_runtime_us=950000");
    } else {
        f = findings_add(findings, "rt share", FINDING_OK,
                         "real-time threads may run %.3g %% of the time; beyond, a loop that never "
                         "sleeps is paused",
                         100.0 * (double)runtime_us / (double)period_us);
    }
    finding_value(f, "runtime_us", (double)runtime_us);
}

const struct doctor_probe doctor_probes_limits[] = {
    {"io_uring", look_at_uring},
    {"memlock", look_at_memlock},
    {"open files", look_at_files},
    {"file size", look_at_file_size},
    {"priority", look_at_priority},
    {"rt share", look_at_throttling},
    {NULL, NULL},
};
