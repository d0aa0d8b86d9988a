/* loss.c - see loss.h. */
#include "record/loss.h"

#include "fits/rows.h"
#include "lib/clock.h"

int32_t loss_flags(enum ledger_cause cause)
{
    static const int32_t flags[LEDGER_CAUSES] = {
        [LEDGER_LAPPED] = FITS_FLAG_GAP | FITS_FLAG_OVERWRITE,
        [LEDGER_DISK] = FITS_FLAG_GAP | FITS_FLAG_OVERWRITE | FITS_FLAG_QUEUEFULL,
        [LEDGER_SOURCE] = FITS_FLAG_GAP,
        [LEDGER_RESTART] = FITS_FLAG_GAP,
    };

    return flags[cause];
}

static void note_for_row(struct record_stream *s, enum ledger_cause cause, uint64_t count)
{
    if (count == 0)
        return;
    s->pending_lost += count;
    s->pending_flags |= loss_flags(cause);
}

void loss_book(struct record_stream *s, enum ledger_cause cause, uint64_t first, uint64_t count)
{
    account_lose(&s->account, cause, (int64_t)first, count, dao_clock_real_ns());
    note_for_row(s, cause, count);
}

void loss_book_left_out(struct record_stream *s)
{
    uint64_t count = s->left_out;

    if (count == 0)
        return; /* what is known to be lost, and waits to be booked, goes on waiting */
    s->left_out = 0;
    loss_book(s, LEDGER_DISK, s->left_out_first, count);
}

void loss_book_end_of_run(struct record_stream *s, uint64_t first, uint64_t count)
{
    struct ledger_gap known;

    loss_book_left_out(s);
    known = account_settle(&s->account);
    note_for_row(s, known.cause, known.count);
    if (count > known.count)
        loss_book(s, LEDGER_RESTART, first + known.count, count - known.count);
}
