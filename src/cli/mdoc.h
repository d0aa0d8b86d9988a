/* mdoc.h - text as mdoc source. Called by what writes manual pages, from the main thread. */
#ifndef DAOREC_CLI_MDOC_H
#define DAOREC_CLI_MDOC_H

#include <stdio.h>

/* The lines that every page begins with: "daorec-record", "1". */
void mdoc_begin(FILE *out, const char *title, const char *section);

/* One piece of text, nothing in it a macro or an escape, without a newline at its end. */
void mdoc_words(FILE *out, const char *text, size_t count);

/* The same as lines of text, to the end of the last one. */
void mdoc_text(FILE *out, const char *text, size_t count);

/* A phrase, such as a line of help, as a sentence of its own. */
void mdoc_sentence(FILE *out, const char *phrase);

/*
 * Prose, by these rules: an empty line parts paragraphs; a paragraph whose lines begin with four
 * blanks is an example, printed as it stands; one that begins with "= " is an item of a list, its
 * first line the tag and the rest what it means.
 */
void mdoc_prose(FILE *out, const char *text);

#endif
