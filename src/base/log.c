/* log.c - see log.h. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define LIVE_BYTES 32768
#define WIPE_BYTES 24

/* Priorities of syslog, as the journal takes them. */
static const char *const journal_prefix[] = {
    [LOG_ERROR] = "<3>",
    [LOG_WARNING] = "<4>",
    [LOG_INFO] = "<6>",
    [LOG_DEBUG] = "<7>",
};
static const char *const level_prefix[] = {
    [LOG_ERROR] = "daorec: ",
    [LOG_WARNING] = "daorec: warning: ",
    [LOG_INFO] = "daorec: ",
    [LOG_DEBUG] = "daorec: debug: ",
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_level level_max = LOG_INFO;
static bool has_failed;    /* something could not be written */
static unsigned live_rows; /* so many live lines stand on the terminal, the cursor behind them */

static __thread char *kept;
static __thread size_t kept_bytes;

void log_keep_errors(char *text, size_t bytes)
{
    kept = text;
    kept_bytes = bytes;
    if (text)
        text[0] = '\0';
}

void log_set_level(enum log_level level)
{
    pthread_mutex_lock(&lock);
    level_max = level;
    pthread_mutex_unlock(&lock);
}

/* $JOURNAL_STREAM names the device and inode of the journal's stream; standard error may have been
 * sent elsewhere since. */
static bool is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat stat;

    return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &stat) == 0 && stat.st_dev == device && stat.st_ino == inode;
}

static const char *prefix_of(enum log_level level)
{
    static enum { UNKNOWN, JOURNAL, OTHER } kind;

    if (kind == UNKNOWN)
        kind = is_journal() ? JOURNAL : OTHER;
    return kind == JOURNAL ? journal_prefix[level] : level_prefix[level];
}

/* A message must not be torn by another process's output: one write. What cannot be written
 * (standard error closed or full) is nobody's to hear. */
static void write_line(const char *bytes, size_t count)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, bytes, count);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) /* a terminal that somebody made non-blocking is there still */
        has_failed = true;
}

bool log_has_failed(void)
{
    bool failed;

    pthread_mutex_lock(&lock);
    failed = has_failed;
    pthread_mutex_unlock(&lock);
    return failed;
}

/* To the first column of the first live line, and erase what is below; "" where there is none. */
static const char *wipe(char buf[WIPE_BYTES])
{
    buf[0] = '\0';
    if (live_rows > 1)
        snprintf(buf, WIPE_BYTES, "\r\033[%uA\033[J", live_rows - 1);
    else if (live_rows == 1)
        snprintf(buf, WIPE_BYTES, "\r\033[K");
    return buf;
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
    char message[LINE_BYTES - 64], line[LINE_BYTES], before[WIPE_BYTES];
    int saved_errno = errno, n;
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    clean(message);
    if (level == LOG_ERROR && kept)
        snprintf(kept, kept_bytes, "%s", message);

    pthread_mutex_lock(&lock);
    if (level <= level_max) {
        n = snprintf(line, sizeof(line), "%s%s%s\n", wipe(before), prefix_of(level), message);
        live_rows = 0;
        write_line(line, (size_t)n);
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

bool log_live_is_shown(void)
{
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

void log_live_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size;
    bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;

    *ret_rows = is_known && size.ws_row > 1 ? size.ws_row : 24;
    *ret_columns = is_known && size.ws_col > 1 ? size.ws_col : 80;
}

/* Bytes of `text` that fill at most `columns` columns of its first line, never ending within a
 * UTF-8 character. */
static size_t cut_to_columns(const char *text, size_t columns)
{
    size_t bytes = 0;

    while (text[bytes] && text[bytes] != '\n') {
        if (((unsigned char)text[bytes] & 0xc0) != 0x80 && columns-- == 0)
            break;
        bytes++;
    }
    return bytes;
}

/* Over the live lines that stand there: each is erased behind its new end, and so is the rest. The
 * last column stays free: a cursor behind it would have wrapped already. */
static void draw(const char *text)
{
    static char out[LIVE_BYTES];
    unsigned rows, columns, drawn = 0;
    size_t used = 1;

    log_live_size(&rows, &columns);
    out[0] = '\r';
    if (live_rows > 1)
        used += (size_t)snprintf(out + 1, sizeof(out) - 1, "\033[%uA", live_rows - 1);
    while (used + 4 * columns + 16 < sizeof(out)) { /* else it is cut, with whole lines */
        size_t bytes = cut_to_columns(text, columns - 1);

        if (drawn > 0)
            out[used++] = '\n';
        memcpy(out + used, text, bytes);
        used += bytes;
        memcpy(out + used, "\033[K", 3);
        used += 3;
        drawn++;
        text = strchr(text + bytes, '\n');
        if (!text || drawn == rows)
            break;
        text++;
    }
    if (drawn < live_rows) {
        memcpy(out + used, "\033[J", 3);
        used += 3;
    }
    write_line(out, used);
    live_rows = drawn;
}

void log_live(const char *line)
{
    int saved_errno = errno;
    char before[WIPE_BYTES];

    pthread_mutex_lock(&lock);
    if (line && log_live_is_shown()) {
        draw(line);
    } else if (!line && live_rows > 0) {
        wipe(before);
        write_line(before, strlen(before));
        live_rows = 0;
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}
