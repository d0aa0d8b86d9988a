/*
 * info.c - daorec info: what a segment or a file is, in a dozen lines. Content decides which of
 * the two it is, never the name. Nothing is written to either.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "measure/glance.h"
#include "recording/noted.h"
#include "recording/summary.h"

#define LOOK_NS     200000000ll
#define FACTS_MAX   32
#define SHAPE_BYTES 128
#define MARKS_SHOWN 8 /* as lines; JSON has all */

struct info_options {
    bool json;
};

static const struct option_spec specs[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct info_options, json), NULL,
     "print one JSON object a line instead", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "info",
    .arguments = "FILE|SHM...",
    .summary = "Say what each segment or recording is; nothing is changed.",
    .specs = specs,
};

/* ---- facts: one list, printed as lines or as JSON ---- */

struct facts {
    const char *path;
    char title[160];
    size_t count;
    struct {
        const char *label; /* NULL: in the JSON only */
        char text[320];
    } line[FACTS_MAX];
    json_t *json;
};

/* Add a line (label NULL: none) and a member of the JSON object (key NULL: none; takes `value`). */
static void __attribute__((format(printf, 5, 6)))
add(struct facts *f, const char *key, json_t *value, const char *label, const char *fmt, ...)
{
    va_list args;

    if (key)
        json_object_set_new(f->json, key, value ? value : json_null());
    if (!label || f->count == FACTS_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(f->line[f->count].text, sizeof(f->line[0].text), fmt, args);
    va_end(args);
    f->line[f->count++].label = label;
}

/* A member of the JSON object only. */
static void add_json(struct facts *f, const char *key, json_t *value)
{
    json_object_set_new(f->json, key, value ? value : json_null());
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *utc_value(int64_t ns)
{
    char utc[48];

    return json_string(units_format_utc(utc, sizeof(utc), ns, 9));
}

static void print_facts(const struct facts *f, bool as_json)
{
    if (as_json) {
        json_dumpf(f->json, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
        printf("\n");
        return;
    }
    printf("%s: %s\n", f->path, f->title);
    for (size_t i = 0; i < f->count; i++)
        printf("  %-11s %s\n", f->line[i].label, f->line[i].text);
}

static void add_shape(struct facts *f, const uint64_t *size, int naxis)
{
    char text[SHAPE_BYTES] = "none";
    json_t *shape = json_array();
    int n = 0;

    for (int i = 0; i < naxis; i++) {
        json_array_append_new(shape, integer(size[i]));
        if (n >= 0 && (size_t)n < sizeof(text))
            n +=
                snprintf(text + n, sizeof(text) - (size_t)n, "%s%" PRIu64, i ? " x " : "", size[i]);
    }
    add(f, "shape", shape, "shape", "%s", text);
}

/* ---- a segment ---- */

static void add_geometry(struct facts *f, const struct dao_segment *seg)
{
    const struct dao_geometry *g = &seg->geo;
    uint64_t size[3] = {g->size[0], g->size[1], g->size[2]};
    char all[32], one[32];

    add(f, "layout", json_string(g->layout->name), "layout", "%s%s", g->layout->name,
        seg->ambiguous ? " (another layout fits as well)" : "");
    add(f, "type", json_string(g->dtype->name), "type", "%s", g->dtype->name);
    add_shape(f, size, g->naxis);
    add(f, "depth", integer(g->depth), "depth", "%" PRIu32 " slot%s", g->depth,
        units_plural(g->depth));
    add(f, "bytes", integer(g->file_bytes), "bytes", "%" PRIu64 " (%s; a frame %s)", g->file_bytes,
        units_format_bytes(all, sizeof(all), g->file_bytes),
        units_format_bytes(one, sizeof(one), g->frame_bytes));
    add_json(f, "frame_bytes", integer(g->frame_bytes));
}

static void add_newest(struct facts *f, const struct glance *g)
{
    char utc[48], age[48];

    add(f, "cnt0", integer(g->cnt0), "newest", "count %" PRIu64 " in slot %" PRIu32, g->cnt0,
        g->slot);
    add_json(f, "slot", integer(g->slot));
    if (g->atime_ns == 0 || g->atime_ns == DAO_SEED_ATIME_NS) {
        add(f, "atime", NULL, "atime", "none");
        add_json(f, "atime_age_s", NULL);
        return;
    }
    add(f, "atime", utc_value(g->atime_ns), "atime", "%s UTC, %s %s",
        units_format_utc(utc, sizeof(utc), g->atime_ns, 6),
        units_format_duration(age, sizeof(age), g->age_ns < 0 ? -g->age_ns : g->age_ns),
        g->age_ns < 0 ? "in the future" : "ago");
    add_json(f, "atime_age_s", json_real((double)g->age_ns * 1e-9));
}

static void add_rate(struct facts *f, const struct glance *g)
{
    char looked[32];

    units_format_duration(looked, sizeof(looked), g->looked_ns);
    if (g->rate_hz > 0.0)
        add(f, "rate_hz", json_real(g->rate_hz), "rate", "%.4g Hz (%" PRIu64 " frames in %s)",
            g->rate_hz, g->frames_seen, looked);
    else
        add(f, "rate_hz", g->frames_seen ? NULL : json_real(0.0), "rate", "%s in %s",
            g->frames_seen ? "one frame" : "no frame", looked);
}

static void add_notes(struct facts *f, const struct dao_segment *seg, const struct glance *g)
{
    if (g->is_gone)
        add(f, NULL, NULL, "note", "was truncated, removed or replaced while we looked");
    if (g->is_restarted)
        add(f, NULL, NULL, "note", "its source restarted while we looked");
    if (g->is_on_disk)
        add(f, NULL, NULL, "note", "is on a disk, whose writeback slows it; /dev/shm is in memory");
    if (seg->geo.naxis == 1)
        add(f, NULL, NULL, "note", "1 axis: opening it ends programs that use the older library");
}

static void describe_segment(struct facts *f, const struct dao_segment *seg)
{
    struct glance g;

    glance_take(&g, seg, LOOK_NS);
    snprintf(f->title, sizeof(f->title), "DAO shared memory segment");
    add_json(f, "kind", json_string("segment"));
    add_geometry(f, seg);
    add_newest(f, &g);
    add_rate(f, &g);
    add(f, "writer_locked", json_boolean(g.is_locked), "writer", "%s",
        g.is_locked ? "holds its lock" : "no lock held (most writers take none)");
    add(f, "keywords", integer(g.keywords_used), "keywords", "%u used of %u", g.keywords_used,
        (unsigned)seg->geo.nbkw);
    add_json(f, "keyword_slots", integer(seg->geo.nbkw));
    add_notes(f, seg, &g);
}

/* ---- a FITS file ---- */

static const char *describe_state(char *buf, size_t buf_bytes, const struct recording_summary *s)
{
    if (strcmp(s->status, "OPEN") != 0)
        snprintf(buf, buf_bytes, "%s, ended by %s", s->status,
                 s->end_cause[0] ? s->end_cause : "an unknown cause");
    else if (s->is_locked)
        snprintf(buf, buf_bytes, "OPEN: its writer lives");
    else
        snprintf(buf, buf_bytes, "OPEN, but no writer holds it: a crash left it");
    if (s->is_part && strcmp(s->status, "OPEN") != 0)
        snprintf(buf + strlen(buf), buf_bytes - strlen(buf), ", not yet renamed");
    return buf;
}

static void add_identity(struct facts *f, const struct recording_summary *s)
{
    char state[256];

    snprintf(f->title, sizeof(f->title), "recording, file %" PRIu64 " of %.80s", s->file_seq,
             s->stream);
    add(f, "stream", json_text_value(s->stream), "stream", "%s, from %s", s->stream, s->segment);
    add_json(f, "segment", json_text_value(s->segment));
    add(f, "session", json_text_value(s->session), "session", "%s on %s, daorec %s", s->session,
        s->host, s->version);
    add_json(f, "file_seq", integer(s->file_seq));
    add(f, "recstat", json_text_value(s->status), "state", "%s",
        describe_state(state, sizeof(state), s));
    add_json(f, "end_cause", json_text_value(s->end_cause));
    add_json(f, "part", json_boolean(s->is_part));
    add_json(f, "writer_locked", json_boolean(s->is_locked));
}

static void add_frames(struct facts *f, const struct recording_summary *s)
{
    if (s->frames == s->capacity)
        add(f, "frames", integer(s->frames), "frames", "%" PRIu64, s->frames);
    else
        add(f, "frames", integer(s->frames), "frames", "%" PRIu64 " of room for %" PRIu64,
            s->frames, s->capacity);
    add_json(f, "capacity", integer(s->capacity));
    if (s->frames == 0) {
        add_json(f, "cnt0_first", NULL);
        add_json(f, "cnt0_last", NULL);
        return;
    }
    add(f, "cnt0_first", json_integer(s->cnt0_first), "counts", "%" PRId64 " to %" PRId64,
        s->cnt0_first, s->cnt0_last);
    add_json(f, "cnt0_last", json_integer(s->cnt0_last));
}

static void add_times(struct facts *f, const struct recording_summary *s)
{
    char first[48], last[48], span[48];

    if (s->frames == 0) {
        add_json(f, "time_first", NULL);
        add_json(f, "time_last", NULL);
        add_json(f, "fps", NULL);
        return;
    }
    add(f, "time_first", utc_value(s->atime_first_ns), "time", "%s to %s UTC (%s)",
        units_format_utc(first, sizeof(first), s->atime_first_ns, 6),
        units_format_utc(last, sizeof(last), s->atime_last_ns, 6),
        units_format_duration(span, sizeof(span), s->atime_last_ns - s->atime_first_ns));
    add_json(f, "time_last", utc_value(s->atime_last_ns));
    add(f, "fps", json_real(s->fps), "rate", "%.6g Hz (of the frames in the file)", s->fps);
}

static void add_losses(struct facts *f, const struct recording_summary *s)
{
    add(f, "lost", integer(s->lost), "lost",
        "%" PRIu64 " frame%s in %" PRIu64 " gap%s; %" PRIu64 " torn", s->lost,
        units_plural(s->lost), s->gaps, units_plural(s->gaps), s->torn);
    add_json(f, "gaps", integer(s->gaps));
    add_json(f, "torn", integer(s->torn));
    if (strcmp(s->status, "OPEN") != 0)
        add(f, "session_lost", integer(s->session_lost), "so far",
            "%" PRIu64 " lost in this stream up to here", s->session_lost);
}

/* Text as a terminal may have it: control characters, those of UTF-8 too, become '?'. */
static const char *make_harmless(char text[FITS_MARK_BYTES])
{
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
        else if (*at < ' ' || *at == 0x7f)
            *at = '?';
    }
    return text;
}

static void add_mark_line(struct facts *f, const struct noted_mark *noted, bool is_first)
{
    char utc[48], count[48] = "before its first frame", text[FITS_MARK_BYTES];

    if (noted->has_cnt0)
        snprintf(count, sizeof count, "count %" PRId64, noted->cnt0);
    strcpy(text, noted->mark.text);
    add(f, NULL, NULL, is_first ? "marks" : "", "%s UTC, %s: %s",
        units_format_utc(utc, sizeof utc, noted->mark.time_ns, 6), count, make_harmless(text));
}

static void add_marks(struct facts *f, const char *path)
{
    struct noted noted;
    bool is_known = noted_read(&noted, path) == 0;
    json_t *list = is_known ? json_array() : NULL;

    for (size_t i = 0; is_known && i < noted.count; i++) {
        const struct noted_mark *mark = &noted.marks[i];

        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o}", "time", utc_value(mark->mark.time_ns), "cnt0",
                            mark->has_cnt0 ? json_integer(mark->cnt0) : json_null(), "text",
                            json_text_value(mark->mark.text)));
        if (i < MARKS_SHOWN)
            add_mark_line(f, mark, i == 0);
    }
    if (is_known && noted.count > MARKS_SHOWN)
        add(f, NULL, NULL, "", "%zu more; --json has them", noted.count - MARKS_SHOWN);
    if (is_known && noted.more > 0)
        add(f, NULL, NULL, "", "%" PRIu64 " more in the session.json of its session", noted.more);
    add_json(f, "marks", list);
    add_json(f, "marks_elsewhere", integer(is_known ? noted.more : 0));
    noted_free(&noted);
}

static void describe_fits(struct facts *f, const char *path, const struct recording_summary *s)
{
    char bytes[32];
    int axes = s->naxis;
    const uint64_t *size = s->size;

    add_json(f, "kind", json_string(s->is_recording ? "recording" : "fits"));
    if (s->is_recording) {
        add_identity(f, s);
        size++; /* the frame axis is told apart */
        axes--;
    } else {
        snprintf(f->title, sizeof(f->title), "%s",
                 s->is_extract ? "FITS file, frames that daorec extract took out of a recording"
                               : "FITS file, but no recording of daorec");
        add(f, "hdus", integer((uint64_t)s->hdus), "units", "%d", s->hdus);
    }
    add(f, "type", json_text_value(s->type), "type", "%s", s->type[0] ? s->type : "unknown");
    add_shape(f, size, axes < 0 ? 0 : axes);
    if (s->is_recording) {
        add_frames(f, s);
        add_times(f, s);
        add_losses(f, s);
        add_marks(f, path);
    }
    add(f, "bytes", integer(s->file_bytes), "bytes", "%" PRIu64 " (%s)", s->file_bytes,
        units_format_bytes(bytes, sizeof(bytes), s->file_bytes));
}

/* ---- which of the two ---- */

/* The first bytes of a regular file. Returns how many, or negative errno with a text. */
static ssize_t read_head(const char *path, void *head, size_t head_bytes, struct dao_text *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t r;

    if (fd < 0) {
        r = -errno;
        snprintf(text->s, sizeof(text->s), "%.250s: %s", path, strerror(errno));
        return r;
    }
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        snprintf(text->s, sizeof(text->s), "%.250s: is %s; give a segment or a FITS file", path,
                 S_ISDIR(st.st_mode) ? "a directory" : "no regular file");
        r = -EINVAL;
    } else {
        r = pread(fd, head, head_bytes, 0);
        if (r < 0) {
            r = -errno;
            snprintf(text->s, sizeof(text->s), "%.250s: %s", path, strerror(errno));
        }
    }
    close(fd);
    return r;
}

static int look_at_segment(struct facts *f, const char *path, struct dao_text *text)
{
    static struct dao_segment seg; /* the library may keep its address while it is open */
    int r = dao_segment_open(&seg, path, DAO_ACCESS_READ, text);

    if (r == -EMEDIUMTYPE) {
        struct dao_text found = *text;

        snprintf(text->s, sizeof(text->s), "%.350s; nor is it FITS", found.s);
    }
    if (r < 0)
        return r;
    describe_segment(f, &seg);
    dao_segment_close(&seg);
    return 0;
}

static int look_at_fits(struct facts *f, const char *path, struct dao_text *text)
{
    struct recording_summary summary;
    int r = recording_summary_read(&summary, path, text);

    if (r == 0)
        describe_fits(f, path, &summary);
    return r;
}

/* 0, or negative after one line on stderr. */
static int tell(const char *path, bool as_json)
{
    struct facts f = {.path = path, .json = json_object()};
    struct dao_text text = {""};
    unsigned char head[64];
    ssize_t r = read_head(path, head, sizeof(head), &text);

    add_json(&f, "path", json_text_value(path));
    if (r >= 0)
        r = recording_is_fits(head, (size_t)r) ? look_at_fits(&f, path, &text)
                                               : look_at_segment(&f, path, &text);
    if (r < 0)
        log_error("info: %s", text.s);
    else
        print_facts(&f, as_json);
    json_decref(f.json);
    return (int)r;
}

int cli_info(int argc, char **argv)
{
    struct info_options o = {0};
    int first = options_parse(&usage, argc, argv, &o), status = EXIT_DONE;

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error("info: give a segment or a FITS file");
        return EXIT_WRONG_USAGE;
    }
    for (int i = first; i < argc; i++) {
        if (tell(argv[i], o.json) < 0)
            status = EXIT_FAILED;
    }
    return status;
}
