/* report_json.c - for programs. See report.h. */
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "measure/report.h"

json_t *report_integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *report_utc(int64_t ns)
{
    char utc[48];

    return ns ? json_string(units_format_utc(utc, sizeof utc, ns, 9)) : json_null();
}

void report_add_shape(json_t *object, const struct dao_geometry *geo)
{
    json_t *size = json_array();

    for (int i = 0; i < geo->naxis; i++)
        json_array_append_new(size, report_integer(geo->size[i]));
    json_object_set_new(object, "type", json_string(geo->dtype->name));
    json_object_set_new(object, "size", size);
    json_object_set_new(object, "depth", geo->depth ? report_integer(geo->depth) : json_null());
}

/* ---- distributions ---- */

static const struct quantile {
    const char *name;
    double share;
} quantiles[] = {{"min", 0.0},  {"p1", 0.01},     {"p10", 0.1},       {"p50", 0.5}, {"p90", 0.9},
                 {"p99", 0.99}, {"p99_9", 0.999}, {"p99_99", 0.9999}, {"max", 1.0}};
#define QUANTILES (sizeof quantiles / sizeof quantiles[0])

static json_t *bucket(int64_t first, int64_t last, uint64_t count)
{
    return json_pack("[I, I, I]", (json_int_t)first, (json_int_t)last, (json_int_t)count);
}

json_t *report_spread(const struct spread *s, bool with_histogram)
{
    json_t *object = json_object(), *list;

    json_object_set_new(object, "count", report_integer(spread_count(s)));
    if (spread_count(s) == 0)
        return object;
    for (size_t i = 0; i < QUANTILES; i++)
        json_object_set_new(object, quantiles[i].name,
                            json_integer(spread_quantile(s, quantiles[i].share)));
    json_object_set_new(object, "mean", json_real(spread_mean(s)));
    json_object_set_new(object, "deviation", json_real(spread_deviation(s)));
    if (!with_histogram)
        return object;
    list = json_array();
    for (uint32_t i = HISTOGRAM_BUCKETS; i-- > 0;)
        if (s->below.bucket[i])
            json_array_append_new(list,
                                  bucket(s->reference - histogram_last_of(i),
                                         s->reference - histogram_first_of(i), s->below.bucket[i]));
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (s->above.bucket[i])
            json_array_append_new(list,
                                  bucket(s->reference + histogram_first_of(i),
                                         s->reference + histogram_last_of(i), s->above.bucket[i]));
    json_object_set_new(object, "histogram", list);
    return object;
}

json_t *report_histogram(const struct histogram *h, bool with_histogram)
{
    json_t *object = json_object(), *list;

    json_object_set_new(object, "count", report_integer(h->count));
    if (h->count == 0)
        return object;
    for (size_t i = 0; i < QUANTILES; i++)
        json_object_set_new(object, quantiles[i].name,
                            json_integer(histogram_quantile(h, quantiles[i].share)));
    json_object_set_new(object, "mean", json_real(histogram_mean(h)));
    if (!with_histogram)
        return object;
    list = json_array();
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (h->bucket[i])
            json_array_append_new(
                list, bucket(histogram_first_of(i), histogram_last_of(i), h->bucket[i]));
    json_object_set_new(object, "histogram", list);
    return object;
}

/* ---- a tally ---- */

static json_t *lost_by(const struct tally *t)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < TALLY_CAUSES; i++)
        json_object_set_new(object, tally_cause_name(i), report_integer(t->lost_by[i]));
    return object;
}

static void add_gaps(json_t *object, const struct tally *t, uint64_t most)
{
    uint64_t listed = tally_listed(t) < most ? tally_listed(t) : most;
    json_t *list = json_array();

    for (uint64_t i = 0; i < listed; i++) {
        const struct tally_gap *gap = &t->gaps[i];

        json_array_append_new(
            list, json_pack("{s:I, s:I, s:s, s:o}", "first_cnt0", (json_int_t)gap->first_cnt0,
                            "count", (json_int_t)gap->count, "cause", tally_cause_name(gap->cause),
                            "time", report_utc(gap->time_ns)));
    }
    json_object_set_new(object, "gaps", list);
    json_object_set_new(object, "gaps_left_out", report_integer(t->gap_count - listed));
}

static json_t *run(const struct tally_run *run)
{
    return json_pack("{s:I, s:I, s:I}", "first_cnt0", (json_int_t)run->first_cnt0, "last_cnt0",
                     (json_int_t)run->last_cnt0, "expected",
                     (json_int_t)((uint64_t)run->last_cnt0 - (uint64_t)run->first_cnt0 + 1));
}

static void add_runs(json_t *object, const struct tally *t)
{
    uint64_t past = t->run_count ? t->run_count - 1 : 0, listed = past;
    json_t *list = json_array();

    if (listed > TALLY_RUNS_MAX)
        listed = TALLY_RUNS_MAX;
    for (uint64_t i = 0; i < listed; i++)
        json_array_append_new(list, run(&t->runs[i]));
    if (t->run_count)
        json_array_append_new(list, run(&t->run));
    json_object_set_new(object, "runs", list);
    json_object_set_new(object, "runs_left_out", report_integer(past - listed));
}

void report_add_tally(json_t *object, const struct tally *t, const struct report_options *options)
{
    uint64_t expected = tally_expected(t), lost = tally_lost(t);

    json_object_set_new(object, "expected", report_integer(expected));
    json_object_set_new(object, "seen", report_integer(t->seen));
    json_object_set_new(object, "torn", report_integer(t->torn));
    json_object_set_new(object, "lost", report_integer(lost));
    json_object_set_new(object, "loss_rate",
                        json_real(expected ? (double)lost / (double)expected : 0.0));
    json_object_set_new(object, "lost_by", lost_by(t));
    json_object_set_new(object, "restarts", report_integer(t->restarts));
    json_object_set_new(object, "rate_hz", json_real(tally_rate_hz(t)));
    json_object_set_new(object, "begin", report_utc(t->first_ns));
    json_object_set_new(object, "end", report_utc(t->last_ns));
    json_object_set_new(object, "bad_times", report_integer(t->bad_times));
    json_object_set_new(object, "taken_before_atime", report_integer(t->early));
    json_object_set_new(object, "interval_ns", report_spread(&t->interval, options->histogram));
    json_object_set_new(object, "latency_ns", report_histogram(&t->latency, options->histogram));
    if (options->has_no_gaps)
        return;
    add_gaps(object, t, options->gaps);
    add_runs(object, t);
}
