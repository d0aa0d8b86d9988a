/* json_text.c - see json_text.h. */
#include "base/json_text.h"

#include <stdlib.h>
#include <string.h>

json_t *json_text_value(const char *text)
{
    json_t *value = json_string(text);
    char *clean = value ? NULL : strdup(text);

    for (char *c = clean; c && *c; c++)
        *c = (unsigned char)*c < 0x80 ? *c : '?';
    if (clean)
        value = json_string(clean);
    free(clean);
    return value ? value : json_null();
}
