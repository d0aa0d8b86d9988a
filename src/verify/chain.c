/* chain.c - what is missing in a stream's folder, and how each file follows the one before. See
 * chain.h. */
#include "verify/chain.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"

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

/* ---- files that are not here ---- */

/* Files of consecutive numbers, collected to be told together. */
struct missing {
    const struct chain *chain;
    struct verify_doubts *doubts;
    uint64_t first, last; /* 0: none yet */
    uint64_t frames;      /* by the ledger; 0: not known */
    bool any;
};

static void tell(struct missing *missing)
{
    char first[TREE_FILE_BYTES], last[TREE_FILE_BYTES], frames[64] = "";
    uint64_t files = missing->last - missing->first + 1;

    if (missing->first == 0)
        return;
    tree_file_name(first, missing->chain->stream, missing->first, 0);
    tree_file_name(last, missing->chain->stream, missing->last, 0);
    if (missing->frames > 0)
        snprintf(frames, sizeof frames, ", with %llu frame%s by the ledger",
                 (unsigned long long)missing->frames, units_plural(missing->frames));
    if (files == 1)
        verify_doubts_add(missing->doubts, -1, "%s is missing%s", first, frames);
    else
        verify_doubts_add(missing->doubts, -1, "%s to %s are missing: %llu files%s", first, last,
                          (unsigned long long)files, frames);
    missing->first = missing->last = missing->frames = 0;
    missing->any = true;
}

static void miss(struct missing *missing, uint64_t first, uint64_t last, uint64_t frames)
{
    if (missing->first == 0 || missing->last + 1 != first) {
        tell(missing);
        missing->first = first;
    }
    missing->last = last;
    missing->frames += frames;
}

/* What has this name, or a later one, among the files that are not in order: it was told already.
 * chain->count: there is none. */
static size_t find_other(const struct chain *chain, uint64_t seq)
{
    size_t low = chain->in_order, high = chain->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (chain->files[middle].name_seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    /* A FITS file of others in its place is none. */
    while (low < chain->count && chain->files[low].state == VERIFY_FOREIGN)
        low++;
    return low;
}

static bool is_told(const struct chain *chain, uint64_t seq)
{
    size_t other = find_other(chain, seq);

    return other < chain->count && chain->files[other].name_seq == seq;
}

/* All of these numbers, but for what was told already. */
static void miss_range(struct missing *missing, uint64_t first, uint64_t last)
{
    const struct chain *chain = missing->chain;

    while (first <= last) {
        size_t other = find_other(chain, first);
        uint64_t next = other < chain->count ? chain->files[other].name_seq : last + 1;

        if (next > first)
            miss(missing, first, next <= last ? next - 1 : last, 0);
        else
            missing->any = true;
        first = next + 1;
    }
}

bool chain_is_required(const struct ledger_file *entry)
{
    return entry->closed || entry->frames > 0;
}

/* What the ledger names. */
static void look_for_entries(struct missing *missing, const struct ledger_stream *ledger)
{
    const struct chain *chain = missing->chain;

    for (size_t i = 0; i < ledger->file_count; i++) {
        const struct ledger_file *entry = &ledger->files[i];
        uint64_t seq = chain_name_seq(entry->name, chain->stream);

        if (!chain_is_required(entry) || chain_find(chain, seq))
            continue;
        if (seq == 0)
            verify_doubts_add(missing->doubts, -1, "%.80s is missing", entry->name);
        else if (!is_told(chain, seq))
            miss(missing, seq, seq, entry->frames);
        missing->any = true;
    }
    tell(missing);
}

/* Does the ledger name a file between these two? */
static bool is_in_ledger(const struct chain *chain, const struct ledger_stream *ledger,
                         uint64_t first, uint64_t last, bool *ret_required)
{
    bool found = false;

    for (size_t i = 0; ledger && i < ledger->file_count; i++) {
        uint64_t seq = chain_name_seq(ledger->files[i].name, chain->stream);

        if (seq < first || seq > last)
            continue;
        found = true;
        *ret_required = *ret_required || chain_is_required(&ledger->files[i]);
    }
    return found;
}

/* A gap in the numbers, before `b`. a: the file before it, or NULL. */
static void look_at_hole(struct missing *missing, const struct chain_session *session,
                         const struct verify_file *a, const struct verify_file *b)
{
    const struct ledger_stream *ledger = session->ledger;
    uint64_t first = a ? (uint64_t)a->file_seq + 1 : 1, last = (uint64_t)b->file_seq - 1;
    bool is_required = false;
    bool is_known = is_in_ledger(missing->chain, ledger, first, last, &is_required);

    if (is_required && !session->is_alive) /* told by what the ledger names */
        return;
    if (ledger && first <= ledger->removed.last_file) /* to keep within a limit */
        first = ledger->removed.last_file + 1;
    if (first > last)
        return;
    /* A failing disk may have swallowed all of them. */
    if (a && a->frames > 0 && b->frames > 0 &&
        is_booked(ledger, (int64_t)((uint64_t)a->last.cnt0 + 1),
                  (int64_t)((uint64_t)b->first.cnt0 - (uint64_t)(uint32_t)b->first.lost)))
        return;
    if (is_known && !is_required && ledger->counts.gap_count > ledger->gaps_listed)
        return;
    miss_range(missing, first, last);
}

static bool is_followed_by_loss(const struct verify_file *file, const struct ledger_stream *ledger)
{
    for (uint64_t i = 0; ledger && i < ledger->gaps_listed; i++)
        if ((uint64_t)ledger->gaps[i].first_cnt0 == (uint64_t)file->last.cnt0 + 1)
            return true;
    return false;
}

/* What the last file names as the next. */
static void look_behind(struct missing *missing, const struct chain_session *session,
                        const struct verify_file *last)
{
    uint64_t next = chain_name_seq(last->next, missing->chain->stream);
    bool is_required = false;

    if (last->state != VERIFY_FINISHED || last->next[0] == '\0' || session->is_alive ||
        session->is_cut_short || is_followed_by_loss(last, session->ledger))
        return;
    if (next == 0)
        verify_doubts_add(missing->doubts, -1, "%s names '%s' as the file after", last->name,
                          last->next);
    else if ((!is_in_ledger(missing->chain, session->ledger, next, next, &is_required) ||
              !is_required) &&
             (!session->ledger || next > session->ledger->removed.last_file))
        miss_range(missing, next, next);
}

static bool look_for_missing(const struct chain *chain, const struct chain_session *session,
                             struct verify_doubts *doubts)
{
    struct missing missing = {.chain = chain, .doubts = doubts};

    if (session->ledger && !session->is_alive)
        look_for_entries(&missing, session->ledger);
    for (size_t i = 0; i < chain->in_order; i++) {
        const struct verify_file *a = i ? &chain->files[i - 1] : NULL, *b = &chain->files[i];

        if (b->file_seq != (a ? a->file_seq + 1 : 1))
            look_at_hole(&missing, session, a, b);
    }
    if (chain->in_order > 0)
        look_behind(&missing, session, &chain->files[chain->in_order - 1]);
    tell(&missing);
    return missing.any;
}

/* ---- one after the other ---- */

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

/* Of the names that stand in them, and of b as the next after a. */
static void check_pair(const struct verify_file *a, const struct verify_file *b,
                       const struct ledger_stream *ledger, struct verify_doubts *doubts)
{
    char name[TREE_FILE_BYTES];

    tree_file_name(name, b->stream, (uint64_t)b->file_seq - 1, 0);
    if (strcmp(b->previous, name) != 0)
        verify_doubts_add(doubts, -1, "%s names '%s' as the file before", b->name, b->previous);
    if (b->state == VERIFY_FINISHED && a->state == VERIFY_FINISHED &&
        b->session_lost < a->session_lost && !b->is_recovered && strcmp(b->end_cause, "ERROR") != 0)
        verify_doubts_add(doubts, -1, "SESLOST goes down from %s to %s", a->name, b->name);
    if (b->file_seq != a->file_seq + 1)
        return;
    tree_file_name(name, b->stream, (uint64_t)b->file_seq, 0);
    if (a->next[0] != '\0' && strcmp(a->next, name) != 0)
        verify_doubts_add(doubts, -1, "%s names '%s' as the file after", a->name, a->next);
    /* An index may jump only where frames were counted and then lost to the disk. */
    if (a->state == VERIFY_FINISHED && strcmp(a->end_cause, "ERROR") != 0 &&
        (uint64_t)b->frame0 != (uint64_t)a->frame0 + a->frames)
        verify_doubts_add(doubts, -1, "%s: FRAME0 is %lld, but %llu frame%s came before it",
                          b->name, (long long)b->frame0,
                          (unsigned long long)((uint64_t)a->frame0 + a->frames),
                          units_plural((uint64_t)a->frame0 + a->frames));
    check_counts(a, b, ledger, doubts);
}

/* SESLOST, from the first file on as far as none is missing: at least what the files so far have
 * lost, at most that and what the next one begins with. What a failing disk swallowed is in NLOST
 * only. Where it is wrong once, what follows may be wrong for the same reason. */
static void check_session_lost(const struct chain *chain, struct verify_doubts *doubts)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < chain->in_order; i++) {
        const struct verify_file *file = &chain->files[i];
        const struct verify_file *next = chain_find(chain, (uint64_t)file->file_seq + 1);
        uint64_t most = UINT64_MAX;

        if (file->file_seq != (int64_t)i + 1 || file->state != VERIFY_FINISHED ||
            strcmp(file->end_cause, "ERROR") == 0 || file->totals.saturated > 0)
            return;
        lost += (uint64_t)file->lost;
        if (next && next->frames > 0)
            most = lost + (uint64_t)(uint32_t)next->first.lost;
        if ((uint64_t)file->session_lost >= lost && (uint64_t)file->session_lost <= most)
            continue;
        verify_doubts_add(doubts, -1, "%s: SESLOST is %lld, but the files up to it lost %llu",
                          file->name, (long long)file->session_lost, (unsigned long long)lost);
        return;
    }
}

void chain_check(struct chain *chain, const struct chain_session *session,
                 struct verify_doubts *doubts)
{
    const struct verify_file *files = chain->files;

    chain->is_complete = !look_for_missing(chain, session, doubts);
    if (chain->in_order > 0 && files[0].file_seq == 1 && files[0].previous[0] != '\0')
        verify_doubts_add(doubts, -1, "%s names a file before the first", files[0].name);
    for (size_t i = 0; i + 1 < chain->in_order; i++)
        check_pair(&files[i], &files[i + 1], session->ledger, doubts);
    check_session_lost(chain, doubts);
}
