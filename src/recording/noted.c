/* noted.c - see noted.h. */
#include "recording/noted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recording/find.h"
#include "recording/ledger.h"
#include "recording/reading.h"

/* ---- the ledger's ---- */

/* session.json lies in the folder above that of the file. */
static int read_ledger(struct ledger_document *ret, int dir_fd, const char *uuid)
{
    int session_fd = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
    struct dao_text ignored;

    *ret = (struct ledger_document){0};
    r = session_fd < 0 ? -errno : ledger_document_read(ret, session_fd, &ignored);
    if (r == 0 && (!ret->ledger.uuid || strcmp(ret->ledger.uuid, uuid) != 0))
        r = -ENOENT;
    if (r < 0)
        ret->ledger.mark_count = 0;
    if (session_fd >= 0)
        close(session_fd);
    return r;
}

/* A file gets marks that follow each other in the ledger: are those from `at` on the cards'? */
static bool are_cards(const struct ledger *ledger, size_t at, const struct fits_mark *cards,
                      unsigned count, uint64_t more)
{
    if (ledger->mark_count - at < count || ledger->mark_count - at - count < more)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (ledger->marks[at + i].time_ns / 1000 != cards[i].time_ns / 1000)
            return false;
    return true;
}

static int keep(struct noted *ret, const struct fits_mark *marks, size_t count)
{
    ret->marks = count > 0 ? calloc(count, sizeof *ret->marks) : NULL;
    if (count > 0 && !ret->marks)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        ret->marks[i].mark = marks[i];
    ret->count = count;
    return 0;
}

/* Where the ledger has the marks of these cards; mark_count: nowhere. */
static size_t find_cards(const struct ledger *ledger, const struct fits_mark *cards, unsigned count,
                         uint64_t more)
{
    size_t at = 0;

    while (at < ledger->mark_count && !are_cards(ledger, at, cards, count, more))
        at++;
    return at;
}

static int keep_of_cards(struct noted *ret, const struct ledger *ledger,
                         const struct fits_mark *cards, unsigned count, uint64_t more)
{
    size_t at = find_cards(ledger, cards, count, more);

    if (at < ledger->mark_count)
        return keep(ret, ledger->marks + at, count + (size_t)more);
    ret->more = more;
    return keep(ret, cards, count);
}

/* ---- the rows ---- */

/* RTIME of a row; a frame that is not there yet is later than anything. */
static int read_row(const struct reading *reading, uint64_t index, struct fits_row *ret)
{
    unsigned char packed[FITS_ROW_BYTES];
    int r = reading_rows(reading, index, 1, packed);

    if (r < 0)
        return r;
    fits_row_unpack(ret, packed);
    if (ret->rtime_ns == 0)
        ret->rtime_ns = INT64_MAX;
    return 0;
}

/* How many of the rows were taken at or before that time, by bisection. */
static int count_before(const struct reading *reading, int64_t time_ns, uint64_t *ret)
{
    uint64_t low = 0, high = reading->rows;
    struct fits_row row;
    int r = 0;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        r = read_row(reading, middle, &row);
        if (r < 0)
            break;
        if (row.rtime_ns <= time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = low;
    return r;
}

static int find_count(const struct reading *reading, struct noted_mark *mark)
{
    struct fits_row row;
    uint64_t before;
    int r = count_before(reading, mark->mark.time_ns, &before);

    if (r < 0 || before == 0)
        return r;
    r = read_row(reading, before - 1, &row);
    if (r == 0) {
        mark->has_cnt0 = true;
        mark->cnt0 = row.cnt0;
    }
    return r;
}

/* ---- a file that has no cards, since its recorder did not finish it ---- */

/* Of the ledger's marks: those behind `first`, and before `end`. */
struct span {
    size_t first, end;
};

static size_t count_until(const struct ledger *ledger, int64_t time_ns)
{
    size_t count = 0;

    while (count < ledger->mark_count && ledger->marks[count].time_ns <= time_ns)
        count++;
    return count;
}

/* Those that the cards of a file tell of. */
static struct span find_told(const struct ledger *ledger, const struct reading *reading)
{
    struct fits_mark cards[FITS_MARK_CARDS];
    uint64_t more;
    unsigned count = fits_marks_read(&reading->unit[READING_CUBE].header, cards, &more);
    size_t at = count > 0 ? find_cards(ledger, cards, count, more) : ledger->mark_count;

    return at == ledger->mark_count ? (struct span){0}
                                    : (struct span){at, at + count + (size_t)more};
}

/* RTIME of the last frame that is there. */
static int find_last_ns(const struct reading *reading, uint64_t frames, int64_t *ret_ns)
{
    uint64_t there = 0;
    struct fits_row row;
    int r = count_before(reading, INT64_MAX - 1, &there);

    there = there < frames ? there : frames;
    if (r == 0 && there == 0)
        r = -ENODATA;
    if (r == 0)
        r = read_row(reading, there - 1, &row);
    if (r == 0)
        *ret_ns = row.rtime_ns;
    return r;
}

/* What was noted before the file began, as far as the one before can tell; that one may be gone. */
static void begin_behind(struct span *span, const struct ledger *ledger, int dir_fd,
                         const struct reading *own)
{
    struct reading before;
    struct fits_row row;
    int64_t last_ns;
    int fd;

    if (own->cards.file_seq <= 1)
        return;
    if (read_row(own, 0, &row) == 0)
        span->first = count_until(ledger, row.rtime_ns - 1);
    if (reading_open_neighbour(&before, dir_fd, own, (uint64_t)own->cards.file_seq - 1, &fd) < 0)
        return;
    if (find_last_ns(&before, before.rows, &last_ns) == 0) {
        size_t told = find_told(ledger, &before).end;

        span->first = count_until(ledger, last_ns);
        span->first = told > span->first ? told : span->first;
    }
    reading_close(&before);
    close(fd);
}

/* What was noted after its end is the next file's: where that one is finished, it tells which. */
static void end_before(struct span *span, const struct ledger *ledger, int dir_fd,
                       const struct reading *own, uint64_t frames)
{
    bool has_frames;
    int64_t last_ns;
    struct reading next;
    struct fits_row row;
    int fd, r = reading_open_neighbour(&next, dir_fd, own, (uint64_t)own->cards.file_seq + 1, &fd);

    if (r < 0 && own->cards.next[0] == '\0')
        return;
    has_frames = find_last_ns(own, frames, &last_ns) == 0;
    if (has_frames)
        span->end = count_until(ledger, last_ns);
    if (r < 0)
        return;
    if (strcmp(next.cards.status, "OPEN") != 0 && read_row(&next, 0, &row) == 0) {
        struct span told = find_told(ledger, &next);
        size_t end = count_until(ledger, row.rtime_ns - 1);

        end = has_frames && span->end > end ? span->end : end;
        span->end = told.end > 0 && told.first < end ? told.first : end;
    }
    reading_close(&next);
    close(fd);
}

static int keep_untold(struct noted *ret, const struct ledger *ledger, int dir_fd,
                       const struct reading *reading, uint64_t frames)
{
    struct span span = {0, ledger->mark_count};

    if (ledger->mark_count == 0)
        return 0;
    begin_behind(&span, ledger, dir_fd, reading);
    end_before(&span, ledger, dir_fd, reading, frames);
    return span.first < span.end ? keep(ret, ledger->marks + span.first, span.end - span.first) : 0;
}

int noted_find_untold(struct noted *ret, int dir_fd, const struct reading *reading, uint64_t frames)
{
    struct fits_mark cards[FITS_MARK_CARDS];
    struct ledger_document document;
    uint64_t more;
    int r = 0;

    *ret = (struct noted){0};
    if (fits_marks_read(&reading->unit[READING_CUBE].header, cards, &more) > 0 || more > 0)
        return 0;
    read_ledger(&document, dir_fd, reading->cards.uuid);
    r = keep_untold(ret, &document.ledger, dir_fd, reading, frames);
    ledger_document_free(&document);
    return r;
}

/* ---- a file ---- */

static int read_marks(struct noted *ret, const struct reading *reading, int dir_fd)
{
    struct fits_mark cards[FITS_MARK_CARDS];
    struct ledger_document document;
    uint64_t more;
    unsigned count = fits_marks_read(&reading->unit[READING_CUBE].header, cards, &more);
    bool has_cards = count > 0 || more > 0;
    int r = 0;

    if (!has_cards && strcmp(reading->cards.status, "CLOSED") == 0)
        return 0;
    read_ledger(&document, dir_fd, reading->cards.uuid);
    r = has_cards ? keep_of_cards(ret, &document.ledger, cards, count, more)
                  : keep_untold(ret, &document.ledger, dir_fd, reading, reading->rows);
    ledger_document_free(&document);
    for (size_t i = 0; i < ret->count && r == 0; i++)
        r = find_count(reading, &ret->marks[i]);
    return r;
}

int noted_read(struct noted *ret, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), dir_fd, r;
    struct reading reading = {0};
    struct dao_text ignored;
    char folder[4096];

    *ret = (struct noted){0};
    if (fd < 0)
        return -errno;
    find_folder_of(path, folder, sizeof folder);
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* without it: what the cards say */
    r = reading_open_anyway(&reading, fd, &ignored);
    if (r == 0)
        r = read_marks(ret, &reading, dir_fd);
    reading_close(&reading);
    if (dir_fd >= 0)
        close(dir_fd);
    close(fd);
    return r;
}

void noted_free(struct noted *noted)
{
    free(noted->marks);
    *noted = (struct noted){0};
}
