/* chain.c - see chain.h. */
#include "recording/chain.h"

#include <stdlib.h>
#include <string.h>

static bool is_recording(const struct verify_file *file)
{
    return file->state != VERIFY_UNREADABLE && file->state != VERIFY_FOREIGN;
}

static int compare_files(const void *a, const void *b)
{
    const struct verify_file *x = a, *y = b;
    int64_t left = is_recording(x) ? x->file_seq : 0, right = is_recording(y) ? y->file_seq : 0;

    return left < right ? -1 : left > right ? 1 : strcmp(x->name, y->name);
}

void chain_sort(struct verify_file *files, size_t count)
{
    if (count > 0)
        qsort(files, count, sizeof *files, compare_files);
}

/* ---- files ---- */

static void check_name(const struct verify_file *file, struct verify_doubts *doubts)
{
    char name[TREE_FILE_BYTES];

    tree_file_name(name, file->stream, (uint64_t)file->file_seq, 0);
    if (strcmp(name, file->name) != 0)
        verify_doubts_add(doubts, -1, "%s calls itself %s", file->name, name);
}

/* The frames from `cnt0` up to, not including, `end`: are they lost by the ledger? Some of them in
 * the FIFO perhaps, the rest on a failing disk. */
static bool is_booked(const struct ledger_stream *ledger, int64_t cnt0, int64_t end)
{
    uint64_t count = (uint64_t)end - (uint64_t)cnt0, booked = 0;

    for (uint64_t i = 0; ledger && i < ledger->gaps_listed; i++)
        if ((uint64_t)ledger->gaps[i].first_cnt0 - (uint64_t)cnt0 < count)
            booked += ledger->gaps[i].count;
    return count > 0 && booked == count;
}

static void check_counts(const struct verify_file *a, const struct verify_file *b,
                         const struct ledger_stream *ledger, struct verify_doubts *doubts)
{
    uint64_t behind = (uint64_t)(a->lost > 0 ? a->lost : 0) - a->totals.lost;
    int64_t next = (int64_t)((uint64_t)a->last.cnt0 + 1);
    int64_t begin = (int64_t)((uint64_t)b->first.cnt0 - (uint64_t)(uint32_t)b->first.lost);

    if (a->frames == 0 || b->frames == 0 || a->state == VERIFY_BEING_WRITTEN ||
        rowcheck_follows(a->last.cnt0, &b->first))
        return;
    if ((uint64_t)begin - (uint64_t)next == behind || is_booked(ledger, next, begin))
        return;
    verify_doubts_add(
        doubts, -1, "%s ends at CNT0 %lld, %s begins at %lld with %d lost: that does not fit",
        a->name, (long long)a->last.cnt0, b->name, (long long)b->first.cnt0, b->first.lost);
}

static void check_pair(const struct verify_file *a, const struct verify_file *b,
                       const struct ledger_stream *ledger, struct verify_doubts *doubts)
{
    char before[TREE_FILE_BYTES];

    if (strcmp(a->uuid, b->uuid) != 0 || strcmp(a->stream, b->stream) != 0) {
        verify_doubts_add(doubts, -1, "%s and %s are of different sessions or streams", a->name,
                          b->name);
        return;
    }
    if (a->file_seq == b->file_seq) {
        verify_doubts_add(doubts, -1, "%s and %s are both file %lld of the stream", a->name,
                          b->name, (long long)a->file_seq);
        return;
    }
    tree_file_name(before, b->stream, (uint64_t)b->file_seq - 1, 0);
    if (strcmp(b->previous, before) != 0)
        verify_doubts_add(doubts, -1, "%s names '%s' as the file before", b->name, b->previous);
    if (b->file_seq == a->file_seq + 1) {
        if (a->next[0] != '\0' && strcmp(a->next, b->name) != 0)
            verify_doubts_add(doubts, -1, "%s names '%s' as the file after", a->name, a->next);
        /* An index may jump only where frames were counted and then lost to the disk. */
        if (a->state == VERIFY_FINISHED && strcmp(a->end_cause, "ERROR") != 0 &&
            (uint64_t)b->frame0 != (uint64_t)a->frame0 + a->frames)
            verify_doubts_add(doubts, -1, "%s: FRAME0 is %lld, but %llu frames came before it",
                              b->name, (long long)b->frame0,
                              (unsigned long long)((uint64_t)a->frame0 + a->frames));
        check_counts(a, b, ledger, doubts);
    } else if (a->frames == 0 || b->frames == 0 ||
               !is_booked(ledger, (int64_t)((uint64_t)a->last.cnt0 + 1),
                          (int64_t)((uint64_t)b->first.cnt0 - (uint64_t)(uint32_t)b->first.lost))) {
        verify_doubts_add(doubts, -1, "between %s and %s files are missing", a->name, b->name);
    }
    if (b->state == VERIFY_FINISHED && a->state == VERIFY_FINISHED &&
        b->session_lost < a->session_lost && !b->is_recovered && strcmp(b->end_cause, "ERROR") != 0)
        verify_doubts_add(doubts, -1, "SESLOST goes down from %s to %s", a->name, b->name);
}

/* SESLOST: at least what the files so far have lost, at most that and what the next one begins
 * with. What a failing disk swallowed is in NLOST only. */
static void check_session_lost(const struct verify_file *files, size_t count,
                               struct verify_doubts *doubts)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < count; i++) {
        const struct verify_file *file = &files[i];
        bool has_next = i + 1 < count && files[i + 1].frames > 0;

        if (file->state != VERIFY_FINISHED || strcmp(file->end_cause, "ERROR") == 0 ||
            file->totals.saturated > 0)
            return;
        lost += (uint64_t)file->lost;
        if ((uint64_t)file->session_lost < lost ||
            (has_next &&
             (uint64_t)file->session_lost > lost + (uint64_t)(uint32_t)files[i + 1].first.lost))
            verify_doubts_add(doubts, -1, "%s: SESLOST is %lld, but the files up to it lost %llu",
                              file->name, (long long)file->session_lost, (unsigned long long)lost);
    }
}

static bool is_followed_by_loss(const struct verify_file *file, const struct ledger_stream *ledger)
{
    for (uint64_t i = 0; ledger && i < ledger->gaps_listed; i++)
        if ((uint64_t)ledger->gaps[i].first_cnt0 == (uint64_t)file->last.cnt0 + 1)
            return true;
    return false;
}

void chain_check(const struct verify_file *files, size_t count, const struct ledger_stream *ledger,
                 bool is_settled, struct verify_doubts *doubts)
{
    const struct verify_file *last;

    while (count > 0 && !is_recording(&files[0])) {
        files++;
        count--;
    }
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        check_name(&files[i], doubts);
    if (files[0].file_seq != 1)
        verify_doubts_add(doubts, -1, "the files before %s are missing", files[0].name);
    else if (files[0].previous[0] != '\0')
        verify_doubts_add(doubts, -1, "%s names a file before the first", files[0].name);
    for (size_t i = 0; i + 1 < count; i++)
        check_pair(&files[i], &files[i + 1], ledger, doubts);
    last = &files[count - 1];
    if (is_settled && last->state == VERIFY_FINISHED && last->next[0] != '\0' &&
        !is_followed_by_loss(last, ledger)) /* a failing disk may have swallowed all of it */
        verify_doubts_add(doubts, -1, "%s follows %s, but is missing", last->next, last->name);
    if (files[0].file_seq == 1)
        check_session_lost(files, count, doubts);
}

/* ---- the ledger ---- */

static const struct verify_file *find_file(const struct verify_file *files, size_t count,
                                           const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (is_recording(&files[i]) && strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

static void check_entries(const struct ledger_stream *ledger, const struct verify_file *files,
                          size_t count, bool is_final, struct verify_doubts *doubts)
{
    for (size_t i = 0; i < ledger->file_count; i++) {
        const struct ledger_file *entry = &ledger->files[i];
        const struct verify_file *file = find_file(files, count, entry->name);

        if (!file) {
            if (is_final && (entry->closed || entry->frames > 0))
                verify_doubts_add(doubts, -1, "the ledger names %s, which is not here",
                                  entry->name);
            continue;
        }
        if (!entry->closed || file->state != VERIFY_FINISHED || file->frames == 0)
            continue;
        if (entry->frames != file->frames || entry->cnt0_begin != file->first.cnt0 ||
            entry->cnt0_end != file->last.cnt0 || entry->lost != (uint64_t)file->lost ||
            strcmp(entry->end_cause, file->end_cause) != 0)
            verify_doubts_add(doubts, -1,
                              "the ledger says of %s: %llu frames, CNT0 %lld to %lld, %llu lost, "
                              "%.10s; the file does not",
                              entry->name, (unsigned long long)entry->frames,
                              (long long)entry->cnt0_begin, (long long)entry->cnt0_end,
                              (unsigned long long)entry->lost, entry->end_cause);
    }
    for (size_t i = 0; i < count && is_final; i++) {
        bool found = !is_recording(&files[i]);

        for (size_t k = 0; k < ledger->file_count && !found; k++)
            found = strcmp(ledger->files[k].name, files[i].name) == 0;
        if (!found)
            verify_doubts_add(doubts, -1, "%s is not in the ledger", files[i].name);
    }
}

static void compare(struct verify_doubts *doubts, const char *name, const char *what,
                    uint64_t ledger_says, uint64_t files_say)
{
    if (ledger_says != files_say)
        verify_doubts_add(doubts, -1, "the ledger says %s %s: %llu, the files say %llu", name, what,
                          (unsigned long long)ledger_says, (unsigned long long)files_say);
}

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
    if (files > counts->recorded)
        verify_doubts_add(doubts, -1, "the files in the ledger of %s hold more than it recorded",
                          ledger->name);
}

void chain_check_ledger(const struct ledger_stream *ledger, const struct verify_file *files,
                        size_t count, bool is_final, struct verify_doubts *doubts)
{
    uint64_t frames = 0, torn = 0, lost = 0;
    bool failed = false; /* a disk did: torn ones may have been among what it swallowed */

    check_sums(ledger, doubts);
    check_entries(ledger, files, count, is_final, doubts);
    for (size_t i = 0; i < count; i++) {
        frames += files[i].frames;
        torn += files[i].totals.torn;
        lost += files[i].totals.lost;
        failed = failed || strcmp(files[i].end_cause, "ERROR") == 0;
    }
    if (!is_final)
        return;
    compare(doubts, ledger->name, "recorded", ledger->counts.recorded, frames);
    if (!failed || ledger->counts.torn < torn)
        compare(doubts, ledger->name, "torn", ledger->counts.torn, torn);
    if (ledger_lost(&ledger->counts) < lost)
        verify_doubts_add(doubts, -1, "the ledger says %s lost %llu, the rows say %llu",
                          ledger->name, (unsigned long long)ledger_lost(&ledger->counts),
                          (unsigned long long)lost);
}
