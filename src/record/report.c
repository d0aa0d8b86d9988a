/* report.c - see report.h. */
#include "record/report.h"

#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"

#define AGAIN_NS 10000000000ll /* trouble that comes and goes is not said more often */

/* Was the folder removed that it is about? Then nothing else is worth a line: what happens there is
 * said once, for the session's by disk.c. */
static bool is_gone(const struct report *report, struct record_stream *s)
{
    if (tree_is_gone(report->dir_fd))
        return true;
    if (!tree_is_gone(s->dir_fd))
        return false;
    if (!atomic_exchange(&s->gone_said, true))
        log_error("%s/%s: the stream's folder was removed: what was not closed there is lost to "
                  "the disk, and so is what comes; record anew",
                  report->session, s->name);
    return true;
}

static void on_opened(void *ctx, struct record_file *f)
{
    struct report *report = ctx;

    books_file_opened(report->books, f);
    f->stream->trouble_said = false; /* that it is over is told by tell.c */
}

static void on_closed(void *ctx, struct record_file *f, int result, const char *text)
{
    struct report *report = ctx;
    struct record_stream *s = f->stream;
    char size[32];

    books_file_closed(report->books, f, result);
    if (!f->removed && result == 0) {
        atomic_fetch_add_explicit(&s->files_closed, 1, memory_order_release);
        hooks_post_file(report->hooks, f, fits_plan_closed_bytes(&f->file.plan, f->frames));
    }
    if (text[0] != '\0') {
        /* A disk that is broken for a night says so once. */
        if (!is_gone(report, s) && !(f->removed && s->removal_said))
            log_error("%s/%s: %s", report->session, s->name, text);
    } else if (!report->quiet) {
        log_info(
            "%s: %llu frame%s, %s%s, %s", f->file.name, (unsigned long long)f->frames,
            units_plural(f->frames),
            units_format_bytes(size, sizeof size, fits_plan_closed_bytes(&f->file.plan, f->frames)),
            f->lost ? ", frames lost before or in it" : "", f->end_cause);
    }
    s->removal_said = f->removed;
}

static unsigned on_marks(void *ctx, struct record_file *f, struct fits_mark ret[FITS_MARK_CARDS],
                         uint64_t *ret_more)
{
    struct report *report = ctx;

    return books_take_marks(report->books, f, ret, ret_more);
}

/* Called at each try. What it costs is counted as lost to the disk, and told when it is over. */
static void on_trouble(void *ctx, struct record_file *f, const char *text)
{
    struct report *report = ctx;
    struct record_stream *s = f->stream;
    int64_t now_ns = dao_clock_mono_ns();

    if (is_gone(report, s) || s->trouble_said ||
        (s->trouble_ns && now_ns - s->trouble_ns < AGAIN_NS))
        return;
    s->trouble_said = true;
    s->trouble_ns = now_ns;
    log_error("%s/%s: %s; make room or check the folder, recording goes on as soon as it can",
              report->session, s->name, text);
    atomic_fetch_add(&s->troubles, 1);
}

static void on_ledger(void *ctx)
{
    struct report *report = ctx;

    disk_write_ledger(report->disk);
}

static void on_retention(void *ctx)
{
    struct report *report = ctx;

    disk_look_at_retention(report->disk);
}

static void on_sweep(void *ctx)
{
    struct report *report = ctx;

    disk_sweep(report->disk);
}

struct keeper_events report_events(struct report *report)
{
    return (struct keeper_events){.opened = on_opened,
                                  .closed = on_closed,
                                  .marks = on_marks,
                                  .trouble = on_trouble,
                                  .ledger = on_ledger,
                                  .retention = on_retention,
                                  .sweep = on_sweep,
                                  .ctx = report};
}
