/* record_plan.c - from a configuration to a session. See record.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/place.h"
#include "base/units.h"
#include "cli/record.h"

#define NAME_BYTES 600 /* of what a message begins with */

static void make_stream(struct stream_config *ret, const struct config *config,
                        const struct config_source *source, const struct stream_keywords *keywords)
{
    static const enum overload_policy policies[] = {
        [CONFIG_DROP_NEWEST] = OVERLOAD_DROP_NEWEST,
        [CONFIG_DECIMATE] = OVERLOAD_DECIMATE,
        [CONFIG_STOP] = OVERLOAD_STOP,
    };

    *ret = (struct stream_config){
        .overload = policies[source->overload.policy],
        .each = source->overload.each,
        .name = source->name,
        .unit = source->unit,
        .keywords = keywords,
        .rolling = {source->rollover.frames, source->rollover.bytes, source->rollover.time_ns,
                    config->roll_together},
        .frames_wanted = source->samples,
        .duration_ns = config->duration_ns,
        .backlog = config->backlog,
        .latency_ns = source->latency_ns,
        .cpus = config->daq_cpus,
        .priority = (int)source->priority,
        .want_direct = config->direct,
    };
}

/* CPUs that are not there would be gone without, after one warning: less than was asked for. */
static int check_cpus(const struct config *config, const char *option, const cpu_set_t *cpus,
                      char *why)
{
    char list[256], name[NAME_BYTES];

    if (!*place_missing_cpus(cpus, list, sizeof list))
        return 0;
    snprintf(why, RECORD_WHY_BYTES, "%s %s: not of this machine's CPUs; see `nproc`",
             config_name_of(config, option, name, sizeof name), list);
    return -EINVAL;
}

int record_plan_check_cpus(const struct config *config, char *why)
{
    int r = check_cpus(config, "cpu", &config->daq_cpus, why);

    return r == 0 ? check_cpus(config, "cpu-writer", &config->sink_cpus, why) : r;
}

/* A limit in bytes wants files that are small against it; those of no size asked for are made so by
 * a session that has the limit. */
static int check_files(const struct config *config, const struct session_config *session,
                       const struct stream_config *stream, char *why)
{
    uint64_t fair = retention_file_bytes(&session->retention, session->path_count);
    uint64_t bytes = stream->rolling.bytes;
    char limit[32], size[32], least[32], name[NAME_BYTES];

    if (bytes / 4 * 3 <= fair) /* three files: see retention_file_bytes() */
        return 0;
    snprintf(why, RECORD_WHY_BYTES,
             "%s: %s is too little: of files of %s each stream needs three; give %s or more, or "
             "smaller files "
             "(file_rollover.size, --roll-size)",
             config_name_of(config, "keep-size", name, sizeof name),
             units_exact_bytes(limit, sizeof limit, session->retention.bytes),
             units_exact_bytes(size, sizeof size, bytes),
             units_exact_bytes(least, sizeof least, 3 * bytes * session->path_count));
    return -EINVAL;
}

/* Each stream has its own limit in time, or none. */
static int check_boundary(const struct config *config, const struct config_source *source,
                          char *why)
{
    char name[NAME_BYTES];

    if (!config->roll_together || source->is_file || source->rollover.time_ns > 0)
        return 0;
    snprintf(why, RECORD_WHY_BYTES,
             "%s: files of %.300s would never end together with others, since no time ends them; "
             "give file_rollover.time or --roll-time",
             config_name_of(config, "roll-together", name, sizeof name), source->path);
    return -EINVAL;
}

static void make_session(struct record_plan *plan, const struct config *config)
{
    static const enum io_engine_kind engines[] = {
        [CONFIG_IO_AUTO] = IO_ENGINE_AUTO,
        [CONFIG_IO_URING] = IO_ENGINE_URING,
        [CONFIG_IO_PWRITE] = IO_ENGINE_PWRITE,
    };

    plan->keywords = (struct stream_keywords){config->origin, config->telescope, config->instrument,
                                              config->observer, config->object};
    plan->session = (struct session_config){
        .paths = plan->paths,
        .files = plan->files,
        .root = config->root_storage,
        .each = plan->each,
        .sink_cpus = config->sink_cpus,
        .room = {.keep_bytes = config->keep_free.bytes, .keep_percent = config->keep_free.percent},
        .retention = {config->keep_files, config->keep_bytes, config->keep_time_ns},
        .wait_ns = config->wait_ns,
        .buffer_bytes = config->buffer_bytes,
        .lock_memory = config->lock_memory,
        .all = config->all,
        .engine = engines[config->io],
    };
    for (size_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        unsigned at = plan->session.path_count;

        if (source->is_file) {
            plan->files[plan->session.file_count++] = (char *)(uintptr_t)source->path;
            continue;
        }
        plan->paths[at] = (char *)(uintptr_t)source->path;
        make_stream(&plan->each[at], config, source, &plan->keywords);
        plan->session.path_count++;
    }
}

int record_plan_make(struct record_plan *ret, struct config *config, char *why)
{
    int r = 0;

    *ret = (struct record_plan){0};
    ret->paths = calloc(config->source_count + 1, sizeof *ret->paths);
    ret->each = calloc(config->source_count + 1, sizeof *ret->each);
    ret->files = calloc(config->source_count + 1, sizeof *ret->files);
    if (!ret->paths || !ret->each || !ret->files)
        return -ENOMEM;
    make_session(ret, config);
    r = config_list(config, &ret->session.settings);
    for (size_t i = 0; i < config->source_count && r == 0; i++)
        r = check_boundary(config, &config->sources[i], why);
    for (unsigned i = 0; i < ret->session.path_count && r == 0; i++)
        r = check_files(config, &ret->session, &ret->each[i], why);
    return r;
}

void record_plan_free(struct record_plan *plan)
{
    free(plan->paths);
    free(plan->files);
    free(plan->each);
}
