/* mistakes.c - what is wrong with a configuration, in lines. See parts.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/keys.h"
#include "config/parts.h"

#define LINE_BYTES 1600
#define TOLD_MAX   2000u /* and no more are looked for */

/* Names and values may hold anything; a message is one line. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static bool is_known(const struct config_mistakes *mistakes, const char *text)
{
    for (size_t i = 0; i < mistakes->count; i++)
        if (strcmp(mistakes->lines[i].text, text) == 0)
            return true;
    return false;
}

/* Behind those of the lines before it, and of the same one. */
static int insert(struct config_mistakes *mistakes, unsigned number, const char *text)
{
    struct config_mistake_line *grown =
        realloc(mistakes->lines, (mistakes->count + 1) * sizeof *grown);
    char *copy = grown ? strdup(text) : NULL;
    size_t at = mistakes->count;

    mistakes->lines = grown ? grown : mistakes->lines;
    if (!copy)
        return -ENOMEM;
    while (number > 0 && at > 0 && (grown[at - 1].number > number || grown[at - 1].number == 0)) {
        grown[at] = grown[at - 1];
        at--;
    }
    grown[at] = (struct config_mistake_line){number, copy};
    mistakes->count++;
    return 0;
}

bool config_is_hopeless(const struct config_reading *reading)
{
    return reading->told >= TOLD_MAX;
}

void config_mistake(struct config_reading *reading, unsigned line, const char *key, const char *fmt,
                    ...)
{
    struct config_mistakes *mistakes = reading->mistakes;
    char text[LINE_BYTES], where[16] = "";
    va_list args;
    int at;

    if (config_is_hopeless(reading)) {
        mistakes->has_given_up = true;
        return;
    }
    reading->told++;
    if (line > 0)
        snprintf(where, sizeof where, ":%u", line);
    at = snprintf(text, sizeof text, "%.500s%s: %.100s%s", reading->file, where, key ? key : "",
                  key ? ": " : "");
    va_start(args, fmt);
    vsnprintf(text + at, sizeof text - (size_t)at, fmt, args);
    va_end(args);
    clean(text);
    if (is_known(mistakes, text))
        return;
    if (mistakes->count == CONFIG_MISTAKES_MAX)
        mistakes->left_out++;
    else if (insert(mistakes, line, text) < 0)
        reading->no_memory = true;
}

void config_mistake_value(struct config_reading *reading, unsigned line, const char *name,
                          const struct config_key *key, char *why)
{
    char *guess = strstr(why, "; did you mean"), allowed[400], mean[64] = "";

    if (guess) {
        snprintf(mean, sizeof mean, "%s", guess);
        *guess = '\0';
    }
    config_mistake(reading, line, name, "%s; allowed: %s%s", why,
                   config_allowed(key, allowed, sizeof allowed), mean);
}

/* Without the program's name in front, so that editors jump to the line. */
void config_mistakes_print(const struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < mistakes->count; i++)
        log_plain(mistakes->lines[i].text);
    if (mistakes->left_out > 0)
        log_error("%s%zu more mistake%s not told", mistakes->has_given_up ? "at least " : "",
                  mistakes->left_out, mistakes->left_out == 1 ? " is" : "s are");
}

void config_mistakes_free(struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < mistakes->count; i++)
        free(mistakes->lines[i].text);
    free(mistakes->lines);
    *mistakes = (struct config_mistakes){0};
}
