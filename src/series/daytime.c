/* daytime.c - see daytime.h. */
#include "series/daytime.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

#define S_NS   1000000000ll
#define DAY_NS (86400 * S_NS)

static bool two_digits(const char *words, int max)
{
    return words[0] >= '0' && words[0] <= '9' && words[1] >= '0' && words[1] <= '9' &&
           (words[0] - '0') * 10 + words[1] - '0' <= max;
}

/* HH:MM[:SS[.fraction]][Z] as HH:MM:SS[.fraction]; false: it is something else. */
static bool read_words(char ret[DAYTIME_BYTES], const char *words)
{
    size_t length = strlen(words);

    if (length < 5 || length > 24 || !two_digits(words, 23) || words[2] != ':' ||
        !two_digits(words + 3, 59))
        return false;
    if (words[length - 1] == 'Z')
        length--;
    if (length == 5) {
        snprintf(ret, DAYTIME_BYTES, "%.5s:00", words);
        return true;
    }
    if (length < 8 || words[5] != ':' || !two_digits(words + 6, 60))
        return false;
    if (length > 8 && (words[8] != '.' || strspn(words + 9, "0123456789") != length - 9))
        return false;
    snprintf(ret, DAYTIME_BYTES, "%.*s", (int)length, words);
    return true;
}

int daytime_resolve(char ret[DAYTIME_BYTES], const char *words, int64_t begin_ns, int64_t end_ns,
                    struct dao_text *text)
{
    char clock[DAYTIME_BYTES], date[40], begin[40], end[40], dated[DAYTIME_BYTES + 12];
    int64_t first_ns = begin_ns, last_ns = end_ns, spare_ns = DAY_NS - (end_ns - begin_ns);
    unsigned found = 0;

    if (!read_words(clock, words)) {
        if (strlen(words) >= DAYTIME_BYTES) {
            snprintf(text->s, sizeof text->s,
                     "'%.60s...' is no time; give one such as 02:01:08, or with its date", words);
            return -EINVAL;
        }
        snprintf(ret, DAYTIME_BYTES, "%s", words);
        return 0;
    }
    if (spare_ns > 0) { /* a day with the recording in its middle has each time once */
        first_ns = begin_ns - spare_ns / 2;
        last_ns = first_ns + DAY_NS - 1;
    }
    for (int64_t day = first_ns / DAY_NS * DAY_NS; day <= last_ns && begin_ns > 0; day += DAY_NS) {
        int64_t at_ns;

        units_format_utc(date, sizeof date, day, 0);
        snprintf(dated, sizeof dated, "%.10sT%s", date, clock);
        if (units_parse_utc(dated, &at_ns) < 0 || at_ns < first_ns || at_ns > last_ns)
            continue;
        found++;
        snprintf(ret, DAYTIME_BYTES, "%.*s", DAYTIME_BYTES - 1, dated);
    }
    if (found == 1)
        return 0;
    if (begin_ns <= 0) {
        snprintf(text->s, sizeof text->s,
                 "'%s' is a time, but the frames have none: give an index or cnt0:N", words);
        return -EINVAL;
    }
    units_format_utc(begin, sizeof begin, begin_ns, 3);
    units_format_utc(end, sizeof end, end_ns, 3);
    snprintf(text->s, sizeof text->s,
             "'%s' %s: the recording goes from %s to %s; give the date, too", words,
             found ? "comes more than once" : "is on no day near it", begin, end);
    return -EINVAL;
}
