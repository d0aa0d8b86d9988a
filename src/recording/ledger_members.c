/* ledger_members.c - see ledger_members.h. */
#include "recording/ledger_members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

void members_fail(struct members *p, const char *key, const char *what)
{
    if (p->error)
        return;
    p->error = -EBADMSG;
    snprintf(p->text->s, sizeof p->text->s, "%s %s", key, what);
}

void *members_keep(struct members *p, size_t count, size_t bytes)
{
    struct ledger_document *document = p->document;
    void **grown, *block;

    if (p->error)
        return NULL;
    grown = realloc(document->blocks, (document->block_count + 1) * sizeof *grown);
    block = grown ? calloc(count ? count : 1, bytes) : NULL;
    document->blocks = grown ? grown : document->blocks;
    if (!block) {
        p->error = -ENOMEM;
        return NULL;
    }
    document->blocks[document->block_count++] = block;
    return block;
}

int64_t members_integer(struct members *p, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value))
        members_fail(p, key, "is no whole number");
    return p->error ? 0 : json_integer_value(value);
}

uint64_t members_count(struct members *p, const json_t *object, const char *key)
{
    int64_t value = members_integer(p, object, key);

    if (value < 0)
        members_fail(p, key, "is negative");
    return value < 0 ? 0 : (uint64_t)value;
}

const char *members_text(struct members *p, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    char *copy;

    if (!value)
        members_fail(p, key, "is no text");
    if (p->error)
        return "";
    copy = members_keep(p, strlen(value) + 1, 1);
    return copy ? strcpy(copy, value) : "";
}

int64_t members_time(struct members *p, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    int64_t ns = 0;

    if (json_is_null(value))
        return 0;
    if (!json_is_string(value) || units_parse_utc(json_string_value(value), &ns) < 0)
        members_fail(p, key, "is no time");
    return ns;
}

const json_t *members_list(struct members *p, const json_t *object, const char *key, size_t most)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_array(value) || json_array_size(value) > most) {
        members_fail(p, key, "is no list, or too long");
        return NULL;
    }
    return value;
}

uint64_t members_left_out(struct members *p, const json_t *object, const char *key, size_t count,
                          size_t most)
{
    uint64_t left_out = members_count(p, object, key);

    if (left_out > 0 && count < most)
        members_fail(p, key, "is not 0 beside a list that is not full");
    return p->error ? 0 : left_out;
}
