/*
 * doctor.c - see doctor.h.
 *
 * The trial of the disk must not endanger anybody. It takes at most a quarter of the room that may
 * be used at all (of memory, where the folder lies in it), and it is left out where a recording
 * runs on that file system, unless it was asked for by name.
 */
#include "doctor/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "doctor/cpu_trial.h"
#include "doctor/disk_trial.h"
#include "doctor/folder.h"
#include "doctor/probes.h"
#include "doctor/system.h"

#define TRIAL_BYTES_MAX     (16ull << 30)
#define TRIAL_BYTES_UNKNOWN (1ull << 30) /* where the file system does not tell its room */
#define TRIAL_PART          4u
#define TRIAL_PART_BESIDE   16u /* beside a recording */
#define ENCODE_NS           100000000ll
#define WAKE_NS             200000000l /* where there is no trial of the disk meanwhile */
#define LATE_NS             2000000ll

/* ---- disk ---- */

static uint64_t trial_bytes(const struct doctor_context *context, int dir_fd, bool is_shared)
{
    const struct doctor_machine *m = &context->machine;
    uint64_t bytes = m->is_left_known ? m->left_bytes / (is_shared ? TRIAL_PART_BESIDE : TRIAL_PART)
                                      : TRIAL_BYTES_UNKNOWN;
    uint64_t memory = m->memory_bytes / TRIAL_PART;

    bytes = bytes < TRIAL_BYTES_MAX ? bytes : TRIAL_BYTES_MAX;
    bytes = bytes < m->file_bytes_max ? bytes : m->file_bytes_max;
    if (doctor_folder_is_memory(dir_fd) && bytes > memory)
        bytes = memory;
    return bytes;
}

static void say_failure(struct findings *findings, int r)
{
    struct finding *f;

    if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG) {
        f = findings_add(findings, "disk", FINDING_NOTE,
                         "not measured: there is too little room for that without taking it from "
                         "recordings");
        finding_remedy(f, "make room, or daorec doctor DIR # of another disk");
    } else {
        f = findings_add(findings, "disk", FINDING_PROBLEM, "writing to it fails: %s",
                         strerror(-r));
        finding_remedy(f, "sudo dmesg | tail # what does the kernel say?");
    }
}

static void try_disk(struct doctor_context *context, const struct doctor_config *config, int dir_fd,
                     bool is_shared, struct findings *findings)
{
    struct disk_trial trial = {
        .dir_fd = dir_fd,
        .time_ns = config->disk_time_ns,
        .bytes_max = trial_bytes(context, dir_fd, is_shared),
    };
    char rate[32], bytes[32], took[32], stall[32], files[64] = "";
    struct doctor_machine *m = &context->machine;
    int r = disk_trial_run(&trial);
    struct finding *f;

    if (r == -ENOSPC && m->file_bytes_max < DISK_TRIAL_BYTES_LEAST) {
        f = findings_add(findings, "disk", FINDING_NOTE,
                         "not measured: the files that may be written are too small for that");
        finding_remedy(f, "ulimit -f unlimited # or LimitFSIZE=infinity in the unit");
        return;
    }
    if (r < 0 || trial.bytes == 0 || trial.took_ns <= 0) {
        say_failure(findings, r < 0 ? r : -ENOSPC);
        return;
    }
    m->disk_bytes_per_s = (double)trial.bytes * 1e9 / (double)trial.took_ns;
    m->stall_ns = trial.stall_ns;
    m->write_cpu_ns_per_byte = trial.cpu_ns_per_byte;
    if (trial.files > 1)
        snprintf(files, sizeof files, ", in %u files, one at a time", trial.files);
    f = findings_add(findings, "disk", FINDING_OK,
                     "%s/s (%s in %s by %s%s%s, removed again); the longest stall %s",
                     units_format_bytes(rate, sizeof rate, (uint64_t)m->disk_bytes_per_s),
                     units_format_bytes(bytes, sizeof bytes, trial.bytes),
                     units_format_duration(took, sizeof took, trial.took_ns),
                     trial.used_ring ? "io_uring" : "pwrite",
                     trial.used_direct ? ", O_DIRECT" : ", page cache", files,
                     units_format_duration(stall, sizeof stall, trial.stall_ns));
    finding_value(f, "bytes_per_s", m->disk_bytes_per_s);
    finding_value(f, "bytes", (double)trial.bytes);
    finding_value(f, "files", trial.files);
    finding_value(f, "file_bytes", (double)trial.file_bytes);
    finding_value(f, "took_ns", (double)trial.took_ns);
    finding_value(f, "stall_ns", (double)trial.stall_ns);
    finding_value(f, "cpu_s_per_gb", trial.cpu_ns_per_byte);
}

/* Whether it was tried. */
static bool look_at_disk(struct doctor_context *context, const struct doctor_config *config,
                         int dir_fd, struct findings *findings)
{
    unsigned running = doctor_folder_recordings(context, dir_fd, findings);
    char quoted[256];
    struct finding *f;

    if (config->disk_time_ns == 0) {
        findings_add(findings, "disk", FINDING_OK, "not measured, as was asked for");
    } else if (running > 0 && !config->disk_beside_recordings) {
        f = findings_add(findings, "disk", FINDING_NOTE,
                         "not measured, since that would slow what runs there");
        finding_remedy(f, "daorec doctor --disk-time 2s %s # at its peril",
                       finding_quote(quoted, sizeof quoted, config->folder));
    } else {
        try_disk(context, config, dir_fd, running > 0, findings);
        return true;
    }
    return false;
}

/* ---- threads ---- */

static void say_wakes(struct doctor_context *context, const struct wake_trial *wakes,
                      struct findings *findings)
{
    bool is_late = wakes->lateness_ns > LATE_NS;
    char late[32];
    struct finding *f;

    if (wakes->count == 0)
        return;
    context->machine.lateness_ns = wakes->lateness_ns;
    f = findings_add(findings, "wake-up", is_late ? FINDING_NOTE : FINDING_OK,
                     "the latest of %llu sleepers of 1 ms was %s late",
                     (unsigned long long)wakes->count,
                     units_format_duration(late, sizeof late, wakes->lateness_ns));
    if (is_late)
        finding_remedy(f, "record --priority 20 --cpu N # on a CPU that is free");
    finding_value(f, "count", (double)wakes->count);
    finding_value(f, "lateness_ns", (double)wakes->lateness_ns);
}

/* The element types that encoding is tried with: one a word size that the load has. */
static unsigned types_of(const struct doctor_context *context, const struct dao_dtype *ret[4])
{
    unsigned count = 0;

    memset(ret, 0, 4 * sizeof ret[0]);
    for (size_t i = 0; i < context->load_count; i++) {
        const struct dao_dtype *dtype = context->loads[i].geometry.dtype;
        unsigned row = (unsigned)__builtin_ctz(dtype->word_bytes);

        count += ret[row] == NULL;
        ret[row] = dtype;
    }
    if (count == 0) {
        ret[1] = dao_dtype_find("uint16");
        count = 1;
    }
    return count;
}

static void try_encoding(struct doctor_context *context, struct findings *findings)
{
    const struct dao_dtype *types[4];
    unsigned count = types_of(context, types);

    for (int row = 0; row < 4; row++) {
        double byte_ns = types[row] ? cpu_trial_encode(types[row], ENCODE_NS / count) : 0.0;
        char rate[32];
        struct finding *f;

        context->machine.encode_ns_per_byte[row] = byte_ns;
        if (!(byte_ns > 0.0))
            continue;
        f = findings_add(findings, "encoding", FINDING_OK, "%s/s of %s on one core",
                         units_format_bytes(rate, sizeof rate, (uint64_t)(1e9 / byte_ns)),
                         types[row]->name);
        finding_value(f, "bytes_per_s", 1e9 / byte_ns);
    }
}

/* Disk and threads at once, as when recording; what is said of the threads comes behind. */
static void try_out(struct doctor_context *context, const struct doctor_config *config, int dir_fd,
                    struct findings *findings)
{
    struct wake_trial wakes;
    bool has_wakes = wake_trial_begin(&wakes) == 0, was_tried = false;

    if (dir_fd >= 0 && context->machine.has_folder)
        was_tried = look_at_disk(context, config, dir_fd, findings);
    if (!was_tried)
        nanosleep(&(struct timespec){.tv_nsec = WAKE_NS}, NULL);
    if (has_wakes) {
        wake_trial_end(&wakes);
        say_wakes(context, &wakes, findings);
    }
    try_encoding(context, findings);
}

enum fit doctor_run(const struct doctor_config *config, struct findings *findings)
{
    struct doctor_context context = {
        .root = "",
        .tries = &doctor_tries_system,
        .loads = config->loads,
        .load_count = config->load_count,
        .buffer_bytes = config->buffer_bytes,
        .machine = {.memory_total = system_memory_total(""), .file_bytes_max = UINT64_MAX},
    };
    int dir_fd = doctor_folder_look(&context, config->folder, &config->keep_free, findings);
    enum fit fit;

    context.machine.staging_bytes = fit_staging(&context);
    doctor_probes_run(doctor_probes_machine, &context, findings);
    doctor_probes_run(doctor_probes_limits, &context, findings);
    try_out(&context, config, dir_fd, findings);
    fit = fit_judge(&context, findings);
    if (dir_fd >= 0)
        close(dir_fd);
    return findings_worst(findings) == FINDING_PROBLEM ? FIT_NO : fit;
}
