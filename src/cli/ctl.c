/* ctl.c - the verb `ctl`: ask a running recorder over its control socket. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "record/order.h"
#include "serve/ask.h"
#include "serve/socket.h"

#define TEXT_BYTES 1024

struct ctl_options {
    const char *socket;
    int64_t timeout_ns;
    bool json;
};

#define OFF(member) offsetof(struct ctl_options, member)

static const struct option_spec specs[] = {
    {"socket", 's', OPTION_STRING, OFF(socket), "PATH",
     "of the recorder (default $XDG_RUNTIME_DIR/daorec/control, /run/daorec/control for root)", 0,
     0},
    {"timeout", 0, OPTION_DURATION, OFF(timeout_ns), "T",
     "wait so long for it to have happened and for the answer (default 30s)", 1e6, 600e9},
    {"json", 0, OPTION_FLAG, OFF(json), NULL, "the answer as one line of JSON", 0, 0},
    {0},
};

static const struct verb_usage usage = {
    .verb = "ctl",
    .arguments = "status|start|stop|roll|mark TEXT|reload",
    .summary = "Ask a running recorder (record --control) and tell when it has happened.",
    .specs = specs,
};

/* ---- answers as text ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static long long count_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_stream(const json_t *stream)
{
    const char *file = text_of(json_object_get(stream, "file"), "name");

    printf("  %-20s %-8s %9.1f Hz  %lld recorded, %lld lost, fifo %lld/%lld, buffer %.0f%%%s%s\n",
           text_of(stream, "name"), text_of(stream, "condition"),
           json_number_value(json_object_get(stream, "rate_hz")), count_of(stream, "frames"),
           count_of(stream, "lost"), count_of(stream, "fifo_backlog"),
           count_of(stream, "fifo_depth"),
           100.0 * json_number_value(json_object_get(stream, "buffer_fill")), file[0] ? ", " : "",
           file);
}

static void print_status(const json_t *answer)
{
    const json_t *streams = json_object_get(answer, "streams");

    printf("%s%s%s%s%s (process %lld)\n", text_of(answer, "condition"),
           text_of(answer, "session")[0] ? ": " : "", text_of(answer, "root"),
           text_of(answer, "session")[0] ? "/" : "", text_of(answer, "session"),
           count_of(answer, "pid"));
    for (size_t i = 0; i < json_array_size(streams); i++)
        print_stream(json_array_get(streams, i));
}

static void print_end(const json_t *answer)
{
    const json_t *streams = json_object_get(answer, "streams");

    printf("session %s has ended, exit status %lld%s%s\n", text_of(answer, "session"),
           count_of(answer, "exit_status"), text_of(answer, "note")[0] ? ": " : "",
           text_of(answer, "note"));
    for (size_t i = 0; i < json_array_size(streams); i++) {
        const json_t *stream = json_array_get(streams, i);

        printf("  %-20s %lld expected, %lld recorded, %lld lost, %zu files\n",
               text_of(stream, "name"), count_of(stream, "expected"), count_of(stream, "recorded"),
               count_of(stream, "lost"), json_array_size(json_object_get(stream, "files")));
    }
}

static void print_roll(const json_t *answer)
{
    const json_t *streams = json_object_get(answer, "streams");

    for (size_t i = 0; i < json_array_size(streams); i++) {
        const json_t *stream = json_array_get(streams, i);
        const char *next = text_of(stream, "next"), *note = text_of(stream, "note");

        printf("%s: %s%s%s%s%s\n", text_of(stream, "name"), text_of(stream, "closed"),
               text_of(stream, "closed")[0] ? " closed, " : "", next, next[0] ? " begun" : note,
               text_of(stream, "error"));
    }
}

static void print_mark(const json_t *answer)
{
    printf("marked at %s: %s\n", text_of(answer, "time"), text_of(answer, "text"));
}

static void print_list(const json_t *list, const char *before)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        printf("%s %s\n", before, json_string_value(json_array_get(list, i)));
}

static void print_reload(const json_t *answer)
{
    const json_t *changed = json_object_get(answer, "changed");
    const json_t *unchanged = json_object_get(answer, "unchanged");

    print_list(changed, "changed");
    print_list(unchanged, "not changed:");
    if (text_of(answer, "note")[0])
        printf("%s\n", text_of(answer, "note"));
    else if (json_array_size(changed) + json_array_size(unchanged) == 0)
        printf("nothing has changed\n");
}

static void (*const print[])(const json_t *answer) = {
    [ORDER_STATUS] = print_status, [ORDER_START] = print_status, [ORDER_STOP] = print_end,
    [ORDER_ROLL] = print_roll,     [ORDER_MARK] = print_mark,    [ORDER_RELOAD] = print_reload,
};

/* Prints it; the exit status. */
static int tell(const char *line, enum order_verb verb, bool as_json)
{
    json_t *answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    bool ok = json_is_true(json_object_get(answer, "ok"));
    int status = ok ? EXIT_DONE : EXIT_FAILED;

    if (!json_is_object(answer)) {
        log_error("ctl: what answers there is no recorder");
        json_decref(answer);
        return EXIT_FAILED;
    }
    if (ok && verb == ORDER_STOP)
        status = (int)count_of(answer, "exit_status");
    if (as_json)
        printf("%s\n", line);
    else if (ok || (verb == ORDER_ROLL && json_object_get(answer, "streams")))
        print[verb](answer);
    if (!ok && !as_json)
        log_error("ctl %s: %s", order_names[verb],
                  text_of(answer, "error")[0] ? text_of(answer, "error")
                                              : "not all of it was done");
    json_decref(answer);
    return status;
}

/* ---- the verb ---- */

/* What is behind the verb, with single blanks between. False: it is too long. */
static bool join(char text[TEXT_BYTES], int argc, char **argv)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < argc; i++) {
        used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%s%s", i ? " " : "", argv[i]);
        if (used >= TEXT_BYTES)
            return false;
    }
    return true;
}

int cli_ctl(int argc, char **argv)
{
    struct ctl_options options = {.timeout_ns = 30000000000ll};
    int first = options_parse(&usage, argc, argv, &options), status;
    struct dao_text why = {""};
    char text[TEXT_BYTES], *answer;
    struct order order;

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error(
            "ctl: what is to be done? There are status, start, stop, roll, mark TEXT, reload");
        return EXIT_WRONG_USAGE;
    }
    if (!join(text, argc - first - 1, argv + first + 1)) {
        log_error("ctl: the text is too long");
        return EXIT_WRONG_USAGE;
    }
    if (order_parse(&order, argv[first], text, &why) < 0 ||
        (options.socket && socket_check_path(options.socket, &why) < 0)) {
        log_error("ctl: %s", why.s);
        return EXIT_WRONG_USAGE;
    }
    answer = ask(options.socket, argv[first], text[0] ? text : NULL, options.timeout_ns, &why);
    if (!answer) {
        log_error("ctl: %s", why.s);
        return EXIT_FAILED;
    }
    status = tell(answer, order.verb, options.json);
    free(answer);
    return status;
}
