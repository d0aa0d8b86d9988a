/* tell.c - see tell.h. */
#include "record/tell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"

#define AGAIN_NS    10000000000ll /* the same is not said more often .. */
#define SHAPES_MAX  4u            /* .. but for shapes that follow each other */
#define PATIENCE_NS 5000000000ll

int teller_init(struct teller *teller, struct record_stream *const *streams, unsigned count,
                bool quiet)
{
    *teller = (struct teller){.streams = streams, .count = count, .quiet = quiet};
    teller->told = calloc(count, sizeof *teller->told);
    if (!teller->told)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        teller->told[i].patience_ns = PATIENCE_NS;
    return 0;
}

void teller_fini(struct teller *teller)
{
    free(teller->told);
    *teller = (struct teller){0};
}

static const char *format_shape(char *text, size_t bytes, const struct dao_geometry *geo)
{
    int at = snprintf(text, bytes, "%s ", geo->dtype->name);

    for (int i = 0; i < geo->naxis && at > 0 && (size_t)at < bytes; i++)
        at += snprintf(text + at, bytes - (size_t)at, i ? "x%u" : "%u", geo->size[i]);
    if (at > 0 && (size_t)at < bytes)
        snprintf(text + at, bytes - (size_t)at, ", depth %u", geo->depth);
    return text;
}

static void say_event(const struct record_stream *s, const struct account_view *view,
                      enum account_event event, uint64_t times)
{
    char shape[96], often[64] = "";

    if (times > 1)
        snprintf(often, sizeof often, " (%llu times since this was said last)",
                 (unsigned long long)times);
    switch (event) {
    case ACCOUNT_BACK:
        log_info("%s is back, recording goes on%s", s->path, often);
        break;
    case ACCOUNT_RESHAPED:
        log_warning("%s is back in another shape (%s): recording goes on in a new file%s", s->path,
                    format_shape(shape, sizeof shape, &view->counts.shape.geometry), often);
        break;
    case ACCOUNT_APPEARED:
        log_info("%s is there (%s): recording of it begins", s->path,
                 format_shape(shape, sizeof shape, &view->counts.shape.geometry));
        break;
    case ACCOUNT_RESTARTED:
        log_info("%s: its source began to count anew, recording goes on%s", s->path, often);
        break;
    }
}

static void look_at_events(struct record_stream *s, struct tell_stream *told, int64_t now_ns,
                           bool quiet, bool is_last)
{
    struct account_view view;

    account_read(&s->account, &view);
    for (int i = 0; i < ACCOUNT_EVENTS; i++) {
        uint64_t count = view.events[i];
        unsigned most = i == ACCOUNT_RESHAPED ? SHAPES_MAX : 1;

        while (told->lately[i] > 0 && now_ns - told->said_ns[i] >= AGAIN_NS) {
            told->lately[i]--;
            told->said_ns[i] += AGAIN_NS;
        }
        if (count == told->events[i] || (told->lately[i] >= most && !is_last))
            continue;
        if (!quiet || i == ACCOUNT_RESHAPED)
            say_event(s, &view, (enum account_event)i, count - told->events[i]);
        told->events[i] = count;
        if (told->lately[i]++ == 0)
            told->said_ns[i] = now_ns;
    }
}

static void say_disk(const struct record_stream *s, uint64_t lost, bool is_back, bool goes_on)
{
    char cost[64] = "nothing was lost";

    if (lost > 0)
        snprintf(cost, sizeof cost, "%llu frame%s lost to it", (unsigned long long)lost,
                 units_plural(lost));
    if (is_back)
        log_warning("stream %s: the disk is back%s; %s", s->name,
                    goes_on ? ", recording goes on" : "", cost);
    else
        log_error("stream %s: the recording has ended before the disk was back; %s", s->name, cost);
}

/* Of one stream that has ended for the disk's sake all end, at the next look at the disk. */
static bool is_end_near(const struct teller *teller)
{
    bool is_near = false;

    for (unsigned i = 0; i < teller->count; i++) {
        const struct record_stream *s = teller->streams[i];

        is_near = is_near || atomic_load(&s->overloaded) || atomic_load(&s->ran_out);
    }
    return is_near;
}

/* report.c says that no file can be made; once the frames behind that are being recorded, it is
 * known what it has cost. */
static void look_at_disk(const struct teller *teller, struct record_stream *s,
                         struct tell_stream *told, bool is_last)
{
    uint64_t troubles = atomic_load(&s->troubles), lost;
    bool is_waiting = atomic_load(&s->is_waiting);
    struct account_view view;

    account_read(&s->account, &view);
    lost = view.counts.lost_by[LEDGER_DISK];
    if (troubles != told->troubles)
        told->is_in_trouble = true;
    told->troubles = troubles;
    if (!told->is_in_trouble) {
        told->disk_lost = lost;
    } else if ((!is_waiting && !view.starved) || is_last) {
        say_disk(s, lost > told->disk_lost ? lost - told->disk_lost : 0, !is_waiting,
                 !is_last && !atomic_load(&s->is_stopping) && !is_end_near(teller));
        told->is_in_trouble = false;
        told->disk_lost = lost;
    }
}

/* Frames are left out on purpose: that it begins, and what it has cost. */
static void look_at_overload(struct record_stream *s, struct tell_stream *told, int64_t now_ns,
                             bool is_last)
{
    uint64_t left_out = atomic_load_explicit(&s->all_left_out, memory_order_relaxed);
    bool is_thinning = atomic_load_explicit(&s->is_thinning, memory_order_relaxed) && !is_last;

    if (!told->is_thinning && left_out != told->left_out &&
        (told->thinned_ns == 0 || now_ns - told->thinned_ns >= AGAIN_NS || is_last)) {
        log_warning("stream %s: the disk does not keep up: only one frame of %llu is recorded "
                    "until it does",
                    s->name, (unsigned long long)s->config.each);
        told->is_thinning = true;
        told->thinned_ns = now_ns;
    }
    if (told->is_thinning && !is_thinning) {
        log_warning("stream %s: %llu frame%s left out for that", s->name,
                    (unsigned long long)(left_out - told->left_out),
                    left_out - told->left_out == 1 ? " was" : "s were");
        told->is_thinning = false;
        told->left_out = left_out;
    }
}

static void look_at_condition(struct teller *teller, struct record_stream *s,
                              struct tell_stream *told, int64_t now_ns)
{
    int condition = atomic_load_explicit(&s->condition, memory_order_acquire);

    if (condition == told->condition)
        return;
    if (condition == STREAM_GONE) {
        if (told->gone_ns && now_ns - told->gone_ns < AGAIN_NS)
            return;
        told->gone_ns = now_ns;
        log_warning("%s was removed, replaced or truncated: waiting for it to come back", s->path);
    } else if (condition == STREAM_UNFIT) {
        teller->any_unfit = true;
        log_error("%s %s a shape that cannot be recorded: %s; its recording has ended", s->path,
                  s->is_expected ? "came back in" : "is there, in", s->unfit.s);
    } else if (told->condition == STREAM_AWAITED) {
        told->frame_ns = now_ns; /* it was not silent before */
    }
    told->condition = condition;
}

/* A source that pauses is no fault, but somebody may want to know. */
static void say_silence(const struct record_stream *s, struct tell_stream *told, int64_t silent_ns)
{
    char text[32];

    log_info("%s: no new frame for %s", s->path,
             units_format_duration(text, sizeof text, silent_ns));
    told->is_silent = true;
    told->patience_ns *= 2;
}

/* Its frames are there, and the disk takes none. What it has cost is said once it is back, as of
 * any trouble with it. */
static void say_stall(const struct record_stream *s, struct tell_stream *told, int64_t stalled_ns)
{
    char text[32];

    log_warning("stream %s: memory is full, and no frame could be taken for %s: it waits for the "
                "disk",
                s->name, units_format_duration(text, sizeof text, stalled_ns));
    told->is_in_trouble = true;
    told->disk_lost = told->frame_lost;
}

/* No frame is recorded: does the source publish none, or does the disk take none? */
static void look_at_silence(struct record_stream *s, struct tell_stream *told, int64_t now_ns,
                            bool quiet)
{
    bool is_running = atomic_load(&s->condition) == STREAM_RUNNING && !atomic_load(&s->is_stopping);
    struct account_view view;
    bool is_stalled;
    int64_t since_ns;
    char text[32];

    account_read(&s->account, &view);
    is_stalled = view.starved && view.backlog > 0;
    if (told->frame_ns == 0)
        told->frame_ns = now_ns;
    since_ns = now_ns - told->frame_ns;
    if (told->is_silent && (view.counts.recorded != told->recorded || is_stalled)) {
        log_info("%s: frames again after %s", s->path,
                 units_format_duration(text, sizeof text, since_ns));
        told->is_silent = false;
        told->frame_ns = now_ns;
    }
    if (view.counts.recorded != told->recorded || is_stalled != told->is_stalled) {
        told->recorded = view.counts.recorded;
        told->frame_ns = now_ns;
        told->frame_lost = is_stalled ? told->frame_lost : view.counts.lost_by[LEDGER_DISK];
    } else if (is_running && since_ns >= PATIENCE_NS && is_stalled && !told->is_in_trouble) {
        say_stall(s, told, since_ns);
    } else if (is_running && since_ns >= told->patience_ns && !is_stalled && !told->is_silent &&
               !quiet) {
        say_silence(s, told, since_ns);
    }
    told->is_stalled = is_stalled;
}

void teller_look(struct teller *teller, int64_t now_ns, bool is_last)
{
    for (unsigned i = 0; i < teller->count; i++) {
        struct record_stream *s = teller->streams[i];
        struct tell_stream *told = &teller->told[i];

        look_at_condition(teller, s, told, now_ns);
        look_at_events(s, told, now_ns, teller->quiet, is_last);
        look_at_disk(teller, s, told, is_last);
        look_at_overload(s, told, now_ns, is_last);
        look_at_silence(s, told, now_ns, teller->quiet);
    }
}
