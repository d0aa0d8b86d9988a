/* request.c - see request.h. */
#include "serve/request.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(struct dao_text *why, const char *key, const char *what)
{
    snprintf(why->s, sizeof why->s, "%.60s %s", key, what);
    return -EINVAL;
}

static int read_text(char *dst, size_t bytes, const char *key, const json_t *value,
                     struct dao_text *why)
{
    const char *text = json_string_value(value);

    if (!text)
        return refuse(why, key, "is no text");
    if (strlen(text) >= bytes)
        return refuse(why, key, "is too long");
    strcpy(dst, text);
    return 0;
}

static int read_member(struct request *ret, const char *key, const json_t *value,
                       struct dao_text *why)
{
    json_int_t ms = json_integer_value(value);

    if (strcmp(key, "verb") == 0)
        return read_text(ret->verb, sizeof ret->verb, key, value, why);
    if (strcmp(key, "text") == 0)
        return read_text(ret->text, sizeof ret->text, key, value, why);
    if (strcmp(key, "timeout_ms") != 0)
        return refuse(why, key, "is no key of a request: there are verb, text, timeout_ms");
    if (!json_is_integer(value) || ms < 1 || ms > REQUEST_TIMEOUT_MAX)
        return refuse(why, key, "is no whole number from 1 to 600000");
    ret->timeout_ns = ms * 1000000ll;
    return 0;
}

int request_read(struct request *ret, const char *line, size_t bytes, struct dao_text *why)
{
    struct request request = {.timeout_ns = REQUEST_TIMEOUT_MS * 1000000ll};
    json_t *root = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *key;
    int r = 0;

    if (!json_is_object(root)) {
        json_decref(root);
        return refuse(why, "a request",
                      "is one JSON object on a line, such as {\"verb\":\"status\"}");
    }
    json_object_foreach(root, key, value)
    {
        r = read_member(&request, key, value, why);
        if (r < 0)
            break;
    }
    json_decref(root);
    if (r == 0 && request.verb[0] == '\0')
        r = refuse(why, "verb", "is missing");
    if (r == 0)
        *ret = request;
    return r;
}

char *request_write(const char *verb, const char *text, int64_t timeout_ns)
{
    json_t *root =
        json_pack("{s:s, s:I}", "verb", verb, "timeout_ms", (json_int_t)(timeout_ns / 1000000));
    char *json = NULL, *line = NULL;

    if (root && (!text || json_object_set_new(root, "text", json_string(text)) == 0))
        json = json_dumps(root, JSON_COMPACT);
    if (json && asprintf(&line, "%s\n", json) < 0)
        line = NULL;
    free(json);
    json_decref(root);
    return line;
}
