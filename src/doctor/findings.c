/* findings.c - see findings.h. */
#include "doctor/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void findings_free(struct findings *findings)
{
    free(findings->list);
    *findings = (struct findings){0};
}

static struct finding *append(struct findings *findings)
{
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? 2 * findings->capacity : 32;
        struct finding *list = realloc(findings->list, capacity * sizeof *list);

        if (!list)
            return &findings->scrap;
        findings->list = list;
        findings->capacity = capacity;
    }
    return &findings->list[findings->count++];
}

struct finding *findings_add(struct findings *findings, const char *check, enum finding_state state,
                             const char *format, ...)
{
    struct finding *f = append(findings);
    va_list args;

    *f = (struct finding){.check = check, .state = state};
    va_start(args, format);
    vsnprintf(f->found, sizeof f->found, format, args);
    va_end(args);
    return f;
}

void finding_remedy(struct finding *finding, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(finding->remedy, sizeof finding->remedy, format, args);
    va_end(args);
}

void finding_value(struct finding *finding, const char *name, double value)
{
    if (finding->value_count < FINDING_VALUES)
        finding->values[finding->value_count++] = (struct finding_value){name, value};
}

enum finding_state findings_worst(const struct findings *findings)
{
    enum finding_state worst = FINDING_OK;

    for (size_t i = 0; i < findings->count; i++)
        worst = findings->list[i].state > worst ? findings->list[i].state : worst;
    return worst;
}

size_t findings_count(const struct findings *findings, enum finding_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < findings->count; i++)
        count += findings->list[i].state == state;
    return count;
}

const char *finding_state_name(enum finding_state state)
{
    static const char *const names[] = {"ok", "note", "problem"};

    return names[state];
}

char *finding_quote(char *buf, size_t buf_bytes, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+,:=@%";
    size_t used = 0;

    if (*path != '\0' && path[strspn(path, plain)] == '\0') {
        snprintf(buf, buf_bytes, "%s", path);
        return buf;
    }
    snprintf(buf, buf_bytes, "'");
    for (used = 1; *path && used + 7 < buf_bytes; path++) /* a quote takes four, the end two */
        used +=
            (size_t)snprintf(buf + used, buf_bytes - used, *path == '\'' ? "'\\''" : "%c", *path);
    snprintf(buf + used, buf_bytes - used, "'");
    return buf;
}
