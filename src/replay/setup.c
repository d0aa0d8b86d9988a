/* setup.c - see setup.h. */
#include "replay/setup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/claim.h"
#include "base/log.h"
#include "base/units.h"

#define AHEAD_BYTES    (64ull << 20)  /* that the kernel is asked to read ahead, all streams */
#define BUFFER_DEFAULT (256ull << 20) /* ... and that are kept ready for the player */
#define ITEMS_MAX      16384u
#define ITEMS_MIN      64u

/* ---- streams ---- */

static int open_set(struct replay_parts *parts, const struct replay_config *config)
{
    const struct series_options options = {.frame_axis = config->frame_axis,
                                           .streams = config->streams};
    struct dao_text text = {""};
    int r = series_set_open(&parts->set, config->paths, config->path_count, &options, &text);

    if (r < 0) {
        log_error("replay: %s", text.s);
        return r;
    }
    if (parts->set.count == 0) {
        log_error("replay: there is no stream to play");
        return -ENODATA;
    }
    return 0;
}

static int allocate_streams(struct replay_parts *parts)
{
    size_t count = parts->set.count;

    parts->streams = calloc(count, sizeof *parts->streams);
    parts->targets = calloc(count, sizeof *parts->targets);
    parts->players = calloc(count, sizeof *parts->players);
    if (parts->streams && parts->targets && parts->players)
        return 0;
    log_error("replay: no memory for %zu streams", count);
    return -ENOMEM;
}

static int open_readers(struct replay_parts *parts)
{
    struct dao_text text = {""};

    for (size_t i = 0; i < parts->set.count; i++) {
        int r = feed_stream_open(&parts->streams[i], &parts->set.series[i],
                                 AHEAD_BYTES / parts->set.count, &text);

        parts->count++;
        if (r < 0) {
            log_error("replay: %s", text.s);
            return r;
        }
    }
    return 0;
}

/* ---- what is wanted of them ---- */

/* Streams without a frame in the range are left out. */
static void drop_stream(struct replay_parts *parts, unsigned index)
{
    log_info("stream %s has no frame in the range", parts->streams[index].series->stream);
    feed_stream_close(&parts->streams[index]);
    parts->count--;
    memmove(&parts->streams[index], &parts->streams[index + 1],
            (parts->count - index) * sizeof *parts->streams);
}

static void say_none_in_range(int64_t begin_ns, int64_t end_ns)
{
    char begin[40], end[40];

    if (begin_ns > 0)
        log_error("replay: no frame is in the range from --from to --until; the recording is from "
                  "%s to %s",
                  units_format_utc(begin, sizeof begin, begin_ns, 3),
                  units_format_utc(end, sizeof end, end_ns, 3));
    else
        log_error("replay: no frame is in the range from --from to --until");
}

static int limit_streams(struct replay_parts *parts, const struct replay_config *config)
{
    bool needs_times = config->pace == PLAYER_TIMED && config->rate_hz <= 0.0;
    struct dao_text text = {""};
    struct range range = {0};
    int64_t begin_ns, end_ns;

    series_set_span(&parts->set, &begin_ns, &end_ns);
    if (range_resolve(&range, config->from, config->until, begin_ns, end_ns, &text) < 0) {
        log_error("replay: %s", text.s);
        return -EINVAL;
    }
    for (unsigned i = 0; i < parts->count;) {
        struct feed_stream *s = &parts->streams[i];
        int r;

        if (needs_times && !s->series->has_times) {
            log_error("replay: stream %s has no times; give a rate (--rate HZ), or --asap",
                      s->series->stream);
            return -EINVAL;
        }
        r = feed_stream_limit(s, &range, begin_ns, &text);
        if (r < 0) {
            log_error("replay: %s", text.s);
            return r == -ENODATA ? -EINVAL : r;
        }
        if (s->begin == s->end)
            drop_stream(parts, i);
        else
            i++;
    }
    if (parts->count > 0)
        return 0;
    say_none_in_range(begin_ns, end_ns);
    return -ENODATA;
}

/* ---- segments ---- */

static int check_paths(const struct replay_parts *parts)
{
    for (unsigned i = 0; i < parts->count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(parts->targets[i].path, parts->targets[k].path) != 0)
                continue;
            log_error("replay: streams %s and %s would both go to %s; play one of them "
                      "(--stream), or one session at a time",
                      parts->streams[k].series->stream, parts->streams[i].series->stream,
                      parts->targets[i].path);
            return -EINVAL;
        }
    }
    return 0;
}

static int choose_paths(struct replay_parts *parts, const struct replay_config *config)
{
    const struct target_naming naming = {config->to, config->prefix};

    if (config->to && parts->count > 1) {
        log_error("replay: --to names one segment, but there are %u streams; give one session "
                  "and one --stream of it, or name them with --prefix",
                  parts->count);
        return -EINVAL;
    }
    for (unsigned i = 0; i < parts->count; i++) {
        struct dao_text text = {""};
        int r;

        target_init(&parts->targets[i], config->depth);
        r = target_choose_path(parts->targets[i].path, parts->streams[i].series, &naming, &text);
        if (r < 0) {
            log_error("replay: %s", text.s);
            return r;
        }
        parts->players[i].target = &parts->targets[i];
    }
    return check_paths(parts);
}

/* Of every shape that a stream has: may such a segment be? */
static int check_shapes(struct replay_parts *parts, const struct replay_config *config)
{
    for (unsigned i = 0; i < parts->count; i++) {
        const struct series *series = parts->streams[i].series;
        uint64_t frames = parts->streams[i].end - parts->streams[i].begin, most = 0;

        for (unsigned k = 0; k < series->part_count; k++) {
            struct dao_geometry geometry;
            struct dao_text text = {""};

            if (target_geometry(&geometry, &series->parts[k], config->depth, &text) < 0) {
                log_error("replay: stream %s: %s", series->stream, text.s);
                return -EINVAL;
            }
            most = geometry.frame_bytes > most ? geometry.frame_bytes : most;
        }
        parts->frames += frames;
        if (__builtin_mul_overflow(frames, most, &frames) ||
            __builtin_add_overflow(parts->bytes, frames, &parts->bytes))
            parts->bytes = UINT64_MAX;
        parts->frame_bytes_max = most > parts->frame_bytes_max ? most : parts->frame_bytes_max;
    }
    return 0;
}

int setup_open(struct replay_parts *parts, const struct replay_config *config)
{
    int r = open_set(parts, config);

    if (r == 0)
        r = allocate_streams(parts);
    if (r == 0)
        r = open_readers(parts);
    if (r == 0)
        r = limit_streams(parts, config);
    if (r == 0)
        r = choose_paths(parts, config);
    return r == 0 ? check_shapes(parts, config) : r;
}

static void say_target(const struct replay_parts *parts, unsigned index)
{
    const struct target *target = &parts->targets[index];
    const struct dao_geometry *geo = &target->segment.geo;
    char shape[48], bytes[32];
    int n = snprintf(shape, sizeof shape, "%" PRIu32, geo->size[0]);
    uint64_t frames = parts->streams[index].end - parts->streams[index].begin;

    for (int i = 1; i < geo->naxis && n > 0 && (size_t)n < sizeof shape; i++)
        n += snprintf(shape + n, sizeof shape - (size_t)n, "x%" PRIu32, geo->size[i]);
    log_info("%s -> %s: %s %s, depth %" PRIu32 " (%s), %" PRIu64 " frame%s",
             parts->streams[index].series->stream, target->path, geo->dtype->name, shape,
             geo->depth, units_format_bytes(bytes, sizeof bytes, geo->file_bytes), frames,
             frames == 1 ? "" : "s");
    if (dao_segment_is_on_disk(&target->segment))
        log_warning("%s is on a disk: its pages are written back while they change, which costs "
                    "time; /dev/shm is in memory",
                    target->path);
}

/* Create them one by one. *ret_made: so many were begun with. */
static int create_all(struct replay_parts *parts, struct claim *claims, unsigned *ret_made,
                      struct dao_text *text)
{
    for (unsigned i = 0; i < parts->count; i++) {
        const struct feed_stream *s = &parts->streams[i];
        int r;

        *ret_made = i + 1;
        dao_segment_close(&claims[i].old); /* the lock belongs to the file: let it go */
        r = target_create(&parts->targets[i], s->part, s->first_cnt0 - 1, text);
        if (r < 0)
            return r;
        say_target(parts, i);
    }
    return 0;
}

int setup_create_segments(struct replay_parts *parts, const volatile sig_atomic_t *stop)
{
    struct claim *claims = calloc(parts->count, sizeof *claims);
    bool *was_there = calloc(parts->count, sizeof *was_there);
    struct dao_text text = {"no memory"};
    unsigned claimed = 0, made = 0;
    int r = claims && was_there ? 0 : -ENOMEM;

    while (r == 0 && claimed < parts->count) {
        r = claim_take(&claims[claimed], parts->targets[claimed].path, &text);
        was_there[claimed] = claims[claimed].old.map != NULL;
        claimed++;
    }
    if (r == 0)
        r = claim_watch(claims, claimed, stop, &text);
    if (r == 0)
        r = create_all(parts, claims, &made, &text);
    if (r < 0 && r != -ECANCELED)
        log_error("replay: %s", text.s);
    for (unsigned i = 0; r < 0 && i < made; i++)
        target_close(&parts->targets[i], !was_there[i]);
    for (unsigned i = 0; i < claimed; i++)
        claim_release(&claims[i]);
    free(claims);
    free(was_there);
    return r;
}

/* ---- memory ---- */

static uint64_t default_buffer(const struct replay_parts *parts)
{
    uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);
    uint64_t most = ram / 8 < BUFFER_DEFAULT ? ram / 8 : BUFFER_DEFAULT;

    return parts->bytes < most ? parts->bytes : most;
}

int setup_allocate(struct replay_parts *parts, const struct replay_config *config)
{
    uint64_t bytes = config->buffer_bytes ? config->buffer_bytes : default_buffer(parts);
    uint32_t items = parts->frames < ITEMS_MAX ? (uint32_t)parts->frames + ITEMS_MIN : ITEMS_MAX;
    int r = ring_init(&parts->ring, bytes, parts->frame_bytes_max, items);

    if (r < 0)
        log_error("replay: no memory for frames read ahead; give less with --buffer, at least two "
                  "frames are needed");
    return r;
}

void setup_close(struct replay_parts *parts, bool remove_segments)
{
    for (unsigned i = 0; i < parts->count; i++) {
        feed_stream_close(&parts->streams[i]);
        if (parts->targets && parts->targets[i].path[0])
            target_close(&parts->targets[i], remove_segments);
    }
    ring_fini(&parts->ring);
    free(parts->streams);
    free(parts->targets);
    free(parts->players);
    series_set_close(&parts->set);
    *parts = (struct replay_parts){0};
}
