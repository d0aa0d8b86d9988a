/*
 * verify_say.c - daorec verify: looking at a file, and what is printed of files, ledgers, progress.
 */
#include "cli/verify_say.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"

#define SHOWN_MAX 20u /* doubts printed of one file; all are counted */
#define TICK_NS   500000000ll

/* ---- what is printed ---- */

static void print_json(json_t *object, const struct verify_doubts *doubts)
{
    json_t *list = json_array();

    for (size_t i = 0; i < doubts->kept_count; i++) {
        const struct verify_doubt *kept = &doubts->kept[i];
        json_t *doubt = json_object();

        json_object_set_new(doubt, "frame",
                            kept->frame < 0 ? json_null() : json_integer(kept->frame));
        if (kept->frames > 1) {
            json_object_set_new(doubt, "last_frame", json_integer((json_int_t)kept->last.index));
            json_object_set_new(doubt, "frames", json_integer((json_int_t)kept->frames));
        }
        json_object_set_new(doubt, "text", json_text_value(kept->text));
        json_array_append_new(list, doubt);
    }
    json_object_set_new(object, "doubt_count", json_integer((json_int_t)doubts->count));
    json_object_set_new(object, "doubts", list);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("\n");
    json_decref(object);
}

static void print_doubts(const char *path, const struct verify_doubts *doubts)
{
    size_t shown = doubts->kept_count < SHOWN_MAX ? doubts->kept_count : SHOWN_MAX;

    for (size_t i = 0; i < shown; i++)
        printf("%s: %s\n", path, doubts->kept[i].text);
    if (doubts->count > shown)
        printf("%s: ... and %" PRIu64 " more doubt%s\n", path, doubts->count - shown,
               units_plural(doubts->count - shown));
}

static const char *const state_names[] = {
    [VERIFY_UNREADABLE] = "unreadable", [VERIFY_LINK] = "link",
    [VERIFY_FOREIGN] = "foreign",       [VERIFY_FINISHED] = "finished",
    [VERIFY_UNFINISHED] = "unfinished", [VERIFY_BEING_WRITTEN] = "being written",
};

static void print_file(const struct verify_run *run, const char *path,
                       const struct verify_file *file)
{
    if (run->options->json) {
        print_json(json_pack("{s:o, s:s, s:I, s:I, s:I}", "path", json_text_value(path), "state",
                             state_names[file->state], "frames", (json_int_t)file->frames, "lost",
                             (json_int_t)file->totals.lost, "torn", (json_int_t)file->totals.torn),
                   &file->doubts);
        return;
    }
    print_doubts(path, &file->doubts);
    if (run->options->quiet || file->doubts.count > 0)
        return;
    if (file->state == VERIFY_FOREIGN)
        printf("%s: no recording of daorec; its checksums hold\n", path);
    else
        printf("%s: %s%s, %" PRIu64 " frame%s\n", path,
               file->state == VERIFY_BEING_WRITTEN ? "being written, good so far" : "good",
               file->is_recovered ? ", recovered" : "", file->frames, units_plural(file->frames));
}

void verify_print_whole(struct verify_run *run, const char *path, const char *kind,
                        struct verify_doubts *doubts)
{
    run->doubts += doubts->count;
    if (run->options->json)
        print_json(json_pack("{s:o, s:s}", "path", json_text_value(path), "kind", kind), doubts);
    else
        print_doubts(path, doubts);
    if (!run->options->json && !run->options->quiet && doubts->count == 0 &&
        (strcmp(kind, "ledger") == 0 || strcmp(kind, "copy") == 0))
        printf("%s: good\n", path);
    verify_doubts_free(doubts);
}

/* ---- while it runs ---- */

static void show_progress(void *ctx, uint64_t bytes)
{
    struct verify_run *run = ctx;
    int64_t now_ns = dao_clock_mono_ns();
    double span_s = (double)(now_ns - run->begin_ns) / 1e9;
    char line[160], size[32];

    if (!run->on_terminal || now_ns - run->last_tick_ns < TICK_NS)
        return;
    run->last_tick_ns = now_ns;
    snprintf(line, sizeof line, "verify: %" PRIu64 " file%s, %s, %.0f MB/s", run->files,
             units_plural(run->files), units_format_bytes(size, sizeof size, run->bytes + bytes),
             (double)(run->bytes + bytes) / 1e6 / span_s);
    log_live(line);
}

bool verify_check_file(struct verify_run *run, const char *path, const char *shown, bool was_listed,
                       struct verify_file *ret)
{
    struct verify_progress progress = {show_progress, run};

    verify_file(ret, path, &progress);
    if (was_listed && ret->is_gone) {
        verify_file_free(ret);
        return false;
    }
    run->files++;
    run->frames += ret->frames;
    run->bytes += ret->bytes_read;
    run->doubts += ret->doubts.count;
    run->recordings += ret->state != VERIFY_FOREIGN;
    run->foreign += ret->state == VERIFY_FOREIGN;
    if (run->on_terminal)
        log_live(NULL);
    print_file(run, shown, ret);
    return true;
}
