/*
 * pending.c - keys that are understood, and that this build does nothing with yet. Refusing them is
 * better than a night without what was asked for. A row goes as soon as there is something behind
 * it; the last row takes this file and its call in config.c with it.
 */
#include <string.h>

#include "config/keys.h"
#include "config/parts.h"

static const struct {
    enum config_section section;
    const char *name;
} pending[] = {
    {CONFIG_TOP, "control"},
};

static void refuse(struct config_reading *reading, const struct config_key *key)
{
    char path[128];

    config_mistake(reading, reading->config->lines[config_key_index(key)],
                   config_key_path(key, path, sizeof path),
                   "this version of daorec cannot do that yet; leave it out");
}

void config_refuse_pending(struct config_reading *reading)
{
    const struct config *config = reading->config;

    for (size_t i = 0; i < sizeof pending / sizeof pending[0]; i++) {
        const struct config_key *key = config_find_key(pending[i].section, pending[i].name);
        const char *value = *(const char *const *)((const char *)config + key->offset);

        if (*value)
            refuse(reading, key);
    }
    if (!config->eager_start)
        refuse(reading, config_find_key(CONFIG_TOP, "eager_start"));
}
