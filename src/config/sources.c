/*
 * sources.c - the sources of a configuration once all of it is read: what they have from the whole,
 * which streams they become, and that none is there twice. See parts.h.
 *
 * Whether a segment is there does not matter, only, where two are, whether they are the same one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/keys.h"
#include "config/parts.h"
#include "recording/copies.h"
#include "recording/find.h"

/* What they lie in now is kept with the rest until the end. */
static int grow(struct config *config, size_t room)
{
    struct config_source *grown = config_keep(config, room * sizeof *grown);

    if (!grown)
        return -ENOMEM;
    if (config->source_count > 0)
        memcpy(grown, config->sources, config->source_count * sizeof *grown);
    config->sources = grown;
    config->source_room = room;
    return 0;
}

struct config_source *config_add_source(struct config_reading *reading, unsigned line)
{
    struct config *config = reading->config;
    struct config_source *source;
    size_t room = config->source_room;

    if (config->source_count == CONFIG_SOURCES_MAX) {
        config_mistake(reading, line, "sources", "is one source too many; allowed: up to %u",
                       CONFIG_SOURCES_MAX);
        return NULL;
    }
    if (config->source_count == room && grow(config, room ? 2 * room : 8) < 0) {
        reading->no_memory = true;
        return NULL;
    }
    source = &config->sources[config->source_count++];
    *source = (struct config_source){.uri = "", .path = "", .name = "", .unit = "", .line = line};
    return source;
}

/* ---- one source ---- */

static void inherit(const struct config *config, struct config_source *source)
{
    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const struct config_key *all = config_is_of_source(key) ? config_key_of_all(key) : NULL;

        if (all && !(source->given & 1ull << i))
            memcpy((char *)source + key->offset, (const char *)config + all->offset,
                   config_value_bytes(key));
    }
}

static void settle_path(struct config_reading *reading, struct config_source *source)
{
    const char *path = strstr(source->uri, "://");

    source->is_file = strncmp(source->uri, "file://", 7) == 0;
    source->path = path ? path + 3 : source->uri;
    if (*source->name)
        snprintf(source->stream, sizeof source->stream, "%s", source->name);
    else if (!source->is_file && tree_stream_name(source->stream, source->path) < 0)
        config_mistake(reading, source->line, "sources.uri",
                       "'%.100s' makes too long a name for a stream; give it a name of at most %d "
                       "characters",
                       source->uri, FITS_STREAM_NAME_MAX);
}

static void check_file(struct config_reading *reading, const struct config_source *source)
{
    const char *base = find_base_of(source->path);
    char path[128];
    struct stat st;

    if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        config_mistake(reading, source->line, "sources.uri", "'%.100s' names no file; give one",
                       source->uri);
    else if (*base == '.')
        config_mistake(reading, source->line, "sources.uri",
                       "'%.100s' is a hidden file; link it under a name that does not begin with "
                       "a dot",
                       source->uri);
    else if (strlen(base) > COPIES_NAME_MAX)
        config_mistake(
            reading, source->line, "sources.uri",
            "'%.100s' has a name of more than %d characters; link it under a shorter one",
            source->uri, COPIES_NAME_MAX);
    else if (stat(source->path, &st) == 0 && !S_ISREG(st.st_mode))
        config_mistake(reading, source->line, "sources.uri",
                       "'%.100s' is no regular file; give one, only such are copied", source->uri);
    for (unsigned i = 0; i < config_key_count; i++)
        if (config_is_of_source(&config_keys[i]) && source->given & 1ull << i &&
            strcmp(config_keys[i].name, "uri") != 0 && config_keys[i].type != CONFIG_ROLL)
            config_mistake(reading, source->line,
                           config_key_path(&config_keys[i], path, sizeof path),
                           "means nothing for a file, which is copied as it is; leave it out");
}

/* ---- two of them ---- */

/* Once for each, since each is compared with all the others. */
static void look_where_it_leads(struct config_source *source)
{
    struct stat st;

    source->device = source->inode = 0;
    if (stat(source->path, &st) != 0)
        return;
    source->device = st.st_dev;
    source->inode = st.st_ino;
}

static bool is_same_file(const struct config_source *a, const struct config_source *b)
{
    if (strcmp(a->path, b->path) == 0)
        return true;
    return a->inode != 0 && a->device == b->device && a->inode == b->inode;
}

/* "line 7", or "the command line". */
static const char *place_of(const struct config_source *source, char *buf, size_t buf_bytes)
{
    if (source->line > 0)
        snprintf(buf, buf_bytes, "line %u", source->line);
    else
        snprintf(buf, buf_bytes, "the command line");
    return buf;
}

static void check_pair(struct config_reading *reading, const struct config_source *first,
                       const struct config_source *second)
{
    char place[32];

    place_of(first, place, sizeof place);
    if (is_same_file(first, second)) {
        if (strcmp(first->uri, second->uri) == 0)
            config_mistake(reading, second->line, "sources",
                           "'%.200s' is there twice (also in %s); leave one", second->uri, place);
        else
            config_mistake(reading, second->line, "sources",
                           "'%.200s' and '%.200s' (in %s) are one and the same; leave one",
                           second->uri, first->uri, place);
        return;
    }
    if (!first->is_file && !second->is_file && *first->stream &&
        strcmp(first->stream, second->stream) == 0)
        config_mistake(reading, second->line, "sources",
                       "'%.200s' and '%.200s' (in %s) would both be stream '%s'; give one of them "
                       "a name",
                       second->uri, first->uri, place, first->stream);
    if (first->is_file && second->is_file &&
        strcmp(find_base_of(first->path), find_base_of(second->path)) == 0)
        config_mistake(reading, second->line, "sources",
                       "'%.200s' and '%.200s' (in %s) would both be copied as '%.100s'; link one "
                       "of them under another name",
                       second->uri, first->uri, place, find_base_of(first->path));
}

static size_t count_segments(const struct config *config)
{
    size_t count = 0;

    for (size_t i = 0; i < config->source_count; i++)
        count += !config->sources[i].is_file;
    return count;
}

void config_settle_sources(struct config_reading *reading, bool needs_sources)
{
    struct config *config = reading->config;

    for (size_t i = 0; i < config->source_count; i++) {
        struct config_source *source = &config->sources[i];

        inherit(config, source);
        if (!*source->uri) { /* else it was refused already */
            if (!(source->given & 1ull << config_key_index(config_find_key(CONFIG_SOURCE, "uri"))))
                config_mistake(reading, source->line, "sources",
                               "a source without a uri; allowed: smem:///path, file:///path, or "
                               "the path of a segment");
            continue;
        }
        settle_path(reading, source);
        look_where_it_leads(source);
        if (source->is_file)
            check_file(reading, source);
        for (size_t k = 0; k < i && !config_is_hopeless(reading); k++)
            if (*config->sources[k].uri)
                check_pair(reading, &config->sources[k], source);
    }
    if (needs_sources && count_segments(config) == 0)
        config_mistake(reading, 0, "sources",
                       "there is no segment to record; allowed: a list of sources, each with a "
                       "uri such as smem:///tmp/wfs.im.shm");
}

/* ---- from the command line ---- */

/* What a URI names; any other text is a path. NULL after a mistake. */
static const char *path_of(struct config_reading *reading, const char *text)
{
    const struct config_key *key = config_find_key(CONFIG_SOURCE, "uri");
    const char *kept;
    char why[CONFIG_WHY_BYTES] = "";
    int r = text[strcspn(text, ":/.")] == ':' ? config_parse(key, text, &kept, reading->config, why)
                                              : 1;

    if (r == 1 || (r == 0 && !strstr(text, "://")))
        return text;
    if (r == 0 && strncmp(text, "file://", 7) != 0)
        return strstr(text, "://") + 3;
    if (r == -EINVAL)
        config_mistake_value(reading, 0, NULL, key, why);
    else if (r == 0)
        config_mistake(reading, 0, NULL,
                       "'%.200s' names a file to be copied; name it in a configuration file", text);
    else
        reading->no_memory = true;
    return NULL;
}

/* As the file has it, or with what holds for all. */
static struct config_source pick(const struct config *config, const char *uri, const char *path)
{
    struct config_source wanted = {.uri = uri, .path = path, .name = "", .unit = ""};

    look_where_it_leads(&wanted);
    for (size_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];

        if (!source->is_file && is_same_file(source, &wanted)) {
            wanted = *source;
            wanted.line = 0;
            return wanted;
        }
    }
    return wanted;
}

/* Without a file what is wrong with the segments is found where they are opened. */
static void settle(struct config_reading *reading)
{
    struct config *config = reading->config;

    if (config->file)
        config_settle_sources(reading, false);
    for (size_t i = 0; i < config->source_count && !config->file; i++)
        inherit(config, &config->sources[i]);
}

int config_set_segments(struct config *config, const char *who, char *const *paths, size_t count,
                        struct config_mistakes *mistakes)
{
    struct config_reading reading = {config, who, mistakes, false, 0};
    const struct config_source *old = config->sources;
    size_t old_count = config->source_count, used = 0, files = 0;
    struct config_source *fresh;

    for (size_t i = 0; i < old_count; i++)
        files += old[i].is_file;
    fresh = config_keep(config, (count + files) * sizeof *fresh);
    if (!fresh)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *path = path_of(&reading, paths[i]);

        if (path)
            fresh[used++] = pick(config, paths[i], path);
    }
    for (size_t i = 0; i < old_count; i++)
        if (old[i].is_file)
            fresh[used++] = old[i];
    config->sources = fresh;
    config->source_count = used;
    settle(&reading);
    if (reading.no_memory)
        return -ENOMEM;
    return mistakes->count > 0 ? -EINVAL : 0;
}
