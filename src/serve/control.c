/* control.c - see control.h. */
#include "serve/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json_text.h"
#include "lib/clock.h"
#include "serve/socket.h"

#define REPLIES_MAX 128u /* those of clients that are gone may be among them */

struct client {
    int fd;            /* -1: the place is free */
    uint64_t token;    /* of its request under way; 0: none */
    int64_t active_ns; /* monotonic: when it asked last, or took of its answer */
    char in[REQUEST_BYTES_MAX];
    size_t in_bytes;
    bool in_ended; /* it asks nothing more */
    char *out;     /* an answer with its newline, NULL: none */
    size_t out_bytes, out_done;
    bool close_after; /* its answer */
};

struct reply {
    uint64_t token;
    char *json;
};

struct control {
    struct control_handler handler;
    struct socket_place place;
    int listen_fd, wake_fd;
    pthread_t thread;
    struct client clients[CONTROL_CLIENTS_MAX];
    uint64_t last_token;
    double budget;
    int64_t budget_ns;
    /* shared */
    pthread_mutex_t lock;
    struct reply replies[REPLIES_MAX];
    unsigned reply_count;
    bool ending;
};

/* ---- the budget ---- */

static bool can_afford(struct control *c, int64_t now_ns)
{
    c->budget += (double)(now_ns - c->budget_ns) / 1e9 * CONTROL_PER_S;
    c->budget = c->budget > CONTROL_BURST ? CONTROL_BURST : c->budget;
    c->budget_ns = now_ns;
    return c->budget >= 1.0;
}

/* ---- one client ---- */

static void drop(struct client *client)
{
    close(client->fd);
    free(client->out);
    *client = (struct client){.fd = -1};
}

/* As much of its answer as it takes. */
static void flush_out(struct client *client, int64_t now_ns)
{
    while (client->out && client->out_done < client->out_bytes) {
        ssize_t n = send(client->fd, client->out + client->out_done,
                         client->out_bytes - client->out_done, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            drop(client);
            return;
        }
        if (n <= 0)
            return;
        client->out_done += (size_t)n;
        client->active_ns = now_ns;
    }
    free(client->out);
    client->out = NULL;
    if (client->close_after)
        drop(client);
}

/* `json` is freed. */
static void answer(struct client *client, char *json, int64_t now_ns)
{
    int bytes = asprintf(&client->out, "%s\n",
                         json ? json : "{\"ok\":false,\"error\":\"no memory for the answer\"}");

    free(json);
    client->token = 0;
    client->active_ns = now_ns;
    if (bytes < 0) {
        client->out = NULL;
        drop(client);
        return;
    }
    client->out_bytes = (size_t)bytes;
    client->out_done = 0;
    flush_out(client, now_ns);
}

static void refuse(struct client *client, const char *why, int64_t now_ns)
{
    json_t *json = json_pack("{s:b, s:o}", "ok", 0, "error", json_text_value(why));

    answer(client, json_dumps(json, JSON_COMPACT), now_ns);
    json_decref(json);
}

static void handle(struct control *c, struct client *client, size_t bytes, int64_t now_ns)
{
    struct request request;
    struct dao_text why = {""};

    c->budget -= 1.0;
    if (request_read(&request, client->in, bytes, &why) < 0) {
        refuse(client, why.s, now_ns);
        return;
    }
    client->token = ++c->last_token;
    if (!c->handler.take(c->handler.ctx, &request, client->token, &why))
        refuse(client, why.s, now_ns);
}

/* The next request of those that were read, if any is whole. */
static void go_on(struct control *c, struct client *client, int64_t now_ns)
{
    while (client->fd >= 0 && !client->token && !client->out && can_afford(c, now_ns)) {
        const char *newline = memchr(client->in, '\n', client->in_bytes);
        size_t bytes = newline ? (size_t)(newline - client->in) : client->in_bytes;
        size_t used = newline ? bytes + 1 : bytes;

        if (!newline && client->in_bytes == sizeof client->in) {
            client->close_after = true;
            refuse(client, "a request is too long", now_ns);
            return;
        }
        if (!newline && !(client->in_ended && bytes > 0))
            break;
        if (bytes > 0)
            handle(c, client, bytes, now_ns);
        if (client->fd < 0)
            return;
        client->in_bytes -= used;
        memmove(client->in, client->in + used, client->in_bytes);
    }
    if (client->fd >= 0 && client->in_ended && client->in_bytes == 0 && !client->token &&
        !client->out)
        drop(client);
}

static void read_in(struct client *client, int64_t now_ns)
{
    ssize_t n = recv(client->fd, client->in + client->in_bytes,
                     sizeof client->in - client->in_bytes, MSG_DONTWAIT);

    if (n > 0) {
        client->in_bytes += (size_t)n;
        client->active_ns = now_ns;
    } else if (n == 0) {
        client->in_ended = true;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        drop(client);
    }
}

/* ---- all of them ---- */

/* A free place; where there is none that of the client that has been silent for longest. */
static struct client *find_place(struct control *c)
{
    struct client *found = NULL;

    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &c->clients[i];

        if (client->fd < 0)
            return client;
        if (!client->token && !client->out && (!found || client->active_ns < found->active_ns))
            found = client;
    }
    if (found)
        drop(found);
    return found;
}

static void accept_one(struct control *c, int64_t now_ns)
{
    static const char full[] = "{\"ok\":false,\"error\":\"too many clients; try again\"}\n";
    int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *client;

    c->budget -= 1.0;
    if (fd < 0) /* gone again; or no descriptor to be had: the budget keeps it from being tried */
        return;
    client = find_place(c);
    if (client) {
        *client = (struct client){.fd = fd, .active_ns = now_ns};
        return;
    }
    if (send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        /* then it is told by the end of the connection alone */
    }
    close(fd);
}

static bool take_reply(struct control *c, struct reply *ret)
{
    bool is_there;

    pthread_mutex_lock(&c->lock);
    is_there = c->reply_count > 0;
    if (is_there) {
        *ret = c->replies[0];
        c->reply_count--;
        memmove(c->replies, c->replies + 1, c->reply_count * sizeof c->replies[0]);
    }
    pthread_mutex_unlock(&c->lock);
    return is_there;
}

static void give_replies(struct control *c, int64_t now_ns)
{
    struct reply reply;

    while (take_reply(c, &reply)) {
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
            struct client *client = &c->clients[i];

            if (client->fd < 0 || client->token != reply.token)
                continue;
            answer(client, reply.json, now_ns);
            reply.json = NULL;
            break;
        }
        free(reply.json); /* its client is gone */
    }
}

/* Until when to sleep, in ms; -1: for ever. */
static int sleep_ms(const struct control *c, bool is_broke, int64_t now_ns)
{
    int64_t wait_ns = is_broke ? (int64_t)(1e9 / CONTROL_PER_S) : INT64_MAX;

    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct client *client = &c->clients[i];
        int64_t left_ns = client->active_ns + CONTROL_SLOW_NS - now_ns;

        if (client->fd >= 0 && client->out && left_ns < wait_ns)
            wait_ns = left_ns > 0 ? left_ns : 0;
    }
    return wait_ns == INT64_MAX ? -1 : (int)(wait_ns / 1000000) + 1;
}

static short wanted(const struct client *client, bool is_broke)
{
    if (client->out)
        return POLLOUT;
    return client->token || client->in_ended || is_broke ? 0 : POLLIN;
}

static void look_at(struct control *c, struct client *client, short events, int64_t now_ns)
{
    if (client->out && now_ns - client->active_ns >= CONTROL_SLOW_NS) {
        drop(client);
        return;
    }
    if (events & POLLOUT)
        flush_out(client, now_ns);
    else if (events & POLLIN)
        read_in(client, now_ns);
    else if (events & (POLLERR | POLLHUP | POLLNVAL)) /* nobody is there for an answer */
        drop(client);
    if (client->fd >= 0)
        go_on(c, client, now_ns);
}

static void step(struct control *c)
{
    struct pollfd fds[CONTROL_CLIENTS_MAX + 2];
    int64_t now_ns = dao_clock_mono_ns();
    bool is_broke = !can_afford(c, now_ns);
    uint64_t events;

    fds[0] = (struct pollfd){.fd = c->wake_fd, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = is_broke ? -1 : c->listen_fd, .events = POLLIN};
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        fds[i + 2] =
            (struct pollfd){.fd = c->clients[i].fd, .events = wanted(&c->clients[i], is_broke)};
    if (poll(fds, CONTROL_CLIENTS_MAX + 2, sleep_ms(c, is_broke, now_ns)) < 0)
        return;
    now_ns = dao_clock_mono_ns();
    if ((fds[0].revents & POLLIN) && read(c->wake_fd, &events, sizeof events) < 0)
        return;
    give_replies(c, now_ns);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (fds[i + 2].fd >= 0 && c->clients[i].fd == fds[i + 2].fd)
            look_at(c, &c->clients[i], fds[i + 2].revents, now_ns);
    if (fds[1].revents & POLLIN)
        accept_one(c, now_ns);
}

/* ---- the thread ---- */

static bool is_ending(struct control *c)
{
    bool ending;

    pthread_mutex_lock(&c->lock);
    ending = c->ending;
    pthread_mutex_unlock(&c->lock);
    return ending;
}

static void *run(void *arg)
{
    struct control *c = arg;
    int64_t now_ns;

    while (!is_ending(c))
        step(c);
    now_ns = dao_clock_mono_ns();
    give_replies(c, now_ns);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &c->clients[i];

        if (client->fd >= 0 && client->token)
            refuse(client, "the recorder has ended", now_ns);
        if (client->fd >= 0)
            drop(client);
    }
    return NULL;
}

/* It takes no signals: they are the recorder's. */
static int start_thread(struct control *c)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&c->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int control_open(struct control **ret, const char *path, const struct control_handler *handler,
                 struct dao_text *text)
{
    struct control *c = calloc(1, sizeof *c);
    int r = c ? 0 : -ENOMEM;

    if (r == 0) {
        c->handler = *handler;
        c->budget = CONTROL_BURST;
        c->budget_ns = dao_clock_mono_ns();
        for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
            c->clients[i].fd = -1;
        pthread_mutex_init(&c->lock, NULL);
        c->listen_fd = r = socket_listen(&c->place, path, text);
    } else {
        snprintf(text->s, sizeof text->s, "no memory for a control socket");
    }
    if (r < 0)
        goto fail;
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = c->wake_fd < 0 ? -errno : start_thread(c);
    if (r == 0) {
        *ret = c;
        return 0;
    }
    snprintf(text->s, sizeof text->s, "%s: cannot serve it: %s", c->place.path, strerror(-r));
    socket_remove(&c->place);
    close(c->listen_fd);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
fail:
    if (c)
        pthread_mutex_destroy(&c->lock);
    free(c);
    return r;
}

const char *control_path(const struct control *control)
{
    return control->place.path;
}

static void wake(struct control *c)
{
    if (write(c->wake_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0) {
        /* full: it is readable anyway */
    }
}

void control_reply(struct control *control, uint64_t token, char *json)
{
    bool has_room;

    pthread_mutex_lock(&control->lock);
    has_room = control->reply_count < REPLIES_MAX;
    if (has_room)
        control->replies[control->reply_count++] = (struct reply){token, json};
    pthread_mutex_unlock(&control->lock);
    if (!has_room)
        free(json);
    wake(control);
}

void control_close(struct control *control)
{
    struct reply reply;

    if (!control)
        return;
    pthread_mutex_lock(&control->lock);
    control->ending = true;
    pthread_mutex_unlock(&control->lock);
    wake(control);
    pthread_join(control->thread, NULL);
    while (take_reply(control, &reply))
        free(reply.json);
    socket_remove(&control->place);
    close(control->listen_fd);
    close(control->wake_fd);
    pthread_mutex_destroy(&control->lock);
    free(control);
}
