/* values.c - a value of each type from text. See keys.h. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/address.h"
#include "base/units.h"
#include "config/keys.h"

#define CARD_BYTES_MAX 60u /* with quotes doubled and a comment, what is sure to fit on one card */

static int refuse(char *why, const char *text, const char *what)
{
    snprintf(why, CONFIG_WHY_BYTES, "'%.100s' %s", text, what);
    return -EINVAL;
}

static int refuse_kind(const struct config_key *key, const char *text, char *why)
{
    char what[64];

    if (!*text) {
        snprintf(why, CONFIG_WHY_BYTES, "has no value");
        return -EINVAL;
    }
    snprintf(what, sizeof what, "is no %s", config_type_name(key));
    return refuse(why, text, what);
}

/* ---- numbers ---- */

/* What a bare number is, since who wrote it may have meant something else. */
static const char *unit_of(const struct config_key *key, const char *text)
{
    if (strpbrk(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return "";
    if (key->type == CONFIG_BYTES)
        return " (without a unit it is bytes)";
    if (key->type == CONFIG_DURATION || key->type == CONFIG_WAIT)
        return " (without a unit it is seconds)";
    return "";
}

static int refuse_number(const struct config_key *key, const char *text, const char *what,
                         char *why)
{
    char line[64];

    snprintf(line, sizeof line, "is too %s%s", what, unit_of(key, text));
    return refuse(why, text, line);
}

static int check_range(const struct config_key *key, const char *text, double value, char *why)
{
    if (key->max <= 0 || (key->zero && value == 0.0) || (value >= key->min && value <= key->max))
        return 0;
    if (value == 0.0)
        return refuse(why, text, "is too small");
    return refuse_number(key, text, value < key->min ? "small" : "large", why);
}

/* 010 is ten here, eight to YAML 1.1, and a mistake to who reads it. */
static int check_zero(const char *text, char *why)
{
    return text[0] == '0' && isdigit((unsigned char)text[1])
               ? refuse(why, text, "begins with a zero, which may mean octal")
               : 0;
}

static int parse_number(const struct config_key *key, const char *text, void *place, char *why)
{
    uint64_t number = 0;
    int64_t ns = 0;
    bool is_time = key->type == CONFIG_DURATION || key->type == CONFIG_WAIT;
    int r = is_time                     ? units_parse_duration(text, &ns)
            : key->type == CONFIG_BYTES ? units_parse_bytes(text, &number)
                                        : units_parse_count(text, &number);

    if (r == -ERANGE)
        return refuse_number(key, text, "large", why);
    if (r < 0)
        return refuse_kind(key, text, why);
    if (check_zero(text, why) < 0)
        return -EINVAL;
    r = check_range(key, text, is_time ? (double)ns : (double)number, why);
    if (r == 0 && is_time)
        *(int64_t *)place = ns;
    else if (r == 0)
        *(uint64_t *)place = number;
    return r;
}

static int parse_wait(const struct config_key *key, const char *text, int64_t *place, char *why)
{
    if (strcasecmp(text, "no") == 0 || strcasecmp(text, "false") == 0) {
        *place = 0;
        return 0;
    }
    if (strcasecmp(text, "forever") == 0 || strcasecmp(text, "yes") == 0 ||
        strcasecmp(text, "true") == 0) {
        *place = INT64_MAX;
        return 0;
    }
    return parse_number(key, text, place, why);
}

/* "2%" or "10GiB". */
static int parse_amount(const struct config_key *key, const char *text, struct option_amount *place,
                        char *why)
{
    size_t length = strlen(text);
    struct option_amount amount = {0, 0.0};
    char *end;
    int r = check_zero(text, why);

    if (r < 0)
        return r;
    if (length == 0 || text[length - 1] != '%') {
        r = units_parse_bytes(text, &amount.bytes);
        if (r < 0)
            return r == -ERANGE ? refuse(why, text, "is too large") : refuse_kind(key, text, why);
    } else {
        amount.percent = strtod(text, &end);
        if (end == text || *end != '%' || end[1] || !isfinite(amount.percent) ||
            strpbrk(text, "xXpP"))
            return refuse_kind(key, text, why);
        if (amount.percent < 0.0 || amount.percent > 100.0)
            return refuse(why, text, "is out of range");
    }
    *place = amount;
    return 0;
}

/* ---- words ---- */

static const char *const bool_names[] = {"false", "true", "no", "yes", "off", "on", NULL};

static int parse_bool(const struct config_key *key, const char *text, bool *place, char *why)
{
    for (unsigned i = 0; bool_names[i]; i++) {
        if (strcasecmp(text, bool_names[i]) != 0)
            continue;
        *place = i % 2;
        return 0;
    }
    return refuse_kind(key, text, why);
}

static int add_guess(char *why, const char *word, const char *const *names)
{
    const char *nearest = options_nearest(word, names);
    size_t used = strlen(why);

    if (nearest)
        snprintf(why + used, CONFIG_WHY_BYTES - used, "; did you mean '%s'?", nearest);
    return -EINVAL;
}

static int parse_choice(const struct config_key *key, const char *text, int *place, char *why)
{
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(text, key->choices[i]) != 0)
            continue;
        *place = i;
        return 0;
    }
    refuse_kind(key, text, why);
    return add_guess(why, text, key->choices);
}

static int parse_overload(const struct config_key *key, const char *text,
                          struct config_overload *place, char *why)
{
    static const char *const names[] = {"drop-newest", "decimate", "stop", NULL};
    static const char *const others[] = {"drop_newest", "decimate", "stop", NULL};
    size_t length = strcspn(text, " ");
    const char *rest = text + length + strspn(text + length, " ");
    struct config_overload overload = {0};
    char word[32];

    snprintf(word, sizeof word, "%.*s", (int)(length < 31 ? length : 31), text);
    for (int i = 0; names[i]; i++) {
        if (strcmp(word, names[i]) != 0 && strcmp(word, others[i]) != 0)
            continue;
        overload.policy = (enum config_policy)i;
        if (i == CONFIG_DECIMATE) {
            if (units_parse_count(rest, &overload.each) < 0 || overload.each < 2 ||
                overload.each > 1000000 || check_zero(rest, why) < 0)
                return refuse(why, text, "wants a number from 2 to 1000000, such as decimate 4");
        } else if (*rest) {
            return refuse(why, text, "takes no number");
        }
        *place = overload;
        return 0;
    }
    refuse_kind(key, text, why);
    return add_guess(why, word, names);
}

/* ---- CPUs ---- */

static int parse_cpu_number(const char **text, unsigned long *ret)
{
    char *end;

    if (!isdigit((unsigned char)**text))
        return -EINVAL;
    errno = 0;
    *ret = strtoul(*text, &end, 10);
    *text = end;
    return errno == 0 && *ret < CPU_SETSIZE ? 0 : -ERANGE;
}

static int parse_cpus(const struct config_key *key, const char *text, cpu_set_t *place, char *why)
{
    const char *p = text;
    cpu_set_t set;

    CPU_ZERO(&set);
    while (*p) {
        unsigned long first, last;
        int r = parse_cpu_number(&p, &first);

        last = first;
        if (r == 0 && *p == '-') {
            p++;
            r = parse_cpu_number(&p, &last);
        }
        if (r == -ERANGE)
            return refuse(why, text, "has a CPU beyond 1023");
        if (r < 0 || last < first)
            return refuse_kind(key, text, why);
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, &set);
        p += strspn(p, " ");
        if (*p == ',')
            p += 1 + strspn(p + 1, " ");
        else if (*p)
            return refuse_kind(key, text, why);
    }
    *place = set;
    return 0;
}

/* ---- texts ---- */

static int check_card(const char *text, char *why)
{
    size_t bytes = strlen(text);

    for (const char *p = text; *p; p++) {
        if (*p < ' ' || *p > '~')
            return refuse(why, text, "has other characters than the printable ones of ASCII");
        bytes += *p == '\'';
    }
    return bytes > CARD_BYTES_MAX ? refuse(why, text, "is too long") : 0;
}

static int check_address(const struct config_key *key, const char *text, char *why)
{
    struct address address;
    struct dao_text said;

    return address_parse(&address, text, &said) < 0 ? refuse_kind(key, text, why) : 0;
}

/* The segment file:/tmp/x of the folder that we are in would be written ./file:/tmp/x. */
static bool has_half_a_scheme(const char *text)
{
    size_t length = strcspn(text, ":/.");

    return (strncasecmp(text, "smem:", 5) == 0 || strncasecmp(text, "file:", 5) == 0 ||
            (length > 0 && strncmp(text + length, ":/", 2) == 0)) &&
           strncmp(text + length, "://", 3) != 0;
}

static int check_uri(const char *text, char *why)
{
    const char *scheme = strstr(text, "://");

    if (has_half_a_scheme(text))
        return refuse(why, text,
                      "is no URI: one begins with three slashes, smem:///... or "
                      "file:///...");
    if (!scheme)
        return *text ? 0 : refuse(why, text, "names nothing");
    if (strncmp(text, "smem://", 7) != 0 && strncmp(text, "file://", 7) != 0)
        return refuse(why, text, "has a scheme that is unknown");
    if (scheme[3] != '/')
        return refuse(why, text, "has no absolute path: it begins with three slashes");
    return scheme[4] ? 0 : refuse(why, text, "names nothing");
}

static int check_prom(const struct config_key *key, const char *text, char *why)
{
    size_t length = strlen(text);

    return length <= 5 || strcmp(text + length - 5, ".prom") != 0 ? refuse_kind(key, text, why) : 0;
}

/* A word becomes what it stands for; one that is none would be a socket of that name in the folder
 * that we are in. */
static int check_socket(const struct config_key *key, const char **text, char *why)
{
    bool is_wanted = false;

    if (**text && parse_bool(key, *text, &is_wanted, why) == 0)
        *text = is_wanted ? CONFIG_CONTROL_DEFAULT : "";
    else if (**text && !strchr(*text, '/')) {
        refuse_kind(key, *text, why);
        return add_guess(why, *text, bool_names);
    }
    if (strlen(*text) <= CONFIG_CONTROL_MAX)
        return 0;
    snprintf(why, CONFIG_WHY_BYTES,
             "'%.300s' has %zu bytes, and a socket's path %u at most: give a shorter one", *text,
             strlen(*text), CONFIG_CONTROL_MAX);
    return -EINVAL;
}

static bool is_path(const struct config_key *key)
{
    return key->type == CONFIG_PATH || key->type == CONFIG_PROM || key->type == CONFIG_SOCKET ||
           key->type == CONFIG_URI;
}

static int check_command(const char *text, char *why)
{
    return text[strspn(text, " \t\n")] ? 0 : refuse(why, text, "is no command");
}

static int parse_text(const struct config_key *key, const char *text, const char **place,
                      struct config *config, char *why)
{
    int r = 0;
    const char *copy;

    if (*text == '~' && is_path(key)) /* a folder of that name would be made */
        r = refuse(why, text, "begins with ~, which is the shell's: write $HOME");
    else if (*text && key->type == CONFIG_TEXT)
        r = check_card(text, why);
    else if (*text && key->type == CONFIG_NAME && !tree_is_stream_name(text))
        r = refuse_kind(key, text, why);
    else if (*text && key->type == CONFIG_ADDRESS)
        r = check_address(key, text, why);
    else if (*text && key->type == CONFIG_COMMAND)
        r = check_command(text, why);
    else if (*text && key->type == CONFIG_PROM)
        r = check_prom(key, text, why);
    else if (key->type == CONFIG_SOCKET)
        r = check_socket(key, &text, why);
    else if (key->type == CONFIG_URI)
        r = check_uri(text, why);
    else if (!*text && key->fallback && *key->fallback)
        r = refuse_kind(key, text, why);
    if (r < 0)
        return r;
    copy = config_keep_text(config, text);
    if (!copy)
        return -ENOMEM;
    *place = copy;
    return 0;
}

int config_parse(const struct config_key *key, const char *text, void *place, struct config *config,
                 char why[CONFIG_WHY_BYTES])
{
    switch (key->type) {
    case CONFIG_COUNT:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        return parse_number(key, text, place, why);
    case CONFIG_WAIT:
        return parse_wait(key, text, place, why);
    case CONFIG_BOOL:
        return parse_bool(key, text, place, why);
    case CONFIG_CHOICE:
        return parse_choice(key, text, place, why);
    case CONFIG_CPUS:
        return parse_cpus(key, text, place, why);
    case CONFIG_AMOUNT:
        return parse_amount(key, text, place, why);
    case CONFIG_OVERLOAD:
        return parse_overload(key, text, place, why);
    default:
        return parse_text(key, text, place, config, why);
    }
}

int config_parse_rollover(const char *text, struct config_rollover *rollover,
                          const struct config_key **ret_key, char why[CONFIG_WHY_BYTES])
{
    static const char *const names[] = {"frames", "size", "time"};
    void *const places[] = {&rollover->frames, &rollover->bytes, &rollover->time_ns};
    size_t length = strlen(text);
    const struct config_key *key = NULL;

    if (length > 1 && strchr("mM", text[length - 1]) && isdigit((unsigned char)text[length - 2]))
        return refuse(why, text, "could be megabytes or minutes: write MB or min");
    for (unsigned i = 0; i < 3; i++) {
        int r;

        if (i > 0 && strspn(text, "0123456789.") == length)
            break; /* without a unit it is frames */
        key = config_find_key(CONFIG_ROLLOVER, names[i]);
        r = parse_number(key, text, places[i], why);
        if (r == 0 && text[strspn(text, "0")] == '\0' && *text)
            return refuse(why, text, "would never end a file, or at once");
        if (r == 0 || !strstr(why, "is no ")) { /* out of range of the right kind */
            *ret_key = key;
            return r;
        }
    }
    return refuse(why, text, "is neither frames, nor size, nor time");
}
