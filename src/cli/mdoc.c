/* mdoc.c - see mdoc.h. */
#include "cli/mdoc.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/version.h"

#define COLUMNS 76

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

void mdoc_begin(FILE *out, const char *title, const char *section)
{
    int year = 0, month = 1, day = 1;

    sscanf(DAOREC_DATE, "%d-%d-%d", &year, &month, &day);
    fprintf(out, ".Dd %s %d, %d\n.Dt ", months[(month + 11) % 12], day, year);
    for (; *title; title++)
        fputc(toupper((unsigned char)*title), out);
    fprintf(out, " %s\n.Os daorec %s\n", section, DAOREC_VERSION);
}

/* A dash that belongs to an option is to be copied as one; those within words are hyphens. */
static bool is_dash_of_option(const char *text, size_t at, size_t count)
{
    bool after_word = at > 0 && isalnum((unsigned char)text[at - 1]);
    bool before_word = at + 1 < count && isalnum((unsigned char)text[at + 1]);

    return !after_word || !before_word;
}

/* The blank of ". Next" or "? Next": a sentence begins on a line of its own, so that its blank is
 * as wide as it should be. */
static bool is_end_of_sentence(const char *text, size_t at, size_t count)
{
    return at >= 3 && at + 1 < count && strchr(".?!", text[at - 1]) &&
           islower((unsigned char)text[at - 2]) && islower((unsigned char)text[at - 3]) &&
           isupper((unsigned char)text[at + 1]);
}

/* One character; returns what was printed of it, in columns. */
static int letter(FILE *out, const char *text, size_t at, size_t count)
{
    if (text[at] == '\\')
        return fputs("\\e", out), 2;
    if (text[at] == '-' && is_dash_of_option(text, at, count))
        return fputs("\\-", out), 2;
    return fputc(text[at], out), 1;
}

static void guard_line(FILE *out, char first)
{
    if (first == '.' || first == '\'')
        fputs("\\&", out);
}

void mdoc_words(FILE *out, const char *text, size_t count)
{
    if (count > 0)
        guard_line(out, text[0]);
    for (size_t i = 0; i < count; i++)
        letter(out, text, i, count);
}

void mdoc_text(FILE *out, const char *text, size_t count)
{
    int column = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_blank = text[i] == ' ' || text[i] == '\n';

        if (column == 0)
            guard_line(out, text[i]);
        if (is_blank && (is_end_of_sentence(text, i, count) ||
                         column + 1 + (int)strcspn(text + i + 1, " \n") > COLUMNS)) {
            fputc('\n', out);
            column = 0;
        } else if (is_blank) {
            fputc(' ', out);
            column++;
        } else {
            column += letter(out, text, i, count);
        }
    }
    fputc('\n', out);
}

/* A name, such as a URI or an option, begins as it is written. */
static bool begins_with_word(const char *phrase)
{
    size_t letters = 0;

    while (isalpha((unsigned char)phrase[letters]))
        letters++;
    return letters > 0 && (phrase[letters] == '\0' || strchr(" ,;.?'", phrase[letters]));
}

void mdoc_sentence(FILE *out, const char *phrase)
{
    char text[1024];
    int length = snprintf(text, sizeof text - 1, "%.1000s", phrase);

    if (length <= 0)
        return;
    if (begins_with_word(text))
        text[0] = (char)toupper((unsigned char)text[0]);
    if (text[length - 1] != '.')
        text[length++] = '.';
    mdoc_text(out, text, (size_t)length);
}

/* ---- prose ---- */

static void example(FILE *out, const char *text, size_t count)
{
    fputs(".Bd -literal -offset indent\n", out);
    for (size_t i = 0; i < count;) {
        size_t line = strcspn(text + i, "\n");

        line = line < count - i ? line : count - i;
        if (line > 4) {
            mdoc_words(out, text + i + 4, line - 4);
            fputc('\n', out);
        }
        i += line + 1;
    }
    fputs(".Ed\n", out);
}

static void item(FILE *out, const char *text, size_t count)
{
    size_t tag = strcspn(text, "\n");

    tag = tag < count ? tag : count;
    fputs(".It ", out);
    mdoc_words(out, text + 2, tag - 2);
    fputc('\n', out);
    if (tag + 1 < count)
        mdoc_text(out, text + tag + 1, count - tag - 1);
}

void mdoc_prose(FILE *out, const char *text)
{
    bool in_list = false, begins = true;

    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t count = end ? (size_t)(end - text) : strlen(text);
        bool is_item = strncmp(text, "= ", 2) == 0, is_example = strncmp(text, "    ", 4) == 0;

        if (is_item != in_list)
            fputs(is_item ? ".Bl -tag -width Ds\n" : ".El\n", out);
        in_list = is_item;
        if (is_item) {
            item(out, text, count);
        } else if (is_example) {
            example(out, text, count);
        } else {
            fputs(begins ? "" : ".Pp\n", out);
            mdoc_text(out, text, count);
        }
        begins = false;
        text += count + (end ? 2 : 0);
    }
    if (in_list)
        fputs(".El\n", out);
}
