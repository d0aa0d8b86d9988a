/*
 * units.h - sizes and durations as people write them. Pure functions, any thread.
 */
#ifndef DAOREC_BASE_UNITS_H
#define DAOREC_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* "64MiB", "1.5GB", "4096", "10k": binary with i, decimal without, B optional.
 * 0, -EINVAL (not such a thing, or negative), -ERANGE. *ret untouched on failure. */
int units_parse_bytes(const char *text, uint64_t *ret_bytes);

/* "500ms", "10s", "5min", "2h", "250us", "10ns"; a bare number is seconds. Same returns. */
int units_parse_duration(const char *text, int64_t *ret_ns);

/* A whole decimal number; 0, -EINVAL, -ERANGE. */
int units_parse_count(const char *text, uint64_t *ret);

/* "1.28 GB", "97.0 MB" (decimal, three digits); "12.3 s", "4 min 05 s". Return `buf`. */
char *units_format_bytes(char *buf, size_t buf_bytes, uint64_t bytes);
char *units_format_duration(char *buf, size_t buf_bytes, int64_t ns);

/* The same as it would be written to be parsed to exactly that: "1MiB", "1500MB", "90s", "2h". What
 * somebody has set, or may set, is told so; what was measured, as above. Return `buf`. */
char *units_exact_bytes(char *buf, size_t buf_bytes, uint64_t bytes);
char *units_exact_duration(char *buf, size_t buf_bytes, int64_t ns);

/* printf at `at` in a line of line_bytes, the end of what is there already; cut where it is full.
 * Returns where it ends now. */
size_t units_append(char *line, size_t line_bytes, size_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* What a noun ends in after this number: "" or "s". */
static inline const char *units_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* "2026-11-24T02:01:08.123456789" in UTC, `decimals` 0..9 digits after the point (cut, not
 * rounded). buf of at least 36 bytes. Works for negative times. */
char *units_format_utc(char *buf, size_t buf_bytes, int64_t realtime_ns, int decimals);

/* The other way round: "2026-11-24T02:01:08" with up to nine decimals, years 1678 to 2261.
 * 0, -EINVAL. *ret untouched on failure. */
int units_parse_utc(const char *text, int64_t *ret_ns);

#endif
