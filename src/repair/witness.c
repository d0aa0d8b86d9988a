/* witness.c - see witness.h. */
#include "repair/witness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fits/flips.h"
#include "recording/find.h"
#include "recording/rowcheck.h"

#define ROWS_LOOKED_AT 65536u /* a FIFO that is deeper does not wrap within them */
#define ENTRIES_MAX    1000u  /* of a folder that need not be a session's */

/* "<stream>_000001" and this tail. */
static bool parse_name(const char *name, const char *tail, char stream[FITS_STREAM_NAME_MAX + 1],
                       uint64_t *ret_seq)
{
    size_t length = strlen(name), tail_length = strlen(tail), lead;
    const char *digits;

    if (length <= tail_length || strcmp(name + length - tail_length, tail) != 0)
        return false;
    length -= tail_length;
    for (lead = length; lead > 0 && name[lead - 1] >= '0' && name[lead - 1] <= '9';)
        lead--;
    digits = name + lead;
    if (length - lead < 6 || length - lead > 12 || lead < 2 || name[lead - 1] != '_' ||
        lead - 1 > FITS_STREAM_NAME_MAX)
        return false;
    memcpy(stream, name, lead - 1);
    stream[lead - 1] = '\0';
    *ret_seq = strtoull(digits, NULL, 10);
    return *ret_seq > 0 && tree_is_stream_name(stream);
}

/* ---- files beside it ---- */

/* Opened, its header's checksum good, finished, of this stream? It stays open in memory only. */
static bool open_finished(struct reading *ret, int dir_fd, const char *name, const char *stream)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct dao_text text;
    uint32_t datasum;
    bool good;

    if (fd < 0)
        return false;
    good = reading_open(ret, fd, &text) == 0;
    close(fd);
    ret->fd = -1;
    if (good && strcmp(ret->cards.stream, stream) == 0 && strcmp(ret->cards.status, "OPEN") != 0 &&
        fits_header_sums_up(&ret->unit[READING_CUBE].header, &datasum))
        return true;
    reading_close(ret);
    return false;
}

static void look_at_stream(struct witness *witness, int dir_fd)
{
    DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    uint64_t before = 0, after = UINT64_MAX, seq;
    char stream[FITS_STREAM_NAME_MAX + 1], name[TREE_FILE_BYTES];
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (!parse_name(entry->d_name, ".fits", stream, &seq) ||
            strcmp(stream, witness->stream) != 0)
            continue;
        if (seq < witness->seq && seq > before)
            before = seq;
        if (seq > witness->seq && seq < after)
            after = seq;
    }
    if (dir)
        closedir(dir);
    tree_file_name(name, witness->stream, before, 0);
    if (before > 0)
        open_finished(&witness->before, dir_fd, name, witness->stream);
    tree_file_name(name, witness->stream, after, 0);
    if (after < UINT64_MAX)
        open_finished(&witness->after, dir_fd, name, witness->stream);
}

static void add_mate(struct witness *witness, int fd)
{
    struct witness_mate *mate = &witness->mates[witness->mate_count];
    struct fits_unit unit = {0};
    struct dao_text text;
    uint32_t datasum;

    /* Of a length that holds any header: what matters is that alone. */
    if (fits_scan_unit(&unit, fd, (uint64_t)INT64_MAX, 0, &text) == 0 &&
        fits_card_text(&unit.header, "RECUUID", mate->uuid, FITS_TEXT_BYTES) == 0 &&
        fits_card_text(&unit.header, "RECHOST", mate->host, FITS_TEXT_BYTES) == 0 &&
        fits_card_text(&unit.header, "RECVERS", mate->version, FITS_TEXT_BYTES) == 0) {
        mate->weight = fits_header_sums_up(&unit.header, &datasum) ? 2 : 1;
        witness->mate_count++;
    }
    fits_unit_free(&unit);
}

/* The first recording in the folder of another stream, a finished one if there is one. */
static void look_at_mate(struct witness *witness, int session_fd, const char *folder)
{
    int fd = openat(session_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    char name[TREE_FILE_BYTES] = "", stream[FITS_STREAM_NAME_MAX + 1];
    struct dirent *entry;
    uint64_t seq;

    if (fd >= 0 && !dir)
        close(fd);
    for (unsigned i = 0; dir && i < ENTRIES_MAX && (entry = readdir(dir)); i++) {
        bool is_finished = parse_name(entry->d_name, ".fits", stream, &seq);

        if (!is_finished && (name[0] || !parse_name(entry->d_name, ".fits.part", stream, &seq)))
            continue;
        tree_file_name(name, stream, seq, !is_finished);
        if (is_finished)
            break;
    }
    fd = name[0]
             ? openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
             : -1;
    if (fd >= 0) {
        add_mate(witness, fd);
        close(fd);
    }
    if (dir)
        closedir(dir);
}

static void look_at_session(struct witness *witness, int session_fd)
{
    DIR *dir = fdopendir(openat(session_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct dirent *entry;

    for (unsigned i = 0; dir && i < ENTRIES_MAX && (entry = readdir(dir)); i++)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, witness->stream) != 0 &&
            witness->mate_count < WITNESS_MATES_MAX)
            look_at_mate(witness, session_fd, entry->d_name);
    if (dir)
        closedir(dir);
}

static void look_at_ledger(struct witness *witness, int session_fd)
{
    const struct ledger *ledger = &witness->document.ledger;
    struct dao_text text;
    char name[TREE_FILE_BYTES];

    if (ledger_document_read(&witness->document, session_fd, &text) < 0)
        return;
    for (size_t i = 0; i < ledger->stream_count && !witness->ledger; i++)
        if (strcmp(ledger->streams[i].name, witness->stream) == 0)
            witness->ledger = &ledger->streams[i];
    tree_file_name(name, witness->stream, witness->seq, 0);
    for (size_t i = 0; witness->ledger && i < witness->ledger->file_count; i++)
        if (strcmp(witness->ledger->files[i].name, name) == 0)
            witness->entry = &witness->ledger->files[i];
}

void witness_gather(struct witness *ret, int dir_fd, const char *name)
{
    int session_fd;

    *ret = (struct witness){0};
    if (!parse_name(name, ".fits.part", ret->stream, &ret->seq)) {
        ret->stream[0] = '\0';
        ret->seq = 0;
        return;
    }
    look_at_stream(ret, dir_fd);
    session_fd = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (session_fd < 0)
        return;
    look_at_ledger(ret, session_fd);
    look_at_session(ret, session_fd);
    close(session_fd);
}

void witness_free(struct witness *witness)
{
    ledger_document_free(&witness->document);
    reading_close(&witness->before);
    reading_close(&witness->after);
    *witness = (struct witness){0};
}

const struct dao_geometry *witness_ledger_shape(const struct witness *witness)
{
    const struct ledger_counts *counts = witness->ledger ? &witness->ledger->counts : NULL;
    const struct dao_geometry *found = NULL;

    if (!counts || !witness->entry) /* it may be older than the file's shape */
        return NULL;
    for (uint64_t i = 0;
         witness->ledger->shapes && i + 1 < counts->shape_count && i < LEDGER_SHAPES_MAX; i++)
        if (witness->ledger->shapes[i].first_file <= witness->seq)
            found = &witness->ledger->shapes[i].geometry;
    return counts->shape.first_file <= witness->seq ? &counts->shape.geometry : found;
}

bool witness_has_same_before(const struct witness *witness)
{
    const struct reading *before = &witness->before;

    return before->unit_count > 0 && (uint64_t)before->cards.file_seq + 1 == witness->seq &&
           strcmp(before->cards.status, "CLOSED") == 0 &&
           strcmp(before->cards.end_cause, "RESHAPE") != 0;
}

/* ---- rows ---- */

/* The value that most of those fed have, as far as one has a majority. */
struct majority {
    int64_t value, lead;
};

static void majority_feed(struct majority *majority, int64_t value)
{
    if (majority->lead == 0)
        majority->value = value;
    majority->lead += majority->value == value ? 1 : -1;
}

/* TIME is ATIME - DATEREF, a whole second. */
static void feed_dateref(struct majority *dateref, const struct fits_row *row)
{
    int64_t second = rowcheck_dateref(row);

    if (second != 0)
        majority_feed(dateref, second);
}

/* Where slots begin again at 0 the depth shows. */
static void feed_depth(struct majority *depth, const struct fits_row *before,
                       const struct fits_row *row)
{
    if ((uint64_t)row->cnt0 - (uint64_t)before->cnt0 == 1 && row->lost == 0 && row->slot == 0 &&
        before->slot >= 0 && !(row->flags & FITS_FLAG_RESET))
        majority_feed(depth, (int64_t)before->slot + 1);
}

static void feed_row(struct witness_rows *ret, struct majority *dateref, struct majority *depth,
                     const struct fits_row *before, const struct fits_row *row)
{
    if (row->flags & FITS_FLAG_RECOVERED)
        return;
    feed_dateref(dateref, row);
    if (before->rtime_ns != 0)
        feed_depth(depth, before, row);
    ret->slot_max = row->slot > ret->slot_max ? row->slot : ret->slot_max;
}

int witness_read_rows(struct witness_rows *ret, int fd, uint64_t rows_off, uint64_t rows)
{
    struct majority dateref = {0}, depth = {0};
    unsigned char *chunk = malloc(READING_ROWS_AT_ONCE * FITS_ROW_BYTES);
    struct fits_row row = {0}, before;
    int r = chunk ? 0 : -ENOMEM;

    *ret = (struct witness_rows){.slot_max = -1};
    rows = rows < ROWS_LOOKED_AT ? rows : ROWS_LOOKED_AT;
    for (uint64_t i = 0; i < rows && r == 0; i++) {
        uint64_t left = rows - i < READING_ROWS_AT_ONCE ? rows - i : READING_ROWS_AT_ONCE;

        if (i % READING_ROWS_AT_ONCE == 0)
            r = fits_read_at(fd, rows_off + i * FITS_ROW_BYTES, chunk, left * FITS_ROW_BYTES);
        if (r < 0)
            break;
        before = row;
        fits_row_unpack(&row, chunk + i % READING_ROWS_AT_ONCE * FITS_ROW_BYTES);
        if (row.rtime_ns == 0)
            continue;
        if (i == 0 && !(row.flags & FITS_FLAG_RECOVERED)) {
            ret->has_first = true;
            ret->first_cnt0 = row.cnt0;
            ret->first_ns = rowcheck_time(&row);
        }
        feed_row(ret, &dateref, &depth, &before, &row);
    }
    free(chunk);
    ret->has_dateref = dateref.lead > 0;
    ret->dateref_ns = dateref.value;
    if (depth.lead > 0 && depth.value == (int64_t)ret->slot_max + 1)
        ret->depth = (uint32_t)depth.value;
    return r;
}

/* ---- settling ---- */

void ballot_add(struct ballot *ballot, const char *value, unsigned weight, const char *who)
{
    if (!value || value[0] == '\0')
        return;
    for (unsigned i = 0; i < ballot->count; i++)
        if (strcmp(ballot->rivals[i].value, value) == 0) {
            ballot->rivals[i].weight += weight;
            return;
        }
    if (ballot->count == BALLOT_RIVALS)
        return;
    ballot->rivals[ballot->count].value = value;
    ballot->rivals[ballot->count].who = who;
    ballot->rivals[ballot->count++].weight = weight;
}

int ballot_settle(const struct ballot *ballot, const char *card, const char **ret,
                  struct dao_text *text)
{
    unsigned own = ballot->own ? 1 : 0, best = 0, second = 0, which = 0, other = 0;

    for (unsigned i = 0; i < ballot->count; i++) {
        unsigned weight = ballot->rivals[i].weight;

        if (ballot->own && strcmp(ballot->rivals[i].value, ballot->own) == 0) {
            own += weight;
        } else if (ballot->own &&
                   fits_flips_of_texts(ballot->rivals[i].value, ballot->own) > FITS_FLIPS_MAX) {
            continue; /* that is no bit flipped: it speaks of something else */
        } else if (weight > best) {
            second = best;
            other = which;
            best = weight;
            which = i;
        } else if (weight > second) {
            second = weight;
            other = i;
        }
    }
    if (own > best) {
        *ret = ballot->own;
        return 0;
    }
    if (best > own && best > second) {
        *ret = ballot->rivals[which].value;
        return 0;
    }
    if (best > own) /* and as much speaks for another */
        snprintf(text->s, sizeof text->s, "%s is damaged, and is %.80s by %s and %.80s by %s", card,
                 ballot->rivals[which].value, ballot->rivals[which].who,
                 ballot->rivals[other].value, ballot->rivals[other].who);
    else if (own > 0)
        snprintf(text->s, sizeof text->s, "%s is %.80s in the header and %.80s by %s", card,
                 ballot->own, ballot->rivals[which].value, ballot->rivals[which].who);
    else
        snprintf(text->s, sizeof text->s, "%s is damaged, and nothing else tells it", card);
    return -EINVAL;
}
