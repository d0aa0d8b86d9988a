/*
 * walk.c - a YAML document, by libyaml, into a struct config along the table of keys. See parts.h.
 *
 * Every node knows its line, and nothing is given up at the first mistake. The walk is as deep as
 * the table, however deep the document is, and an alias is the node it stands for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/units.h"
#include "config/keys.h"
#include "config/parts.h"

struct walk {
    struct config_reading *reading;
    yaml_document_t document;
};

/* Where the values of a section go, and which of its keys were there. */
struct target {
    enum config_section section;
    void *base;
    uint64_t *given;
};

static unsigned line_of(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

static const char *scalar_of(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static bool is_null(const yaml_node_t *node)
{
    const char *text = scalar_of(node);

    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static const char *kind_of(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE    ? "is a mapping"
           : node->type == YAML_SEQUENCE_NODE ? "is a list"
           : is_null(node)                    ? "has no value"
                                              : "is one value";
}

/* "free, files, size, time". */
static const char *list_names(enum config_section section, char *buf, size_t buf_bytes)
{
    size_t at = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < config_key_count; i++)
        if (config_keys[i].section == section)
            at = units_append(buf, buf_bytes, at, "%s%s", at ? ", " : "", config_keys[i].name);
    return buf;
}

static void refuse(struct walk *walk, const yaml_node_t *node, const struct config_key *key,
                   const char *what)
{
    char path[128], allowed[400], names[400] = "";
    bool is_map = key->type == CONFIG_MAP;

    if (is_map)
        list_names(key->below, names, sizeof names);
    config_mistake(walk->reading, line_of(node), config_key_path(key, path, sizeof path),
                   "%s; allowed: %s%s%s", what, config_allowed(key, allowed, sizeof allowed),
                   is_map ? ": " : "", names);
}

static void note_given(struct walk *walk, const struct target *target, const struct config_key *key,
                       const yaml_node_t *node)
{
    unsigned index = config_key_index(key);

    *target->given |= 1ull << index;
    if (!config_is_of_source(key))
        walk->reading->config->lines[index] = line_of(node);
}

/* ---- scalars ---- */

/* 0x1f bytes and the like are one character, and no text is longer than libyaml says. */
static bool is_whole(const yaml_node_t *node)
{
    return strlen(scalar_of(node)) == node->data.scalar.length;
}

/* The text of a scalar with its variables, malloc'ed; NULL after a mistake. */
static char *text_of(struct walk *walk, const yaml_node_t *node, const struct config_key *key)
{
    char path[128], why[400] = "", *text = NULL;
    int r = 0;

    if (!is_whole(node)) {
        refuse(walk, node, key, "has a NUL character");
        return NULL;
    }
    if (is_null(node)) {
        refuse(walk, node, key, "has no value");
        return NULL;
    }
    if (key->type == CONFIG_COMMAND)
        text = strdup(scalar_of(node));
    else
        r = config_expand(scalar_of(node), &text, why, sizeof why);
    if (r == -EINVAL)
        config_mistake(walk->reading, line_of(node), config_key_path(key, path, sizeof path), "%s",
                       why);
    else if (!text)
        walk->reading->no_memory = true;
    return text;
}

/* "[0, 2, 4-7]" as "0,2,4-7", malloc'ed; NULL after a mistake. */
static char *join_list(struct walk *walk, const yaml_node_t *node, const struct config_key *key)
{
    char *joined = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&joined, &bytes);
    bool is_right = f != NULL;

    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && is_right; item++) {
        const yaml_node_t *one = yaml_document_get_node(&walk->document, *item);
        char *text = one->type == YAML_SCALAR_NODE ? text_of(walk, one, key) : NULL;

        if (one->type != YAML_SCALAR_NODE)
            refuse(walk, one, key, kind_of(one));
        if (text)
            fprintf(f, "%s%s", item > node->data.sequence.items.start ? "," : "", text);
        is_right = text != NULL;
        free(text);
    }
    if (!f || fclose(f) != 0) {
        walk->reading->no_memory = true;
        is_right = false;
    }
    if (is_right)
        return joined;
    free(joined);
    return NULL;
}

static void take_text(struct walk *walk, const yaml_node_t *node, const struct config_key *key,
                      const struct target *target, const char *text)
{
    char why[CONFIG_WHY_BYTES] = "", path[128];
    int r = config_parse(key, text, (char *)target->base + key->offset, walk->reading->config, why);

    if (r == -ENOMEM)
        walk->reading->no_memory = true;
    else if (r < 0)
        config_mistake_value(walk->reading, line_of(node), config_key_path(key, path, sizeof path),
                             key, why);
}

static void take_value(struct walk *walk, const yaml_node_t *node, const struct config_key *key,
                       const struct target *target)
{
    char *text;

    if (node->type == YAML_SEQUENCE_NODE && key->type == CONFIG_CPUS) {
        text = join_list(walk, node, key);
    } else if (node->type != YAML_SCALAR_NODE) {
        refuse(walk, node, key, kind_of(node));
        return;
    } else {
        text = text_of(walk, node, key);
    }
    if (text)
        take_text(walk, node, key, target, text);
    free(text);
}

/* ---- mappings ---- */

static void walk_mapping(struct walk *walk, const yaml_node_t *node, const struct target *target);

/* One value for file_rollover: it says by its unit which limit it is. */
static void take_rollover(struct walk *walk, const yaml_node_t *node, const struct config_key *key,
                          const struct target *target)
{
    char *text = text_of(walk, node, key), why[CONFIG_WHY_BYTES] = "";
    struct config_rollover rollover = {0};
    const struct config_key *of_all = NULL, *one;
    struct target below = *target;

    if (!text)
        return;
    if (config_parse_rollover(text, &rollover, &of_all, why) < 0) {
        refuse(walk, node, of_all ? of_all : key, why);
    } else {
        one = config_find_key(key->below, of_all->name);
        below.section = key->below;
        take_text(walk, node, one, &below, text);
        note_given(walk, &below, one, node);
    }
    free(text);
}

static void walk_sources(struct walk *walk, const yaml_node_t *node, const struct config_key *key)
{
    if (node->type != YAML_SEQUENCE_NODE) {
        refuse(walk, node, key, kind_of(node));
        return;
    }
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *one = yaml_document_get_node(&walk->document, *item);
        struct config_source *source = config_add_source(walk->reading, line_of(one));
        struct target target = {CONFIG_SOURCE, source, source ? &source->given : NULL};
        const struct config_key *uri = config_find_key(CONFIG_SOURCE, "uri");

        if (!source)
            return;
        if (one->type == YAML_MAPPING_NODE) {
            walk_mapping(walk, one, &target);
        } else if (one->type == YAML_SCALAR_NODE) { /* its URI alone */
            take_value(walk, one, uri, &target);
            note_given(walk, &target, uri, one);
        } else {
            refuse(walk, one, key, "a source is no list");
            note_given(walk, &target, uri, one);
        }
    }
}

static void walk_key(struct walk *walk, const yaml_node_t *node, const struct config_key *key,
                     const struct target *target)
{
    struct target below = *target;

    below.section = key->below;
    if (key->type == CONFIG_LIST)
        walk_sources(walk, node, key);
    else if (key->type == CONFIG_ROLL && node->type == YAML_SCALAR_NODE)
        take_rollover(walk, node, key, target);
    else if ((key->type == CONFIG_MAP || key->type == CONFIG_ROLL) &&
             node->type == YAML_MAPPING_NODE)
        walk_mapping(walk, node, &below);
    else if (key->type == CONFIG_MAP || key->type == CONFIG_ROLL)
        refuse(walk, node, key, kind_of(node));
    else
        take_value(walk, node, key, target);
}

/* Where a key of this name would be right, "" or "; it is a.b or c.b" or "; it is b, at the top of
 * the file": with those of sources or without. */
static const char *say_elsewhere(const char *word, bool with_sources, char *buf, size_t buf_bytes)
{
    size_t at = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char path[128];

        if (strcmp(key->name, word) == 0 && (with_sources || !config_is_of_source(key)))
            at = units_append(buf, buf_bytes, at, "%s%s%s", at ? " or " : "; it is ",
                              config_key_path(key, path, sizeof path),
                              key->section == CONFIG_TOP ? ", at the top of the file" : "");
    }
    return buf;
}

/* No key of this section: a near one, one of another, or all there are. */
static void refuse_key(struct walk *walk, const yaml_node_t *node, enum config_section section)
{
    const char *names[2 * CONFIG_KEYS_MAX + 1], *word = scalar_of(node), *nearest;
    const struct config_key *parent = config_parent(section);
    char path[200], elsewhere[300], list[500];
    size_t used = 0;

    for (unsigned i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->section != section)
            continue;
        names[used++] = key->name;
        if (key->alias)
            names[used++] = key->alias;
    }
    names[used] = NULL;
    nearest = options_nearest(word, names);
    snprintf(path, sizeof path, "%.60s", word);
    if (parent) {
        config_key_path(parent, path, sizeof path);
        units_append(path, sizeof path, strlen(path), ".%.60s", word);
    }
    if (!*say_elsewhere(word, section == CONFIG_SOURCE, elsewhere, sizeof elsewhere))
        say_elsewhere(word, true, elsewhere, sizeof elsewhere);
    if (strcmp(word, "<<") == 0)
        config_mistake(walk->reading, line_of(node), path,
                       "mappings are not merged; what holds for all sources stands at the top");
    else if (*elsewhere)
        config_mistake(walk->reading, line_of(node), path, "no such key here%s", elsewhere);
    else if (nearest)
        config_mistake(walk->reading, line_of(node), path, "no such key; did you mean '%s'?",
                       nearest);
    else
        config_mistake(walk->reading, line_of(node), path, "no such key; allowed: %s",
                       list_names(section, list, sizeof list));
}

static void walk_pair(struct walk *walk, const yaml_node_t *name, const yaml_node_t *value,
                      const struct target *target)
{
    const struct config_key *key;
    char path[128];

    if (name->type != YAML_SCALAR_NODE) {
        config_mistake(walk->reading, line_of(name), NULL, "a key %s; a key is a name",
                       kind_of(name));
        return;
    }
    key = is_whole(name) ? config_find_key(target->section, scalar_of(name)) : NULL;
    if (!key) {
        refuse_key(walk, name, target->section);
        return;
    }
    if (*target->given & 1ull << config_key_index(key)) {
        config_mistake(walk->reading, line_of(name), config_key_path(key, path, sizeof path),
                       "stands here twice%s%s%s; leave one",
                       strcmp(key->name, scalar_of(name)) ? " ('" : "",
                       strcmp(key->name, scalar_of(name)) ? scalar_of(name) : "",
                       strcmp(key->name, scalar_of(name)) ? "' is the same key)" : "");
        return;
    }
    note_given(walk, target, key, name);
    walk_key(walk, value, key, target);
}

static void walk_mapping(struct walk *walk, const yaml_node_t *node, const struct target *target)
{
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top && !config_is_hopeless(walk->reading); pair++)
        walk_pair(walk, yaml_document_get_node(&walk->document, pair->key),
                  yaml_document_get_node(&walk->document, pair->value), target);
}

/* ---- the document ---- */

/* What libyaml calls the kinds that we take; a tag of anybody else means nothing here. */
static void check_tags(struct walk *walk)
{
    static const char *const known[] = {YAML_STR_TAG, YAML_MAP_TAG,   YAML_SEQ_TAG,
                                        YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG};

    for (yaml_node_t *node = walk->document.nodes.start;
         node < walk->document.nodes.top && !config_is_hopeless(walk->reading); node++) {
        bool is_known = !node->tag;

        for (size_t i = 0; i < sizeof known / sizeof known[0] && !is_known; i++)
            is_known = strcmp((const char *)node->tag, known[i]) == 0;
        if (!is_known)
            config_mistake(walk->reading, line_of(node), NULL,
                           "the tag %.80s means nothing here; leave it out",
                           (const char *)node->tag);
    }
}

/* Is this line indented with a tab, which libyaml calls a character that begins no token? */
static bool is_tabbed(const char *text, size_t line)
{
    for (; line > 0 && text; line--) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return text && text[strspn(text, " ")] == '\t';
}

static void say_syntax(struct config_reading *reading, const yaml_parser_t *parser,
                       const char *text)
{
    unsigned line = (unsigned)parser->problem_mark.line + 1;

    if (parser->error == YAML_MEMORY_ERROR)
        reading->no_memory = true;
    else if (parser->error == YAML_READER_ERROR) { /* that has no line */
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && text[i]; i++)
            line += text[i] == '\n';
        config_mistake(reading, line, NULL, "is no YAML: %s (0x%02x)", parser->problem,
                       (unsigned)parser->problem_value);
    } else if (is_tabbed(text, parser->problem_mark.line))
        config_mistake(reading, line, NULL, "is no YAML: a tab; indent with spaces");
    else
        config_mistake(reading, line, NULL, "is no YAML: %s%s%s", parser->problem,
                       parser->context ? ", " : "", parser->context ? parser->context : "");
}

static void walk_document(struct walk *walk, yaml_parser_t *parser, const char *text)
{
    struct config *config = walk->reading->config;
    struct target top = {CONFIG_TOP, config, &config->given};
    yaml_node_t *root = yaml_document_get_root_node(&walk->document);
    yaml_document_t next;

    if (!root) {
        config_mistake(walk->reading, 0, NULL,
                       "is empty; `daorec record --print-config` prints one to begin with");
        return;
    }
    check_tags(walk);
    if (root->type == YAML_MAPPING_NODE)
        walk_mapping(walk, root, &top);
    else if (root->type == YAML_SCALAR_NODE && is_null(root))
        config_mistake(walk->reading, 0, NULL,
                       "is empty; `daorec record --print-config` prints one to begin with");
    else
        config_mistake(walk->reading, line_of(root), NULL,
                       "%s; a configuration is a mapping of keys, such as root_storage: /data",
                       kind_of(root));
    if (!yaml_parser_load(parser, &next)) {
        say_syntax(walk->reading, parser, text);
        return;
    }
    root = yaml_document_get_root_node(&next);
    if (root)
        config_mistake(walk->reading, (unsigned)next.start_mark.line + 1, NULL,
                       "a second document begins; a configuration is one");
    yaml_document_delete(&next);
}

void config_walk_text(struct config_reading *reading, const char *text, size_t bytes)
{
    struct walk walk = {.reading = reading};
    yaml_parser_t parser;

    if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark: of an editor */
        text += 3;
        bytes -= 3;
    }
    if (!config_check_bounds(reading, text, bytes))
        return;
    if (!yaml_parser_initialize(&parser)) {
        reading->no_memory = true;
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    if (yaml_parser_load(&parser, &walk.document)) {
        walk_document(&walk, &parser, text);
        yaml_document_delete(&walk.document);
    } else {
        say_syntax(reading, &parser, text);
    }
    yaml_parser_delete(&parser);
}
