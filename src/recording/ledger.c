/* ledger.c - see ledger.h. */
#include "recording/ledger.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/json_text.h"
#include "base/units.h"
#include "base/version.h"

const char *const ledger_cause_names[LEDGER_CAUSES] = {"lapped", "disk", "source", "restart"};

void ledger_begin_run(struct ledger_counts *counts, struct ledger_run *runs, int64_t first_cnt0)
{
    if (counts->run_count > 0) {
        if (counts->run_count <= LEDGER_RUNS_MAX)
            runs[counts->run_count - 1] = counts->run;
        counts->past_runs += ledger_run_expected(&counts->run);
    }
    counts->run_count++;
    counts->run = (struct ledger_run){.first_cnt0 = first_cnt0,
                                      .last_cnt0 = (int64_t)((uint64_t)first_cnt0 - 1)};
}

void ledger_lose(struct ledger_counts *counts, struct ledger_gap *gaps,
                 const struct ledger_gap *gap)
{
    if (gap->count == 0)
        return;
    counts->lost_by[gap->cause] += gap->count;
    if (counts->gap_count < LEDGER_GAPS_MAX)
        gaps[counts->gap_count] = *gap;
    counts->gap_count++;
    counts->run.last_cnt0 = (int64_t)((uint64_t)gap->first_cnt0 + gap->count - 1);
}

void ledger_take(struct ledger_counts *counts, int64_t cnt0, bool torn)
{
    counts->recorded++;
    counts->torn += torn;
    counts->run.last_cnt0 = cnt0;
}

uint64_t ledger_run_expected(const struct ledger_run *r)
{
    return (uint64_t)r->last_cnt0 - (uint64_t)r->first_cnt0 + 1; /* counts may wrap: unsigned */
}

uint64_t ledger_expected(const struct ledger_counts *counts)
{
    return counts->past_runs + ledger_run_expected(&counts->run);
}

uint64_t ledger_lost(const struct ledger_counts *counts)
{
    uint64_t lost = 0;

    for (int i = 0; i < LEDGER_CAUSES; i++)
        lost += counts->lost_by[i];
    return lost;
}

bool ledger_balances(const struct ledger_counts *counts)
{
    return ledger_expected(counts) == counts->recorded + ledger_lost(counts);
}

bool ledger_go_on(struct ledger_counts *ret, const struct ledger_counts *before,
                  const struct ledger_file *file)
{
    if (file->frames == 0 || before->recorded + file->frames > INT64_MAX ||
        (uint64_t)before->run.last_cnt0 + file->frames != (uint64_t)file->cnt0_end)
        return false;
    *ret = *before;
    ret->recorded += file->frames;
    ret->run.last_cnt0 = file->cnt0_end;
    return true;
}

bool ledger_same_counts(const struct ledger_counts *a, const struct ledger_counts *b)
{
    return a->recorded == b->recorded && a->torn == b->torn && a->gap_count == b->gap_count &&
           memcmp(a->lost_by, b->lost_by, sizeof a->lost_by) == 0 && a->run_count == b->run_count &&
           a->past_runs == b->past_runs && a->run.first_cnt0 == b->run.first_cnt0 &&
           a->run.last_cnt0 == b->run.last_cnt0 && a->shape_count == b->shape_count;
}

const struct ledger_counts *ledger_counts_before(const struct ledger_stream *stream, size_t index)
{
    const struct ledger_removed *removed = &stream->removed;
    uint64_t seq = tree_file_seq(stream->files[index].name, stream->name), before = 0;

    if (index > 0)
        before = tree_file_seq(stream->files[index - 1].name, stream->name);
    if (removed->last_file > before && removed->last_file < seq)
        return removed->has_counts ? &removed->counts : NULL;
    return index > 0 && stream->files[index - 1].so_far.run_count > 0
               ? &stream->files[index - 1].so_far
               : NULL;
}

static json_t *utc(int64_t ns)
{
    char text[40];

    return ns ? json_string(units_format_utc(text, sizeof text, ns, 9)) : json_null();
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *lost_by(const struct ledger_counts *counts)
{
    json_t *object = json_object();

    for (int i = 0; i < LEDGER_CAUSES; i++)
        json_object_set_new(object, ledger_cause_names[i], integer(counts->lost_by[i]));
    return object;
}

static void put_numbers(json_t *object, const struct ledger_counts *counts)
{
    json_object_set_new(object, "expected", integer(ledger_expected(counts)));
    json_object_set_new(object, "recorded", integer(counts->recorded));
    json_object_set_new(object, "torn", integer(counts->torn));
    json_object_set_new(object, "lost", integer(ledger_lost(counts)));
    json_object_set_new(object, "lost_by", lost_by(counts));
}

static json_t *geometry(const struct dao_geometry *geo)
{
    json_t *size = json_array();

    for (int i = 0; i < geo->naxis; i++)
        json_array_append_new(size, integer(geo->size[i]));
    return json_pack("{s:s, s:o, s:s?, s:I, s:I}", "type", geo->dtype->name, "size", size, "layout",
                     geo->layout ? geo->layout->name : NULL, "depth", (json_int_t)geo->depth,
                     "frame_bytes", (json_int_t)geo->frame_bytes);
}

static json_t *shape(const struct ledger_shape *s)
{
    json_t *object = json_pack("{s:I}", "first_file", (json_int_t)s->first_file);

    json_object_update_new(object, geometry(&s->geometry));
    return object;
}

/* All of them, the one of "geometry" last. */
static json_t *geometries(const struct ledger_stream *stream)
{
    json_t *array = json_array();
    uint64_t past = stream->counts.shape_count - 1;

    for (uint64_t i = 0; i < past && i < LEDGER_SHAPES_MAX; i++)
        json_array_append_new(array, shape(&stream->shapes[i]));
    json_array_append_new(array, shape(&stream->counts.shape));
    return array;
}

static json_t *run(const struct ledger_run *r)
{
    return json_pack("{s:I, s:I, s:I}", "first_cnt0", (json_int_t)r->first_cnt0, "last_cnt0",
                     (json_int_t)r->last_cnt0, "expected", (json_int_t)ledger_run_expected(r));
}

static json_t *runs(const struct ledger_stream *stream)
{
    json_t *array = json_array();
    uint64_t past = stream->counts.run_count - 1;

    for (uint64_t i = 0; i < past && i < LEDGER_RUNS_MAX; i++)
        json_array_append_new(array, run(&stream->runs[i]));
    json_array_append_new(array, run(&stream->counts.run));
    return array;
}

static void append_gaps(json_t *array, const struct ledger_gap *gaps, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        json_array_append_new(
            array, json_pack("{s:I, s:I, s:s, s:o}", "first_cnt0", (json_int_t)gaps[i].first_cnt0,
                             "count", (json_int_t)gaps[i].count, "cause",
                             ledger_cause_names[gaps[i].cause], "time", utc(gaps[i].time_ns)));
}

/* The gaps of the recording in their order, the one that is growing, then what was taken and lost
 * behind it. */
static void put_gaps(json_t *object, const struct ledger_stream *stream)
{
    uint64_t all = stream->counts.gap_count, failed_all = stream->failed_count;
    uint64_t listed = all < LEDGER_GAPS_MAX ? all : LEDGER_GAPS_MAX;
    uint64_t failed = failed_all < LEDGER_FAILED_MAX ? failed_all : LEDGER_FAILED_MAX;
    json_t *array = json_array();

    append_gaps(array, stream->gaps, listed);
    if (stream->waiting.count > 0) {
        all++;
        if (listed < LEDGER_GAPS_MAX) {
            append_gaps(array, &stream->waiting, 1);
            listed++;
        }
    }
    append_gaps(array, stream->failed, failed);
    json_object_set_new(object, "gaps", array);
    json_object_set_new(object, "gaps_left_out", integer(all - listed + failed_all - failed));
}

/* So much of the stream's numbers as a ledger that is built anew goes on from; its runs and gaps
 * are the first of those that are listed. */
static json_t *so_far(const struct ledger_counts *counts)
{
    json_t *object = json_object();

    put_numbers(object, counts);
    json_object_set_new(object, "runs", integer(counts->run_count));
    json_object_set_new(object, "run", run(&counts->run));
    json_object_set_new(object, "gaps", integer(counts->gap_count));
    json_object_set_new(object, "shapes", integer(counts->shape_count));
    return object;
}

/* Left out where it follows from what is told already, as of most files: ledgers are written often,
 * and list thousands of them. */
static void put_so_far(json_t *object, const struct ledger_stream *stream, size_t i)
{
    const struct ledger_file *file = &stream->files[i];
    const struct ledger_counts *before = ledger_counts_before(stream, i);
    struct ledger_counts follows;

    if (file->so_far.run_count == 0 ||
        (file->closed && before && ledger_go_on(&follows, before, file) &&
         ledger_same_counts(&follows, &file->so_far)))
        return;
    json_object_set_new(object, "so_far", so_far(&file->so_far));
}

static json_t *files(const struct ledger_stream *stream, bool is_open)
{
    json_t *array = json_array(), *object;

    for (size_t i = 0; i < stream->file_count; i++) {
        const struct ledger_file *file = &stream->files[i];
        char name[2 * TREE_FILE_BYTES];

        snprintf(name, sizeof name, "%s/%s", stream->name, file->name);
        object =
            json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:s}", "name", name, "closed",
                      file->closed, "frames", (json_int_t)file->frames, "lost",
                      (json_int_t)file->lost, "cnt0_begin", (json_int_t)file->cnt0_begin,
                      "cnt0_end", (json_int_t)file->cnt0_end, "begin", utc(file->begin_ns), "end",
                      utc(file->end_ns), "end_cause", file->end_cause ? file->end_cause : "");
        if (is_open)
            put_so_far(object, stream, i);
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *removed(const struct ledger_removed *r)
{
    json_t *object = json_pack("{s:I, s:I, s:I}", "files", (json_int_t)r->files, "frames",
                               (json_int_t)r->frames, "last_file", (json_int_t)r->last_file);

    if (r->has_counts)
        json_object_set_new(object, "so_far", so_far(&r->counts));
    return object;
}

static json_t *whole_stream(const struct ledger_stream *stream, bool is_open)
{
    json_t *object = json_object();
    const struct ledger_counts *counts = &stream->counts;
    uint64_t past = counts->run_count - 1, past_shapes = counts->shape_count - 1;

    json_object_set_new(object, "name", json_string(stream->name));
    json_object_set_new(object, "segment", json_text_value(stream->shm_path));
    json_object_set_new(object, "geometry", geometry(&counts->shape.geometry));
    json_object_set_new(object, "geometries", geometries(stream));
    json_object_set_new(
        object, "geometries_left_out",
        integer(past_shapes > LEDGER_SHAPES_MAX ? past_shapes - LEDGER_SHAPES_MAX : 0));
    put_numbers(object, counts);
    json_object_set_new(object, "restarts", integer(counts->run_count - 1));
    json_object_set_new(object, "runs", runs(stream));
    json_object_set_new(object, "runs_left_out",
                        integer(past > LEDGER_RUNS_MAX ? past - LEDGER_RUNS_MAX : 0));
    put_gaps(object, stream);
    json_object_set_new(object, "files", files(stream, is_open));
    if (stream->removed.files > 0)
        json_object_set_new(object, "removed", removed(&stream->removed));
    return object;
}

static json_t *brief_stream(const struct ledger *ledger, const struct ledger_stream *stream)
{
    json_t *object = json_object(), *names = json_array();

    json_object_set_new(object, "name", json_string(stream->name));
    put_numbers(object, &stream->counts);
    for (size_t i = 0; i < stream->file_count; i++) {
        const struct ledger_file *file = &stream->files[i];
        char path[4096 + 256];

        snprintf(path, sizeof path, "%s/%s/%s/%s%s", ledger->root, ledger->session, stream->name,
                 file->name, file->closed ? "" : ".part");
        json_array_append_new(names, json_text_value(path));
    }
    json_object_set_new(object, "files", names);
    return object;
}

static json_t *copies(const struct ledger *ledger)
{
    json_t *array = json_array();

    for (size_t i = 0; i < ledger->copy_count; i++) {
        const struct ledger_copy *copy = &ledger->copies[i];
        json_t *object = json_object();

        json_object_set_new(object, "name", json_text_value(copy->name));
        json_object_set_new(object, "source", json_text_value(copy->source));
        json_object_set_new(object, "bytes", integer(copy->bytes));
        json_object_set_new(object, "sha256", json_string(copy->sha256));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *marks(const struct ledger *ledger)
{
    json_t *array = json_array();

    for (size_t i = 0; i < ledger->mark_count; i++)
        json_array_append_new(array, json_pack("{s:o, s:o}", "time", utc(ledger->marks[i].time_ns),
                                               "text", json_text_value(ledger->marks[i].text)));
    return array;
}

static void put_changes(json_t *root, const struct ledger *ledger)
{
    json_t *array = json_array();

    for (size_t i = 0; i < ledger->change_count; i++)
        json_array_append_new(array,
                              json_pack("{s:o, s:o}", "time", utc(ledger->changes[i].time_ns),
                                        "text", json_text_value(ledger->changes[i].text)));
    json_object_set_new(root, "changes", array);
    json_object_set_new(root, "changes_left_out", integer(ledger->changes_left_out));
}

static json_t *awaited(const struct ledger *ledger)
{
    json_t *array = json_array();

    for (size_t i = 0; i < ledger->awaited_count; i++)
        json_array_append_new(array,
                              json_pack("{s:s, s:o}", "name", ledger->awaited[i].name, "segment",
                                        json_text_value(ledger->awaited[i].shm_path)));
    return array;
}

char *ledger_to_json(const struct ledger *ledger, bool brief)
{
    json_t *root = json_object(), *streams = json_array();
    bool is_open = ledger->end_ns == 0 && !ledger->recovered;
    char *text;

    json_object_set_new(root, "session", json_text_value(ledger->session));
    if (!brief) {
        json_object_set_new(root, "uuid", json_string(ledger->uuid));
        json_object_set_new(root, "host", json_string(ledger->host));
        json_object_set_new(root, "version",
                            json_string(ledger->version ? ledger->version : DAOREC_VERSION));
        json_object_set_new(root, "start", utc(ledger->start_ns));
        json_object_set_new(root, "end", utc(ledger->end_ns));
        if (ledger->recovered)
            json_object_set_new(root, "recovered", json_true());
        if (ledger->copy_count > 0)
            json_object_set_new(root, "copies", copies(ledger));
    }
    if (ledger->mark_count > 0 && !brief)
        json_object_set_new(root, "marks", marks(ledger));
    if (ledger->change_count + ledger->changes_left_out > 0 && !brief)
        put_changes(root, ledger);
    if (ledger->awaited_count > 0)
        json_object_set_new(root, "awaited", awaited(ledger));
    for (size_t i = 0; i < ledger->stream_count; i++)
        json_array_append_new(streams, brief ? brief_stream(ledger, &ledger->streams[i])
                                             : whole_stream(&ledger->streams[i], is_open));
    json_object_set_new(root, "streams", streams);
    text = json_dumps(root, brief ? JSON_PRESERVE_ORDER : JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(root);
    return text;
}

/* ---- a file taken out of a ledger that is there ---- */

/* The index of the object with this name, or -1. */
static ssize_t find_named(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *own = json_string_value(json_object_get(json_array_get(list, i), "name"));

        if (own && strcmp(own, name) == 0)
            return (ssize_t)i;
    }
    return -1;
}

/* A file was finished after the ledger was written: the stream had come so far at least. */
static void catch_up(json_t *stream, const struct ledger_counts *counts)
{
    json_t *list = json_object_get(stream, "runs");

    if ((uint64_t)json_integer_value(json_object_get(stream, "recorded")) >= counts->recorded)
        return;
    put_numbers(stream, counts);
    json_array_set_new(list, json_array_size(list) - 1, run(&counts->run));
}

/* It may have been written by anybody: beyond the largest number it stays that. */
static void add(json_t *object, const char *key, json_int_t more)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    if (__builtin_add_overflow(value, more, &value))
        value = INT64_MAX;
    json_object_set_new(object, key, json_integer(value));
}

static void note_removed(json_t *stream, json_int_t frames, const struct ledger_retired *file)
{
    json_t *object = json_object_get(stream, "removed");

    if (!json_is_object(object)) {
        object = json_pack("{s:i, s:i, s:i}", "files", 0, "frames", 0, "last_file", 0);
        json_object_set_new(stream, "removed", object);
    }
    add(object, "files", 1);
    add(object, "frames", frames);
    if ((uint64_t)json_integer_value(json_object_get(object, "last_file")) >= file->seq)
        return;
    json_object_set_new(object, "last_file", integer(file->seq));
    json_object_del(object, "so_far"); /* those were of another file */
    if (file->so_far)
        json_object_set_new(object, "so_far", so_far(file->so_far));
}

/* 1: taken out; 0: it was told before; -EUCLEAN: it never knew it. */
static int retire_file(json_t *entry, const char *stream, const struct ledger_retired *file)
{
    json_t *files = json_object_get(entry, "files");
    char name[2 * TREE_FILE_BYTES];
    const json_t *listed;
    json_int_t last;
    ssize_t at;

    snprintf(name, sizeof name, "%s/%s", stream, file->name);
    at = find_named(files, name);
    last = json_integer_value(json_object_get(json_object_get(entry, "removed"), "last_file"));
    if (at < 0 && (uint64_t)last >= file->seq)
        return 0;
    if (at < 0 && !file->so_far)
        return -EUCLEAN;
    listed = at < 0 ? NULL : json_array_get(files, (size_t)at);
    note_removed(entry,
                 json_is_true(json_object_get(listed, "closed")) || !file->so_far
                     ? json_integer_value(json_object_get(listed, "frames"))
                     : (json_int_t)file->frames,
                 file);
    if (file->so_far)
        catch_up(entry, file->so_far);
    if (at >= 0)
        json_array_remove(files, (size_t)at);
    return 1;
}

char *ledger_retire_files(const char *json, const char *stream, const struct ledger_retired *files,
                          size_t count, int *ret_error)
{
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    json_t *streams = json_object_get(root, "streams"), *entry;
    ssize_t at = find_named(streams, stream);
    char *text = NULL;
    int r, taken = 0;

    entry = at >= 0 ? json_array_get(streams, (size_t)at) : NULL;
    r = json_is_array(json_object_get(entry, "files")) ? 0 : -EBADMSG;
    for (size_t i = 0; i < count && r >= 0; i++) {
        r = retire_file(entry, stream, &files[i]);
        taken += r > 0;
    }
    *ret_error = r < 0 ? r : taken == 0 ? -EALREADY : 0;
    if (*ret_error == 0) {
        text = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        *ret_error = text ? 0 : -ENOMEM;
    }
    json_decref(root);
    return text;
}
