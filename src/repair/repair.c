/* repair.c - see repair.h. What is kept is decided in mend.c, closing is done by close.c. */
#include "repair/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fits/flips.h"
#include "fits/sum.h"
#include "recording/noted.h"
#include "repair/finished.h"
#include "repair/mend.h"
#include "repair/restore.h"

/* One file under repair. */
struct job {
    struct repair_file *ret;
    struct recording_file file;
    struct restore restore;
    struct reading reading;
    struct mend_survey survey;
    int dir_fd;
    uint64_t behind; /* frames known to be lost behind the last one kept */
    char next[TREE_FILE_BYTES];
    struct fits_mark marks[FITS_MARK_CARDS];
};

static int refuse(struct job *job, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct job *job, int error, const char *fmt, ...)
{
    va_list args;

    job->ret->verdict = REPAIR_REFUSED;
    va_start(args, fmt);
    vsnprintf(job->ret->text.s, sizeof job->ret->text.s, fmt, args);
    va_end(args);
    return error;
}

/* ---- names ---- */

static int check_name(struct job *job, const char *name)
{
    size_t length = strlen(name);

    if (length <= 10 || length >= TREE_FILE_BYTES || strcmp(name + length - 10, ".fits.part") != 0)
        return refuse(job, -EINVAL, "is no file named ....fits.part");
    snprintf(job->ret->final_name, TREE_FILE_BYTES, "%.*s", (int)length - 5, name);
    return 0;
}

/* Is the final name free? 0; 1: it is this very file's; -EEXIST. */
static int check_final_name(struct job *job)
{
    struct stat own, other;

    if (fstatat(job->dir_fd, job->ret->final_name, &other, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : refuse(job, -errno, "%s", strerror(errno));
    if (fstat(job->file.sink.fd, &own) == 0 && own.st_dev == other.st_dev &&
        own.st_ino == other.st_ino)
        return 1;
    return refuse(job, -EEXIST,
                  "%s is there already and is another file; move one of the two away, then repair "
                  "again",
                  job->ret->final_name);
}

/* ---- neighbours ---- */

static int open_neighbour(const struct job *job, uint64_t seq, struct reading *ret, int *ret_fd)
{
    return reading_open_neighbour(ret, job->dir_fd, &job->reading, seq, ret_fd);
}

/* The count of the last frame of the file before, where that one is finished. */
static bool find_before(const struct job *job, int64_t *ret_cnt0)
{
    struct reading *before = calloc(1, sizeof *before);
    bool found = false;
    int fd;

    if (before && job->file.state.file_seq > 1 &&
        open_neighbour(job, job->file.state.file_seq - 1, before, &fd) == 0) {
        found = strcmp(before->cards.status, "OPEN") != 0;
        *ret_cnt0 = before->cards.cnt0_end;
        reading_close(before);
        close(fd);
    }
    free(before);
    return found;
}

/* Counts from `from` up to, not including, `to`; 0 where that is no stretch of lost frames. */
static uint64_t stretch(int64_t from, int64_t to)
{
    uint64_t count = (uint64_t)to - (uint64_t)from;

    return count <= INT32_MAX ? count : 0;
}

/* Frames that were taken after the last one kept and never reached the disk: known where the next
 * file tells how it goes on, else as far as rows that are dropped tell. */
static void look_behind(struct job *job, int64_t last_cnt0)
{
    struct reading *next = calloc(1, sizeof *next);
    int64_t after = (int64_t)((uint64_t)last_cnt0 + 1);
    unsigned char packed[FITS_ROW_BYTES];
    struct fits_row row = {0};
    uint64_t lost;
    int fd;

    if (job->survey.dropped > 0 && job->survey.has_last_known)
        job->behind = stretch(after, (int64_t)((uint64_t)job->survey.last_known + 1));
    if (next && open_neighbour(job, job->file.state.file_seq + 1, next, &fd) == 0) {
        tree_file_name(job->next, job->file.stream, job->file.state.file_seq + 1, 0);
        if (reading_rows(next, 0, 1, packed) == 0)
            fits_row_unpack(&row, packed);
        if (row.rtime_ns == 0)
            row = (struct fits_row){.cnt0 = next->cards.cnt0_begin};
        lost = (uint64_t)rowcheck_lost(true, last_cnt0, &row);
        if (!(row.flags & FITS_FLAG_RESET))
            job->behind = stretch(after, (int64_t)((uint64_t)row.cnt0 - lost));
        reading_close(next);
        close(fd);
    }
    free(next);
}

/* Frames lost in the stream up to this file's end. */
static uint64_t sum_session_lost(const struct job *job, uint64_t own)
{
    uint64_t lost = own, last = 0;

    for (uint64_t seq = 1; seq < job->file.state.file_seq; seq++) {
        struct reading *other = calloc(1, sizeof *other);
        int fd, r = other ? open_neighbour(job, seq, other, &fd) : -ENOMEM;

        if (r == 0) {
            lost += other->cards.lost > 0 ? (uint64_t)other->cards.lost : 0;
            last = other->cards.session_lost > 0 ? (uint64_t)other->cards.session_lost : 0;
            reading_close(other);
            close(fd);
        }
        free(other);
        if (r < 0)
            break; /* not all are here: what the last one says is a lower bound */
    }
    return lost > last ? lost : last;
}

/* ---- complete, or not ---- */

/* Both headers final and whole, and the rows those that they speak of? Then only the last two steps
 * are left. 1, 0 or negative errno. */
static int is_complete(const struct reading *reading)
{
    const char *status = reading->cards.status;
    uint32_t cube, table, data_sum = 0, rows_sum = 0;
    bool has_half = false;
    struct reading_cursor *cursor;
    int error = 0;

    if ((strcmp(status, "CLOSED") != 0 && strcmp(status, "RECOVERD") != 0) ||
        reading->rows != reading->planes || (uint64_t)reading->cards.frames != reading->rows ||
        !fits_header_sums_up(&reading->unit[READING_CUBE].header, &cube) ||
        !fits_header_sums_up(&reading->unit[READING_FRAMES].header, &table))
        return 0;
    cursor = malloc(sizeof *cursor);
    if (!cursor)
        return -ENOMEM;
    reading_cursor_init(cursor, reading);
    for (uint64_t i = 0; i < reading->rows; i++) {
        const unsigned char *packed = reading_cursor_row(cursor, i, &error);
        struct fits_row row;

        if (!packed)
            break;
        fits_row_unpack(&row, packed);
        rows_sum = fits_sum_add(rows_sum, fits_sum_bytes(packed, FITS_ROW_BYTES));
        data_sum = fits_sum_add(data_sum, fits_sum_at(row.dsum, i * reading->frame_bytes));
        has_half = has_half || (row.flags & FITS_FLAG_RECOVERED);
    }
    free(cursor);
    if (error < 0)
        return error;
    return fits_sum_is_same(table, rows_sum) && (has_half || fits_sum_is_same(cube, data_sum));
}

static const char *end_cause(const struct job *job)
{
    const char *cause = fits_find_end_cause(job->reading.cards.end_cause);

    return cause ? cause : "ERROR";
}

/* A header with a checksum that does not fit is believed in nothing that rows can tell. */
static bool is_believed(const struct reading *reading)
{
    const struct fits_bytes *header = &reading->unit[READING_CUBE].header;
    uint32_t datasum;

    return !fits_has_checksum(header) || fits_header_sums_up(header, &datasum);
}

/* Of a file that ended so, NLOST may count frames behind its last row. */
static bool has_loss_behind(const char *cause)
{
    return strcmp(cause, "STOP") == 0 || strcmp(cause, "SIGNAL") == 0 ||
           strcmp(cause, "ERROR") == 0;
}

static int look(struct job *job)
{
    const struct reading *reading = &job->reading;
    struct dao_text text = {""};
    int r = is_complete(reading);

    if (r < 0)
        return refuse(job, r, "%s", strerror(-r));
    job->ret->verdict = r ? REPAIR_RENAME : REPAIR_CLOSE;
    job->ret->frames = reading->rows;
    if (r)
        return 0;
    r = mend_look(&job->survey, reading);
    if (r < 0)
        return refuse(job, r, "%s", strerror(-r));
    job->ret->frames = job->survey.frames;
    job->ret->flagged = job->survey.flagged;
    job->ret->dropped = job->survey.dropped;
    job->ret->no_rows = job->survey.no_rows;
    if (!recording_file_has_room(&job->file, job->survey.frames))
        return refuse(job, -ENOSPC,
                      "%llu of its %llu frames are good up to the last good one, and there is no "
                      "room in the file for tables of so few",
                      (unsigned long long)job->survey.frames, (unsigned long long)reading->planes);
    job->file.state.end_cause = end_cause(job);
    r = recording_file_check(&job->file, job->survey.frames, &text);
    return r < 0 ? refuse(job, r, "its headers cannot be made final: %s", text.s) : 0;
}

/* ---- closing ---- */

/* The marks that the recorder would have put into the header: as many, and told in the same way. */
static int find_marks(struct job *job)
{
    struct fits_state *state = &job->file.state;
    struct noted noted;
    int r = noted_find_untold(&noted, job->dir_fd, &job->reading, job->survey.frames);

    state->mark_count = noted.count < FITS_MARK_CARDS ? (unsigned)noted.count : FITS_MARK_CARDS;
    for (unsigned i = 0; i < state->mark_count; i++)
        job->marks[i] = noted.marks[i].mark;
    state->marks = job->marks;
    state->marks_more = noted.count - state->mark_count;
    noted_free(&noted);
    return r;
}

/* The state that the final header tells, from the rows as they are now. */
static int fill_state(struct job *job, uint32_t *ret_rows_sum)
{
    struct fits_state *state = &job->file.state;
    const struct reading_cards *cards = &job->reading.cards;
    struct reading_cursor *cursor = malloc(sizeof *cursor);
    struct rowcheck check;
    struct fits_row row = {0};
    int error = cursor ? 0 : -ENOMEM;
    double span_s;

    rowcheck_init(&check, job->reading.dateref_ns, job->reading.geometry.depth, NULL, NULL);
    *ret_rows_sum = 0;
    if (cursor)
        reading_cursor_init(cursor, &job->reading);
    for (uint64_t i = 0; i < job->survey.frames && error == 0; i++) {
        const unsigned char *packed = reading_cursor_row(cursor, i, &error);

        if (!packed)
            break;
        fits_row_unpack(&row, packed);
        rowcheck_feed(&check, &row);
        *ret_rows_sum = fits_sum_add(*ret_rows_sum, fits_sum_bytes(packed, FITS_ROW_BYTES));
        if (i == 0)
            state->cnt0_begin = row.cnt0;
    }
    free(cursor);
    if (error < 0)
        return error;
    look_behind(job, row.cnt0);
    state->cnt0_end = row.cnt0;
    state->end_ns = rowcheck_time(&row);
    span_s = (double)(state->end_ns - state->begin_ns) / 1e9;
    state->fps =
        check.totals.rows > 1 && span_s > 0.0 ? (double)(check.totals.rows - 1) / span_s : 0.0;
    state->end_cause = end_cause(job);
    state->lost = check.totals.lost + job->behind;
    if (has_loss_behind(cards->end_cause) && is_believed(&job->reading) && cards->lost > 0 &&
        (uint64_t)cards->lost > state->lost)
        state->lost = (uint64_t)cards->lost; /* closing knew of more */
    state->gaps = check.totals.gaps;
    state->torn = check.totals.torn;
    state->session_lost = sum_session_lost(job, state->lost);
    state->next = job->next;
    return 0;
}

static int close_file(struct job *job, const struct recording_hooks *hooks)
{
    uint32_t rows_sum = 0;
    int64_t before_cnt0 = 0;
    bool has_before = job->survey.flagged > 0 && find_before(job, &before_cnt0);
    int r = mend_rows(&job->survey, &job->file, &job->reading, has_before ? &before_cnt0 : NULL);

    if (r == 0 && job->survey.flagged > 0 && hooks && hooks->after_step)
        hooks->after_step(hooks->ctx, "rows");
    if (r == 0)
        r = fill_state(job, &rows_sum);
    if (r == 0)
        r = find_marks(job);
    if (r < 0)
        return refuse(job, r, "%s", strerror(-r));
    r = recording_file_close(&job->file, job->survey.frames, job->survey.data_sum, rows_sum,
                             "RECOVERD", hooks, &job->ret->text);
    job->ret->verdict = r < 0 ? REPAIR_REFUSED : REPAIR_CLOSE;
    return r;
}

/* Both names are there (a rename done as link and unlink): the file keeps the final one, but not
 * where somebody gave that to a file that is not finished. */
static int drop_part_name(struct job *job, const char *name, bool apply)
{
    struct dao_text text;
    int r = repair_look_at_finished(job->dir_fd, job->ret->final_name, &text);

    if (r == -EINPROGRESS)
        return refuse(job, r,
                      "is not finished, and has a second name, that of a finished file; remove the "
                      "name %s, then repair again",
                      job->ret->final_name);
    if (r < 0)
        return refuse(job, r, "its second name is %s, but it %.200s", job->ret->final_name, text.s);
    job->ret->verdict = REPAIR_UNNAME;
    if (apply && unlinkat(job->dir_fd, name, 0) != 0)
        return refuse(job, -errno, "%s", strerror(errno));
    return apply ? sink_sync_dir(&job->file.sink) : 0;
}

static int apply_verdict(struct job *job, const struct recording_hooks *hooks)
{
    int r = restore_apply(&job->restore, &job->file.sink);

    if (r < 0)
        return refuse(job, r, "%s", strerror(-r));
    if (job->restore.count > 0 && hooks && hooks->after_step)
        hooks->after_step(hooks->ctx, "headers");
    if (job->ret->verdict == REPAIR_CLOSE)
        return close_file(job, hooks);
    r = recording_file_finish(&job->file, job->reading.planes, hooks, &job->ret->text);
    job->ret->verdict = r < 0 ? REPAIR_REFUSED : REPAIR_RENAME;
    return r;
}

/* Somebody holds the file, or has renamed it meanwhile. A living recorder holds its session,
 * too. */
static int say_owner(struct job *job, int error)
{
    int session_fd = openat(job->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_alive = session_fd >= 0 && tree_session_is_alive(session_fd);

    if (session_fd >= 0)
        close(session_fd);
    snprintf(job->ret->text.s, sizeof job->ret->text.s, "%s",
             error != -EWOULDBLOCK ? "was finished by somebody else just now"
             : is_alive            ? "its recorder lives"
                        : "held by another repair, or by a recorder that is just ending");
    job->ret->verdict = REPAIR_OWNED;
    return -EWOULDBLOCK;
}

static int run(struct job *job, const char *name, bool apply, const struct sink_backend *backend,
               const struct recording_hooks *hooks)
{
    char own[TREE_FILE_BYTES];
    struct dao_text text = {""};
    int r = check_name(job, name);

    if (r < 0)
        return r;
    r = sink_open(&job->file.sink, job->dir_fd, name, apply, backend);
    if (r == -EWOULDBLOCK || r == -ESTALE || r == -ENOENT)
        return say_owner(job, r);
    if (r < 0)
        return refuse(job, r, "%s",
                      r == -ELOOP                   ? "is a link; give the file itself"
                      : r == -EINVAL || r == -ENXIO ? "is not a regular file"
                                                    : strerror(-r));
    /* As it is on the disk: what was read of it while it was written may be out of date. */
    posix_fadvise(job->file.sink.fd, 0, 0, POSIX_FADV_DONTNEED);
    r = check_final_name(job);
    if (r != 0)
        return r < 0 ? r : drop_part_name(job, name, apply);
    r = restore_look(&job->restore, job->file.sink.fd, job->dir_fd, name, &text);
    if (r < 0)
        return r == -EBADMSG
                   ? refuse(job, r, "%s; put that card right with a FITS editor, then repair again",
                            text.s)
                   : refuse(job, r, "%s", strerror(-r));
    job->ret->restored = job->restore.count;
    memcpy(job->ret->cards, job->restore.cards, sizeof job->ret->cards);
    r = restore_open(&job->restore, &job->reading, job->file.sink.fd, &text);
    if (r == 0)
        r = recording_file_adopt(&job->file, &job->reading, name, &text);
    if (r < 0)
        return refuse(job, r, "%s", text.s);
    tree_file_name(own, job->file.stream, job->file.state.file_seq, 1);
    if (strcmp(own, name) != 0) /* the ledger and the files beside it know it by that name */
        return refuse(job, -EBADMSG, "calls itself %s; rename it, then repair again", own);
    r = look(job);
    return r == 0 && apply ? apply_verdict(job, hooks) : r;
}

int repair_file(struct repair_file *ret, int dir_fd, const char *name, bool apply,
                const struct sink_backend *backend, const struct recording_hooks *hooks)
{
    struct job *job = calloc(1, sizeof *job);
    int r;

    *ret = (struct repair_file){.verdict = REPAIR_REFUSED};
    if (!job)
        return -ENOMEM;
    job->ret = ret;
    job->dir_fd = dir_fd;
    job->file.sink.fd = -1;
    r = run(job, name, apply, backend, hooks);
    if (r < 0 && ret->verdict == REPAIR_REFUSED && ret->text.s[0] == '\0')
        snprintf(ret->text.s, sizeof ret->text.s, "%s", strerror(-r));
    recording_file_discard(&job->file);
    restore_free(&job->restore);
    reading_close(&job->reading);
    mend_survey_free(&job->survey);
    free(job);
    return r;
}
