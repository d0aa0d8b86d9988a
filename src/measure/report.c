/* report.c - for people. See report.h. */
#include "measure/report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/units.h"

#define BAR_WIDTH 40

/* ---- numbers ---- */

char *report_format_ns(char buf[REPORT_NS_BYTES], int64_t ns, int digits)
{
    static const struct {
        double ns;
        const char *name;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    double value = (double)ns;
    const char *name = NULL;
    int decimals = digits - 1;

    for (size_t i = 0; i < sizeof units / sizeof units[0] && !name; i++) {
        /* What would be rounded to 1000 of a unit is 1 of the next. */
        double least = units[i].ns > 1e3 ? units[i].ns * (1.0 - 0.5 * pow(10.0, -digits)) : 1e3;

        if (fabs(value) < least)
            continue;
        value /= units[i].ns;
        name = units[i].name;
    }
    if (!name) {
        snprintf(buf, REPORT_NS_BYTES, "%" PRId64 "ns", ns);
        return buf;
    }
    for (double limit = 10.0; decimals > 0 && fabs(value) >= limit; limit *= 10.0)
        decimals--;
    snprintf(buf, REPORT_NS_BYTES, "%.*f%s", decimals, value, name);
    return buf;
}

char *report_format_offset(char buf[REPORT_NS_BYTES], int64_t ns, int digits)
{
    char plain[REPORT_NS_BYTES];

    if (ns == 0)
        return strcpy(buf, "0");
    snprintf(buf, REPORT_NS_BYTES, "%s%.14s", ns > 0 ? "+" : "",
             report_format_ns(plain, ns, digits));
    return buf;
}

char *report_format_shape(char *buf, size_t bytes, const struct dao_geometry *geo)
{
    int at = snprintf(buf, bytes, "%s ", geo->dtype->name);

    for (int i = 0; i < geo->naxis && at > 0 && (size_t)at < bytes; i++)
        at += snprintf(buf + at, bytes - (size_t)at, i ? "x%u" : "%u", geo->size[i]);
    if (geo->depth > 0 && at > 0 && (size_t)at < bytes)
        snprintf(buf + at, bytes - (size_t)at, ", depth %u", geo->depth);
    return buf;
}

/* ---- counts ---- */

static void print_causes(FILE *out, const struct tally *t)
{
    const char *before = "  lost by     ";

    for (unsigned i = 0; i < TALLY_CAUSES; i++) {
        if (t->lost_by[i] == 0)
            continue;
        fprintf(out, "%s%s %" PRIu64, before, tally_cause_name(i), t->lost_by[i]);
        before = ", ";
    }
    if (tally_lost(t) > 0)
        fprintf(out, "\n");
}

void report_print_counts(FILE *out, const struct tally *t)
{
    uint64_t expected = tally_expected(t), lost = tally_lost(t);
    double rate_hz = tally_rate_hz(t);

    fprintf(out, "  frames      %" PRIu64 " seen of %" PRIu64 " expected; ", t->seen, expected);
    if (lost == 0)
        fprintf(out, "none lost");
    else
        fprintf(out, "%" PRIu64 " lost (%.3g %%)", lost, 100.0 * (double)lost / (double)expected);
    fprintf(out, "\n");
    print_causes(out, t);
    if (rate_hz > 0.0)
        fprintf(out, "  rate        %.6g Hz\n", rate_hz);
    if (t->restarts)
        fprintf(out, "  restarts    %" PRIu64 " of the source\n", t->restarts);
    if (t->torn)
        fprintf(out, "  torn        %" PRIu64 " of the frames seen\n", t->torn);
    if (t->absent)
        fprintf(out,
                "  not here    %" PRIu64 " frame%s, in files missing between these or left out\n",
                t->absent, units_plural(t->absent));
    if (t->bad_times)
        fprintf(out, "  bad times   %" PRIu64 " frame%s with ATIME 0 or going back\n", t->bad_times,
                units_plural(t->bad_times));
    if (t->early)
        fprintf(out, "  clocks      %" PRIu64 " frame%s taken before ATIME: the clocks differ\n",
                t->early, units_plural(t->early));
}

void report_print_gaps(FILE *out, const struct tally *t, uint64_t most)
{
    uint64_t listed = tally_listed(t) < most ? tally_listed(t) : most;
    char utc[48] = "";

    for (uint64_t i = 0; i < listed; i++) {
        const struct tally_gap *gap = &t->gaps[i];

        if (gap->time_ns)
            units_format_utc(utc, sizeof utc, gap->time_ns, 3);
        fprintf(out, "  gap         %s%s%" PRIu64 " frame%s from count %" PRId64 " on, %s\n",
                gap->time_ns ? utc : "", gap->time_ns ? "  " : "", gap->count,
                units_plural(gap->count), gap->first_cnt0, tally_cause_name(gap->cause));
    }
    if (t->gap_count > listed)
        fprintf(out, "  ... and %" PRIu64 " more gap%s (--gaps N lists N)\n", t->gap_count - listed,
                units_plural(t->gap_count - listed));
}

/* ---- distributions ---- */

static const double shares[] = {0.0, 0.01, 0.5, 0.99, 0.999, 1.0};
#define SHARES (sizeof shares / sizeof shares[0])

void report_print_table_head(FILE *out)
{
    fprintf(out, "  %-10s %9s%9s%9s%9s%9s%9s%9s\n", "", "min", "p1", "p50", "p99", "p99.9", "max",
            "mean");
}

static void print_cell(FILE *out, int64_t ns)
{
    char text[REPORT_NS_BYTES];

    fprintf(out, "%9s", report_format_ns(text, ns, 5));
}

void report_print_spread(FILE *out, const char *label, const struct spread *s)
{
    char text[REPORT_NS_BYTES];

    if (spread_count(s) == 0)
        return;
    fprintf(out, "  %-10s ", label);
    for (size_t i = 0; i < SHARES; i++)
        print_cell(out, spread_quantile(s, shares[i]));
    print_cell(out, (int64_t)spread_mean(s));
    fprintf(out, "\n  %-10s  standard deviation %s\n", "",
            report_format_ns(text, (int64_t)spread_deviation(s), 3));
}

void report_print_histogram(FILE *out, const char *label, const struct histogram *h)
{
    if (h->count == 0)
        return;
    fprintf(out, "  %-10s ", label);
    for (size_t i = 0; i < SHARES; i++)
        print_cell(out, histogram_quantile(h, shares[i]));
    print_cell(out, (int64_t)histogram_mean(h));
    fprintf(out, "\n");
}

/* ---- bars ---- */

/* Limits 0, 1, 2, 5, 10, 20, ... ns up to 5e18. */
#define BAR_LIMITS 57
static int64_t bar_limit(unsigned i)
{
    static const int64_t steps[] = {1, 2, 5};
    int64_t limit = 1;

    if (i == 0)
        return 0;
    for (unsigned k = 0; k < (i - 1) / 3; k++)
        limit *= 10;
    return limit * steps[(i - 1) % 3];
}

/* Which bar a bucket belongs to: the first whose limit its values do not exceed. */
static void collect(const struct histogram *h, uint64_t ret[BAR_LIMITS])
{
    unsigned at = 0;

    memset(ret, 0, BAR_LIMITS * sizeof *ret);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        while (at + 1 < BAR_LIMITS && histogram_first_of(i) > bar_limit(at))
            at++;
        ret[at] += h->bucket[i];
    }
}

static void print_bar(FILE *out, char sign, unsigned limit, uint64_t count, uint64_t most)
{
    int width = 0;
    char text[REPORT_NS_BYTES];

    if (count > 0)
        width = 1 + (int)((BAR_WIDTH - 1) * log1p((double)count) / log1p((double)most));
    fprintf(out, "  %c %8s %12" PRIu64 " ", sign, report_format_ns(text, bar_limit(limit), 1),
            count);
    while (width-- > 0)
        fputc('#', out);
    fputc('\n', out);
}

static uint64_t largest(const uint64_t bars[BAR_LIMITS], uint64_t most)
{
    for (unsigned i = 0; i < BAR_LIMITS; i++)
        most = bars[i] > most ? bars[i] : most;
    return most;
}

static unsigned first_bar(const uint64_t bars[BAR_LIMITS])
{
    unsigned i = 0;

    while (i < BAR_LIMITS && bars[i] == 0)
        i++;
    return i;
}

static unsigned end_bar(const uint64_t bars[BAR_LIMITS])
{
    unsigned i = BAR_LIMITS;

    while (i > 0 && bars[i - 1] == 0)
        i--;
    return i;
}

void report_print_spread_bars(FILE *out, const char *label, const struct spread *s)
{
    uint64_t below[BAR_LIMITS], above[BAR_LIMITS], most;
    char text[REPORT_NS_BYTES];

    if (spread_count(s) == 0)
        return;
    collect(&s->below, below);
    collect(&s->above, above);
    most = largest(below, largest(above, 1));
    fprintf(out, "  %s: distance from %s (up to), frames\n", label,
            report_format_ns(text, s->reference, 5));
    for (unsigned i = end_bar(below); i-- > first_bar(below);)
        print_bar(out, '-', i, below[i], most);
    for (unsigned i = first_bar(above); i < end_bar(above); i++)
        print_bar(out, '+', i, above[i], most);
}

void report_print_bars(FILE *out, const char *label, const struct histogram *h)
{
    uint64_t bars[BAR_LIMITS], most;

    if (h->count == 0)
        return;
    collect(h, bars);
    most = largest(bars, 1);
    fprintf(out, "  %s (up to), frames\n", label);
    for (unsigned i = first_bar(bars); i < end_bar(bars); i++)
        print_bar(out, ' ', i, bars[i], most);
}
