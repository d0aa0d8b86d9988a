/* list.c - a configuration as a list of keys and values, to be compared. See config.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"

struct lister {
    struct config *config;
    struct setting *items;
    size_t count;
    bool no_memory;
};

static void add(struct lister *lister, const char *key, const char *value, enum setting_when when,
                bool is_inherited)
{
    struct setting setting = {.when = when, .is_inherited = is_inherited};

    setting.key = config_keep_text(lister->config, key);
    setting.value = value ? config_keep_text(lister->config, value) : NULL;
    if (!setting.key || (value && !setting.value))
        lister->no_memory = true;
    lister->items[lister->count++] = setting;
}

static void add_value(struct lister *lister, const struct config_key *key, const char *name,
                      const void *base, bool is_inherited)
{
    char *value = config_format_new(key, (const char *)base + key->offset);

    lister->no_memory = lister->no_memory || !value;
    add(lister, name, value, key->when, is_inherited);
    free(value);
}

static void add_all(struct lister *lister)
{
    char path[128];

    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (config_is_of_source(key) || key->type <= CONFIG_LIST)
            continue;
        add_value(lister, key, config_key_path(key, path, sizeof path), lister->config, false);
    }
}

static void add_source(struct lister *lister, const struct config_source *source)
{
    char name[8192];

    add(lister, source->is_file ? source->uri : source->path, NULL, SETTING_AT_START, false);
    for (unsigned i = 0; i < config_key_count && !source->is_file; i++) {
        const struct config_key *key = &config_keys[i];
        bool is_rollover = key->section == CONFIG_SOURCE_ROLLOVER;

        if (!config_is_of_source(key) || key->type <= CONFIG_LIST || key->type == CONFIG_URI)
            continue;
        snprintf(name, sizeof name, "%s %s%s", source->path, is_rollover ? "file_rollover." : "",
                 key->name);
        add_value(lister, key, name, source,
                  config_key_of_all(key) && !(source->given & 1ull << i));
    }
}

int config_list(struct config *config, struct setting_list *ret)
{
    struct lister lister = {.config = config};
    size_t most = (config->source_count + 1) * config_key_count;

    lister.items = config_keep(config, most * sizeof *lister.items);
    if (!lister.items)
        return -ENOMEM;
    add_all(&lister);
    for (size_t i = 0; i < config->source_count; i++)
        add_source(&lister, &config->sources[i]);
    *ret = (struct setting_list){lister.items, lister.count};
    return lister.no_memory ? -ENOMEM : 0;
}

static bool is_same(const struct setting *a, const struct setting *b)
{
    if (strcmp(a->key, b->key) != 0 || a->when != b->when || a->is_inherited != b->is_inherited)
        return false;
    if (!a->value || !b->value)
        return a->value == b->value;
    return strcmp(a->value, b->value) == 0;
}

bool config_list_is_same(const struct setting_list *a, const struct setting_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!is_same(&a->items[i], &b->items[i]))
            return false;
    return true;
}

void config_list_began(struct setting_list *fresh, const struct setting_list *began)
{
    /* The keys of the whole stand first, and always in the same order. */
    for (size_t i = 0; i < fresh->count; i++)
        if (fresh->items[i].when == SETTING_OF_PROGRAM)
            fresh->items[i].began = began->items[i].value;
}
