/* overload.c - see overload.h. */
#include "record/overload.h"

#include "lib/clock.h"
#include "record/loss.h"

static bool is_half_free(struct io_pool *pool)
{
    return 2ull * atomic_load_explicit(&pool->free_count, memory_order_relaxed) >= pool->count;
}

void overload_note_starved(struct record_stream *s)
{
    if (s->config.overload == OVERLOAD_DECIMATE && !s->stopping &&
        2 * dao_reader_backlog(&s->reader) >= s->shape->geometry.depth)
        atomic_store_explicit(&s->is_thinning, true, memory_order_relaxed);
}

bool overload_leaves_out(struct record_stream *s, const struct dao_take *take)
{
    if (!atomic_load_explicit(&s->is_thinning, memory_order_relaxed))
        return false;
    if (s->stopping || (is_half_free(&s->data_pool) && is_half_free(&s->row_pool))) {
        atomic_store_explicit(&s->is_thinning, false, memory_order_relaxed);
        return false;
    }
    return take->cnt0 % s->config.each != 0 && s->left_out + 1 < s->config.each;
}

void overload_leave_out(struct record_stream *s, const struct dao_take *take, uint64_t previous,
                        enum ledger_cause cause)
{
    if (take->missing > 0) {
        loss_book_left_out(s);
        loss_book(s, cause, previous + 1, take->missing);
    }
    if (s->left_out == 0)
        s->left_out_first = take->cnt0;
    s->left_out++;
    atomic_fetch_add_explicit(&s->all_left_out, 1, memory_order_relaxed);
}

uint64_t overload_book_at_end(struct record_stream *s)
{
    uint64_t count = s->left_out;

    if (count == 0)
        return 0;
    s->left_out = 0;
    account_lose(&s->account, LEDGER_DISK, (int64_t)s->left_out_first, count, dao_clock_real_ns());
    return count;
}

bool overload_ends(const struct record_stream *s, const struct dao_take *take)
{
    return s->config.overload == OVERLOAD_STOP && s->starved && take->missing > 0 &&
           !take->jumped && (!s->stopping || atomic_load(&s->all_end_for_overload));
}

bool overload_has_ended(const struct record_stream *s)
{
    return s->config.overload == OVERLOAD_STOP && s->account.now.counts.lost_by[LEDGER_DISK] > 0;
}
