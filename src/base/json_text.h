/*
 * json_text.h - a text of any bytes as a JSON string. Any thread.
 */
#ifndef DAOREC_BASE_JSON_TEXT_H
#define DAOREC_BASE_JSON_TEXT_H

#include <jansson.h>

/* Paths and cards may hold any byte, and JSON must stay UTF-8: where a text is not, each byte that
 * is no ASCII becomes '?'. A new reference; JSON's null without memory. */
json_t *json_text_value(const char *text);

#endif
