/* print.c - the table of keys as a configuration file, and as a table for programs. See config.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"

#define COMMENT_WIDTH 96
#define EXAMPLE       "smem:///tmp/wfs.im.shm"

/* Words in lines of a comment, not wider than the screen. */
static void print_comment(FILE *out, unsigned indent, const char *text)
{
    size_t column = 0;

    while (*text) {
        size_t word = strcspn(text, " ");

        if (column > 0 && column + 1 + word > COMMENT_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0)
            column = (size_t)fprintf(out, "%*s# ", (int)indent, "");
        else
            column += (size_t)fprintf(out, " ");
        column += (size_t)fprintf(out, "%.*s", (int)word, text);
        text += word + strspn(text + word, " ");
    }
    fputc('\n', out);
}

static void print_key_comment(FILE *out, unsigned indent, const struct config_key *key)
{
    char allowed[400], text[900];

    if (key->type <= CONFIG_LIST || key->type == CONFIG_BOOL || key->type == CONFIG_OVERLOAD)
        snprintf(text, sizeof text, "%s", key->help);
    else
        snprintf(text, sizeof text, "%s (%s)", key->help,
                 config_allowed(key, allowed, sizeof allowed));
    print_comment(out, indent, text);
}

/* Behind the name of its key. 0 or -ENOMEM. */
static int print_value(FILE *out, const struct config_key *key, const void *base)
{
    char *value = config_format_new(key, (const char *)base + key->offset);

    if (!value)
        return -ENOMEM;
    fprintf(out, " %s\n", value);
    free(value);
    return 0;
}

/* ---- sources ---- */

struct source_printer {
    FILE *out;
    const struct config_source *source;
    bool is_first;
};

static bool any_given(const struct config_source *source, enum config_section section)
{
    for (unsigned i = 0; i < config_key_count; i++)
        if (config_keys[i].section == section && source->given & 1ull << i)
            return true;
    return false;
}

/* What it says itself; of the first one also what it could say, as comments. */
static int print_source_keys(const struct source_printer *p, enum config_section section,
                             unsigned indent, bool is_comment)
{
    int r = 0;

    for (unsigned i = 0; i < config_key_count && r == 0; i++) {
        const struct config_key *key = &config_keys[i];
        bool is_given = p->source->given & 1ull << i, is_roll = key->type == CONFIG_ROLL;

        if (key->section != section || strcmp(key->name, "uri") == 0)
            continue;
        if (is_roll)
            is_given = any_given(p->source, key->below);
        if (!is_given && (!p->is_first || p->source->is_file))
            continue;
        fprintf(p->out, "%*s%s%s:", (int)indent, "", is_given && !is_comment ? "" : "# ",
                key->name);
        if (is_roll) {
            fputc('\n', p->out);
            r = print_source_keys(p, key->below, indent + 2, !is_given);
        } else {
            r = print_value(p->out, key, p->source);
        }
    }
    return r;
}

static int print_sources(const struct config *config, FILE *out)
{
    const struct config_key *uri = config_find_key(CONFIG_SOURCE, "uri");
    struct config_source example = {.uri = EXAMPLE,
                                    .name = "",
                                    .unit = "",
                                    .samples = config->samples,
                                    .priority = config->priority,
                                    .latency_ns = config->latency_ns,
                                    .rollover = config->rollover,
                                    .overload = config->overload};
    const struct config_source *sources = config->source_count ? config->sources : &example;
    size_t count = config->source_count ? config->source_count : 1;
    int r = 0;

    print_comment(out, 0, "Put yours here. Of each:");
    for (unsigned i = 0; i < config_key_count; i++) {
        char text[900];

        if (config_keys[i].section != CONFIG_SOURCE)
            continue;
        snprintf(text, sizeof text, "- %s: %s", config_keys[i].name, config_keys[i].help);
        print_comment(out, 0, text);
    }
    fprintf(out, "sources:\n");
    for (size_t i = 0; i < count && r == 0; i++) {
        struct source_printer p = {out, &sources[i], i == 0};

        fprintf(out, "  - uri:");
        r = print_value(out, uri, &sources[i]);
        if (r == 0)
            r = print_source_keys(&p, CONFIG_SOURCE, 4, false);
    }
    return r;
}

/* ---- all of it ---- */

static int print_section(const struct config *config, enum config_section section, unsigned indent,
                         FILE *out)
{
    int r = 0;

    for (unsigned i = 0; i < config_key_count && r == 0; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->section != section)
            continue;
        if (indent == 0)
            fputc('\n', out);
        print_key_comment(out, indent, key);
        if (key->type == CONFIG_LIST) {
            r = print_sources(config, out);
        } else if (key->type == CONFIG_MAP || key->type == CONFIG_ROLL) {
            fprintf(out, "%*s%s:\n", (int)indent, "", key->name);
            r = print_section(config, key->below, indent + 2, out);
        } else {
            fprintf(out, "%*s%s:", (int)indent, "", key->name);
            r = print_value(out, key, config);
        }
    }
    return r;
}

int config_print(const struct config *config, FILE *out)
{
    print_comment(out, 0,
                  "A configuration of daorec: every key, with what it is set to. `daorec check "
                  "FILE` says what is wrong with one, `daorec record -c FILE` records by it.");
    print_comment(out, 0,
                  "Sizes are written 64MiB or 1.5GB, durations 500ms, 10s, 5min or 2h. $VAR and "
                  "${VAR} in a value are taken from the environment, $$ is a dollar.");
    return print_section(config, CONFIG_TOP, 0, out);
}

void config_print_keys(FILE *out)
{
    char path[128], allowed[400];

    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", config_key_path(key, path, sizeof path),
                config_type_name(key), config_allowed(key, allowed, sizeof allowed),
                key->fallback ? key->fallback : "", key->alias ? key->alias : "",
                key->option ? key->option : "", key->help);
    }
}
