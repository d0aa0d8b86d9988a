/*
 * doctor.c - the verb `doctor`: options, segments, one look at the machine in doctor/, and a line
 * for each thing that was found. A regular file among the arguments is a segment, a folder the one
 * that would be recorded into. A configuration has both, and what is set in it.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/options.h"
#include "base/place.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/record.h"
#include "config/config.h"
#include "doctor/doctor.h"
#include "measure/glance.h"

#define LOOK_NS   200000000ll
#define LOADS_MAX 1024u

struct doctor_options {
    struct option_list streams;
    struct option_amount keep_free;
    uint64_t buffer_bytes;
    int64_t disk_time_ns; /* 0: not given */
    bool no_disk, json;
    const char *file;
};

#define AT(member) offsetof(struct doctor_options, member)

static const struct option_spec specs[] = {
    {"config", 'c', OPTION_STRING, AT(file), "FILE",
     "folder, segments and settings of this file, as record -c would take them", 0, 0},
    {"stream", 's', OPTION_LIST, AT(streams), "[N*]SIZE:TYPE@RATE[:DEPTH]",
     "does this load fit? 800x800:uint16@1000, 32*97:float32@1000:64 (may be given again)", 0, 0},
    {"disk-time", 0, OPTION_DURATION, AT(disk_time_ns), "T",
     "try the disk for T (2s), also where a recording runs on it", 1e7, 6e11},
    {"no-disk", 0, OPTION_FLAG, AT(no_disk), NULL, "do not try how fast the disk is", 0, 0},
    {"keep-free", 0, OPTION_AMOUNT, AT(keep_free), "S|P%",
     "of the disk, this is not for recordings (2%)", 0, 0},
    {"buffer", 0, OPTION_BYTES, AT(buffer_bytes), "S",
     "staging memory that record would be given (what it chooses)", 1048576, 7e13},
    {"json", 0, OPTION_FLAG, AT(json), NULL, "the result as one line of JSON", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static uint64_t given; /* a bit an option */

static const struct verb_usage usage = {
    .given = &given,
    .verb = "doctor",
    .arguments = "[DIR] [SHM]...",
    .summary =
        "Can this machine record? File systems, limits, priorities, CPUs, memory, and how fast "
        "the\n"
        "disk of DIR (.) takes what a recorder writes: two seconds into a file without a name, in "
        "a\n"
        "quarter of the room at most, and not where a recording runs. With --stream, or segments:\n"
        "does that load fit? Exit status 1: something would lose frames, or DIR is of no use.",
    .specs = specs,
};

/* ---- the load ---- */

struct loads {
    struct doctor_load list[LOADS_MAX];
    size_t count;
};

static int take_streams(struct loads *loads, const struct option_list *streams)
{
    for (size_t i = 0; i < streams->count; i++) {
        struct dao_text why = {""};

        if (doctor_load_parse(&loads->list[loads->count], streams->values[i], &why) < 0) {
            log_error("doctor: --stream '%s': %s", streams->values[i], why.s);
            return -EINVAL;
        }
        loads->count++;
    }
    return 0;
}

/* A segment that cannot be opened is a finding, too: record could not, either. */
static void take_segment(struct loads *loads, const char *path, struct findings *findings)
{
    static struct dao_segment segment; /* the library may keep its address while it is open */
    struct doctor_load *load = &loads->list[loads->count];
    struct dao_text text = {""};
    char quoted[256];
    struct glance g;

    if (dao_segment_open(&segment, path, DAO_ACCESS_READ, &text) < 0) {
        struct finding *f = findings_add(findings, "segment", FINDING_PROBLEM, "%s", text.s);

        finding_remedy(f, "ls -l %s", finding_quote(quoted, sizeof quoted, path));
        return;
    }
    glance_take(&g, &segment, LOOK_NS);
    *load = (struct doctor_load){
        .count = 1,
        .geometry = segment.geo,
        .rate_hz = g.rate_hz,
        .depth = segment.geo.depth,
        .is_segment = true,
        .is_on_disk = dao_segment_is_on_disk(&segment),
        .is_gone = g.is_gone,
    };
    snprintf(load->name, sizeof load->name, "%s", path);
    dao_segment_close(&segment);
    loads->count++;
}

/* ---- a configuration ---- */

/* A segment that record would wait for is none that it lacks. */
static void take_source(struct loads *loads, const struct config *config,
                        const struct config_source *source, struct findings *findings)
{
    char quoted[256];
    struct stat st;

    if (!source->is_file && config->wait_ns > 0 && stat(source->path, &st) != 0 &&
        errno == ENOENT) {
        findings_add(findings, "segment", FINDING_NOTE,
                     "%s is not there yet: what it brings is not known", source->path);
    } else if (!source->is_file) {
        take_segment(loads, source->path, findings);
    } else if (access(source->path, R_OK) != 0) {
        finding_remedy(findings_add(findings, "file", FINDING_PROBLEM, "%s: %s", source->path,
                                    strerror(errno)),
                       "ls -l %s", finding_quote(quoted, sizeof quoted, source->path));
    }
}

static void look_at_cpus(const char *key, const cpu_set_t *cpus, struct findings *findings)
{
    char list[256];

    if (*place_missing_cpus(cpus, list, sizeof list))
        finding_remedy(findings_add(findings, "cpus", FINDING_PROBLEM,
                                    "%s: this machine does not have CPU %s for us", key, list),
                       "nproc");
}

/* Values that do not go together, for which record would not begin: its own line, with what it says
 * is to be done as the remedy. 0 or -ENOMEM. */
static int look_at_plan(struct config *config, struct findings *findings)
{
    static const char before_remedy[] = "; give ";
    struct record_plan plan;
    char why[RECORD_WHY_BYTES] = "", *remedy;
    int r = record_plan_make(&plan, config, why);

    record_plan_free(&plan);
    if (r != -EINVAL)
        return r;
    remedy = strstr(why, before_remedy);
    if (remedy)
        *remedy = '\0';
    finding_remedy(findings_add(findings, "config", FINDING_PROBLEM, "%s", why), "%s",
                   remedy ? remedy + 2 : "daorec check FILE");
    return 0;
}

static int check_count(size_t count)
{
    if (count <= LOADS_MAX)
        return 0;
    log_error("doctor: too many streams, the most are %u", LOADS_MAX);
    return -EINVAL;
}

/* What the file says, and no option; with these segments instead of its own, if there are any. 0;
 * -EINVAL after what is wrong with it; -ENOMEM. */
static int take_config(struct doctor_options *o, struct config *config, char **segments,
                       size_t count, struct loads *loads, struct findings *findings)
{
    struct config_mistakes mistakes = {0};
    int r = config_load(config, o->file, count == 0, &mistakes);

    if (r == 0 && count > 0)
        r = config_set_segments(config, "daorec doctor", segments, count, &mistakes);
    config_mistakes_print(&mistakes);
    config_mistakes_free(&mistakes);
    if (r == 0)
        r = check_count(loads->count + config->source_count);
    if (r < 0)
        return r;
    for (size_t i = 0; i < config->source_count; i++)
        take_source(loads, config, &config->sources[i], findings);
    r = look_at_plan(config, findings);
    look_at_cpus("daq_affinity", &config->daq_cpus, findings);
    look_at_cpus("sink_affinity", &config->sink_cpus, findings);
    if (!options_is_given(&usage, "keep-free"))
        o->keep_free = config->keep_free;
    if (!options_is_given(&usage, "buffer"))
        o->buffer_bytes = config->buffer_bytes;
    return r;
}

/* ---- arguments ---- */

/* Of a segment that is not there (yet). */
static bool is_segment_name(const char *path)
{
    size_t length = strlen(path);

    return length > 4 && strcmp(path + length - 4, ".shm") == 0;
}

/* Segments come to the front; what is neither that nor a folder is taken for a folder that is not
 * there. How many segments; -EINVAL after a line. No folder leaves the one there is. */
static int split_arguments(char **paths, int count, const char **ret_folder)
{
    const char *folder = NULL;
    int segments = 0;

    for (int i = 0; i < count; i++) {
        char *path = paths[i];
        struct stat st;

        if (stat(path, &st) == 0 ? !S_ISDIR(st.st_mode) : is_segment_name(path)) {
            paths[segments++] = path;
            continue;
        }
        if (folder) {
            log_error("doctor: %s and %s: give one folder", folder, path);
            return -EINVAL;
        }
        folder = path;
    }
    if (folder)
        *ret_folder = folder;
    return segments;
}

static int take_segments(struct loads *loads, char **paths, int count, struct findings *findings)
{
    int r = check_count(loads->count + (size_t)count);

    for (int i = 0; i < count && r == 0; i++)
        take_segment(loads, paths[i], findings);
    return r;
}

/* ---- output ---- */

static const char *verdict_of(enum fit fit)
{
    return fit == FIT_YES  ? "the load fits"
           : fit == FIT_NO ? "the load does not fit"
                           : "whether the load fits is not fully known";
}

static void print_text(const struct findings *findings, bool has_load, enum fit fit)
{
    size_t problems = findings_count(findings, FINDING_PROBLEM);
    size_t notes = findings_count(findings, FINDING_NOTE);

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *f = &findings->list[i];

        printf("%-8s %-12s %s%s%s\n", finding_state_name(f->state), f->check, f->found,
               *f->remedy ? "  ->  " : "", f->remedy);
    }
    printf("%zu problem%s, %zu note%s%s%s\n", problems, units_plural(problems), notes,
           units_plural(notes), has_load ? ": " : "", has_load ? verdict_of(fit) : "");
}

/* Whole numbers as such. */
static json_t *number(double value)
{
    if (value == floor(value) && fabs(value) < 9e15)
        return json_integer((json_int_t)value);
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *finding_as_json(const struct finding *f)
{
    json_t *object = json_object(), *values = json_object();

    json_object_set_new(object, "check", json_string(f->check));
    json_object_set_new(object, "state", json_string(finding_state_name(f->state)));
    json_object_set_new(object, "found", json_text_value(f->found));
    json_object_set_new(object, "remedy", *f->remedy ? json_text_value(f->remedy) : json_null());
    for (size_t i = 0; i < f->value_count; i++)
        json_object_set_new(values, f->values[i].name, number(f->values[i].value));
    json_object_set_new(object, "values", values);
    return object;
}

static void print_json(const struct findings *findings, const char *folder, bool has_load,
                       enum fit fit)
{
    json_t *object = json_object(), *list = json_array();

    for (size_t i = 0; i < findings->count; i++)
        json_array_append_new(list, finding_as_json(&findings->list[i]));
    json_object_set_new(object, "folder", json_text_value(folder));
    json_object_set_new(object, "state", json_string(finding_state_name(findings_worst(findings))));
    json_object_set_new(object, "problems",
                        json_integer((json_int_t)findings_count(findings, FINDING_PROBLEM)));
    json_object_set_new(object, "notes",
                        json_integer((json_int_t)findings_count(findings, FINDING_NOTE)));
    json_object_set_new(object, "fits",
                        !has_load || fit == FIT_UNKNOWN ? json_null()
                                                        : json_boolean(fit == FIT_YES));
    json_object_set_new(object, "findings", list);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    printf("\n");
    json_decref(object);
}

/* ---- the verb ---- */

static int examine(const struct doctor_options *o, const char *folder, const struct loads *loads,
                   struct findings *findings)
{
    struct doctor_config config = {
        .folder = folder,
        .keep_free = o->keep_free,
        .loads = loads->list,
        .load_count = loads->count,
        .buffer_bytes = o->buffer_bytes,
        .disk_time_ns = o->no_disk        ? 0
                        : o->disk_time_ns ? o->disk_time_ns
                                          : DOCTOR_DISK_TIME_NS,
        .disk_beside_recordings = o->disk_time_ns > 0,
    };
    bool has_load = loads->count > 0;
    enum fit fit;

    log_live("looking at this machine, and trying its disk ...");
    fit = doctor_run(&config, findings);
    log_live(NULL);
    if (o->json)
        print_json(findings, folder, has_load, fit);
    else
        print_text(findings, has_load, fit);
    return findings_worst(findings) == FINDING_PROBLEM ? EXIT_FAILED : EXIT_DONE;
}

int cli_doctor(int argc, char **argv)
{
    struct doctor_options options = {.keep_free = {.percent = 2.0}};
    int first = options_parse(&usage, argc, argv, &options), status = EXIT_WRONG_USAGE;
    struct loads *loads = NULL;
    struct findings findings = {0};
    const char *folder = NULL;
    struct config config = {.file = NULL};
    int count, r;

    if (first < 0)
        return cli_status_of_parse(first);
    if (options.no_disk && options.disk_time_ns) {
        log_error("doctor: --no-disk and --disk-time exclude each other");
        return EXIT_WRONG_USAGE;
    }
    loads = calloc(1, sizeof *loads);
    if (!loads) {
        log_error("doctor: %s", strerror(ENOMEM));
        return EXIT_FAILED;
    }
    count = split_arguments(argv + first, argc - first, &folder);
    r = count < 0 ? count : take_streams(loads, &options.streams);
    if (r == 0 && options.file)
        r = take_config(&options, &config, argv + first, (size_t)count, loads, &findings);
    else if (r == 0)
        r = take_segments(loads, argv + first, count, &findings);
    if (!folder)
        folder = options.file && r == 0 ? config.root_storage : ".";
    if (r == 0)
        status = examine(&options, folder, loads, &findings);
    findings_free(&findings);
    config_free(&config);
    free(loads);
    return r == -ENOMEM ? EXIT_FAILED : status;
}
