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
static int read_ledger(struct ledger_document *ret, const char *path, const char *uuid)
{
    char folder[4096];
    struct dao_text ignored;
    int stream_fd, session_fd = -1, r;

    find_folder_of(path, folder, sizeof folder);
    stream_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (stream_fd >= 0)
        session_fd = openat(stream_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = session_fd < 0 ? -errno : ledger_document_read(ret, session_fd, &ignored);
    if (r == 0 && (!ret->ledger.uuid || strcmp(ret->ledger.uuid, uuid) != 0))
        r = -ENOENT;
    if (session_fd >= 0)
        close(session_fd);
    if (stream_fd >= 0)
        close(stream_fd);
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

static int keep_of_cards(struct noted *ret, const struct ledger *ledger,
                         const struct fits_mark *cards, unsigned count, uint64_t more)
{
    for (size_t at = 0; at < ledger->mark_count; at++)
        if (are_cards(ledger, at, cards, count, more))
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

/* ---- a file ---- */

/* Of a file that has no cards, since its recorder did not finish it. */
static int keep_of_times(struct noted *ret, const struct reading *reading,
                         const struct ledger *ledger)
{
    int64_t from = INT64_MIN, to = INT64_MAX;
    size_t first = 0, end;
    uint64_t there = 0;
    struct fits_row row;
    int r = count_before(reading, INT64_MAX - 1, &there);

    if (r == 0 && there == 0 && reading->cards.file_seq > 1)
        return 0;
    if (r == 0 && reading->cards.file_seq > 1 && (r = read_row(reading, 0, &row)) == 0)
        from = row.rtime_ns;
    if (r == 0 && there > 0 && reading->cards.next[0] != '\0' &&
        (r = read_row(reading, there - 1, &row)) == 0)
        to = row.rtime_ns;
    if (r < 0)
        return r;
    while (first < ledger->mark_count && ledger->marks[first].time_ns < from)
        first++;
    for (end = first; end < ledger->mark_count && ledger->marks[end].time_ns <= to;)
        end++;
    return keep(ret, ledger->marks + first, end - first);
}

static int read_marks(struct noted *ret, const struct reading *reading, const char *path)
{
    struct fits_mark cards[FITS_MARK_CARDS];
    struct ledger_document document = {0};
    uint64_t more;
    unsigned count = fits_marks_read(&reading->unit[READING_CUBE].header, cards, &more);
    bool has_cards = count > 0 || more > 0;
    int r = 0;

    if (!has_cards && strcmp(reading->cards.status, "CLOSED") == 0)
        return 0;
    if (read_ledger(&document, path, reading->cards.uuid) < 0)
        document.ledger.mark_count = 0;
    r = has_cards ? keep_of_cards(ret, &document.ledger, cards, count, more)
                  : keep_of_times(ret, reading, &document.ledger);
    ledger_document_free(&document);
    for (size_t i = 0; i < ret->count && r == 0; i++)
        r = find_count(reading, &ret->marks[i]);
    return r;
}

int noted_read(struct noted *ret, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;
    struct reading reading = {0};
    struct dao_text ignored;

    *ret = (struct noted){0};
    if (fd < 0)
        return -errno;
    r = reading_open_anyway(&reading, fd, &ignored);
    if (r == 0)
        r = read_marks(ret, &reading, path);
    reading_close(&reading);
    close(fd);
    return r;
}

void noted_free(struct noted *noted)
{
    free(noted->marks);
    *noted = (struct noted){0};
}
