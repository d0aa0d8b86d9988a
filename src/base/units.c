/* units.c - see units.h. */
#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NS_PER_S 1000000000ll
/* Longest duration taken: a hundred years, so that no sum of a clock and a duration overflows. */
#define DURATION_NS_MAX (100ll * 365 * 86400 * NS_PER_S)
#define FRACTION_DIGITS 18
#define FRACTION_ONE    1000000000000000000ull

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1},
    {"b", 1},
    {"k", 1000},
    {"kb", 1000},
    {"ki", 1ull << 10},
    {"kib", 1ull << 10},
    {"m", 1000000},
    {"mb", 1000000},
    {"mi", 1ull << 20},
    {"mib", 1ull << 20},
    {"g", 1000000000},
    {"gb", 1000000000},
    {"gi", 1ull << 30},
    {"gib", 1ull << 30},
    {"t", 1000000000000},
    {"tb", 1000000000000},
    {"ti", 1ull << 40},
    {"tib", 1ull << 40},
    {"p", 1000000000000000},
    {"pb", 1000000000000000},
    {"pi", 1ull << 50},
    {"pib", 1ull << 50},
    {NULL, 0},
};

static const struct unit duration_units[] = {
    {"", NS_PER_S},
    {"ns", 1},
    {"us", 1000},
    {"\xc2\xb5s", 1000}, /* micro sign */
    {"\xce\xbcs", 1000}, /* Greek mu */
    {"ms", 1000000},
    {"s", NS_PER_S},
    {"sec", NS_PER_S},
    {"min", 60 * NS_PER_S},
    {"h", 3600 * NS_PER_S},
    {"d", 86400 * NS_PER_S},
    {NULL, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits at *text as a whole number. Returns how many were read, or -ERANGE. */
static int read_digits(const char **text, uint64_t *ret)
{
    uint64_t value = 0;
    int digits = 0;

    for (; is_digit(**text); (*text)++, digits++) {
        uint64_t digit = (uint64_t)(**text - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        value = value * 10 + digit;
    }
    *ret = value;
    return digits;
}

/* Digits behind the point, in units of 10^-18; what is finer is dropped. */
static int read_fraction(const char **text, uint64_t *ret)
{
    uint64_t value = 0, place = FRACTION_ONE / 10;
    int digits = 0;

    for (; is_digit(**text); (*text)++, digits++, place /= 10)
        value += place * (uint64_t)(**text - '0');
    *ret = value;
    return digits;
}

/* A number with a unit of the table, exact, cut to a whole number. */
static int parse_with_unit(const char *text, const struct unit *units, uint64_t max, uint64_t *ret)
{
    const char *p = text;
    uint64_t whole, fraction = 0;
    int digits = read_digits(&p, &whole), more = 0;
    unsigned __int128 value;

    if (digits < 0)
        return digits;
    if (*p == '.') {
        p++;
        more = read_fraction(&p, &fraction);
    }
    if (digits + more == 0)
        return -EINVAL;
    if (*p == ' ')
        p++;
    while (units->name && strcasecmp(units->name, p) != 0)
        units++;
    if (!units->name || (*p == '\0' && p[-1] == ' '))
        return -EINVAL;
    value = (unsigned __int128)whole * units->factor +
            (unsigned __int128)fraction * units->factor / FRACTION_ONE;
    if (value > max)
        return -ERANGE;
    *ret = (uint64_t)value;
    return 0;
}

int units_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    return parse_with_unit(text, byte_units, UINT64_MAX, ret_bytes);
}

int units_parse_duration(const char *text, int64_t *ret_ns)
{
    uint64_t ns;
    int r = parse_with_unit(text, duration_units, DURATION_NS_MAX, &ns);

    if (r == 0)
        *ret_ns = (int64_t)ns;
    return r;
}

int units_parse_count(const char *text, uint64_t *ret)
{
    const char *p = text;
    uint64_t value;
    int digits = read_digits(&p, &value);

    if (digits < 0)
        return digits;
    if (digits == 0 || *p != '\0')
        return -EINVAL;
    *ret = value;
    return 0;
}

/* Three digits of value, whatever its size below 1000. Rounds to 1000 where it is that close; the
 * caller then takes the next unit. */
static void print_three_digits(char *buf, size_t buf_bytes, double value, const char *unit)
{
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

    snprintf(buf, buf_bytes, "%.*f %s", decimals, value, unit);
}

char *units_format_bytes(char *buf, size_t buf_bytes, uint64_t bytes)
{
    static const char *const names[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes / 1000.0;
    size_t i = 0;

    if (bytes < 1000) {
        snprintf(buf, buf_bytes, "%" PRIu64 " B", bytes);
        return buf;
    }
    for (; value >= 999.5 && i + 1 < sizeof(names) / sizeof(names[0]); i++)
        value /= 1000.0;
    print_three_digits(buf, buf_bytes, value, names[i]);
    return buf;
}

static void format_short_duration(char *buf, size_t buf_bytes, uint64_t ns)
{
    static const char *const names[] = {"us", "ms", "s"};
    double value = (double)ns / 1000.0;
    size_t i = 0;

    if (ns < 1000) {
        snprintf(buf, buf_bytes, "%" PRIu64 " ns", ns);
        return;
    }
    for (; value >= 999.5 && i < 2; i++)
        value /= 1000.0;
    print_three_digits(buf, buf_bytes, value, names[i]);
}

char *units_format_duration(char *buf, size_t buf_bytes, int64_t ns)
{
    uint64_t magnitude = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    uint64_t seconds = (magnitude + NS_PER_S / 2) / NS_PER_S, minutes = (seconds + 30) / 60;
    const char *sign = ns < 0 ? "-" : "";
    char text[48];

    if (magnitude < 59950000000ull) /* what would read "60.0 s" is a minute */
        format_short_duration(text, sizeof(text), magnitude);
    else if (seconds < 3600)
        snprintf(text, sizeof(text), "%" PRIu64 " min %02" PRIu64 " s", seconds / 60, seconds % 60);
    else if (minutes < 24 * 60)
        snprintf(text, sizeof(text), "%" PRIu64 " h %02" PRIu64 " min", minutes / 60, minutes % 60);
    else
        snprintf(text, sizeof(text), "%" PRIu64 " d %02" PRIu64 " h", minutes / 1440,
                 minutes / 60 % 24);
    snprintf(buf, buf_bytes, "%s%s", sign, text);
    return buf;
}

/* With the unit that leaves the smallest whole number. */
static char *format_exactly(char *buf, size_t buf_bytes, uint64_t value, const struct unit *units)
{
    const struct unit *best = units;

    for (; units->name; units++)
        if (value % units->factor == 0 && units->factor > best->factor)
            best = units;
    snprintf(buf, buf_bytes, "%llu%s", (unsigned long long)(value / best->factor),
             value ? best->name : "");
    return buf;
}

char *units_exact_bytes(char *buf, size_t buf_bytes, uint64_t bytes)
{
    static const struct unit units[] = {{"", 1},
                                        {"kB", 1000},
                                        {"KiB", 1ull << 10},
                                        {"MB", 1000000},
                                        {"MiB", 1u << 20},
                                        {"GB", 1000000000},
                                        {"GiB", 1u << 30},
                                        {"TB", 1000000000000},
                                        {"TiB", 1ull << 40},
                                        {"PB", 1000000000000000},
                                        {"PiB", 1ull << 50},
                                        {NULL, 0}};

    return format_exactly(buf, buf_bytes, bytes, units);
}

char *units_exact_duration(char *buf, size_t buf_bytes, int64_t ns)
{
    static const struct unit units[] = {{"ns", 1},
                                        {"us", 1000},
                                        {"ms", 1000000},
                                        {"s", 1000000000},
                                        {"min", 60000000000},
                                        {"h", 3600000000000},
                                        {"d", 86400000000000},
                                        {NULL, 0}};

    return format_exactly(buf, buf_bytes, (uint64_t)ns, units);
}

char *units_format_utc(char *buf, size_t buf_bytes, int64_t realtime_ns, int decimals)
{
    int64_t seconds = realtime_ns / NS_PER_S, rest = realtime_ns % NS_PER_S;
    time_t when;
    struct tm tm;
    char fraction[16];

    if (rest < 0) { /* the second a time before 1970 lies in begins below it */
        rest += NS_PER_S;
        seconds--;
    }
    when = (time_t)seconds;
    gmtime_r(&when, &tm);
    decimals = decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
    snprintf(fraction, sizeof(fraction), ".%09d", (int)rest);
    fraction[decimals ? decimals + 1 : 0] = '\0';
    snprintf(buf, buf_bytes, "%04d-%02d-%02dT%02d:%02d:%02d%s", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
    return buf;
}

/* `digits` digits within a range, and what must follow them ('\0': anything). */
static bool take_digits(const char **text, int digits, int least, int most, char then, int *ret)
{
    int value = 0;

    for (int i = 0; i < digits; i++) {
        if ((*text)[i] < '0' || (*text)[i] > '9')
            return false;
        value = value * 10 + (*text)[i] - '0';
    }
    *text += digits;
    if (value < least || value > most || (then && **text != then))
        return false;
    *text += then != '\0';
    *ret = value;
    return true;
}

static int days_of_month(int year, int month)
{
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    if (month == 2)
        return is_leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

int units_parse_utc(const char *text, int64_t *ret_ns)
{
    struct tm tm = {0};
    int64_t ns = 0, scale = NS_PER_S / 10;

    if (!take_digits(&text, 4, 1678, 2261, '-', &tm.tm_year) ||
        !take_digits(&text, 2, 1, 12, '-', &tm.tm_mon) ||
        !take_digits(&text, 2, 1, 31, 'T', &tm.tm_mday) ||
        !take_digits(&text, 2, 0, 23, ':', &tm.tm_hour) ||
        !take_digits(&text, 2, 0, 59, ':', &tm.tm_min) ||
        !take_digits(&text, 2, 0, 60, '\0', &tm.tm_sec))
        return -EINVAL;
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9' && scale > 0; text++, scale /= 10)
            ns += (*text - '0') * scale;
    if (*text != '\0')
        return -EINVAL;
    if (tm.tm_mday > days_of_month(tm.tm_year, tm.tm_mon))
        return -EINVAL;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_ns = (int64_t)timegm(&tm) * NS_PER_S + ns;
    return 0;
}

size_t units_append(char *line, size_t line_bytes, size_t at, const char *format, ...)
{
    va_list args;
    int n;

    if (at + 1 >= line_bytes)
        return at;
    va_start(args, format);
    n = vsnprintf(line + at, line_bytes - at, format, args);
    va_end(args);
    if (n < 0)
        return at;
    return at + (size_t)n < line_bytes ? at + (size_t)n : line_bytes - 1;
}
