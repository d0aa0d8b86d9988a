/* format.c - values as text: what parsing gives again, and what is allowed. See keys.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/place.h"
#include "base/units.h"
#include "config/keys.h"

#define CPUS_BYTES  4096
#define VALUE_BYTES (CPUS_BYTES + 64) /* of all but texts, quotes included */

static const struct type {
    const char *name;    /* "'x' is no ..." */
    const char *example; /* what is allowed */
    size_t bytes;
} types[] = {
    [CONFIG_MAP] = {"mapping", "keys of its own below it", 0},
    [CONFIG_ROLL] = {"mapping",
                     "frames (5000), a size (1GiB), a time (10min), or a mapping with "
                     "frames, size and time",
                     0},
    [CONFIG_LIST] = {"list", "a list of sources, each with a uri", 0},
    [CONFIG_PATH] = {"path", "a path", sizeof(char *)},
    [CONFIG_TEXT] = {"text", "up to 60 characters of ASCII", sizeof(char *)},
    [CONFIG_NAME] = {"name of a stream", "up to 56 of A-Z a-z 0-9 _ -", sizeof(char *)},
    [CONFIG_URI] = {"URI", "smem:///path, file:///path, or the path of a segment", sizeof(char *)},
    [CONFIG_ADDRESS] = {"address",
                        "a port such as 9464, or an address and a port such as 127.0.0.1:9464",
                        sizeof(char *)},
    [CONFIG_COMMAND] = {"command", "a command for the shell", sizeof(char *)},
    [CONFIG_PROM] = {"name for node_exporter", "a path that ends in .prom", sizeof(char *)},
    [CONFIG_SOCKET] = {"path of a socket",
                       "true (where daorec ctl looks for it), false, or a path with a slash",
                       sizeof(char *)},
    [CONFIG_COUNT] = {"whole number", "a whole number", sizeof(uint64_t)},
    [CONFIG_BYTES] = {"size", "a size such as 64MiB or 1.5GB", sizeof(uint64_t)},
    [CONFIG_DURATION] = {"duration", "a duration such as 500ms, 10s or 5min", sizeof(int64_t)},
    [CONFIG_WAIT] = {"duration", "no, forever, or a duration such as 10s", sizeof(int64_t)},
    [CONFIG_BOOL] = {"true or false", "true or false", sizeof(bool)},
    [CONFIG_CHOICE] = {"choice", "", sizeof(int)},
    [CONFIG_CPUS] = {"set of CPUs", "CPUs such as 2, 0-3,8 or [0, 2]", sizeof(cpu_set_t)},
    [CONFIG_AMOUNT] = {"size or part", "a size such as 10GiB, or a part such as 2%, 0% to 100%",
                       sizeof(struct option_amount)},
    [CONFIG_OVERLOAD] = {"policy", "drop-newest, decimate N (2 to 1000000) or stop",
                         sizeof(struct config_overload)},
};

const char *config_type_name(const struct config_key *key)
{
    return types[key->type].name;
}

size_t config_value_bytes(const struct config_key *key)
{
    return types[key->type].bytes;
}

/* Would YAML and we take it for the same text without quotes? */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    return *text &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                        "_./:%-") == strlen(text) &&
           !strchr("-:%0123456789.", text[0] == '.' && text[1] == '/' ? '/' : text[0]) &&
           text[strlen(text) - 1] != ':';
}

const char *config_format_text(const char *text, bool keeps_dollars, char *buf, size_t buf_bytes)
{
    size_t at = 0;

    if (is_plain(text)) {
        snprintf(buf, buf_bytes, "%s", text);
        return buf;
    }
    at = units_append(buf, buf_bytes, at, "\"");
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            at = units_append(buf, buf_bytes, at, "\\%c", *p);
        else if (*p == '$' && !keeps_dollars)
            at = units_append(buf, buf_bytes, at, "$$");
        else if ((unsigned char)*p < ' ' || *p == 0x7f)
            at = units_append(buf, buf_bytes, at, "\\x%02x", (unsigned)(unsigned char)*p);
        else
            at = units_append(buf, buf_bytes, at, "%c", *p);
    }
    units_append(buf, buf_bytes, at, "\"");
    return buf;
}

static const char *format_overload(const struct config_overload *overload, char *buf,
                                   size_t buf_bytes)
{
    static const char *const names[] = {"drop-newest", "decimate", "stop"};

    if (overload->policy == CONFIG_DECIMATE)
        snprintf(buf, buf_bytes, "decimate %llu", (unsigned long long)overload->each);
    else
        snprintf(buf, buf_bytes, "%s", names[overload->policy]);
    return buf;
}

static const char *format_amount(const struct option_amount *amount, char *buf, size_t buf_bytes)
{
    if (amount->percent > 0.0)
        snprintf(buf, buf_bytes, "%.15g%%", amount->percent);
    else
        units_exact_bytes(buf, buf_bytes, amount->bytes);
    return buf;
}

static const char *format_socket(const char *path, char *buf, size_t buf_bytes)
{
    bool is_word = !*path || strcmp(path, CONFIG_CONTROL_DEFAULT) == 0;

    if (!is_word)
        return config_format_text(path, false, buf, buf_bytes);
    snprintf(buf, buf_bytes, *path ? "true" : "false");
    return buf;
}

static const char *format(const struct config_key *key, const void *place, char *buf,
                          size_t buf_bytes)
{
    char cpus[CPUS_BYTES];

    switch (key->type) {
    case CONFIG_COUNT:
        snprintf(buf, buf_bytes, "%llu", (unsigned long long)*(const uint64_t *)place);
        return buf;
    case CONFIG_BYTES:
        return units_exact_bytes(buf, buf_bytes, *(const uint64_t *)place);
    case CONFIG_WAIT:
        if (*(const int64_t *)place == 0 || *(const int64_t *)place == INT64_MAX) {
            snprintf(buf, buf_bytes, *(const int64_t *)place ? "forever" : "no");
            return buf;
        }
        return units_exact_duration(buf, buf_bytes, *(const int64_t *)place);
    case CONFIG_DURATION:
        return units_exact_duration(buf, buf_bytes, *(const int64_t *)place);
    case CONFIG_BOOL:
        snprintf(buf, buf_bytes, "%s", *(const bool *)place ? "true" : "false");
        return buf;
    case CONFIG_CHOICE:
        snprintf(buf, buf_bytes, "%s", key->choices[*(const int *)place]);
        return buf;
    case CONFIG_CPUS:
        snprintf(buf, buf_bytes, "\"%s\"", place_format_cpus(place, cpus, sizeof cpus));
        return buf;
    case CONFIG_AMOUNT:
        return format_amount(place, buf, buf_bytes);
    case CONFIG_SOCKET:
        return format_socket(*(const char *const *)place, buf, buf_bytes);
    case CONFIG_OVERLOAD:
        return format_overload(place, buf, buf_bytes);
    default:
        return config_format_text(*(const char *const *)place, key->type == CONFIG_COMMAND, buf,
                                  buf_bytes);
    }
}

char *config_format_new(const struct config_key *key, const void *place)
{
    size_t bytes = VALUE_BYTES;
    char *text;

    if (key->type >= CONFIG_PATH && key->type <= CONFIG_SOCKET) /* each byte: at most \xNN */
        bytes += 4 * strlen(*(const char *const *)place);
    text = malloc(bytes);
    if (text)
        format(key, place, text, bytes);
    return text;
}

static const char *format_bound(const struct config_key *key, double bound, char *buf,
                                size_t buf_bytes)
{
    if (key->type == CONFIG_BYTES)
        return units_exact_bytes(buf, buf_bytes, (uint64_t)bound);
    if (key->type == CONFIG_DURATION || key->type == CONFIG_WAIT)
        return units_exact_duration(buf, buf_bytes, (int64_t)bound);
    snprintf(buf, buf_bytes, "%.0f", bound);
    return buf;
}

const char *config_allowed(const struct config_key *key, char *buf, size_t buf_bytes)
{
    char low[48], high[48];
    size_t at = units_append(buf, buf_bytes, 0, "%s", types[key->type].example);

    for (unsigned i = 0; key->choices && key->choices[i]; i++)
        at = units_append(buf, buf_bytes, at, "%s%s",
                          i == 0                ? ""
                          : key->choices[i + 1] ? ", "
                                                : " or ",
                          key->choices[i]);
    if (key->max > 0)
        at = units_append(buf, buf_bytes, at, ", %s to %s",
                          format_bound(key, key->min, low, sizeof low),
                          format_bound(key, key->max, high, sizeof high));
    if (key->zero)
        units_append(buf, buf_bytes, at, ", or 0");
    return buf;
}
