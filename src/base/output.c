/*
 * output.c - see output.h. What can keep a guarded write from being done:
 *
 *   nobody takes it     it is waited for, as long as it may be, or until a signal asks for the end
 *   it was in vain, or cannot be written
 *                       the rest is dropped until output_flush(); what is printed after that begins
 *                       a line of its own and, where nobody took it, is not waited for before a
 *                       byte has gone out
 *   somebody else fills the pipe that just had room
 *                       it is opened once more, so that a write does not block; where that is not
 *                       allowed, no more is written at a time than a pipe with room takes
 */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/clock.h"

#define LOOK_NS     100000000ll /* so often for a signal */
#define PIECE_BYTES 4096u       /* what a pipe with room takes without blocking */

static struct {
    int fd; /* while it is written to */
    mode_t mode;
    bool blocks; /* a write to it might */
    int64_t wait_ns_max;
    int error;     /* why the rest is dropped, until output_flush(); ETIME: nobody took it */
    bool is_stuck; /* no byte has gone out since it was given up */
    bool is_torn;  /* what went out last did not end a line */
} guard = {.fd = STDOUT_FILENO, .wait_ns_max = INT64_MAX};

bool output_reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP));
}

/* ---- guarded ---- */

static int64_t time_left(int64_t since_ns)
{
    if (guard.is_stuck)
        return 0;
    if (guard.wait_ns_max == INT64_MAX)
        return INT64_MAX;
    return guard.wait_ns_max - (dao_clock_mono_ns() - since_ns);
}

static bool is_end_asked_for(void)
{
    sigset_t set;

    return sigpending(&set) == 0 && (sigismember(&set, SIGINT) || sigismember(&set, SIGTERM));
}

/* Until it can be written to, or a write tells why not. False: it is given up. */
static bool await_reader(int64_t since_ns)
{
    struct pollfd out = {.fd = guard.fd, .events = POLLOUT};

    for (;;) {
        int64_t left_ns = time_left(since_ns);
        int ms = left_ns <= 0        ? 0
                 : left_ns > LOOK_NS ? (int)(LOOK_NS / 1000000)
                                     : (int)(left_ns / 1000000) + 1;

        if (poll(&out, 1, ms) < 0 && errno != EINTR)
            return false;
        if (out.revents)
            return true;
        if (is_end_asked_for() || left_ns <= 0)
            return false;
    }
}

static ssize_t write_some(const char *bytes, size_t count, int64_t since_ns)
{
    if (guard.blocks && !await_reader(since_ns)) {
        errno = ETIME;
        return -1;
    }
    if (S_ISSOCK(guard.mode))
        return send(guard.fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(guard.fd, bytes, guard.blocks && count > PIECE_BYTES ? PIECE_BYTES : count);
}

/* How much of it was written; guard.error says why not all. */
static size_t write_all(const char *bytes, size_t count)
{
    int64_t since_ns = dao_clock_mono_ns();
    size_t done = 0;

    while (done < count) {
        ssize_t n = write_some(bytes + done, count - done, since_ns);

        if (n < 0 && errno == EAGAIN && !await_reader(since_ns))
            errno = ETIME;
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            guard.error = errno;
            guard.is_stuck = errno == ETIME;
            break;
        }
        if (n <= 0)
            continue;
        done += (size_t)n;
        guard.is_stuck = false;
        guard.is_torn = bytes[done - 1] != '\n';
        since_ns = dao_clock_mono_ns();
    }
    return done;
}

/* What standard output leads to, opened once more. Only its flags are then its own: a file would
 * have a place of its own, too, and a socket cannot be opened. */
static int open_again(void)
{
    char path[32];

    if (!S_ISFIFO(guard.mode) && !isatty(STDOUT_FILENO))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", STDOUT_FILENO);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* stdio's: 0 is an error. The descriptor is not kept: a recording counts those that are left. */
static ssize_t write_guarded(void *cookie, const char *bytes, size_t count)
{
    int again = guard.error ? -1 : open_again();
    size_t done;

    (void)cookie;
    if (guard.error)
        return 0;
    guard.fd = again < 0 ? STDOUT_FILENO : again;
    guard.blocks = again < 0 && !S_ISSOCK(guard.mode);
    done = write_all(bytes, count);
    if (again >= 0)
        close(again);
    return (ssize_t)done;
}

int output_guard(void)
{
    FILE *file = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_guarded});
    struct stat st = {0};

    if (!file)
        return -ENOMEM;
    if (fstat(STDOUT_FILENO, &st) == 0)
        guard.mode = st.st_mode;
    fflush(stdout);
    stdout = file; /* a variable in glibc; exit() flushes every file that there is */
    return 0;
}

void output_wait_at_most(int64_t ns)
{
    guard.wait_ns_max = ns;
}

/* ---- has it arrived? ---- */

static const char *reason_of(int error)
{
    if (error == ETIME)
        return "nobody took what was written; the rest is left out";
    return error ? strerror(error) : "could not be written";
}

bool output_flush(const char *who, bool is_last)
{
    int failed = ferror(stdout); /* of a write before this one, of which the guard knows why */

    errno = 0;
    if ((fflush(stdout) == 0 && !failed) || (is_last && output_reader_is_gone()))
        return true;
    log_error("%sstandard output: %s", who, reason_of(guard.error ? guard.error : errno));
    __fpurge(stdout);
    clearerr(stdout);
    if (guard.is_torn && !is_last)
        putchar('\n'); /* into the buffer: with what comes next */
    guard.error = 0;
    return false;
}
