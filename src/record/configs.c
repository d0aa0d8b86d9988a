/* configs.c - see configs.h. */
#include "record/configs.h"

#include <stdlib.h>
#include <string.h>

#include "record/apply.h"

void configs_add(struct configs *configs, const struct session_config *config)
{
    const struct session_config **grown;

    for (size_t i = 0; i < configs->count; i++)
        if (configs->items[i] == config)
            return;
    grown = realloc(configs->items, (configs->count + 1) * sizeof *grown);
    if (!grown)
        return;
    configs->items = grown;
    grown[configs->count++] = config;
}

static bool is_told_of(const struct hooks *telling, const struct session_config *config)
{
    for (const struct hooks *hooks = telling; hooks; hooks = hooks->next)
        for (unsigned i = 0; i < HOOK_KINDS; i++)
            if (hooks->config.commands[i] && hooks->config.commands[i] == config->hooks.commands[i])
                return true;
    return false;
}

static bool is_used(const struct configs_users *users, const struct session_config *config)
{
    for (unsigned i = 0; i < users->asked_count; i++)
        if (users->asked[i].config == config)
            return true;
    return users->next == config || (users->session && apply_uses(users->session, config)) ||
           is_told_of(users->telling, config);
}

void configs_release(struct configs *configs, const struct configs_users *users,
                     void (*release)(void *ctx, const struct session_config *config), void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < configs->count; i++) {
        const struct session_config *config = configs->items[i];

        if (is_used(users, config))
            configs->items[kept++] = config;
        else
            release(ctx, config);
    }
    configs->count = kept;
}

void configs_fini(struct configs *configs)
{
    free(configs->items);
    *configs = (struct configs){0};
}
