/* http.c - see http.h. */
#include "serve/http.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef HAVE_MICROHTTPD

#include <microhttpd.h>

#include "serve/metrics.h"
#include "serve/page.h"

/* A connection, from its beginning to its end. */
struct client {
    int fd;         /* -1: it was cut off, and is about to go */
    uint64_t asked; /* when it last did, or came, by http->turn; 0: there is none */
};

struct http {
    struct MHD_Daemon *daemon;
    struct state_source source;
    char address[ADDRESS_TEXT_BYTES];
    /* its thread's */
    struct client clients[HTTP_CONNECTIONS_MAX];
    uint64_t turn;
};

bool http_is_built(void)
{
    return true;
}

const char *http_address(const struct http *http)
{
    return http->address;
}

/* ---- connections ---- */

/* The one that has not asked for longest makes room, so that there always is a place for the next;
 * a browser, or Prometheus, connects again when it wants to know more. */
static void cut_off_longest_silent(struct http *http)
{
    struct client *silent = NULL;

    for (unsigned i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        struct client *client = &http->clients[i];

        if (client->asked == 0)
            return;
        if (client->fd >= 0 && (!silent || client->asked < silent->asked))
            silent = client;
    }
    if (silent) {
        shutdown(silent->fd, SHUT_RDWR); /* then the library sees its end, and closes it */
        silent->fd = -1;
    }
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **ret_client,
                          enum MHD_ConnectionNotificationCode code)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct client *client = *ret_client;
    struct http *http = ctx;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (client)
            *client = (struct client){0};
        return;
    }
    for (unsigned i = 0; i < HTTP_CONNECTIONS_MAX && !client; i++)
        if (http->clients[i].asked == 0)
            client = &http->clients[i];
    *ret_client = client;
    if (client)
        *client = (struct client){.fd = info ? info->connect_fd : -1, .asked = ++http->turn};
    cut_off_longest_silent(http);
}

static void note_asked(struct http *http, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info ? info->socket_context : NULL;

    if (client)
        client->asked = ++http->turn;
}

/* ---- answers ---- */

/* What the page may do: run what stands in it, and ask this server. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "                  \
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "                     \
    "frame-ancestors 'none'"

/* `text` is malloc'ed and no longer the caller's, unless is_static. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              char *text, size_t bytes, bool is_static)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        bytes, text, is_static ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    enum MHD_Result r;

    if (!response) {
        if (!is_static)
            free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, char *why)
{
    return answer(connection, status, "text/plain; charset=utf-8", why, strlen(why), true);
}

static enum MHD_Result answer_page(struct http *http, struct MHD_Connection *connection)
{
    (void)http;
    return answer(connection, MHD_HTTP_OK, "text/html; charset=utf-8", (char *)(uintptr_t)page_html,
                  page_html_bytes(), true);
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, const char *type, char *text,
                                   size_t bytes)
{
    static char none[] = "no memory\n";

    if (!text)
        return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, none);
    return answer(connection, MHD_HTTP_OK, type, text, bytes, false);
}

static enum MHD_Result answer_status(struct http *http, struct MHD_Connection *connection)
{
    struct session_state state = {.count = 0};
    char *text = http->source.take(http->source.ctx, &state) == 0 ? state_to_json(&state) : NULL;

    state_free(&state);
    return answer_text(connection, "application/json", text, text ? strlen(text) : 0);
}

static enum MHD_Result answer_metrics(struct http *http, struct MHD_Connection *connection)
{
    struct session_state state = {.count = 0};
    size_t bytes = 0;
    char *text =
        http->source.take(http->source.ctx, &state) == 0 ? metrics_format(&state, &bytes) : NULL;

    state_free(&state);
    return answer_text(connection, METRICS_CONTENT_TYPE, text, bytes);
}

static const struct {
    const char *path;
    enum MHD_Result (*answer)(struct http *http, struct MHD_Connection *connection);
} paths[] = {
    {"/", answer_page},
    {"/status.json", answer_status},
    {"/metrics", answer_metrics},
};

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **request)
{
    static char none[] = "There are /, /status.json and /metrics.\n";
    static char read_only[] = "This is to be read only.\n";
    static int seen;

    (void)version;
    (void)upload;
    if (!*request) { /* the headers are there; what may follow them comes with further calls */
        *request = &seen;
        note_asked(ctx, connection);
        return MHD_YES;
    }
    if (*upload_bytes > 0) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, read_only);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strcmp(path, paths[i].path) == 0)
            return paths[i].answer(ctx, connection);
    return refuse(connection, MHD_HTTP_NOT_FOUND, none);
}

/* ---- start and end ---- */

/* Its thread takes no signal: they are for whoever records. ITC: it is woken at the end also while
 * there are as many connections as it takes, and nothing else is listened to. */
static struct MHD_Daemon *start_daemon(struct http *http, int fd)
{
    struct MHD_Daemon *daemon;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    daemon = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC, 0, NULL,
                              NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, fd,
                              MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
                              MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

int http_start(struct http **ret, const struct address *address, const struct state_source *source,
               struct dao_text *why)
{
    struct http *http = calloc(1, sizeof *http);
    int fd = http ? address_listen(address) : -ENOMEM;

    if (fd >= 0) {
        http->source = *source;
        address_format(http->address, fd);
        http->daemon = start_daemon(http, fd);
        if (!http->daemon)
            close(fd);
    }
    if (fd < 0 || !http->daemon) {
        free(http);
        snprintf(why->s, sizeof why->s, "cannot listen there: %s%s",
                 fd < 0 ? strerror(-fd) : "the HTTP server does not start",
                 fd == -EADDRINUSE ? "; give another port, or end the program that has it" : "");
        return fd < 0 ? fd : -EIO;
    }
    *ret = http;
    return 0;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}

#else

bool http_is_built(void)
{
    return false;
}

int http_start(struct http **ret, const struct address *address, const struct state_source *source,
               struct dao_text *why)
{
    (void)ret;
    (void)address;
    (void)source;
    snprintf(why->s, sizeof why->s,
             "this daorec was built without libmicrohttpd: install libmicrohttpd-dev and build it "
             "again, or use --metrics-file");
    return -ENOTSUP;
}

const char *http_address(const struct http *http)
{
    (void)http;
    return "";
}

void http_stop(struct http *http)
{
    (void)http;
}

#endif
