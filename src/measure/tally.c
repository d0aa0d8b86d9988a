/* tally.c - see tally.h. */
#include "measure/tally.h"

#include <string.h>

#define INTERVAL_MAX_NS (INT64_MAX / 4)

const char *tally_cause_name(unsigned cause)
{
    return cause < LEDGER_CAUSES ? ledger_cause_names[cause] : "unknown";
}

/* Counts may wrap: unsigned. */
static uint64_t run_expected(const struct tally_run *run)
{
    return (uint64_t)run->last_cnt0 - (uint64_t)run->first_cnt0 + 1;
}

/* What the current run adds to the rate: counts, and the time they took. */
static void measure_run(const struct tally *t, uint64_t *counts, double *span_ns)
{
    if (t->run_first_ns == 0 || t->run_last_ns <= t->run_first_ns)
        return;
    *counts += (uint64_t)t->run_last_cnt0 - (uint64_t)t->run_first_cnt0 - t->run_jumped;
    *span_ns += (double)(t->run_last_ns - t->run_first_ns);
}

static void end_run(struct tally *t)
{
    if (t->run_count <= TALLY_RUNS_MAX)
        t->runs[t->run_count - 1] = t->run;
    t->past_runs += run_expected(&t->run);
    measure_run(t, &t->past_counts, &t->past_span_ns);
    t->run_first_ns = t->run_last_ns = 0;
    t->run_jumped = t->jumping = 0;
}

void tally_begin_run(struct tally *t, int64_t first_cnt0, enum tally_beginning beginning)
{
    if (t->run_count > 0)
        end_run(t);
    t->run_count++;
    t->restarts += beginning == TALLY_RESTART;
    t->run = (struct tally_run){first_cnt0, (int64_t)((uint64_t)first_cnt0 - 1)};
    t->has_frame = false;
    t->last_atime_ns = 0;
}

void tally_lose(struct tally *t, unsigned cause, int64_t first_cnt0, uint64_t count,
                int64_t time_ns)
{
    if (count == 0)
        return;
    t->lost_by[cause] += count;
    if (cause == LEDGER_SOURCE)
        t->jumping += count;
    if (t->gap_count < t->gaps_most)
        t->gaps[t->gap_count] = (struct tally_gap){first_cnt0, count, time_ns, cause};
    t->gap_count++;
    t->run.last_cnt0 = (int64_t)((uint64_t)first_cnt0 + count - 1);
}

/* A good ATIME is one that does not go back within the run. */
static bool look_at_time(struct tally *t, const struct tally_frame *frame)
{
    bool is_good =
        !frame->is_bad_time && frame->atime_ns > 0 && frame->atime_ns >= t->last_atime_ns;

    t->bad_times += !is_good;
    if (frame->atime_ns > 0)
        t->last_atime_ns = frame->atime_ns;
    return is_good;
}

static void measure(struct tally *t, const struct tally_frame *frame, bool is_good)
{
    int64_t latency_ns;

    if (t->has_frame && is_good && t->is_last_good &&
        (uint64_t)frame->cnt0 - (uint64_t)t->last.cnt0 == 1 &&
        frame->atime_ns - t->last.atime_ns < INTERVAL_MAX_NS)
        spread_add(&t->interval, frame->atime_ns - t->last.atime_ns);
    if (!is_good || frame->taken_ns <= 0)
        return;
    latency_ns = frame->taken_ns - frame->atime_ns; /* both are positive */
    if (latency_ns < 0)
        t->early++;
    else
        histogram_add(&t->latency, latency_ns);
}

static void note_span(struct tally *t, const struct tally_frame *frame, int64_t time_ns)
{
    uint64_t jumped = t->jumping;

    if (time_ns <= 0)
        return;
    t->jumping = 0;
    if (t->first_ns == 0)
        t->first_ns = time_ns;
    t->last_ns = time_ns;
    if (t->run_first_ns == 0) {
        t->run_first_ns = time_ns;
        t->run_first_cnt0 = frame->cnt0;
        jumped = 0;
    }
    t->run_jumped += jumped;
    t->run_last_ns = time_ns;
    t->run_last_cnt0 = frame->cnt0;
}

void tally_take(struct tally *t, const struct tally_frame *frame)
{
    bool is_good = look_at_time(t, frame);

    t->seen++;
    t->torn += frame->is_torn;
    measure(t, frame, is_good);
    note_span(t, frame, is_good ? frame->atime_ns : frame->taken_ns);
    t->run.last_cnt0 = frame->cnt0;
    t->last = *frame;
    t->is_last_good = is_good;
    t->has_frame = true;
}

uint64_t tally_expected(const struct tally *t)
{
    return t->run_count ? t->past_runs + run_expected(&t->run) : 0;
}

uint64_t tally_lost(const struct tally *t)
{
    uint64_t lost = 0;

    for (unsigned i = 0; i < TALLY_CAUSES; i++)
        lost += t->lost_by[i];
    return lost;
}

double tally_rate_hz(const struct tally *t)
{
    uint64_t counts = t->past_counts;
    double span_ns = t->past_span_ns;

    measure_run(t, &counts, &span_ns);
    return span_ns > 0.0 ? (double)counts * 1e9 / span_ns : 0.0;
}

uint64_t tally_listed(const struct tally *t)
{
    return t->gap_count < t->gaps_most ? t->gap_count : t->gaps_most;
}
