/*
 * fit.c - see fit.h.
 *
 * A stream loses frames when its drain comes later than the FIFO holds. A drain comes late because
 * it is woken late, or because all staging memory is full, which the disk's longest stall decides:
 *
 *     stall of the disk  =  what staging holds  +  what is left for the FIFO
 *     depth needed       =  that of a reader which is late by its own lateness and that rest
 */
#include "doctor/fit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/pace.h"
#include "base/shallow.h"
#include "base/units.h"
#include "fits/rows.h"

#define MIB            (1ull << 20)
#define BUFFER_DEFAULT (512 * MIB) /* as record chooses, see record/start.c */
#define SHARE_LEAST    (64 * MIB)
#define SHARE_FRAMES   512u
#define BLOCKS_LEAST   (6 * 64u * 1024u)
#define ROOM_SHORT_S   3600.0
#define STALL_FAILS_NS 9.2e18
#define MEMORY_SHARE   0.75 /* record takes no more of what is available */
/* A frame costs its drain and its row about this much beside its bytes, and a stream that it wakes
 * up a few hundred times a second. Estimates, from profiles on a machine of 2020. */
#define FRAME_NS     500.0
#define STREAM_CORES 0.003
#define SHAPE_BYTES  64

/* ---- staging ---- */

static uint64_t buffer_of(const struct doctor_context *context)
{
    uint64_t ram = context->machine.memory_total;

    if (context->buffer_bytes)
        return context->buffer_bytes;
    return ram && ram / 8 < BUFFER_DEFAULT ? ram / 8 : BUFFER_DEFAULT;
}

static double frame_sum(const struct doctor_context *context)
{
    double sum = 0.0;

    for (size_t i = 0; i < context->load_count; i++)
        sum += (double)context->loads[i].count * (double)context->loads[i].geometry.frame_bytes;
    return sum;
}

static uint64_t whole(double bytes)
{
    return bytes < 9e18 ? (uint64_t)bytes : (uint64_t)9e18;
}

uint64_t fit_staging_of(const struct doctor_context *context, size_t i)
{
    double total = (double)buffer_of(context), count = (double)doctor_stream_count(context);
    double frame = (double)context->loads[i].geometry.frame_bytes, share, most, least;

    share = total / 16.0 / count + frame / frame_sum(context) * total * 15.0 / 16.0;
    most = fmax(SHARE_FRAMES * frame, (double)SHARE_LEAST);
    if (context->buffer_bytes == 0)
        share = fmin(share, most);
    least = 2.0 * frame + (double)BLOCKS_LEAST;
    return whole(fmax(share, least));
}

uint64_t fit_staging(const struct doctor_context *context)
{
    double sum = 0.0;

    if (context->load_count == 0)
        return buffer_of(context) < SHARE_LEAST ? buffer_of(context) : SHARE_LEAST;
    for (size_t i = 0; i < context->load_count; i++)
        sum += (double)context->loads[i].count * (double)fit_staging_of(context, i);
    return whole(sum);
}

/* ---- one stream ---- */

/* What of the disk's longest stall its staging memory does not bridge, in ns. */
static double stall_left(const struct doctor_context *context, size_t i)
{
    const struct doctor_load *load = &context->loads[i];
    /* bytes a second, with the rows that are staged beside the pixels */
    double each = load->rate_hz * (double)(load->geometry.frame_bytes + FITS_ROW_BYTES);

    return fmax(0.0, (double)context->machine.stall_ns -
                         (double)fit_staging_of(context, i) / each * 1e9);
}

/* How late its drain may come, in ns. */
static double delay_of(const struct doctor_context *context, size_t i)
{
    return (double)context->machine.lateness_ns + stall_left(context, i);
}

static uint32_t depth_needed(const struct doctor_context *context, size_t i)
{
    double delay_ns = delay_of(context, i);

    return shallow_depth_needed(context->loads[i].rate_hz,
                                delay_ns < STALL_FAILS_NS ? (int64_t)delay_ns : INT64_MAX);
}

/* At depth 1 nothing can be proven, but a reader that comes before the next frame misses none. */
static bool depth_suffices(const struct doctor_load *load, uint32_t needed, double delay_ns)
{
    if (load->depth == 1)
        return delay_ns * 1e-9 * load->rate_hz < 1.0 - 1.0 / PACE_PARTS;
    return load->depth == 0 || load->depth >= needed;
}

static const char *shape_of(char buf[SHAPE_BYTES], const struct dao_geometry *geo)
{
    int n = 0;

    for (int axis = 0; axis < geo->naxis; axis++)
        n += snprintf(buf + n, SHAPE_BYTES - (size_t)n, "%s%u", axis ? "x" : "", geo->size[axis]);
    snprintf(buf + n, SHAPE_BYTES - (size_t)n, " %s", geo->dtype->name);
    return buf;
}

static const char *duration(char buf[32], double ns)
{
    return units_format_duration(buf, 32, ns < 9e18 ? (int64_t)ns : INT64_MAX);
}

static void say_disk_segment(const struct doctor_load *load, struct findings *findings)
{
    char quoted[300];
    struct finding *f;

    if (load->is_gone) {
        f = findings_add(findings, "segment", FINDING_NOTE,
                         "%s: was removed, replaced or truncated while it was looked at",
                         load->name);
        finding_remedy(f, "daorec doctor %s # again",
                       finding_quote(quoted, sizeof quoted, load->name));
    }
    if (!load->is_on_disk)
        return;
    f = findings_add(findings, "segment", FINDING_NOTE,
                     "%s: lies on a disk file system, whose write-back disturbs source and "
                     "recorder",
                     load->name);
    finding_remedy(f, "df -t tmpfs # have the source make it on one of those, such as /dev/shm");
}

/* The line of a stream whose rate is known. True where its FIFO suffices, or is to be chosen. */
static bool judge_depth(const struct doctor_context *context, size_t i, struct findings *findings)
{
    const struct doctor_load *load = &context->loads[i];
    double delay_ns = delay_of(context, i);
    uint32_t needed = depth_needed(context, i);
    bool suffices = depth_suffices(load, needed, delay_ns), is_single = load->depth == 1;
    double lap_ns = (load->depth > 1 ? load->depth - 1.0 : 1.0) / load->rate_hz * 1e9;
    char bytes[32], lap[32], late[32], shape[SHAPE_BYTES], fifo[96];
    struct finding *f;

    if (load->depth == 0)
        snprintf(fifo, sizeof fifo, "needs a FIFO of %" PRIu32 " or more", needed);
    else
        snprintf(fifo, sizeof fifo, "its FIFO of %" PRIu32 " is lapped in %s%s", load->depth,
                 duration(lap, lap_ns), suffices ? "" : ", too soon");
    f = findings_add(findings, "stream",
                     !suffices   ? FINDING_PROBLEM
                     : is_single ? FINDING_NOTE
                                 : FINDING_OK,
                     "%s: %s, %.6g Hz, %s/s; %s, a reader may be %s late%s%s", load->name,
                     shape_of(shape, &load->geometry), load->rate_hz,
                     units_format_bytes(bytes, sizeof bytes, whole(doctor_load_bytes_per_s(load))),
                     fifo, duration(late, delay_ns),
                     stall_left(context, i) > 0.0 ? ", as long as the disk stalls" : "",
                     is_single ? "; and at depth 1 no frame can be proven whole" : "");
    if (!suffices || is_single)
        finding_remedy(f,
                       "make the source's FIFO %" PRIu32 " deep (daorec sim --depth %" PRIu32 ")",
                       needed, needed);
    finding_value(f, "bytes_per_s", doctor_load_bytes_per_s(load));
    finding_value(f, "rate_hz", load->rate_hz);
    finding_value(f, "depth", load->depth);
    finding_value(f, "depth_needed", needed);
    finding_value(f, "delay_ns", delay_ns);
    return suffices;
}

static enum fit judge_streams(const struct doctor_context *context, struct findings *findings)
{
    enum fit fit = FIT_YES;

    for (size_t i = 0; i < context->load_count; i++) {
        const struct doctor_load *load = &context->loads[i];
        char shape[SHAPE_BYTES];

        say_disk_segment(load, findings);
        if (!(load->rate_hz > 0.0)) {
            findings_add(
                findings, "stream", FINDING_NOTE,
                "%s: %s, FIFO of %u; fewer than two frames came while it was looked at, so "
                "that its rate is not known",
                load->name, shape_of(shape, &load->geometry), load->depth);
            fit = fit == FIT_NO ? FIT_NO : FIT_UNKNOWN;
        } else if (!judge_depth(context, i, findings)) {
            fit = FIT_NO;
        }
    }
    return fit;
}

/* ---- all of them ---- */

static double total_rate(const struct doctor_context *context)
{
    double sum = 0.0;

    for (size_t i = 0; i < context->load_count; i++)
        sum += doctor_load_bytes_per_s(&context->loads[i]);
    return sum;
}

static enum finding_state state_of(double used, double have)
{
    return used > have                     ? FINDING_PROBLEM
           : used > FIT_COMFORTABLE * have ? FINDING_NOTE
                                           : FINDING_OK;
}

static enum fit fit_of(enum finding_state state)
{
    return state == FINDING_PROBLEM ? FIT_NO : FIT_YES;
}

static enum fit judge_disk(const struct doctor_context *context, struct findings *findings)
{
    double need = total_rate(context);
    double have = context->machine.disk_bytes_per_s * FIT_DISK_SHARE;
    char needed[32], had[32];
    struct finding *f;

    units_format_bytes(needed, sizeof needed, whole(need));
    units_format_bytes(had, sizeof had, whole(have));
    if (!(have > 0.0)) {
        f = findings_add(
            findings, "load: disk", FINDING_NOTE,
            "%s/s; the disk was not measured, so that it is not known whether it takes "
            "them",
            needed);
        finding_value(f, "needed_bytes_per_s", need);
        return FIT_UNKNOWN;
    }
    f = findings_add(
        findings, "load: disk", state_of(need, have),
        "%s/s of %s/s that a recorder gets out of this disk: %.3g times what is needed", needed,
        had, have / need);
    if (f->state != FINDING_OK)
        finding_remedy(f, "daorec doctor DIR # of a faster disk; or leave streams out");
    finding_value(f, "needed_bytes_per_s", need);
    finding_value(f, "had_bytes_per_s", have);
    finding_value(f, "margin", have / need);
    return fit_of(f->state);
}

static enum fit judge_cpu(const struct doctor_context *context, struct findings *findings)
{
    const struct doctor_machine *m = &context->machine;
    double writer = total_rate(context) * m->write_cpu_ns_per_byte * 1e-9, sum = writer;
    double busiest = writer, cores = m->cores;
    bool is_known = cores > 0.0 && m->write_cpu_ns_per_byte > 0.0;
    enum finding_state of_one, of_all;
    char of_them[32] = "";
    struct finding *f;

    for (size_t i = 0; i < context->load_count; i++) {
        const struct doctor_load *load = &context->loads[i];
        unsigned row = (unsigned)__builtin_ctz(load->geometry.dtype->word_bytes);
        double byte_ns = m->encode_ns_per_byte[row];
        double drain =
            load->rate_hz * ((double)load->geometry.frame_bytes * byte_ns + FRAME_NS) * 1e-9 +
            STREAM_CORES;

        is_known = is_known && byte_ns > 0.0;
        busiest = fmax(busiest, drain);
        sum += drain * (double)load->count;
    }
    if (cores > 0.0)
        snprintf(of_them, sizeof of_them, " of %.3g", cores);
    cores = cores > 0.0 ? cores : 1e9; /* not known: only a single core can be too little */
    of_one = state_of(busiest, fmin(1.0, cores));
    of_all = state_of(sum, cores);
    f = findings_add(findings, "load: cpu", of_one > of_all ? of_one : of_all,
                     "about %.2g cores%s, the busiest thread %.2g of one%s", sum, of_them, busiest,
                     is_known ? "" : "; without what was not measured");
    if (of_one == FINDING_PROBLEM)
        finding_remedy(f, "split the stream in two at its source, or record fewer frames of it");
    else if (f->state != FINDING_OK)
        finding_remedy(f, "nproc # use a machine with more cores, or leave streams out");
    finding_value(f, "cores_needed", sum);
    finding_value(f, "busiest_thread", busiest);
    finding_value(f, "cores", m->cores);
    return f->state == FINDING_PROBLEM ? FIT_NO : is_known ? FIT_YES : FIT_UNKNOWN;
}

/* FIFOs of streams that are still to come take memory, too. */
static double fifo_bytes(const struct doctor_context *context)
{
    double sum = 0.0;

    for (size_t i = 0; i < context->load_count; i++) {
        const struct doctor_load *load = &context->loads[i];
        double depth = load->depth ? load->depth : depth_needed(context, i);

        if (!load->is_segment)
            sum += (double)load->count * depth *
                   ((double)load->geometry.frame_bytes + load->geometry.layout->md_bytes);
    }
    return sum;
}

static enum fit judge_memory(const struct doctor_context *context, struct findings *findings)
{
    double staging = (double)fit_staging(context), fifos = fifo_bytes(context);
    double need = staging + fifos, have = (double)context->machine.memory_bytes * MEMORY_SHARE;
    char needed[32], had[32], of_fifos[32];
    struct finding *f;

    if (!(have > 0.0))
        return FIT_UNKNOWN;
    f = findings_add(findings, "load: memory", state_of(need, have),
                     "%s for staging and %s for FIFOs to come, of %s that may be taken",
                     units_format_bytes(needed, sizeof needed, whole(staging)),
                     units_format_bytes(of_fifos, sizeof of_fifos, whole(fifos)),
                     units_format_bytes(had, sizeof had, whole(have)));
    if (f->state != FINDING_OK)
        finding_remedy(
            f, "record --buffer 256MiB # two frames a stream are the least; or FIFOs less deep");
    finding_value(f, "needed_bytes", need);
    finding_value(f, "had_bytes", have);
    return fit_of(f->state);
}

/* How long until the disk is full. */
static void judge_room(const struct doctor_context *context, struct findings *findings)
{
    double seconds = (double)context->machine.left_bytes / total_rate(context);
    char text[32], left[32];
    struct finding *f;

    if (!context->machine.is_left_known || !isfinite(seconds))
        return;
    units_format_duration(text, sizeof text, seconds < 9e9 ? (int64_t)(seconds * 1e9) : INT64_MAX);
    f = findings_add(findings, "load: room", seconds < ROOM_SHORT_S ? FINDING_NOTE : FINDING_OK,
                     "the %s that may be used are full after %s",
                     units_format_bytes(left, sizeof left, context->machine.left_bytes), text);
    if (f->state != FINDING_OK)
        finding_remedy(f, "make room, or record -o FOLDER of a larger disk");
    finding_value(f, "seconds", seconds);
}

enum fit fit_judge(const struct doctor_context *context, struct findings *findings)
{
    enum fit (*const judges[])(const struct doctor_context *, struct findings *) = {
        judge_streams, judge_disk, judge_cpu, judge_memory};
    bool is_known = true, fits = true, has_rate = total_rate(context) > 0.0;

    if (context->load_count == 0)
        return FIT_UNKNOWN;
    for (size_t i = 0; i < sizeof judges / sizeof judges[0]; i++) {
        enum fit fit;

        if (!has_rate && judges[i] == judge_disk)
            continue;
        fit = judges[i](context, findings);
        fits = fits && fit != FIT_NO;
        is_known = is_known && fit == FIT_YES;
    }
    if (has_rate)
        judge_room(context, findings);
    return !fits ? FIT_NO : is_known ? FIT_YES : FIT_UNKNOWN;
}
