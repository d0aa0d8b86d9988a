/* log.c - see log.h. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define WIPE       "\r\033[K" /* to the first column, then erase to the end of the line */

static const char *const level_prefix[] = {
    [LOG_ERROR] = "daorec: ",
    [LOG_WARNING] = "daorec: warning: ",
    [LOG_INFO] = "daorec: ",
    [LOG_DEBUG] = "daorec: debug: ",
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_level level_max = LOG_INFO;
static bool live_shown; /* a live line stands on the terminal, the cursor behind it */

void log_set_level(enum log_level level)
{
    pthread_mutex_lock(&lock);
    level_max = level;
    pthread_mutex_unlock(&lock);
}

/* A message must not be torn by another process's output: one write. What cannot be written
 * (standard error closed or full) is nobody's to hear. */
static void write_line(const char *bytes, size_t count)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, bytes, count);
    while (n < 0 && errno == EINTR);
}

/* Names of files end up in messages; they may hold anything. */
static void clean(char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

void log_at(enum log_level level, const char *fmt, ...)
{
    char message[LINE_BYTES - 64], line[LINE_BYTES];
    int saved_errno = errno, n;
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    clean(message);

    pthread_mutex_lock(&lock);
    if (level <= level_max) {
        n = snprintf(line, sizeof(line), "%s%s%s\n", live_shown ? WIPE : "", level_prefix[level],
                     message);
        live_shown = false;
        write_line(line, (size_t)n);
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

static bool on_terminal(void)
{
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

/* Bytes of `text` that fill at most `columns` columns, never ending within a UTF-8 character. */
static size_t cut_to_columns(const char *text, size_t columns)
{
    size_t bytes = 0;

    while (text[bytes]) {
        if (((unsigned char)text[bytes] & 0xc0) != 0x80 && columns-- == 0)
            break;
        bytes++;
    }
    return bytes;
}

void log_live(const char *line)
{
    char out[LINE_BYTES];
    struct winsize size;
    size_t columns = 80;
    int saved_errno = errno, n;

    pthread_mutex_lock(&lock);
    if (line && on_terminal()) {
        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
            columns = size.ws_col;
        /* The last column stays free: a cursor behind it would have wrapped already. */
        n = snprintf(out, sizeof(out), WIPE "%.*s", (int)cut_to_columns(line, columns - 1), line);
        write_line(out, (size_t)n < sizeof(out) ? (size_t)n : sizeof(out) - 1);
        live_shown = true;
    } else if (!line && live_shown) {
        write_line(WIPE, sizeof(WIPE) - 1);
        live_shown = false;
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}
