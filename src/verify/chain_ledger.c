/* chain_ledger.c - what session.json says of a stream, by itself and against the stream's files.
 * See chain.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "verify/chain.h"

#define SLACK_NS 1000000000ll /* a clock that is set by less is no doubt */

/* ---- the numbers by themselves ---- */

static void check_sums(const struct ledger_stream *ledger, struct verify_doubts *doubts)
{
    const struct ledger_counts *counts = &ledger->counts;
    uint64_t listed = ledger->gaps_listed, gaps = 0, files = 0, past = 0;

    if (!ledger_balances(counts))
        verify_doubts_add(doubts, -1,
                          "the ledger of %s: %llu expected, but %llu recorded and %llu "
                          "lost",
                          ledger->name, (unsigned long long)ledger_expected(counts),
                          (unsigned long long)counts->recorded,
                          (unsigned long long)ledger_lost(counts));
    for (uint64_t i = 0; i < listed; i++)
        gaps += ledger->gaps[i].count;
    if (listed == counts->gap_count && gaps != ledger_lost(counts))
        verify_doubts_add(doubts, -1, "the gaps in the ledger of %s do not add up to its losses",
                          ledger->name);
    for (uint64_t i = 0; i + 1 < counts->run_count && i < LEDGER_RUNS_MAX; i++)
        past += ledger_run_expected(&ledger->runs[i]);
    if (counts->run_count <= LEDGER_RUNS_MAX && past != counts->past_runs)
        verify_doubts_add(doubts, -1, "the runs in the ledger of %s do not add up", ledger->name);
    for (size_t i = 0; i < ledger->file_count; i++)
        files += ledger->files[i].frames;
    files += ledger->removed.frames;
    if (files > counts->recorded)
        verify_doubts_add(doubts, -1, "the files in the ledger of %s hold more than it recorded",
                          ledger->name);
}

/* ---- file by file ---- */

/* What is said of a file in the ledger, and is not so in the file; collected for one line. */
struct differences {
    char text[240];
    size_t used;
};

static void __attribute__((format(printf, 2, 3)))
differ(struct differences *differences, const char *fmt, ...)
{
    size_t room = sizeof differences->text - differences->used;
    va_list args;
    int n;

    if (differences->used > 0 && room > 2) {
        memcpy(differences->text + differences->used, ", ", 3);
        differences->used += 2;
        room -= 2;
    }
    va_start(args, fmt);
    n = vsnprintf(differences->text + differences->used, room, fmt, args);
    va_end(args);
    if (n > 0)
        differences->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void compare_numbers(struct differences *differences, const char *what, int64_t says,
                            int64_t file_says)
{
    if (says != file_says)
        differ(differences, "%s %lld (the file: %lld)", what, (long long)says,
               (long long)file_says);
}

static void compare_times(struct differences *differences, const char *what, int64_t says_ns,
                          int64_t file_says_ns)
{
    char utc[48], file_utc[48];

    if (says_ns != file_says_ns)
        differ(differences, "%s %s (the file: %s)", what,
               units_format_utc(utc, sizeof utc, says_ns, 9),
               units_format_utc(file_utc, sizeof file_utc, file_says_ns, 9));
}

static void check_entry(const struct ledger_file *entry, const struct verify_file *file,
                        struct verify_doubts *doubts)
{
    struct differences differences = {.used = 0};

    if (!entry->closed || file->state != VERIFY_FINISHED || file->frames == 0)
        return;
    compare_numbers(&differences, "frames", (int64_t)entry->frames, (int64_t)file->frames);
    compare_numbers(&differences, "cnt0_begin", entry->cnt0_begin, file->first.cnt0);
    compare_numbers(&differences, "cnt0_end", entry->cnt0_end, file->last.cnt0);
    compare_numbers(&differences, "lost", (int64_t)entry->lost, file->lost);
    compare_times(&differences, "begin", entry->begin_ns, file->begin_ns);
    compare_times(&differences, "end", entry->end_ns, file->end_ns);
    if (strcmp(entry->end_cause, file->end_cause) != 0)
        differ(&differences, "end_cause %.10s (the file: %.10s)", entry->end_cause,
               file->end_cause);
    if (differences.used > 0)
        verify_doubts_add(doubts, -1, "the ledger says of %s: %s", entry->name, differences.text);
}

/* Files that are here, and not in the ledger: consecutive ones in one line. */
static bool check_extra(const struct chain *chain, const struct ledger_stream *ledger,
                        struct verify_doubts *doubts)
{
    size_t named = 0, first = 0;
    bool any = false;

    for (size_t i = 0; i <= chain->in_order; i++) {
        uint64_t seq = i < chain->in_order ? (uint64_t)chain->files[i].file_seq : UINT64_MAX;
        bool is_named = seq == UINT64_MAX;

        while (named < ledger->file_count && !is_named &&
               chain_name_seq(ledger->files[named].name, chain->stream) < seq)
            named++;
        is_named = is_named || (named < ledger->file_count &&
                                chain_name_seq(ledger->files[named].name, chain->stream) == seq);
        any = any || !is_named;
        if (!is_named && seq > ledger->removed.last_file)
            continue; /* else it was about to be removed */
        if (i - first == 1)
            verify_doubts_add(doubts, -1, "%s is not in the ledger", chain->files[first].name);
        else if (i > first)
            verify_doubts_add(doubts, -1, "%s to %s are not in the ledger: %zu files",
                              chain->files[first].name, chain->files[i - 1].name, i - first);
        first = i + 1;
    }
    return any;
}

/* ---- what the stream was ---- */

/* By the ledger, when this file was written; NULL: it does not say, which is as it should be where
 * it was one of those left out. */
static const struct ledger_shape *find_shape(const struct ledger_stream *ledger, uint64_t seq,
                                             bool *ret_left_out)
{
    const struct ledger_counts *counts = &ledger->counts;
    uint64_t listed = counts->shape_count;
    const struct ledger_shape *found = NULL;

    *ret_left_out = false;
    if (seq >= counts->shape.first_file)
        return &counts->shape;
    if (listed > LEDGER_SHAPES_MAX + 1)
        listed = LEDGER_SHAPES_MAX + 1;
    for (uint64_t i = 0; ledger->shapes && i + 1 < listed; i++)
        if (ledger->shapes[i].first_file <= seq)
            found = &ledger->shapes[i];
    /* Behind the last one that is listed there were others. */
    if (found && listed < counts->shape_count && found == &ledger->shapes[listed - 2] &&
        found->first_file < seq) {
        *ret_left_out = true;
        return NULL;
    }
    return found;
}

static const char *format_shape(char *text, size_t bytes, const struct dao_geometry *geometry)
{
    int at = snprintf(text, bytes, "%s ", geometry->dtype->name);

    for (int i = 0; i < geometry->naxis && at > 0 && (size_t)at < bytes; i++)
        at += snprintf(text + at, bytes - (size_t)at, i ? "x%u" : "%u", geometry->size[i]);
    if (at > 0 && (size_t)at < bytes)
        snprintf(text + at, bytes - (size_t)at, ", depth %u", geometry->depth);
    return text;
}

static void say_others(char text[48], uint64_t files)
{
    text[0] = '\0';
    if (files > 1)
        snprintf(text, 48, ", and so in %llu other file%s", (unsigned long long)(files - 1),
                 units_plural(files - 1));
}

static void check_shapes(const struct chain *chain, const struct ledger_stream *ledger,
                         struct verify_doubts *doubts)
{
    const struct verify_file *first = NULL;
    const struct ledger_shape *first_shape = NULL;
    char told[96], own[96], others[48];
    uint64_t wrong = 0;

    for (size_t i = 0; i < chain->in_order; i++) {
        const struct verify_file *file = &chain->files[i];
        bool is_left_out;
        const struct ledger_shape *shape =
            find_shape(ledger, (uint64_t)file->file_seq, &is_left_out);

        if (is_left_out || (shape && dao_geometry_same_shape(&shape->geometry, &file->geometry)))
            continue;
        if (wrong++ == 0) {
            first = file;
            first_shape = shape;
        }
    }
    say_others(others, wrong);
    if (wrong > 0)
        verify_doubts_add(doubts, -1, "the ledger says of %s: %s; the file says: %s%s", first->name,
                          first_shape ? format_shape(told, sizeof told, &first_shape->geometry)
                                      : "no geometry",
                          format_shape(own, sizeof own, &first->geometry), others);
    if (ledger->geometry_told.dtype &&
        !dao_geometry_same_shape(&ledger->geometry_told, &ledger->counts.shape.geometry))
        verify_doubts_add(doubts, -1,
                          "the ledger of %s: its geometry (%s) is not the last of its geometries "
                          "(%s)",
                          ledger->name, format_shape(told, sizeof told, &ledger->geometry_told),
                          format_shape(own, sizeof own, &ledger->counts.shape.geometry));
}

static bool is_plain(char c)
{
    return c > ' ' && c <= '~' && c != '?';
}

/* A card holds printable ASCII without blanks at its end, the ledger UTF-8: what does not fit there
 * stands as a blank here, or as '?'. As much is compared as was kept of the card. */
static bool is_same_path(const char *told, const char *card)
{
    const size_t most = sizeof((struct verify_file *)0)->segment - 1;
    size_t i = 0;

    while (i < most && card[i] && told[i] &&
           (told[i] == card[i] || (card[i] == ' ' && !is_plain(told[i]))))
        i++;
    if (i == most)
        return true;
    if (card[i] != '\0')
        return false;
    while (told[i] && !is_plain(told[i]))
        i++;
    return told[i] == '\0';
}

static void check_segment(const struct chain *chain, const struct ledger_stream *ledger,
                          struct verify_doubts *doubts)
{
    const struct verify_file *first = NULL;
    uint64_t wrong = 0;
    char others[48];

    for (size_t i = 0; i < chain->in_order; i++)
        if (!is_same_path(ledger->shm_path, chain->files[i].segment) && wrong++ == 0)
            first = &chain->files[i];
    say_others(others, wrong);
    if (wrong > 0)
        verify_doubts_add(doubts, -1, "the ledger of %s: its segment is %.80s; in %s it is %.80s%s",
                          ledger->name, ledger->shm_path, first->name, first->segment, others);
}

/* ---- sums over all files ---- */

static void compare(struct verify_doubts *doubts, const char *name, const char *what,
                    uint64_t ledger_says, uint64_t files_say)
{
    if (ledger_says != files_say)
        verify_doubts_add(doubts, -1, "the ledger says %s %s: %llu, the files say %llu", name, what,
                          (unsigned long long)ledger_says, (unsigned long long)files_say);
}

/* Files that were removed count as they did, as far as it is known what was in them. */
static void check_totals(const struct chain *chain, const struct ledger_stream *ledger,
                         struct verify_doubts *doubts)
{
    uint64_t frames = ledger->removed.frames, torn = 0, lost = 0;
    bool failed =
        ledger->removed.files > 0; /* a disk did: torn ones may have been among what it swallowed */
    bool doubted = false;

    for (size_t i = 0; chain && i < chain->in_order; i++) {
        frames += chain->files[i].frames;
        torn += chain->files[i].totals.torn;
        lost += chain->files[i].totals.lost;
        doubted = doubted || chain->files[i].doubts.count > 0;
        failed = failed || strcmp(chain->files[i].end_cause, "ERROR") == 0;
    }
    compare(doubts, ledger->name, "recorded", ledger->counts.recorded, frames);
    if (!failed || ledger->counts.torn < torn)
        compare(doubts, ledger->name, "torn", ledger->counts.torn, torn);
    if (!doubted && ledger_lost(&ledger->counts) < lost) /* LOST may be what is wrong in them */
        verify_doubts_add(doubts, -1, "the ledger says %s lost %llu, the rows say %llu",
                          ledger->name, (unsigned long long)ledger_lost(&ledger->counts),
                          (unsigned long long)lost);
}

/* Where nothing is here that should be: how much is it? False: nothing should be. */
static bool check_absent(const struct ledger_stream *ledger, struct verify_doubts *doubts)
{
    uint64_t files = 0, frames = 0;

    for (size_t i = 0; i < ledger->file_count; i++) {
        if (!chain_is_required(&ledger->files[i]))
            continue;
        files++;
        frames += ledger->files[i].frames;
    }
    if (files == 0)
        return false;
    verify_doubts_add(doubts, -1, "stream %s is missing: %llu file%s with %llu frame%s",
                      ledger->name, (unsigned long long)files, units_plural(files),
                      (unsigned long long)frames, units_plural(frames));
    return true;
}

void chain_check_ledger(const struct chain *chain, const struct chain_session *session,
                        struct verify_doubts *doubts)
{
    const struct ledger_stream *ledger = session->ledger;
    bool is_comparable = session->is_over && !session->is_alive;

    check_sums(ledger, doubts);
    if (!chain && !session->is_alive && check_absent(ledger, doubts))
        return;
    for (size_t i = 0; chain && i < ledger->file_count; i++) {
        uint64_t seq = chain_name_seq(ledger->files[i].name, chain->stream);
        const struct verify_file *file = chain_find(chain, seq);

        if (file)
            check_entry(&ledger->files[i], file, doubts);
    }
    if (chain) {
        check_shapes(chain, ledger, doubts);
        check_segment(chain, ledger, doubts);
        if (is_comparable && check_extra(chain, ledger, doubts))
            is_comparable = false;
        is_comparable = is_comparable && chain->is_complete;
    }
    if (is_comparable)
        check_totals(chain, ledger, doubts);
}

/* ---- when it was ---- */

/* When the first frame of all was taken, and the last, by the recorder's clock. False: nobody
 * knows, since that clock was set back meanwhile, or no frame is there. */
static bool find_span(const struct chain *chains, size_t count, int64_t *ret_first_ns,
                      int64_t *ret_last_ns)
{
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        const struct verify_file *before = NULL;

        for (size_t k = 0; k < chains[i].in_order; k++) {
            const struct verify_file *file = &chains[i].files[k];

            if (file->frames == 0)
                continue;
            if (file->totals.turned_back > 0 || file->doubts.count > 0 ||
                (before && file->first.rtime_ns < before->last.rtime_ns))
                return false;
            if (!any || file->first.rtime_ns < *ret_first_ns)
                *ret_first_ns = file->first.rtime_ns;
            if (!any || file->last.rtime_ns > *ret_last_ns)
                *ret_last_ns = file->last.rtime_ns;
            any = true;
            before = file;
        }
    }
    return any;
}

void chain_check_span(const struct ledger *ledger, const struct chain *chains, size_t count,
                      struct verify_doubts *doubts)
{
    int64_t named_ns = tree_session_start(ledger->session), first_ns = 0, last_ns = 0;
    char utc[48], frame_utc[48];

    if (!find_span(chains, count, &first_ns, &last_ns))
        return;
    if (ledger->start_ns > first_ns + SLACK_NS)
        verify_doubts_add(doubts, -1, "its start is %s, but a frame was taken at %s",
                          units_format_utc(utc, sizeof utc, ledger->start_ns, 9),
                          units_format_utc(frame_utc, sizeof frame_utc, first_ns, 9));
    if (ledger->start_ns && named_ns && ledger->start_ns < named_ns - SLACK_NS)
        verify_doubts_add(doubts, -1, "its start is %s, but the session is %s",
                          units_format_utc(utc, sizeof utc, ledger->start_ns, 9), ledger->session);
    if (ledger->end_ns && ledger->end_ns < last_ns - SLACK_NS)
        verify_doubts_add(doubts, -1, "its end is %s, but a frame was taken at %s",
                          units_format_utc(utc, sizeof utc, ledger->end_ns, 9),
                          units_format_utc(frame_utc, sizeof frame_utc, last_ns, 9));
}
