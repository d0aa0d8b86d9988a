/*
 * report.h - what was counted and measured, for people (at most 80 columns) and for programs
 * (JSON). The main thread, at the end or now and then.
 *
 * Times are in ns in JSON. Quantiles of intervals are off by less than 1/64 of their distance from
 * the median of the first intervals, the others are too high by less than 1/64 of themselves; both
 * never too near to the middle, nor too low. Minimum, maximum and mean are exact.
 */
#ifndef DAOREC_MEASURE_REPORT_H
#define DAOREC_MEASURE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/layout.h"
#include "measure/tally.h"

#define REPORT_NS_BYTES       16
#define REPORT_QUANTILE_ERROR (1.0 / 64)

struct report_options {
    bool json;
    bool histogram;   /* print them, too */
    uint64_t gaps;    /* so many are listed at most */
    bool has_no_gaps; /* JSON: neither lists of gaps nor of runs */
};

/* "1.0003ms", "12.4us", "999ns": `digits` significant ones, at least 3. Returns `buf`. */
char *report_format_ns(char buf[REPORT_NS_BYTES], int64_t ns, int digits);
/* The same with its sign, and "0" for 0. */
char *report_format_offset(char buf[REPORT_NS_BYTES], int64_t ns, int digits);

/* "uint16 800x800, depth 64"; without the depth where it is 0. Returns `buf`. */
char *report_format_shape(char *buf, size_t bytes, const struct dao_geometry *geo);

/* ---- for people ---- */

/* Lines on what was seen and lost, and the rate. The tally's intervals are settled, here and
 * below. */
void report_print_counts(FILE *out, const struct tally *t);

/* A table: its head, then a line for each distribution that is not empty. */
void report_print_table_head(FILE *out);
void report_print_spread(FILE *out, const char *label, const struct spread *s);
void report_print_histogram(FILE *out, const char *label, const struct histogram *h);

/* The list of gaps, at most `most` of them. */
void report_print_gaps(FILE *out, const struct tally *t, uint64_t most);

/* Bars, a line for each 1, 2, 5, 10, ... of a ns, us, ms or s: distances of a spread from its
 * reference, or values. Their length is the logarithm of the count. */
void report_print_spread_bars(FILE *out, const char *label, const struct spread *s);
void report_print_bars(FILE *out, const char *label, const struct histogram *h);

/* ---- for programs; new references ---- */

json_t *report_integer(uint64_t value);
json_t *report_utc(int64_t ns); /* null for 0 */

/* Members expected, seen, lost, lost_by, ..., interval_ns, latency_ns, gaps, runs into `object`. */
void report_add_tally(json_t *object, const struct tally *t, const struct report_options *options);
void report_add_shape(json_t *object, const struct dao_geometry *geo);
json_t *report_spread(const struct spread *s, bool with_histogram);
json_t *report_histogram(const struct histogram *h, bool with_histogram);

#endif
