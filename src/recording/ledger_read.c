/*
 * ledger_read.c - session.json back into numbers. See ledger.h.
 *
 * Nothing in it is believed: every member is looked at for its kind and range (ledger_members.h),
 * lists and the file itself are bounded, names that would lead out of their folder are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording/copies.h"
#include "recording/ledger_members.h"

#define TEXT_BYTES_MAX (64u << 20)
#define STREAMS_MAX    1000u
#define FILES_MAX      1000000u

/* ---- parts of a stream ---- */

static void get_geometry(struct members *p, const json_t *object, struct dao_geometry *ret)
{
    const json_t *list;
    const struct dao_dtype *dtype;
    struct dao_geometry geometry;
    uint32_t size[3] = {0};
    uint64_t depth = members_count(p, object, "depth");
    struct dao_text text;
    int naxis = 0;

    dtype = dao_dtype_find(members_text(p, object, "type"));
    list = members_list(p, object, "size", 3);
    for (size_t i = 0; list && i < json_array_size(list); i++) {
        int64_t axis = json_integer_value(json_array_get(list, i));

        size[naxis++] = axis > 0 && axis <= UINT32_MAX ? (uint32_t)axis : 0;
    }
    if (!dtype || depth < 1 || depth > UINT32_MAX)
        members_fail(p, "geometry", "is none");
    if (p->error)
        return;
    if (dao_geometry_make(&geometry, naxis, size, dtype->atype, 1, 0, &text) < 0) {
        members_fail(p, "geometry", "is none");
        return;
    }
    if (members_count(p, object, "frame_bytes") != geometry.frame_bytes)
        members_fail(p, "frame_bytes", "is not what size and type make");
    geometry.depth = (uint32_t)depth;
    geometry.layout = NULL; /* only its name is told, and only its name is of use */
    if (!json_is_null(json_object_get(object, "layout"))) {
        struct dao_layout *layout = members_keep(p, 1, sizeof *layout);

        if (layout)
            layout->name = members_text(p, object, "layout");
        geometry.layout = layout;
    }
    *ret = geometry;
}

/* All the shapes the stream had; a ledger that lists none has the one of "geometry". */
static void get_shapes(struct members *p, const json_t *stream, struct ledger_stream *ret)
{
    const json_t *list = json_object_get(stream, "geometries");
    size_t count = json_is_array(list) ? json_array_size(list) : 0;
    struct ledger_counts *counts = &ret->counts;
    struct ledger_shape *shapes;

    counts->shape_count = 1;
    counts->shape.first_file = 1;
    get_geometry(p, json_object_get(stream, "geometry"), &counts->shape.geometry);
    ret->geometry_told = counts->shape.geometry;
    if (count == 0)
        return;
    list = members_list(p, stream, "geometries", LEDGER_SHAPES_MAX + 1);
    shapes = members_keep(p, count, sizeof *shapes);
    for (size_t i = 0; list && i < count && !p->error; i++) {
        const json_t *object = json_array_get(list, i);

        shapes[i].first_file = members_count(p, object, "first_file");
        get_geometry(p, object, &shapes[i].geometry);
    }
    if (p->error)
        return;
    counts->shape_count =
        count + members_left_out(p, stream, "geometries_left_out", count, LEDGER_SHAPES_MAX + 1);
    counts->shape = shapes[count - 1];
    ret->shapes = shapes;
}

static void get_runs(struct members *p, const json_t *stream, struct ledger_stream *ret)
{
    const json_t *list = members_list(p, stream, "runs", LEDGER_RUNS_MAX + 1);
    size_t count = list ? json_array_size(list) : 0;
    struct ledger_run *runs = members_keep(p, count, sizeof *runs);

    if (count == 0)
        members_fail(p, "runs", "is empty");
    for (size_t i = 0; i < count && !p->error; i++) {
        const json_t *run = json_array_get(list, i);

        runs[i].first_cnt0 = members_integer(p, run, "first_cnt0");
        runs[i].last_cnt0 = members_integer(p, run, "last_cnt0");
        if ((int64_t)ledger_run_expected(&runs[i]) != members_integer(p, run, "expected"))
            members_fail(p, "runs", "holds one whose numbers do not fit");
    }
    if (p->error)
        return;
    ret->runs = runs;
    ret->counts.run = runs[count - 1];
    ret->counts.run_count =
        count + members_left_out(p, stream, "runs_left_out", count, LEDGER_RUNS_MAX + 1);
    ret->counts.past_runs =
        members_count(p, stream, "expected") - ledger_run_expected(&ret->counts.run);
}

static void get_gaps(struct members *p, const json_t *stream, struct ledger_stream *ret)
{
    const json_t *list = members_list(p, stream, "gaps", LEDGER_GAPS_MAX + LEDGER_FAILED_MAX);
    size_t count = list ? json_array_size(list) : 0;
    struct ledger_gap *gaps = members_keep(p, count, sizeof *gaps);

    for (size_t i = 0; i < count && !p->error; i++) {
        const json_t *gap = json_array_get(list, i);
        const char *cause = json_string_value(json_object_get(gap, "cause"));
        int which = 0;

        gaps[i].first_cnt0 = members_integer(p, gap, "first_cnt0");
        gaps[i].count = members_count(p, gap, "count");
        gaps[i].time_ns = members_time(p, gap, "time");
        while (cause && which < LEDGER_CAUSES && strcmp(cause, ledger_cause_names[which]) != 0)
            which++;
        if (!cause || which == LEDGER_CAUSES)
            members_fail(p, "cause", "is none that we know");
        else
            gaps[i].cause = (enum ledger_cause)which;
    }
    ret->gaps = gaps;
    ret->counts.gap_count = count + members_count(p, stream, "gaps_left_out");
    ret->gaps_listed = count;
}

/* Runs that were over at the end of a file are the first of those that are listed; behind as many
 * as a ledger lists nobody knows. */
static bool has_past_runs(const struct ledger_counts *counts, const struct ledger_stream *stream)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i + 1 < counts->run_count && i < LEDGER_RUNS_MAX; i++)
        sum += ledger_run_expected(&stream->runs[i]);
    return counts->run_count > LEDGER_RUNS_MAX || counts->past_runs == sum;
}

/* What the stream's numbers were at the end of a file. */
static void get_so_far(struct members *p, const json_t *object, const struct ledger_stream *stream,
                       struct ledger_counts *ret)
{
    struct ledger_counts counts = {.recorded = members_count(p, object, "recorded"),
                                   .torn = members_count(p, object, "torn"),
                                   .run_count = members_count(p, object, "runs"),
                                   .gap_count = members_count(p, object, "gaps"),
                                   .shape_count = members_count(p, object, "shapes")};
    const json_t *run = json_object_get(object, "run");

    for (int i = 0; i < LEDGER_CAUSES; i++)
        counts.lost_by[i] =
            members_count(p, json_object_get(object, "lost_by"), ledger_cause_names[i]);
    counts.run.first_cnt0 = members_integer(p, run, "first_cnt0");
    counts.run.last_cnt0 = members_integer(p, run, "last_cnt0");
    counts.past_runs = members_count(p, object, "expected") - ledger_run_expected(&counts.run);
    if (!p->error && (!ledger_balances(&counts) || counts.run_count < 1 || counts.shape_count < 1 ||
                      counts.run_count > stream->counts.run_count ||
                      counts.shape_count > stream->counts.shape_count ||
                      counts.gap_count > stream->counts.gap_count ||
                      counts.torn > counts.recorded || !has_past_runs(&counts, stream)))
        members_fail(p, "so_far", "holds numbers that do not fit");
    if (!p->error)
        *ret = counts;
}

static void get_file(struct members *p, const json_t *object, const struct ledger_stream *stream,
                     struct ledger_file *ret)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const json_t *so_far = json_object_get(object, "so_far");
    size_t lead = strlen(stream->name);

    if (!name || strncmp(name, stream->name, lead) != 0 || name[lead] != '/' ||
        strchr(name + lead + 1, '/') || strlen(name + lead + 1) >= sizeof ret->name) {
        members_fail(p, "files", "holds a name that is none of this stream");
        return;
    }
    strcpy(ret->name, name + lead + 1);
    ret->closed = json_is_true(json_object_get(object, "closed"));
    ret->frames = members_count(p, object, "frames");
    ret->lost = members_count(p, object, "lost");
    ret->cnt0_begin = members_integer(p, object, "cnt0_begin");
    ret->cnt0_end = members_integer(p, object, "cnt0_end");
    ret->begin_ns = members_time(p, object, "begin");
    ret->end_ns = members_time(p, object, "end");
    ret->end_cause = members_text(p, object, "end_cause");
    if (so_far)
        get_so_far(p, so_far, stream, &ret->so_far);
}

static struct ledger_file *get_files(struct members *p, const json_t *stream,
                                     struct ledger_stream *ret)
{
    const json_t *list = members_list(p, stream, "files", FILES_MAX);
    size_t count = list ? json_array_size(list) : 0;
    struct ledger_file *files = members_keep(p, count, sizeof *files);

    for (size_t i = 0; i < count && !p->error; i++)
        get_file(p, json_array_get(list, i), ret, &files[i]);
    ret->files = files;
    ret->file_count = count;
    return files;
}

/* Not there where nothing was removed. */
static void get_removed(struct members *p, const json_t *object, struct ledger_stream *ret)
{
    const json_t *so_far = json_object_get(object, "so_far");

    if (!object || p->error)
        return;
    ret->removed.files = members_count(p, object, "files");
    ret->removed.frames = members_count(p, object, "frames");
    ret->removed.last_file = members_count(p, object, "last_file");
    if (so_far)
        get_so_far(p, so_far, ret, &ret->removed.counts);
    ret->removed.has_counts = so_far && !p->error;
}

/* Where it is not told it follows from the file before, while nobody ended the ledger. */
static void fill_so_far(struct ledger_stream *stream, struct ledger_file *files)
{
    for (size_t i = 0; i < stream->file_count; i++) {
        const struct ledger_counts *before = ledger_counts_before(stream, i);

        if (files[i].so_far.run_count == 0 && files[i].closed && before)
            ledger_go_on(&files[i].so_far, before, &files[i]);
    }
}

static void get_stream(struct members *p, const json_t *object, struct ledger_stream *ret)
{
    const json_t *lost_by = json_object_get(object, "lost_by");
    struct ledger_file *files;

    ret->name = members_text(p, object, "name");
    if (ret->name[0] == '\0' || ret->name[0] == '.' || strchr(ret->name, '/') ||
        strlen(ret->name) > FITS_STREAM_NAME_MAX)
        members_fail(p, "name", "is no name of a stream");
    ret->shm_path = members_text(p, object, "segment");
    get_shapes(p, object, ret);
    ret->counts.recorded = members_count(p, object, "recorded");
    ret->counts.torn = members_count(p, object, "torn");
    for (int i = 0; i < LEDGER_CAUSES; i++)
        ret->counts.lost_by[i] = members_count(p, lost_by, ledger_cause_names[i]);
    get_runs(p, object, ret);
    get_gaps(p, object, ret);
    files = get_files(p, object, ret);
    get_removed(p, json_object_get(object, "removed"), ret);
    if (p->error)
        return;
    if (members_count(p, object, "lost") != ledger_lost(&ret->counts))
        members_fail(p, "lost", "is not the sum of lost_by");
    if (members_count(p, object, "restarts") != ret->counts.run_count - 1)
        members_fail(p, "restarts", "do not fit the runs");
    if (!p->error)
        fill_so_far(ret, files);
}

/* A name that leads nowhere out of its folder, and a sum. */
static void get_copy(struct members *p, const json_t *object, struct ledger_copy *ret)
{
    const char *sum = members_text(p, object, "sha256"), *base;

    ret->name = members_text(p, object, "name");
    ret->source = members_text(p, object, "source");
    ret->bytes = members_count(p, object, "bytes");
    if (strlen(sum) != SHA256_TEXT_BYTES - 1 ||
        strspn(sum, "0123456789abcdef") != SHA256_TEXT_BYTES - 1)
        members_fail(p, "sha256", "is no SHA-256");
    else
        memcpy(ret->sha256, sum, SHA256_TEXT_BYTES);
    base = strchr(ret->name, '/');
    if (strncmp(ret->name, COPIES_FOLDER "/", sizeof COPIES_FOLDER) != 0 || !base ||
        base[1] == '\0' || base[1] == '.' || strchr(base + 1, '/') ||
        strlen(base + 1) > COPIES_NAME_MAX)
        members_fail(p, "name", "is no name of a copy");
}

/* Not there where no file was copied. */
static void get_copies(struct members *p, const json_t *root, struct ledger *ret)
{
    const json_t *list =
        json_object_get(root, "copies") ? members_list(p, root, "copies", STREAMS_MAX) : NULL;
    size_t count = list ? json_array_size(list) : 0;
    struct ledger_copy *copies = count > 0 ? members_keep(p, count, sizeof *copies) : NULL;

    for (size_t i = 0; i < count && !p->error; i++)
        get_copy(p, json_array_get(list, i), &copies[i]);
    ret->copies = copies;
    ret->copy_count = p->error ? 0 : count;
}

/* Not there where nothing was noted. */
static void get_marks(struct members *p, const json_t *root, struct ledger *ledger)
{
    const json_t *list = json_object_get(root, "marks");
    size_t count;
    struct fits_mark *marks;

    if (!list)
        return;
    list = members_list(p, root, "marks", LEDGER_MARKS_MAX);
    count = list ? json_array_size(list) : 0;
    marks = members_keep(p, count, sizeof *marks);
    for (size_t i = 0; i < count && !p->error; i++) {
        const json_t *mark = json_array_get(list, i);
        const char *text = members_text(p, mark, "text");

        marks[i].time_ns = members_time(p, mark, "time");
        if (strlen(text) >= sizeof marks[i].text)
            members_fail(p, "marks", "holds one that is too long");
        else
            strcpy(marks[i].text, text);
    }
    ledger->marks = marks;
    ledger->mark_count = p->error ? 0 : count;
}

/* Not there where no configuration was read again, or it changed nothing. */
static void get_changes(struct members *p, const json_t *root, struct ledger *ledger)
{
    const json_t *list = json_object_get(root, "changes");
    struct ledger_change *changes;
    size_t count;

    if (!list)
        return;
    list = members_list(p, root, "changes", LEDGER_CHANGES_MAX);
    count = list ? json_array_size(list) : 0;
    changes = members_keep(p, count, sizeof *changes);
    for (size_t i = 0; i < count && !p->error; i++) {
        const json_t *change = json_array_get(list, i);

        changes[i].time_ns = members_time(p, change, "time");
        changes[i].text = members_text(p, change, "text");
    }
    ledger->changes = changes;
    ledger->changes_left_out = members_count(p, root, "changes_left_out");
    ledger->change_count = p->error ? 0 : count;
}

static void get_ledger(struct members *p, const json_t *root)
{
    struct ledger *ledger = &p->document->ledger;
    const json_t *list = members_list(p, root, "streams", STREAMS_MAX);
    size_t count = list ? json_array_size(list) : 0;

    ledger->session = members_text(p, root, "session");
    ledger->uuid = members_text(p, root, "uuid");
    ledger->host = members_text(p, root, "host");
    ledger->version = members_text(p, root, "version");
    ledger->start_ns = members_time(p, root, "start");
    ledger->end_ns = members_time(p, root, "end");
    ledger->recovered = json_is_true(json_object_get(root, "recovered"));
    ledger->root = "";
    get_marks(p, root, ledger);
    get_changes(p, root, ledger);
    ledger->streams = members_keep(p, count, sizeof *ledger->streams);
    for (size_t i = 0; i < count && !p->error; i++)
        get_stream(p, json_array_get(list, i), &ledger->streams[i]);
    ledger->stream_count = p->error ? 0 : count;
    get_copies(p, root, ledger);
}

/* ---- the file ---- */

static int read_text(struct ledger_document *document, int dir_fd, struct dao_text *text)
{
    int fd = openat(dir_fd, "session.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), r = 0;
    struct stat st;
    size_t used = 0;
    ssize_t n = 1;

    if (fd < 0 || fstat(fd, &st) != 0)
        r = -errno;
    else if (!S_ISREG(st.st_mode))
        r = -ENOTSUP;
    else if (st.st_size > TEXT_BYTES_MAX)
        r = -EFBIG;
    if (r == 0) {
        document->text = calloc((size_t)st.st_size + 1, 1);
        r = document->text ? 0 : -ENOMEM;
    }
    while (r == 0 && n > 0 && used < (size_t)st.st_size) {
        n = read(fd, document->text + used, (size_t)st.st_size - used);
        r = n < 0 && errno != EINTR ? -errno : 0;
        used += n > 0 ? (size_t)n : 0;
    }
    if (r < 0)
        snprintf(text->s, sizeof text->s, "%s",
                 r == -ENOTSUP ? "is not a regular file"
                 : r == -ELOOP ? "is a link, which is not followed"
                               : strerror(-r));
    if (fd >= 0)
        close(fd);
    return r;
}

int ledger_document_read(struct ledger_document *ret, int dir_fd, struct dao_text *text)
{
    struct members parser = {.document = ret, .text = text};
    json_error_t why;
    json_t *root;
    int r;

    *ret = (struct ledger_document){0};
    r = read_text(ret, dir_fd, text);
    if (r < 0)
        return r;
    root = json_loads(ret->text, JSON_REJECT_DUPLICATES, &why);
    if (root)
        get_ledger(&parser, root);
    else
        members_fail(&parser, "it", "is no JSON");
    json_decref(root);
    if (parser.error) {
        if (parser.error != -EBADMSG)
            snprintf(text->s, sizeof text->s, "%s", strerror(-parser.error));
        ret->ledger = (struct ledger){0};
    }
    return parser.error;
}

void ledger_document_free(struct ledger_document *document)
{
    for (size_t i = 0; i < document->block_count; i++)
        free(document->blocks[i]);
    free(document->blocks);
    free(document->text);
    *document = (struct ledger_document){0};
}
