/* config.c - a configuration from its defaults to what is recorded by it. See config.h. */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "config/parts.h"

/* ---- its beginning ---- */

int config_init(struct config *ret)
{
    char why[CONFIG_WHY_BYTES];
    int r = 0;

    *ret = (struct config){0};
    for (unsigned i = 0; i < config_key_count && r == 0; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->fallback) /* a default that is no value of its key is our own mistake */
            r = config_parse(key, key->fallback, (char *)ret + key->offset, ret, why);
    }
    return r;
}

/* ---- reading ---- */

static const char *name_of_file(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

int config_load(struct config *ret, const char *path, bool needs_sources,
                struct config_mistakes *mistakes)
{
    struct config_reading reading = {ret, name_of_file(path), mistakes, false, 0};
    size_t bytes = 0;
    const char *text;

    if (config_init(ret) < 0)
        return -ENOMEM;
    ret->file = config_keep_text(ret, name_of_file(path));
    if (!ret->file)
        return -ENOMEM;
    text = config_read_text(&reading, path, &bytes);
    if (text) {
        size_t before = mistakes->count;

        config_walk_text(&reading, text, bytes);
        /* Of a file that is no YAML nobody knows what its sources are. */
        config_settle_sources(&reading, needs_sources && (ret->given || mistakes->count == before));
    }
    if (reading.no_memory)
        return -ENOMEM;
    return mistakes->count > 0 ? -EINVAL : 0;
}

/* ---- what comes after ---- */

static const struct config_key *find_option(const char *option)
{
    for (unsigned i = 0; i < config_key_count; i++)
        if (config_keys[i].option && strcmp(config_keys[i].option, option) == 0)
            return &config_keys[i];
    return NULL;
}

bool config_takes_zero(const char *option)
{
    const struct config_key *key = find_option(option);

    return key && key->zero && key->section == CONFIG_ROLLOVER;
}

void config_override(struct config *config, const char *option)
{
    const struct config_key *all = find_option(option);

    if (all)
        config->lines[config_key_index(all)] = 0;
    for (unsigned i = 0; i < config_key_count && all; i++) {
        const struct config_key *key = &config_keys[i];

        if (!config_is_of_source(key) || config_key_of_all(key) != all)
            continue;
        for (size_t k = 0; k < config->source_count; k++) {
            struct config_source *source = &config->sources[k];

            memcpy((char *)source + key->offset, (const char *)config + all->offset,
                   config_value_bytes(key));
            source->given &= ~(1ull << i);
        }
    }
}

const char *config_name_of(const struct config *config, const char *option, char *buf,
                           size_t buf_bytes)
{
    const struct config_key *key = find_option(option);
    unsigned line = key ? config->lines[config_key_index(key)] : 0;
    char path[128];

    if (line > 0)
        snprintf(buf, buf_bytes, "%s:%u: %s", config->file, line,
                 config_key_path(key, path, sizeof path));
    else
        snprintf(buf, buf_bytes, "daorec record: --%s", option);
    return buf;
}

int config_set_option(struct config *config, const char *option, const char *text,
                      struct config_mistakes *mistakes)
{
    const struct config_key *key = find_option(option);
    struct config_reading reading = {config, "daorec record", mistakes, false, 0};
    char why[CONFIG_WHY_BYTES] = "", name[64];
    int r = config_parse(key, text, (char *)config + key->offset, config, why);

    snprintf(name, sizeof name, "--%s", option);
    if (r == -EINVAL)
        config_mistake_value(&reading, 0, name, key, why);
    return reading.no_memory ? -ENOMEM : r;
}
