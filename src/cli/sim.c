/*
 * sim.c - daorec sim: a simulated source for trials. The work is done in source/.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "source/sim.h"

#define NO_CPU      UINT64_MAX
#define RATE_HZ_MAX 1e9

struct sim_options {
    const char *size, *type, *pattern;
    double rate_hz;
    uint64_t depth;
    uint64_t frames;
    int64_t duration_ns;
    uint64_t start_count, jump_at, jump_by;
    uint64_t cpu;
    bool remove, json, quiet;
};

static const struct sim_options defaults = {
    .size = "128x128",
    .type = "uint16",
    .pattern = "spots",
    .rate_hz = 100.0,
    .depth = 64,
    .frames = SIM_NO_LIMIT,
    .duration_ns = INT64_MAX,
    .start_count = 1,
    .cpu = NO_CPU,
};

#define AT(member) offsetof(struct sim_options, member)

static const struct option_spec specs[] = {
    {"size", 's', OPTION_STRING, AT(size), "ROWSxCOLUMNS",
     "1 to 3 axes, in the order of numpy's shape (128x128)", 0, 0},
    {"type", 't', OPTION_STRING, AT(type), "TYPE",
     "uint8 ... int64, float32, float64, complex64, complex128 (uint16)", 0, 0},
    {"rate", 'r', OPTION_NUMBER, AT(rate_hz), "HZ", "frames a second; 0: as fast as possible (100)",
     0, RATE_HZ_MAX},
    {"depth", 0, OPTION_COUNT, AT(depth), "N", "slots of the FIFO (64)", 1, UINT32_MAX},
    {"frames", 'n', OPTION_COUNT, AT(frames), "N",
     "stop after N frames; 0: only create the segment", 0, 0},
    {"duration", 'd', OPTION_DURATION, AT(duration_ns), "T", "stop after this time, such as 10s", 0,
     0},
    {"pattern", 'p', OPTION_STRING, AT(pattern), "spots|ramp|noise", "what is seen (spots)", 0, 0},
    {"start-count", 0, OPTION_COUNT, AT(start_count), "N", "count of the first frame (1)", 0, 0},
    {"jump-at", 0, OPTION_COUNT, AT(jump_at), "N", "let the count jump at the N-th frame ...", 0,
     0},
    {"jump-by", 0, OPTION_COUNT, AT(jump_by), "M", "... by M more than one", 0, 0},
    {"cpu", 0, OPTION_COUNT, AT(cpu), "N", "run on this processor", 0, CPU_SETSIZE - 1},
    {"remove", 0, OPTION_FLAG, AT(remove), NULL,
     "remove the segment and its semaphores at the end (else they stay)", 0, 0},
    {"json", 0, OPTION_FLAG, AT(json), NULL, "print the closing summary as JSON", 0, 0},
    {"quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "print errors and warnings only", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "sim",
    .arguments = "SHM",
    .summary = "Create the segment SHM and publish simulated frames until stopped. It stays in\n"
               "place at the end, since readers may be attached, unless --remove is given.",
    .specs = specs,
};

/* ---- signals ---- */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: sleeps end */

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* ---- from options to a set-up ---- */

/* "800x800" to axes. Returns how many, or -EINVAL. */
static int parse_size(const char *text, uint32_t size[3])
{
    char part[16];
    uint64_t value;

    for (int axes = 0; axes < 3; axes++) {
        size_t length = strcspn(text, "xX");

        if (length == 0 || length >= sizeof(part))
            return -EINVAL;
        memcpy(part, text, length);
        part[length] = '\0';
        if (units_parse_count(part, &value) < 0 || value < 1 || value > UINT32_MAX)
            return -EINVAL;
        size[axes] = (uint32_t)value;
        if (!text[length])
            return axes + 1;
        text += length + 1;
    }
    return -EINVAL;
}

static int report_unknown_name(const char *option, const char *value, const char *const *names,
                               const char *remedy)
{
    const char *nearest = options_nearest(value, names);

    if (nearest)
        log_error("sim: --%s '%s' is unknown; did you mean '%s'?", option, value, nearest);
    else
        log_error("sim: --%s '%s' is unknown; %s", option, value, remedy);
    return -EINVAL;
}

static int find_type(const struct dao_dtype **ret, const char *name)
{
    const char *names[DAO_DTYPE_COUNT + 1] = {NULL};

    *ret = dao_dtype_find(name);
    if (*ret)
        return 0;
    for (unsigned i = 0; i < DAO_DTYPE_COUNT; i++)
        names[i] = dao_dtype_get(i + 1)->name;
    return report_unknown_name("type", name, names, "see daorec sim --help");
}

static int check_pattern(const char *name)
{
    for (size_t i = 0; pattern_names[i]; i++) {
        if (strcmp(pattern_names[i], name) == 0)
            return 0;
    }
    return report_unknown_name("pattern", name, pattern_names, "there are spots, ramp and noise");
}

static int make_setup(struct sim_setup *setup, const struct sim_options *o, const char *path)
{
    uint32_t size[3] = {0, 0, 0};
    const struct dao_dtype *dtype;
    struct dao_text text = {""};
    int naxis = parse_size(o->size, size);

    if (naxis < 0) {
        log_error("sim: --size '%s': give 1 to 3 axes of at least 1, such as 97, 800x800 or 8x16x4",
                  o->size);
        return -EINVAL;
    }
    if (find_type(&dtype, o->type) < 0 || check_pattern(o->pattern) < 0)
        return -EINVAL;
    if ((o->jump_at == 0) != (o->jump_by == 0)) {
        log_error("sim: --jump-at and --jump-by belong together, each at least 1");
        return -EINVAL;
    }
    *setup = (struct sim_setup){.path = path,
                                .pattern = o->pattern,
                                .rate_hz = o->rate_hz,
                                .frames = o->frames,
                                .duration_ns = o->duration_ns,
                                .start_count = o->start_count,
                                .jump_at = o->jump_at,
                                .jump_by = o->jump_by};
    if (dao_geometry_make(&setup->geometry, naxis, size, dtype->atype, (uint32_t)o->depth, 0,
                          &text) < 0) {
        log_error("sim: %s", text.s);
        return -EINVAL;
    }
    return 0;
}

static int bind_to_cpu(uint64_t cpu)
{
    cpu_set_t set;

    if (cpu == NO_CPU)
        return 0;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) == 0)
        return 0;
    log_error("sim: --cpu %" PRIu64 ": %s; see /sys/devices/system/cpu/online", cpu,
              strerror(errno));
    return -EINVAL;
}

/* ---- what is told ---- */

static void warn_of_disk(const struct sim *sim)
{
    struct statfs fs;

    if (fstatfs(sim->segment.fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC)
        log_warning("%s is on a disk: its pages are written back while they change, which costs "
                    "time; /dev/shm is in memory",
                    sim->segment.path);
}

static const char *describe_shape(char *buf, size_t buf_bytes, const struct dao_geometry *g)
{
    int n = snprintf(buf, buf_bytes, "%" PRIu32, g->size[0]);

    for (int i = 1; i < g->naxis && n > 0 && (size_t)n < buf_bytes; i++)
        n += snprintf(buf + n, buf_bytes - (size_t)n, "x%" PRIu32, g->size[i]);
    return buf;
}

static void tell_start(const struct sim *sim)
{
    const struct dao_geometry *g = &sim->setup.geometry;
    char shape[48], bytes[32], rate[48];

    if (sim->setup.rate_hz > 0.0)
        snprintf(rate, sizeof(rate), "at %g Hz", sim->setup.rate_hz);
    else
        snprintf(rate, sizeof(rate), "as fast as possible");
    log_info("%s: %s %s %s, depth %" PRIu32 " (%s), %s", sim->segment.path, sim->setup.pattern,
             describe_shape(shape, sizeof(shape), g), g->dtype->name, g->depth,
             units_format_bytes(bytes, sizeof(bytes), g->file_bytes), rate);
}

static void print_summary(const struct sim *sim, const struct sim_report *report)
{
    char elapsed[32], worst[32];

    printf("%s: %" PRIu64 " frame%s in %s", sim->setup.path, report->frames,
           units_plural(report->frames),
           units_format_duration(elapsed, sizeof(elapsed), report->elapsed_ns));
    if (report->frames > 0)
        printf(", counts %" PRIu64 " to %" PRIu64, report->first_cnt0, report->last_cnt0);
    if (report->rate_hz > 0.0)
        printf(", %.6g Hz", report->rate_hz);
    if (sim->setup.rate_hz > 0.0)
        printf(", %" PRIu64 " late, worst %s", report->late,
               units_format_duration(worst, sizeof(worst), report->late_ns_max));
    printf("\n");
}

static void print_json(const struct sim *sim, const struct sim_report *report)
{
    const struct dao_geometry *g = &sim->setup.geometry;
    json_t *shape = json_array(), *summary;

    for (int i = 0; i < g->naxis; i++)
        json_array_append_new(shape, json_integer(g->size[i]));
    summary = json_pack("{s:s, s:s, s:o, s:I, s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:f}", "path",
                        sim->setup.path, "type", g->dtype->name, "shape", shape, "depth",
                        (json_int_t)g->depth, "pattern", sim->setup.pattern, "frames",
                        (json_int_t)report->frames, "cnt0_first", (json_int_t)report->first_cnt0,
                        "cnt0_last", (json_int_t)report->last_cnt0, "elapsed_s",
                        (double)report->elapsed_ns * 1e-9, "rate_hz", report->rate_hz, "late",
                        (json_int_t)report->late, "late_s_max", (double)report->late_ns_max * 1e-9);
    if (!summary || json_dumpf(summary, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12)) < 0)
        log_error("sim: the summary cannot be written as JSON: is the path UTF-8?");
    printf("\n");
    json_decref(summary);
}

/* ---- the verb ---- */

static int run(const struct sim_setup *setup, const struct sim_options *o)
{
    static struct sim sim; /* large, and the library may keep its address */
    struct sim_report report;
    struct dao_text text = {""};
    int r;

    catch_signals();
    r = sim_open(&sim, setup, &stop, &text);
    if (r == -ECANCELED)
        return EXIT_DONE;
    if (r < 0) {
        log_error("sim: %s", text.s);
        return EXIT_FAILED;
    }
    warn_of_disk(&sim);
    tell_start(&sim);
    r = sim_run(&sim, &stop, &report, &text);
    if (r < 0)
        log_error("sim: %s", text.s);
    if (o->json)
        print_json(&sim, &report);
    else if (!o->quiet)
        print_summary(&sim, &report);
    sim_close(&sim, o->remove);
    return r < 0 ? EXIT_FAILED : EXIT_DONE;
}

int cli_sim(int argc, char **argv)
{
    struct sim_options o = defaults;
    struct sim_setup setup;
    int first = options_parse(&usage, argc, argv, &o);

    if (first < 0)
        return cli_status_of_parse(first);
    if (argc - first != 1) {
        log_error("sim: give one segment, such as /dev/shm/camera.im.shm (%d given)", argc - first);
        return EXIT_WRONG_USAGE;
    }
    if (o.quiet)
        log_set_level(LOG_WARNING);
    if (make_setup(&setup, &o, argv[first]) < 0 || bind_to_cpu(o.cpu) < 0)
        return EXIT_WRONG_USAGE;
    return run(&setup, &o);
}
