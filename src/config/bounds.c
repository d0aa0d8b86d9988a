/*
 * bounds.c - what no configuration needs, and what would take libyaml or us minutes, is refused
 * before a document is made of it: a file of the size that is allowed is done with in a fraction of
 * a second. See parts.h.
 *
 *   nested deeply      libyaml looks at every level for every token
 *   many anchors       each is compared with all of them, and so is each alias
 *   many %TAG          the same, before the first event: they are counted in the text
 *   many nodes         each takes memory and time in a document
 *   aliases            one stands for all below its anchor, and is walked as that: so it is counted
 *
 * The parser is asked for events only, and looks no further ahead than a key may be long. What is
 * no YAML is left for the walk to say.
 */
#include <string.h>
#include <yaml.h>

#include "config/parts.h"

#define DEPTH_MAX   64u
#define ANCHORS_MAX 100u
#define TAGS_MAX    16u
#define NODES_MAX   100000u
#define BYTES_MAX   (2u * CONFIG_FILE_BYTES_MAX)
#define NAME_BYTES  64u

/* What there is in a part of the file, with each alias as what it stands for. */
struct amount {
    size_t nodes, bytes;
};

struct anchor {
    char name[NAME_BYTES];
    struct amount before, below;
};

struct bounds {
    struct config_reading *reading;
    struct amount amount;
    struct anchor anchors[ANCHORS_MAX];
    unsigned anchor_count, depth;
    int open[DEPTH_MAX]; /* the anchor of each collection around, -1: none */
};

/* Is p behind what libyaml takes for the end of a line? That is also CR, NEL, LS and PS. */
static bool begins_line(const char *text, const char *p)
{
    size_t before = (size_t)(p - text);

    return before == 0 || p[-1] == '\n' || p[-1] == '\r' ||
           (before >= 2 && memcmp(p - 2, "\xc2\x85", 2) == 0) ||
           (before >= 3 &&
            (memcmp(p - 3, "\xe2\x80\xa8", 3) == 0 || memcmp(p - 3, "\xe2\x80\xa9", 3) == 0));
}

static bool check_tags(struct config_reading *reading, const char *text)
{
    unsigned line = 0, count = 0;

    for (const char *p = text; *p; p++) {
        if (!begins_line(text, p) || (p > text && p[-1] == '\r' && *p == '\n'))
            continue;
        line++;
        count += strncmp(p, "%TAG", 4) == 0;
        if (count > TAGS_MAX) {
            config_mistake(reading, line, NULL,
                           "is one %%TAG too many; allowed: up to %u, and they mean nothing here",
                           TAGS_MAX);
            return false;
        }
    }
    return true;
}

/* ---- anchors ---- */

/* -1: no anchor; -2: one too many. A long name is cut: of two that begin alike the larger
 * counts. */
static int add_anchor(struct bounds *b, const yaml_char_t *name)
{
    struct anchor *anchor = &b->anchors[b->anchor_count];

    if (!name)
        return -1;
    if (b->anchor_count == ANCHORS_MAX)
        return -2;
    snprintf(anchor->name, sizeof anchor->name, "%s", (const char *)name);
    anchor->before = b->amount;
    return (int)b->anchor_count++;
}

static void close_anchor(struct bounds *b, int index)
{
    if (index < 0)
        return;
    b->anchors[index].below.nodes = b->amount.nodes - b->anchors[index].before.nodes;
    b->anchors[index].below.bytes = b->amount.bytes - b->anchors[index].before.bytes;
}

static void add_alias(struct bounds *b, const yaml_char_t *name)
{
    struct amount most = {0, 0};

    for (unsigned i = 0; i < b->anchor_count; i++) {
        const struct amount *below = &b->anchors[i].below;

        if (strncmp(b->anchors[i].name, (const char *)name, NAME_BYTES - 1) != 0)
            continue;
        most.nodes = below->nodes > most.nodes ? below->nodes : most.nodes;
        most.bytes = below->bytes > most.bytes ? below->bytes : most.bytes;
    }
    b->amount.nodes += most.nodes;
    b->amount.bytes += most.bytes;
}

/* ---- events ---- */

static bool add_collection(struct bounds *b, unsigned line, const yaml_char_t *name)
{
    int anchor = add_anchor(b, name);

    if (b->depth == DEPTH_MAX) {
        config_mistake(b->reading, line, NULL,
                       "is nested too deeply; allowed: up to %u lists and mappings in each other",
                       DEPTH_MAX);
        return false;
    }
    b->open[b->depth++] = anchor;
    return anchor != -2;
}

static bool add_event(struct bounds *b, const yaml_event_t *event, unsigned line)
{
    int anchor = -1;

    b->amount.nodes++;
    switch (event->type) {
    case YAML_SEQUENCE_START_EVENT:
        return add_collection(b, line, event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return add_collection(b, line, event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->amount.nodes--; /* it was counted where it began */
        close_anchor(b, b->open[--b->depth]);
        return true;
    case YAML_SCALAR_EVENT:
        anchor = add_anchor(b, event->data.scalar.anchor);
        b->amount.bytes += event->data.scalar.length;
        close_anchor(b, anchor);
        return anchor != -2;
    case YAML_ALIAS_EVENT:
        add_alias(b, event->data.alias.anchor);
        return true;
    default:
        return true;
    }
}

/* False after a mistake. */
static bool check_event(struct bounds *b, const yaml_event_t *event)
{
    unsigned line = (unsigned)event->start_mark.line + 1;
    size_t before = b->reading->mistakes->count;

    if (!add_event(b, event, line)) {
        if (b->reading->mistakes->count == before)
            config_mistake(b->reading, line, NULL, "is one anchor (&) too many; allowed: up to %u",
                           ANCHORS_MAX);
        return false;
    }
    if (b->amount.nodes <= NODES_MAX && b->amount.bytes <= BYTES_MAX)
        return true;
    config_mistake(b->reading, line, NULL,
                   "is more than a configuration may hold, with each alias (*) as what it stands "
                   "for; the most are %u keys and values, and %u MiB",
                   NODES_MAX, BYTES_MAX >> 20);
    return false;
}

bool config_check_bounds(struct config_reading *reading, const char *text, size_t bytes)
{
    struct bounds bounds = {.reading = reading};
    bool is_right = check_tags(reading, text), is_end = false;
    yaml_parser_t parser;
    yaml_event_t event;

    if (!is_right)
        return false;
    if (!yaml_parser_initialize(&parser)) {
        reading->no_memory = true;
        return false;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    while (is_right && !is_end && yaml_parser_parse(&parser, &event)) {
        is_right = check_event(&bounds, &event);
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return is_right;
}
