/* repair_say.c - see repair_say.h. */
#include "cli/repair_say.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/units.h"

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static void print_line(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("\n");
    json_decref(object);
}

/* ---- a file ---- */

static const char *const actions[] = {
    [REPAIR_CLOSE] = "close", [REPAIR_RENAME] = "name",     [REPAIR_UNNAME] = "drop second name",
    [REPAIR_OWNED] = "none",  [REPAIR_REFUSED] = "refused",
};

static void file_as_json(const struct repair_options *options, const char *path,
                         const struct repair_file *file, const struct verify_doubts *doubts)
{
    json_t *object = json_object(), *list = json_array();
    bool applied = options->apply && file->verdict < REPAIR_OWNED;

    json_object_set_new(object, "path", json_text_value(path));
    json_object_set_new(object, "action", json_string(actions[file->verdict]));
    json_object_set_new(object, "owned", json_boolean(file->verdict == REPAIR_OWNED));
    json_object_set_new(object, "applied", json_boolean(applied));
    json_object_set_new(object, "final", json_text_value(file->final_name));
    json_object_set_new(object, "frames", integer(file->frames));
    json_object_set_new(object, "flagged", integer(file->flagged));
    json_object_set_new(object, "dropped", integer(file->dropped));
    json_object_set_new(object, "restored", integer(file->restored));
    json_object_set_new(object, "cards", json_text_value(file->cards));
    json_object_set_new(object, "text", json_text_value(file->text.s));
    for (size_t i = 0; i < doubts->kept_count; i++)
        json_array_append_new(list, json_text_value(doubts->kept[i].text));
    json_object_set_new(object, "doubts", list);
    print_line(object);
}

static void print_frames(const struct repair_file *file)
{
    printf("%" PRIu64 " frame%s", file->frames, units_plural(file->frames));
    if (file->no_rows)
        printf(" (no row reached the disk: the first frame, flagged)");
    else if (file->flagged)
        printf(" (%" PRIu64 " of them incomplete: flagged TORN and RECOVERED)", file->flagged);
    if (file->dropped)
        printf(", %" PRIu64 " behind them incomplete and left out", file->dropped);
}

static void print_verdict(const struct repair_file *file, bool done)
{
    switch (file->verdict) {
    case REPAIR_CLOSE:
        printf("unfinished; %s as %s with ", done ? "closed" : "would be closed", file->final_name);
        print_frames(file);
        break;
    case REPAIR_RENAME:
        printf("complete; %s its name %s", done ? "got" : "would get", file->final_name);
        break;
    case REPAIR_UNNAME:
        printf("complete and named %s; its second name %s", file->final_name,
               done ? "was dropped" : "would be dropped");
        break;
    default:
        printf("%s; left alone", file->text.s);
        break;
    }
}

void repair_say_file(const struct repair_options *options, const char *path,
                     const struct repair_file *file, const struct verify_doubts *doubts)
{
    bool done = options->apply;

    if (options->json) {
        file_as_json(options, path, file, doubts);
        return;
    }
    if (file->verdict == REPAIR_REFUSED) {
        log_error("repair: %s: %s", path, file->text.s);
        return;
    }
    printf("%s: ", path);
    print_verdict(file, done);
    if (file->restored > 0 && file->verdict != REPAIR_OWNED)
        printf("; %u damaged card%s of its headers %srestored: %s", file->restored,
               units_plural(file->restored), done ? "" : "would be ", file->cards);
    if (done && file->verdict != REPAIR_OWNED)
        printf("; read back: %s", doubts->count ? "doubts" : "good");
    printf("\n");
    for (size_t i = 0; i < doubts->kept_count; i++)
        printf("%s: %s\n", file->final_name, doubts->kept[i].text);
}

void repair_say_refused(const struct repair_options *options, const char *path, const char *why)
{
    struct repair_file file = {.verdict = REPAIR_REFUSED};
    struct verify_doubts none = {0};

    snprintf(file.text.s, sizeof file.text.s, "%s", why);
    repair_say_file(options, path, &file, &none);
}

/* ---- a ledger ---- */

static void ledger_as_json(const struct repair_options *options, const char *session,
                           const struct rebuild *ledger)
{
    json_t *object = json_object();
    const char *action = ledger->verdict == REBUILD_REFUSED ? "refused" : "rebuild ledger";

    json_object_set_new(object, "session", json_text_value(session));
    json_object_set_new(object, "action", json_string(action));
    json_object_set_new(object, "applied",
                        json_boolean(options->apply && ledger->verdict == REBUILD_WRITE));
    json_object_set_new(object, "expected", integer(ledger->expected));
    json_object_set_new(object, "recorded", integer(ledger->recorded));
    json_object_set_new(object, "lost", integer(ledger->lost));
    json_object_set_new(object, "kept_as", json_text_value(ledger->kept_as));
    json_object_set_new(object, "missing", json_text_value(ledger->missing.s));
    json_object_set_new(object, "text", json_text_value(ledger->text.s));
    print_line(object);
}

void repair_say_ledger(const struct repair_options *options, const char *session,
                       const struct rebuild *ledger)
{
    if (options->json) {
        ledger_as_json(options, session, ledger);
        return;
    }
    if (ledger->verdict == REBUILD_REFUSED) {
        log_error("repair: %s/%s", session, ledger->text.s);
        return;
    }
    printf("%s/session.json: %s rebuilt", session, options->apply ? "was" : "would be");
    if (options->apply) /* before, files are still to be repaired */
        printf(": %" PRIu64 " stream%s, %" PRIu64 " file%s, %" PRIu64 " expected = %" PRIu64
               " recorded + %" PRIu64 " lost",
               ledger->streams, units_plural(ledger->streams), ledger->files,
               units_plural(ledger->files), ledger->expected, ledger->recorded, ledger->lost);
    if (ledger->kept_as[0])
        printf("; the old one is %s", ledger->kept_as);
    printf("\n");
    if (ledger->missing.s[0])
        printf("%s: not here, though others tell of it: %s; what was in there is counted as lost "
               "only where a later frame tells of it\n",
               session, ledger->missing.s);
}
