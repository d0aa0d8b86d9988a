/* memory.c - what a configuration keeps until its end: strings and sources. See keys.h. */
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"

void *config_keep(struct config *config, size_t bytes)
{
    void **grown = realloc(config->blocks, (config->block_count + 1) * sizeof *grown);
    void *block = grown ? calloc(1, bytes ? bytes : 1) : NULL;

    config->blocks = grown ? grown : config->blocks;
    if (block)
        config->blocks[config->block_count++] = block;
    return block;
}

const char *config_keep_text(struct config *config, const char *text)
{
    char *copy;

    if (!*text)
        return "";
    copy = config_keep(config, strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

void config_free(struct config *config)
{
    for (size_t i = 0; i < config->block_count; i++)
        free(config->blocks[i]);
    free(config->blocks);
    *config = (struct config){0};
}
