/*
 * restore_values.c - every value of a primary header settled between what its card says and what
 * else tells it. See restore_parts.h.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "base/version.h"
#include "fits/flips.h"
#include "repair/restore_parts.h"

#define UTC_BYTES 40

static const char *const statuses[] = {"OPEN", "CLOSED", "RECOVERD", NULL};

/* ---- what the cards say ---- */

/* The card that stands for this keyword, or NULL. */
static const unsigned char *find_card(const struct restore_job *job, const char *key)
{
    int i = restore_find(&job->model, key);

    return i < 0 || job->map[i] < 0 ? NULL : job->bytes->data + (size_t)job->map[i] * 80;
}

/* What the model's card has for a comment. */
static void get_comment(const struct restore_job *job, const char *key, char ret[FITS_FLIPS_TEXT])
{
    const unsigned char *card = fits_card_find(&job->model, key);
    size_t from = 30, to = FITS_CARD_BYTES;

    while (from + 3 < to && memcmp(card + from, " / ", 3) != 0)
        from++;
    while (to > from + 3 && card[to - 1] == ' ')
        to--;
    snprintf(ret, FITS_FLIPS_TEXT, "%.*s", (int)(to - from - 3), (const char *)card + from + 3);
}

/* As it stands, where it is no value as we write it but a legal one: a person's hand. */
static bool read_plainly(const unsigned char *card, char ret[FITS_FLIPS_TEXT])
{
    struct fits_bytes header = {(unsigned char *)(uintptr_t)card, FITS_CARD_BYTES};
    char key[9], text[FITS_TEXT_BYTES];
    int64_t value;

    snprintf(key, sizeof key, "%.8s", (const char *)card);
    key[strcspn(key, " ")] = '\0';
    if (!fits_card_is_legal(card))
        return false;
    if (fits_card_text(&header, key, text, sizeof text) == 0)
        snprintf(ret, FITS_FLIPS_TEXT, "%s", text);
    else if (fits_card_integer(&header, key, &value) == 0)
        snprintf(ret, FITS_FLIPS_TEXT, "%20lld", (long long)value);
    else
        return false;
    return true;
}

/* `ret`, or NULL where the card has no such value. */
static const char *get_text(const struct restore_job *job, const char *key,
                            bool (*is_fit)(const char *value), char ret[FITS_FLIPS_TEXT])
{
    const unsigned char *card = find_card(job, key);
    char comment[FITS_FLIPS_TEXT];
    int r;

    if (!card)
        return NULL;
    get_comment(job, key, comment);
    r = fits_flipped_text(card, comment, is_fit, ret);
    if (r == -ENOENT && read_plainly(card, ret) && (!is_fit || is_fit(ret)))
        r = 0;
    return r == 0 ? ret : NULL;
}

/* Numbers are compared as they stand in their field. */
static const char *get_integer(const struct restore_job *job, const char *key,
                               char ret[FITS_FLIPS_TEXT])
{
    const unsigned char *card = find_card(job, key);
    int64_t value;
    int r = card ? fits_flipped_integer(card, &value) : -EINVAL;

    if (r == 0)
        snprintf(ret, FITS_FLIPS_TEXT, "%20lld", (long long)value);
    else if (r == -ENOENT && read_plainly(card, ret))
        r = 0;
    return r == 0 ? ret : NULL;
}

static const char *as_integer(uint64_t value, char ret[FITS_FLIPS_TEXT])
{
    snprintf(ret, FITS_FLIPS_TEXT, "%20lld", (long long)value);
    return ret;
}

/* ---- settling ---- */

static int settle(const struct restore_job *job, struct ballot *ballot, const char *card,
                  const char **ret)
{
    if (!find_card(job, card) && ballot->count == 0) {
        *ret = NULL; /* there is no such card: whoever reads the header says so */
        return 0;
    }
    return ballot_settle(ballot, card, ret, job->text);
}

static int settle_text(const struct restore_job *job, struct ballot *ballot, const char *card,
                       char *ret, size_t ret_bytes)
{
    const char *value = NULL;
    int r = settle(job, ballot, card, &value);

    if (r == 0 && value)
        snprintf(ret, ret_bytes, "%s", value);
    return r;
}

static int settle_integer(const struct restore_job *job, struct ballot *ballot, const char *card,
                          int64_t *ret)
{
    const char *value = NULL;
    int r = settle(job, ballot, card, &value);

    if (r == 0 && value)
        *ret = strtoll(value, NULL, 10);
    return r;
}

static bool is_version(const char *value)
{
    for (size_t i = 0; value[i]; i++)
        if (!isalnum((unsigned char)value[i]) && !strchr(".+-~_", value[i]))
            return false;
    return value[0] != '\0';
}

/* Of 36 characters: a UUID; else anything. */
static bool is_session(const char *value)
{
    if (strlen(value) != 36)
        return value[0] != '\0';
    for (int i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? value[i] != '-'
                                                    : !strchr("0123456789abcdef", value[i]))
            return false;
    return true;
}

static bool is_utc(const char *value)
{
    char again[UTC_BYTES];
    int64_t ns;

    return units_parse_utc(value, &ns) == 0 &&
           strcmp(units_format_utc(again, sizeof again, ns, 9), value) == 0;
}

static void add_reading(struct ballot *ballot, const struct reading *reading, const char *value)
{
    if (reading->unit_count > 0)
        ballot_add(ballot, value, 2, "the file beside it");
}

/* The session's own three: the same in all its files and in the ledger. */
static int settle_session(struct restore_job *job)
{
    const struct witness *witness = job->witness;
    const struct ledger *ledger = &witness->document.ledger;
    struct restore_draft *draft = &job->draft;
    char own[3][FITS_FLIPS_TEXT];
    struct ballot uuid = {.own = get_text(job, "RECUUID", is_session, own[0])};
    struct ballot host = {.own = get_text(job, "RECHOST", NULL, own[1])};
    struct ballot version = {.own = get_text(job, "RECVERS", is_version, own[2])};
    int r;

    ballot_add(&uuid, ledger->uuid, 1, "session.json");
    add_reading(&uuid, &witness->before, witness->before.cards.uuid);
    add_reading(&uuid, &witness->after, witness->after.cards.uuid);
    for (unsigned i = 0; i < witness->mate_count; i++)
        ballot_add(&uuid, witness->mates[i].uuid, witness->mates[i].weight, "another stream");
    r = settle_text(job, &uuid, "RECUUID", draft->uuid, sizeof draft->uuid);
    if (r < 0)
        return r;
    if (ledger->uuid && strcmp(ledger->uuid, draft->uuid) == 0) {
        ballot_add(&host, ledger->host, 1, "session.json");
        ballot_add(&version, ledger->version, 1, "session.json");
    }
    for (unsigned i = 0; i < witness->mate_count; i++) {
        if (strcmp(witness->mates[i].uuid, draft->uuid) != 0)
            continue;
        ballot_add(&host, witness->mates[i].host, witness->mates[i].weight, "another stream");
        ballot_add(&version, witness->mates[i].version, witness->mates[i].weight, "another stream");
    }
    add_reading(&host, &witness->before, witness->before.cards.host);
    add_reading(&host, &witness->after, witness->after.cards.host);
    add_reading(&version, &witness->before, witness->before.cards.version);
    add_reading(&version, &witness->after, witness->after.cards.version);
    if (!version.own)
        ballot_add(&version, DAOREC_VERSION, 1, "this program");
    r = settle_text(job, &host, "RECHOST", draft->host, sizeof draft->host);
    return r < 0 ? r : settle_text(job, &version, "RECVERS", draft->version, sizeof draft->version);
}

/* ---- the segment and the stream, which is named for it ---- */

static bool is_segment_of(const char *segment, const char *stream)
{
    char name[FITS_STREAM_NAME_MAX + 1];

    return tree_stream_name(name, segment) == 0 && strcmp(name, stream) == 0;
}

/* SHMNAME, over as many cards as it takes; false: it is no text. */
static bool get_segment(const struct restore_job *job, char *ret, size_t ret_bytes)
{
    struct fits_bytes copy = {0};
    char text[FITS_FLIPS_TEXT];
    int at = restore_find(&job->model, "SHMNAME");
    bool is_long = memcmp(job->model.data + (size_t)(at + 1) * 80, "CONTINUE", 8) == 0, found;

    if (!is_long) {
        if (!get_text(job, "SHMNAME", NULL, text))
            return false;
        snprintf(ret, ret_bytes, "%s", text);
        return true;
    }
    if (job->map[at] < 0 || fits_bytes_copy(&copy, job->bytes) < 0)
        return false;
    for (int i = at;
         memcmp(job->model.data + (size_t)i * 80, i == at ? "SHMNAME " : "CONTINUE", 8) == 0; i++)
        if (job->map[i] >= 0)
            memcpy(copy.data + (size_t)job->map[i] * 80, job->model.data + (size_t)i * 80, 10);
    found = fits_card_text(&copy, "SHMNAME", ret, ret_bytes) == 0;
    fits_bytes_free(&copy);
    return found;
}

/* Which single bit flipped back makes it a segment of this stream? False: none, or several. */
static bool flip_segment(char *segment, const char *stream)
{
    size_t bits = 8 * strlen(segment), which = 0;
    unsigned found = 0;

    for (size_t bit = 0; bit < bits; bit++) {
        segment[bit / 8] = (char)(segment[bit / 8] ^ (1 << bit % 8));
        if (segment[bit / 8] >= ' ' && segment[bit / 8] <= '~' && is_segment_of(segment, stream)) {
            which = bit;
            found++;
        }
        segment[bit / 8] = (char)(segment[bit / 8] ^ (1 << bit % 8));
    }
    if (found == 1)
        segment[which / 8] = (char)(segment[which / 8] ^ (1 << which % 8));
    return found == 1;
}

static int settle_stream(struct restore_job *job)
{
    const struct witness *witness = job->witness;
    struct restore_draft *draft = &job->draft;
    char own[FITS_FLIPS_TEXT], of_segment[FITS_STREAM_NAME_MAX + 1] = "";
    char *segment = malloc(sizeof draft->segment);
    struct ballot name = {.own = get_text(job, "EXTNAME", tree_is_stream_name, own)}, path = {0};
    int r;

    if (!segment)
        return -ENOMEM;
    if (get_segment(job, segment, sizeof draft->segment))
        path.own = segment;
    if (path.own && tree_stream_name(of_segment, path.own) < 0)
        of_segment[0] = '\0';
    ballot_add(&name, witness->stream, 1, "the file's name");
    ballot_add(&name, of_segment, 1, "SHMNAME");
    add_reading(&name, &witness->before, witness->before.cards.stream);
    add_reading(&name, &witness->after, witness->after.cards.stream);
    r = settle_text(job, &name, "EXTNAME", draft->stream, sizeof draft->stream);
    if (witness->ledger)
        ballot_add(&path, witness->ledger->shm_path, 1, "session.json");
    add_reading(&path, &witness->before, witness->before.cards.segment);
    add_reading(&path, &witness->after, witness->after.cards.segment);
    if (path.own && path.count == 0 && !is_segment_of(path.own, draft->stream) &&
        !flip_segment(segment, draft->stream) &&
        fits_flips_of_texts(of_segment, draft->stream) <= FITS_FLIPS_MAX)
        path.own = NULL;
    if (r == 0)
        r = settle_text(job, &path, "SHMNAME", draft->segment, sizeof draft->segment);
    free(segment);
    return r;
}

/* ---- numbers ---- */

/* PREVFILE says which file came before. */
static uint64_t count_by_previous(const struct restore_job *job)
{
    const unsigned char *card = find_card(job, "PREVFILE");
    struct fits_bytes header = {(unsigned char *)(uintptr_t)card, FITS_CARD_BYTES};
    char text[FITS_TEXT_BYTES] = "", name[TREE_FILE_BYTES];
    uint64_t seq;
    size_t lead = strlen(job->draft.stream);

    if (!card || fits_card_text(&header, "PREVFILE", text, sizeof text) < 0)
        return 0;
    if (text[0] == '\0')
        return 1;
    seq = strlen(text) > lead ? strtoull(text + lead + 1, NULL, 10) : 0;
    tree_file_name(name, job->draft.stream, seq, 0);
    return strcmp(name, text) == 0 ? seq + 1 : 0;
}

static int settle_place(struct restore_job *job)
{
    const struct witness *witness = job->witness;
    const struct witness_rows *rows = job->rows;
    const struct reading_cards *before = &witness->before.cards;
    struct fits_state *state = &job->draft.state;
    char own[3][FITS_FLIPS_TEXT], by[5][FITS_FLIPS_TEXT];
    struct ballot seq = {.own = get_integer(job, "FILESEQ", own[0])};
    struct ballot frame0 = {.own = get_integer(job, "FRAME0", own[1])};
    struct ballot cnt0 = {.own = get_integer(job, "CNT0BEG", own[2])};
    int64_t value = 1;
    uint64_t previous = count_by_previous(job);
    int r;

    ballot_add(&seq, witness->seq ? as_integer(witness->seq, by[0]) : NULL, 1, "the file's name");
    ballot_add(&seq, previous ? as_integer(previous, by[1]) : NULL, 1, "PREVFILE");
    r = settle_integer(job, &seq, "FILESEQ", &value);
    state->file_seq = (uint64_t)value;
    if (value > 1)
        tree_file_name(job->draft.previous, job->draft.stream, state->file_seq - 1, 0);
    state->previous = job->draft.previous;
    value = 0;
    if (state->file_seq == 1)
        ballot_add(&frame0, as_integer(0, by[2]), 2, "FILESEQ");
    if (witness->before.unit_count > 0 && before->file_seq + 1 == (int64_t)state->file_seq &&
        strcmp(before->status, "CLOSED") == 0 && strcmp(before->end_cause, "ERROR") != 0)
        ballot_add(&frame0, as_integer((uint64_t)before->frame0 + (uint64_t)before->frames, by[2]),
                   2, "the file before");
    if (r == 0)
        r = settle_integer(job, &frame0, "FRAME0", &value);
    state->frame0 = (uint64_t)value;
    if (rows->has_first && !cnt0.own) /* closing takes it from there in any case */
        ballot_add(&cnt0, as_integer((uint64_t)rows->first_cnt0, by[3]), 2, "the first row");
    if (witness->entry && !rows->has_first)
        ballot_add(&cnt0, as_integer((uint64_t)witness->entry->cnt0_begin, by[4]), 1,
                   "session.json");
    return r < 0 ? r : settle_integer(job, &cnt0, "CNT0BEG", &state->cnt0_begin);
}

static int settle_depth(struct restore_job *job)
{
    const struct witness *witness = job->witness;
    const struct witness_rows *rows = job->rows;
    const struct dao_geometry *ledger = witness_ledger_shape(witness);
    char own[FITS_FLIPS_TEXT], by[3][FITS_FLIPS_TEXT];
    struct ballot depth = {.own = get_integer(job, "FIFOSIZE", own)};
    int64_t value = job->draft.geometry.depth;
    int r;

    if (depth.own && rows->depth > 0 && strtoll(depth.own, NULL, 10) <= rows->slot_max)
        depth.own = NULL;
    if (ledger)
        ballot_add(&depth, as_integer(ledger->depth, by[0]), 1, "session.json");
    if (witness_has_same_before(witness))
        ballot_add(&depth, as_integer(witness->before.geometry.depth, by[1]), 2, "the file before");
    as_integer(rows->depth, by[2]);
    if (rows->depth > 0 && (!depth.own || fits_flips_of_texts(by[2], depth.own) <= 1))
        ballot_add(&depth, by[2], 2, "the rows"); /* a writer need not use all slots */
    r = settle_integer(job, &depth, "FIFOSIZE", &value);
    if (r == 0 && value >= 1 && value <= UINT32_MAX)
        job->draft.geometry.depth = (uint32_t)value;
    return r;
}

/* ---- times, words and what a person configured ---- */

/* DATE-BEG, DATE-OBS and MJD-BEG are one time, that of the first row. */
static int settle_begin(struct restore_job *job)
{
    const struct witness *witness = job->witness;
    const struct witness_rows *rows = job->rows;
    const unsigned char *mjd_card = find_card(job, "MJD-BEG");
    struct fits_bytes header = {(unsigned char *)(uintptr_t)mjd_card, FITS_CARD_BYTES};
    char own[3][FITS_FLIPS_TEXT], by[2][UTC_BYTES];
    struct ballot begin = {.own = get_text(job, "DATE-BEG", is_utc, own[0])};
    const char *value = NULL;
    double mjd = 0.0;
    int r;

    ballot_add(&begin, get_text(job, "DATE-OBS", is_utc, own[1]), 1, "DATE-OBS");
    ballot_add(&begin, get_text(job, "DATE-END", is_utc, own[2]), 1, "DATE-END"); /* until closed */
    if (rows->has_first)
        ballot_add(&begin, units_format_utc(by[0], UTC_BYTES, rows->first_ns, 9), 1,
                   "the first row");
    if (witness->entry && witness->entry->begin_ns)
        ballot_add(&begin, units_format_utc(by[1], UTC_BYTES, witness->entry->begin_ns, 9), 1,
                   "session.json");
    if (mjd_card && fits_card_real(&header, "MJD-BEG", &mjd) == 0) {
        int64_t ns;

        ballot_add(&begin, begin.own, 0, "MJD-BEG");
        for (unsigned i = 0; i < begin.count; i++)
            if (units_parse_utc(begin.rivals[i].value, &ns) == 0 &&
                fabs(40587.0 + (double)ns / 86400e9 - mjd) < 2e-9)
                begin.rivals[i].weight++;
    }
    r = settle(job, &begin, "DATE-BEG", &value);
    if (r == 0 && value)
        units_parse_utc(value, &job->draft.state.begin_ns);
    job->draft.state.written_ns = job->draft.state.begin_ns;
    return r;
}

/* The nearest of some words, the first of the list where none is near. */
static const char *nearest(const struct restore_job *job, const char *key, const char *const *words)
{
    const unsigned char *card = find_card(job, key);
    const char *best = words[0];
    unsigned least = FITS_FLIPS_MAX + 1;

    for (; card && *words; words++) {
        char field[24];
        unsigned flips;

        snprintf(field, sizeof field, "'%-8s'", *words);
        flips = fits_flips(card + 10, field, 10);
        if (flips < least) {
            least = flips;
            best = *words;
        }
    }
    return best;
}

static int settle_optional(struct restore_job *job)
{
    const struct witness *witness = job->witness;
    int r = 0;

    for (size_t i = 0; i < RESTORE_OPTIONAL && r == 0; i++) {
        char own[FITS_FLIPS_TEXT], by[2][FITS_TEXT_BYTES] = {"", ""};
        struct ballot value = {0};

        if (job->draft.optional[i][0] == '\0')
            continue;
        value.own = get_text(job, restore_optional_keys[i], NULL, own);
        if (witness->before.unit_count > 0)
            fits_card_text(&witness->before.unit[READING_CUBE].header, restore_optional_keys[i],
                           by[0], FITS_TEXT_BYTES);
        if (witness->after.unit_count > 0)
            fits_card_text(&witness->after.unit[READING_CUBE].header, restore_optional_keys[i],
                           by[1], FITS_TEXT_BYTES);
        ballot_add(&value, by[0], 2, "the file before");
        ballot_add(&value, by[1], 2, "the file after");
        r = settle_text(job, &value, restore_optional_keys[i], job->draft.optional[i],
                        FITS_FLIPS_TEXT);
    }
    return r;
}

int restore_settle(struct restore_job *job)
{
    struct restore_draft *draft = &job->draft;
    int r = settle_session(job);

    if (r == 0)
        r = settle_stream(job);
    if (r == 0)
        r = settle_place(job);
    if (r == 0)
        r = settle_depth(job);
    if (r == 0)
        r = settle_begin(job);
    if (r == 0)
        r = settle_optional(job);
    draft->state.status = nearest(job, "RECSTAT", statuses);
    draft->state.end_cause = nearest(job, "ENDCAUSE", fits_end_causes);
    return r == -EINVAL ? -EBADMSG : r;
}
