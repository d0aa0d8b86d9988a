/* stopping.c - see stopping.h. */
#include "record/stopping.h"

#include <string.h>

#include "lib/clock.h"
#include "record/handover.h"
#include "record/overload.h"

void stopping_give_up(struct record_stream *s, enum ledger_cause cause)
{
    uint64_t left_out = overload_book_at_end(s);
    uint64_t lost = account_settle(&s->account).count; /* they are behind the frame last taken */
    uint64_t after = s->reader.cnt0 + lost;

    lost += left_out;
    if (s->last_wanted_cnt0 > after) {
        uint64_t rest = s->last_wanted_cnt0 - after;

        account_lose(&s->account, cause, (int64_t)(after + 1), rest, dao_clock_real_ns());
        lost += rest;
    }
    if (s->current && s->current->frames > 0)
        s->current->lost += lost;
    s->finished = true;
}

void stopping_end_here(struct record_stream *s, atomic_bool *why)
{
    s->stopping = s->finished = true;
    s->stop_cause = "STOP";
    if (s->ending)
        s->ending->end_cause = s->stop_cause;
    s->last_wanted_cnt0 = s->reader.cnt0;
    atomic_store(&s->is_stopping, true);
    atomic_store(why, true);
}

static void begin_stop(struct record_stream *s, const char *cause)
{
    s->stopping = true;
    s->stop_cause = cause;
    atomic_store(&s->is_stopping, true);
    s->last_wanted_cnt0 = s->reader.cnt0;
    if (atomic_load(&s->condition) != STREAM_RUNNING)
        return; /* what came back meanwhile is dealt with where it is waited for */
    dao_reader_look(&s->reader);
    s->last_wanted_cnt0 = s->reader.cnt0 + s->account.now.waiting.count;
    if (s->last_wanted_cnt0 < s->reader.newest_seen)
        s->last_wanted_cnt0 = s->reader.newest_seen;
    s->finished = s->last_wanted_cnt0 <= s->reader.cnt0 && !dao_reader_is_ready(&s->reader);
}

void stopping_check(struct record_stream *s, int64_t now_ns)
{
    if (s->stopping && !s->finished && atomic_load(&s->hurry))
        stopping_give_up(s, s->starved ? LEDGER_DISK : LEDGER_LAPPED);
    if (s->stopping || s->finished)
        return;
    if (s->no_room && !s->current && !s->next && !handover_awaits_room(s)) {
        stopping_end_here(s, &s->ran_out); /* the disk is as full as it may get */
        return;
    }
    if (overload_has_ended(s))
        stopping_end_here(s, &s->overloaded);
    else if (atomic_load_explicit(&s->stop_requested, memory_order_acquire))
        begin_stop(s, atomic_load(&s->stop_cause_requested));
    else if (s->config.duration_ns && now_ns - s->start_ns >= s->config.duration_ns)
        begin_stop(s, "STOP");
}

/* No row follows that tells of them. */
static void book_left_out(struct record_stream *s)
{
    uint64_t count = overload_book_at_end(s);

    if (s->current && s->current->frames > 0)
        s->current->lost += count;
}

/* A file that was to have a successor, and has none since the recording ends, is the last one. */
static void end_pending(struct record_stream *s)
{
    if (!s->ending)
        return;
    if (strcmp(s->ending->end_cause, "ROLL") == 0)
        s->ending->end_cause = s->stop_cause;
    handover_end_pending(s, false);
}

void stopping_finish(struct record_stream *s)
{
    atomic_store(&s->is_stopping, true);
    book_left_out(s);
    handover_retire(s, s->stop_cause, dao_clock_mono_ns());
    end_pending(s);
    account_wait(&s->account, NULL); /* lapped behind an end for want of room: not asked for */
    account_note_file(&s->account, 0, 0);
    account_publish(&s->account);
    handover_send(s, &s->row_queue, (struct record_message){.kind = RECORD_DONE});
    pulse_rest(&s->pulse);
}
