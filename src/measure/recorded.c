/* recorded.c - see recorded.h. */
#include "measure/recorded.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/output.h"
#include "base/units.h"
#include "lib/clock.h"
#include "measure/booking.h"
#include "measure/pairing.h"
#include "measure/sound.h"
#include "recording/find.h"
#include "recording/ledger.h"
#include "series/series.h"

#define TICK_NS   500000000ll
#define TICK_ROWS 65536u

/* As the program's exit status is defined everywhere (cli/cli.h). */
enum { STATUS_DONE, STATUS_FAILED, STATUS_WRONG_USAGE, STATUS_FRAMES_LOST };

/* What became of the session's ledger. */
enum ledger_use {
    LEDGER_NONE,    /* there is none for this stream */
    LEDGER_OPEN,    /* it is still recorded, or was not finished */
    LEDGER_PARTIAL, /* not all files that it names are here */
    LEDGER_USED,
    LEDGER_CUT, /* files that it counts were removed to keep within a limit */
    LEDGER_ODD, /* it contradicts the rows */
};
static const char *const ledger_use_names[] = {"none", "unfinished", "partial",
                                               "used", "cut",        "contradicts"};

struct stream {
    const struct series *series;
    struct tally tally;
    enum ledger_use ledger;
    bool *is_damaged; /* by member: its rows cannot be believed, and are left out */
    size_t damaged;
};

struct recorded {
    const struct recorded_config *config;
    struct series_set set;
    struct stream **streams;
    json_t *list, *alignments; /* JSON, where it is wanted */
    bool is_lost, is_failed;   /* is_failed: there is a stream of which nothing could be read */
    int64_t tick_ns;
};

/* ---- the ledger ---- */

/* session.json lies in the folder above that of the files. */
static int read_ledger(struct ledger_document *ret, const struct series *series)
{
    char folder[4096];
    struct dao_text ignored;
    int stream_fd, session_fd = -1, r;

    *ret = (struct ledger_document){0};
    find_folder_of(series_member_at(series, 0).path, folder, sizeof folder);
    stream_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (stream_fd >= 0)
        session_fd = openat(stream_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = session_fd < 0 ? -errno : ledger_document_read(ret, session_fd, &ignored);
    if (session_fd >= 0)
        close(session_fd);
    if (stream_fd >= 0)
        close(stream_fd);
    return r;
}

static bool is_here(const struct series *series, const char *name)
{
    for (size_t i = 0; i < series_member_count(series); i++) {
        if (strcmp(find_base_of(series_member_at(series, i).path), name) == 0)
            return true;
    }
    return false;
}

/* The ledger's entry for this stream, where it can be used. */
static const struct ledger_stream *find_entry(const struct ledger_document *document,
                                              const struct series *series, enum ledger_use *ret)
{
    const struct ledger *ledger = &document->ledger;
    const struct ledger_stream *entry = NULL;

    *ret = LEDGER_NONE;
    if (!ledger->uuid || series->uuid[0] == '\0' || strcmp(ledger->uuid, series->uuid) != 0)
        return NULL;
    for (size_t i = 0; i < ledger->stream_count && !entry; i++)
        if (strcmp(ledger->streams[i].name, series->stream) == 0)
            entry = &ledger->streams[i];
    if (!entry)
        return NULL;
    *ret = LEDGER_OPEN;
    if ((ledger->end_ns == 0 && !ledger->recovered) || !booking_is_ledger_whole(entry))
        return NULL;
    *ret = LEDGER_CUT;
    if (entry->removed.files > 0)
        return NULL;
    *ret = LEDGER_PARTIAL;
    for (size_t i = 0; i < entry->file_count; i++)
        if (entry->files[i].frames > 0 && !is_here(series, entry->files[i].name))
            return NULL;
    *ret = LEDGER_USED;
    return entry;
}

/* ---- rows ---- */

static void show_progress(struct recorded *recorded, const struct series *series, uint64_t rows)
{
    int64_t now_ns = dao_clock_mono_ns();
    char line[200];

    if (now_ns - recorded->tick_ns < TICK_NS)
        return;
    recorded->tick_ns = now_ns;
    snprintf(line, sizeof line, "drops: reading %.60s, %.0f %% of %" PRIu64 " rows", series->stream,
             100.0 * (double)rows / (double)series->frames, series->frames);
    log_live(line);
}

/* A damaged file whose rows are lost, among others whose counts are known. */
static bool is_left_out(const struct series *series, size_t at)
{
    return series->has_counts && !series_member_at(series, at).has_counts;
}

/* Does this member not follow the one before? Only ours have numbers that tell. */
static bool is_behind_hole(const struct stream *stream, size_t at)
{
    struct series_member member = series_member_at(stream->series, at);

    if (at == 0)
        return false;
    if (stream->is_damaged[at - 1])
        return true;
    return member.is_ours && (is_left_out(stream->series, at - 1) ||
                              member.number != series_member_at(stream->series, at - 1).number + 1);
}

/* All rows of a member. What they say is booked before it is known whether it can be believed. */
static int book_member(struct recorded *recorded, const struct stream *stream, size_t at,
                       struct series_reader *reader, struct booking *booking,
                       const char **ret_fault, struct dao_text *text)
{
    const struct series *series = stream->series;
    struct series_member member = series_member_at(series, at);
    bool is_behind = is_behind_hole(stream, at);
    struct sound sound;
    int r = 0;

    sound_begin(&sound, &member, series_part_of(series, member.first)->geometry.depth);
    for (uint64_t i = 0; r == 0 && i < member.frames; i++) {
        struct fits_row row;

        r = series_reader_row(reader, member.first + i, &row, text);
        if (r == 0) {
            sound_row(&sound, &row);
            booking_row(booking, &row, is_behind && i == 0);
        }
        if ((member.first + i) % TICK_ROWS == TICK_ROWS - 1)
            show_progress(recorded, series, member.first + i);
    }
    *ret_fault = r == 0 ? sound_end(&sound) : NULL;
    return r;
}

/* Frames of damaged files are absent, whether or not the next rows tell how many they are. */
static void book_damaged(struct tally *tally, uint64_t absent_before, uint64_t *left_out)
{
    if (tally->absent == absent_before)
        tally->absent += *left_out;
    *left_out = 0;
}

/* *ret_found: files were found to be damaged, so that what was booked is worth nothing. */
static int book_rows(struct recorded *recorded, struct stream *stream, struct booking *booking,
                     bool *ret_found, struct dao_text *text)
{
    const struct series *series = stream->series;
    struct series_reader *reader = NULL;
    uint64_t left_out = 0;
    int r = series_reader_open(&reader, series, 0, text);

    if (r == 0)
        series_reader_keep_lost(reader); /* frames of files that are not here are told apart */
    for (size_t at = 0; r == 0 && at < series_member_count(series); at++) {
        struct series_member member = series_member_at(series, at);
        uint64_t absent = stream->tally.absent;
        const char *fault = NULL;

        if (is_left_out(series, at)) {
            if (stream->damaged == 0)
                log_warning("%s: its frames have no counts; left out", member.path);
            continue;
        }
        if (stream->is_damaged[at]) {
            left_out += member.frames;
            continue;
        }
        r = book_member(recorded, stream, at, reader, booking, &fault, text);
        if (fault) {
            log_warning("%s: %s; left out, see daorec verify", member.path, fault);
            stream->is_damaged[at] = *ret_found = true;
        }
        if (member.frames > 0)
            book_damaged(&stream->tally, absent, &left_out);
    }
    book_damaged(&stream->tally, stream->tally.absent, &left_out);
    series_reader_close(reader);
    return r;
}

static int scan_once(struct recorded *recorded, struct stream *stream,
                     const struct ledger_stream *entry, bool *ret_found, struct dao_text *text)
{
    struct booking booking = {0};
    struct tally *t = &stream->tally;
    int r;

    *ret_found = false;
    *t = (struct tally){.gaps = t->gaps, .gaps_most = t->gaps_most};
    r = booking_begin(&booking, t, entry);
    if (r < 0)
        snprintf(text->s, sizeof text->s, "%s", strerror(-r));
    if (r == 0)
        r = book_rows(recorded, stream, &booking, ret_found, text);
    if (r == 0)
        booking_end(&booking);
    if (booking.has_ledger_failed)
        stream->ledger = LEDGER_ODD;
    booking_free(&booking);
    return r;
}

/* Damaged files are found by reading them; then all is read once more, without them. */
static int scan(struct recorded *recorded, struct stream *stream, struct dao_text *text)
{
    struct ledger_document document;
    const struct ledger_stream *entry = NULL;
    size_t members = series_member_count(stream->series);
    bool found = true;
    int r = 0;

    if (read_ledger(&document, stream->series) == 0)
        entry = find_entry(&document, stream->series, &stream->ledger);
    while (r == 0 && found) {
        r = scan_once(recorded, stream, entry, &found, text);
        stream->damaged = 0;
        for (size_t i = 0; i < members; i++)
            stream->damaged += stream->is_damaged[i];
        if (found && entry)
            stream->ledger = LEDGER_PARTIAL;
        if (found)
            entry = NULL;
    }
    if (!stream->series->has_times)
        stream->tally.bad_times = 0; /* they have none, and so none is bad */
    spread_settle(&stream->tally.interval);
    ledger_document_free(&document);
    return r;
}

/* ---- printing ---- */

static void print_ledger_note(const struct stream *stream)
{
    static const char *const notes[] = {
        [LEDGER_OPEN] = "not finished: what is lost behind the last row is not known",
        [LEDGER_PARTIAL] = "not used: files that it names are not among these",
        [LEDGER_CUT] = "not used: files were removed to keep within a limit; this is what is left",
        [LEDGER_ODD] = "does not fit the rows; see daorec verify",
    };

    if (stream->ledger < sizeof notes / sizeof notes[0] && notes[stream->ledger])
        printf("  ledger      %s\n", notes[stream->ledger]);
}

static void print_stream(const struct recorded *recorded, const struct stream *stream)
{
    const struct series *series = stream->series;
    const struct tally *t = &stream->tally;
    char folder[4096], text[96], begin[48], end[48];
    size_t files = series_member_count(series);

    find_folder_of(series_member_at(series, 0).path, folder, sizeof folder);
    printf("%s: %s, %zu file%s, %s\n", series->stream, folder, files, units_plural(files),
           report_format_shape(text, sizeof text, &series->parts[0].geometry));
    if (series->part_count > 1)
        printf("  shapes      %u, one after the other\n", series->part_count);
    if (t->first_ns)
        printf("  time        %s to %s\n", units_format_utc(begin, sizeof begin, t->first_ns, 3),
               units_format_utc(end, sizeof end, t->last_ns, 3));
    if (!series->has_counts)
        printf("  counts      none in these files: losses cannot be told\n");
    if (!series->has_times)
        printf("  times       none in these files\n");
    if (stream->damaged)
        printf("  damaged     %zu of the files; left out, see daorec verify\n", stream->damaged);
    report_print_counts(stdout, t);
    print_ledger_note(stream);
    report_print_table_head(stdout);
    report_print_spread(stdout, "interval", &t->interval);
    report_print_histogram(stdout, "latency", &t->latency);
    report_print_gaps(stdout, t, recorded->config->report.gaps);
    if (!recorded->config->report.histogram)
        return;
    report_print_spread_bars(stdout, "interval", &t->interval);
    report_print_bars(stdout, "latency", &t->latency);
}

static json_t *stream_json(const struct recorded *recorded, const struct stream *stream)
{
    const struct series *series = stream->series;
    json_t *object = json_object(), *files = json_array(), *damaged = json_array();

    json_object_set_new(object, "name", json_text_value(series->stream));
    json_object_set_new(object, "uuid",
                        series->uuid[0] ? json_text_value(series->uuid) : json_null());
    report_add_shape(object, &series->parts[0].geometry);
    json_object_set_new(object, "shapes", report_integer(series->part_count));
    json_object_set_new(object, "has_counts", json_boolean(series->has_counts));
    json_object_set_new(object, "absent", report_integer(stream->tally.absent));
    json_object_set_new(object, "ledger", json_string(ledger_use_names[stream->ledger]));
    report_add_tally(object, &stream->tally, &recorded->config->report);
    for (size_t i = 0; i < series_member_count(series); i++)
        json_array_append_new(stream->is_damaged[i] ? damaged : files,
                              json_text_value(series_member_at(series, i).path));
    json_object_set_new(object, "files", files);
    json_object_set_new(object, "damaged", damaged);
    return object;
}

/* ---- alignment ---- */

static int64_t tolerance_of(const struct recorded *recorded, size_t b)
{
    int64_t given_ns = recorded->config->tolerance_ns;

    return given_ns ? given_ns : spread_quantile(&recorded->streams[b]->tally.interval, 0.5) / 2;
}

/* Streams A and B of one session, as they were asked for? */
static bool is_pair(const struct recorded *recorded, size_t i, size_t k)
{
    const struct series *a = &recorded->set.series[i], *b = &recorded->set.series[k];

    return i != k && strcmp(a->stream, recorded->config->align_a) == 0 &&
           strcmp(b->stream, recorded->config->align_b) == 0 && strcmp(a->uuid, b->uuid) == 0;
}

/* Before all the rows are read. -EINVAL with a text where there is no pair. */
static int check_align(const struct recorded *recorded, struct dao_text *text)
{
    char names[256] = "";

    for (size_t i = 0; i < recorded->set.count; i++)
        for (size_t k = 0; k < recorded->set.count; k++)
            if (is_pair(recorded, i, k))
                return 0;
    for (size_t i = 0; i < recorded->set.count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.60s", i ? ", " : "",
                 recorded->set.series[i].stream);
    snprintf(text->s, sizeof text->s,
             "--align %.60s,%.60s: there are no two such streams of one session here, but %.180s",
             recorded->config->align_a, recorded->config->align_b, names);
    return -EINVAL;
}

/* All pairs of the two names, each of one session. */
static int align_all(struct recorded *recorded, struct dao_text *text)
{
    const struct recorded_config *config = recorded->config;
    int r = 0;

    for (size_t i = 0; i < recorded->set.count && r == 0; i++)
        for (size_t k = 0; k < recorded->set.count && r == 0; k++)
            if (is_pair(recorded, i, k))
                r = pairing_run(&(struct pairing){.a = &recorded->set.series[i],
                                                  .b = &recorded->set.series[k],
                                                  .left_out_a = recorded->streams[i]->is_damaged,
                                                  .left_out_b = recorded->streams[k]->is_damaged,
                                                  .tolerance_ns = tolerance_of(recorded, k),
                                                  .report = &config->report,
                                                  .list = recorded->alignments},
                                text);
    return r;
}

/* ---- all of it ---- */

static int add_stream(struct recorded *recorded, size_t i)
{
    struct stream *stream = calloc(1, sizeof *stream);
    uint64_t most = recorded->config->report.gaps;

    if (!stream)
        return -ENOMEM;
    recorded->streams[i] = stream;
    stream->series = &recorded->set.series[i];
    stream->tally.gaps = calloc(most + 1, sizeof *stream->tally.gaps);
    stream->tally.gaps_most = most;
    stream->is_damaged = calloc(series_member_count(stream->series), sizeof(bool));
    return stream->tally.gaps && stream->is_damaged ? 0 : -ENOMEM;
}

static bool is_nothing_left(const struct stream *stream)
{
    return stream->damaged > 0 && stream->tally.seen == 0;
}

static int measure_streams(struct recorded *recorded, struct dao_text *text)
{
    const struct recorded_config *config = recorded->config;
    int r = 0;

    for (size_t i = 0; i < recorded->set.count && r == 0; i++) {
        r = add_stream(recorded, i);
        if (r < 0)
            snprintf(text->s, sizeof text->s, "%s", strerror(-r));
        if (r == 0)
            r = scan(recorded, recorded->streams[i], text);
        log_live(NULL);
        if (r < 0)
            break;
        recorded->is_failed = recorded->is_failed || is_nothing_left(recorded->streams[i]);
        recorded->is_lost = recorded->is_lost || tally_lost(&recorded->streams[i]->tally) > 0;
        if (config->report.json)
            json_array_append_new(recorded->list, stream_json(recorded, recorded->streams[i]));
        else
            print_stream(recorded, recorded->streams[i]);
    }
    return r;
}

static void print_json(struct recorded *recorded)
{
    json_t *root = json_pack("{s:b, s:f, s:O}", "final", 1, "quantile_error", REPORT_QUANTILE_ERROR,
                             "streams", recorded->list);

    if (recorded->config->align_a)
        json_object_set(root, "alignments", recorded->alignments);
    json_dumpf(root, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    printf("\n");
    json_decref(root);
}

static void release(struct recorded *recorded)
{
    for (size_t i = 0; recorded->streams && i < recorded->set.count; i++) {
        if (recorded->streams[i]) {
            free(recorded->streams[i]->tally.gaps);
            free(recorded->streams[i]->is_damaged);
        }
        free(recorded->streams[i]);
    }
    free(recorded->streams);
    json_decref(recorded->list);
    json_decref(recorded->alignments);
    series_set_close(&recorded->set);
}

int recorded_run(const struct recorded_config *config)
{
    struct recorded recorded = {.config = config};
    struct series_options options = {.streams = config->streams, .frame_axis = config->frame_axis};
    struct dao_text text = {""};
    bool is_wrong = false;
    int r = series_set_open(&recorded.set, config->paths, config->path_count, &options, &text);

    if (r == 0) {
        recorded.streams = calloc(recorded.set.count, sizeof(struct stream *));
        recorded.list = json_array();
        recorded.alignments = json_array();
        recorded.tick_ns = dao_clock_mono_ns();
        r = recorded.streams && recorded.list && recorded.alignments ? 0 : -ENOMEM;
    }
    if (r == 0 && config->align_a) {
        r = check_align(&recorded, &text);
        is_wrong = r == -EINVAL;
    }
    if (r == 0)
        r = measure_streams(&recorded, &text);
    if (r == 0 && config->align_a)
        r = align_all(&recorded, &text);
    if (r == 0 && config->report.json)
        print_json(&recorded);
    if (r < 0)
        log_error("drops: %s", text.s[0] ? text.s : strerror(-r));
    release(&recorded);
    if (r < 0)
        return is_wrong ? STATUS_WRONG_USAGE : STATUS_FAILED;
    if (!output_flush("drops: ", true) || recorded.is_failed)
        return STATUS_FAILED;
    return recorded.is_lost ? STATUS_FRAMES_LOST : STATUS_DONE;
}
