/* ask.c - see ask.h. */
#include "serve/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "serve/request.h"
#include "serve/socket.h"

#define ANSWER_BYTES_MAX (16u << 20)
#define PIECE_BYTES      65536u

/* Wait for `events`. 0; -ETIMEDOUT. */
static int wait_for(int fd, short events, int64_t until_ns)
{
    struct pollfd item = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ns = until_ns - dao_clock_mono_ns();
        int r = left_ns > 0 ? poll(&item, 1, (int)(left_ns / 1000000) + 1) : 0;

        if (r > 0)
            return 0;
        if (r == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

static int send_all(int fd, const char *line, int64_t until_ns)
{
    size_t bytes = strlen(line), done = 0;

    while (done < bytes) {
        ssize_t n = send(fd, line + done, bytes - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        int r = n < 0 && errno == EAGAIN ? wait_for(fd, POLLOUT, until_ns) : 0;

        if (r < 0)
            return r;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* A line, without its newline. */
static int receive_line(int fd, char **ret, int64_t until_ns)
{
    size_t used = 0, room = 0;
    char *text = NULL, *grown, *end;
    ssize_t n;
    int r = 0;

    while (r == 0) {
        if (used + PIECE_BYTES > room) {
            room = used + 2 * PIECE_BYTES;
            grown = room > ANSWER_BYTES_MAX ? NULL : realloc(text, room);
            if (!grown) {
                r = -ENOMEM;
                break;
            }
            text = grown;
        }
        r = wait_for(fd, POLLIN, until_ns);
        if (r < 0)
            break;
        n = recv(fd, text + used, PIECE_BYTES, 0);
        end = n > 0 ? memchr(text + used, '\n', (size_t)n) : NULL;
        if (end) {
            *end = '\0';
            *ret = text;
            return 0;
        }
        used += n > 0 ? (size_t)n : 0;
        r = n == 0 ? -EPIPE : n < 0 && errno != EINTR ? -errno : 0;
    }
    free(text);
    return r;
}

static int64_t time_to_do_it(int64_t timeout_ns)
{
    int64_t patience_ns = timeout_ns / 4 < ASK_PATIENCE_NS ? timeout_ns / 4 : ASK_PATIENCE_NS;
    int64_t ns = timeout_ns - patience_ns;

    return ns < 1000000 ? 1000000 : ns; /* what a request may say */
}

char *ask(const char *path, const char *verb, const char *text, int64_t timeout_ns,
          struct dao_text *why)
{
    int64_t until_ns = dao_clock_mono_ns() + timeout_ns;
    char *line = request_write(verb, text, time_to_do_it(timeout_ns)), *answer = NULL;
    int fd = -1, r = line ? 0 : -EILSEQ;

    if (r < 0)
        snprintf(why->s, sizeof why->s, "the text is no UTF-8");
    if (r == 0 && (fd = socket_connect(path, timeout_ns, why)) < 0) {
        free(line);
        return NULL;
    }
    if (r == 0) {
        r = send_all(fd, line, until_ns);
        if (r == 0 || r == -EPIPE) /* it may have said why it closes */
            r = receive_line(fd, &answer, until_ns);
        if (r == -ETIMEDOUT)
            snprintf(why->s, sizeof why->s, "the recorder has not answered in time%s",
                     strcmp(verb, "status") == 0
                         ? ""
                         : ", and may still do what was asked; see `daorec ctl status`");
        else if (r < 0)
            snprintf(why->s, sizeof why->s, "the recorder is gone without an answer: %s",
                     strerror(-r));
    }
    if (fd >= 0)
        close(fd);
    free(line);
    return answer;
}
