/*
 * log.c - see log.h. With a thread of its own, what can go wrong:
 *
 *   nobody reads standard error    the thread waits in write(2), lines wait in the queue, nobody
 *                                  else waits
 *   the queue is full              lines are dropped and counted until it is half empty or nothing
 *                                  comes any more; then one line says how many
 *   nobody reads it to the end     the end of the process waits for END_NS, no longer
 *   it does not block (somebody    the thread waits until it can be written to, and goes on in the
 *   else has made it so)           middle of a line
 *   it is closed, or its reader    the line is nobody's to hear, as without the thread
 *   is gone
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log_queue.h"
#include "lib/clock.h"

#define LINE_BYTES  2048
#define LIVE_BYTES  32768
#define WIPE_BYTES  24
#define QUEUE_BYTES 262144 /* some 2000 lines */
#define END_NS      1000000000ll

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

/* Who writes: whoever has a line, a thread of its own, or nobody any more (it got stuck). */
static enum { DIRECTLY, BY_THREAD, NOT_ANY_MORE } way;
static struct log_queue queue;
static char queue_bytes[QUEUE_BYTES];
static pthread_t thread;
static pthread_cond_t something = PTHREAD_COND_INITIALIZER; /* to be written, or the end */
static pthread_cond_t nothing = PTHREAD_COND_INITIALIZER;   /* to be written any more */
static uint64_t written_count;                              /* of the queue's pieces */
static uint64_t live_place;            /* the last live line was pushed as this one */
static uint64_t stuck_at = UINT64_MAX; /* written_count when it was last waited for in vain */
static uint64_t dropped_count;         /* lines, since the last that got a place */
static bool is_ending;

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

/* ---- writing ---- */

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

/* However long it takes; in one write, too, unless standard error was made non-blocking. */
static bool write_patiently(const char *bytes, size_t count)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

    while (count > 0) {
        ssize_t n = write(STDERR_FILENO, bytes, count);

        if (n >= 0) {
            bytes += n;
            count -= (size_t)n;
        } else if (errno == EAGAIN) {
            poll(&out, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* A line may be there or not, never half of it. */
static bool put(const char *bytes, size_t count)
{
    if (way == DIRECTLY) {
        write_line(bytes, count);
        return true;
    }
    if (way == NOT_ANY_MORE || dropped_count > 0 || !log_queue_push(&queue, bytes, (uint32_t)count))
        return false;
    pthread_cond_signal(&something);
    return true;
}

static bool is_all_written(void)
{
    return written_count == queue.pushed_count && dropped_count == 0;
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

/* In place of those that were dropped. */
static void say_dropped(void)
{
    char line[LINE_BYTES], before[WIPE_BYTES];
    int n = snprintf(line, sizeof line,
                     "%s%s%llu line%s not written here: nobody took what was written to standard "
                     "error\n",
                     wipe(before), prefix_of(LOG_WARNING), (unsigned long long)dropped_count,
                     dropped_count == 1 ? " was" : "s were");

    if (!log_queue_push(&queue, line, (uint32_t)n))
        return;
    dropped_count = 0;
    live_rows = 0;
}

static void put_message(const char *prefix, const char *message)
{
    char line[LINE_BYTES], before[WIPE_BYTES];
    int n;

    /* Not at the first free place: one line of that kind is enough. */
    if (dropped_count > 0 && queue.used <= queue.size / 2)
        say_dropped();
    n = snprintf(line, sizeof line, "%s%s%s\n", wipe(before), prefix, message);
    if (put(line, (size_t)n))
        live_rows = 0;
    else
        dropped_count++;
}

void log_at(enum log_level level, const char *fmt, ...)
{
    char message[LINE_BYTES - 64];
    int saved_errno = errno;
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    clean(message);
    if (level == LOG_ERROR && kept)
        snprintf(kept, kept_bytes, "%s", message);

    pthread_mutex_lock(&lock);
    if (level <= level_max)
        put_message(prefix_of(level), message);
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

void log_plain(const char *text)
{
    char message[LINE_BYTES - 64];
    int saved_errno = errno;

    snprintf(message, sizeof message, "%s", text);
    clean(message);
    pthread_mutex_lock(&lock);
    put_message("", message);
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

/* ---- the live line ---- */

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
    if (put(out, used)) {
        live_rows = drawn;
        live_place = queue.pushed_count;
    }
}

/* While one waits to be written another is of no use: there will be a newer one. */
static bool is_live_waiting(void)
{
    return way != DIRECTLY && written_count < live_place;
}

void log_live(const char *line)
{
    int saved_errno = errno;
    char before[WIPE_BYTES];

    pthread_mutex_lock(&lock);
    if (line && log_live_is_shown() && !is_live_waiting()) {
        draw(line);
    } else if (!line && live_rows > 0) {
        wipe(before);
        if (put(before, strlen(before)))
            live_rows = 0;
    }
    pthread_mutex_unlock(&lock);
    errno = saved_errno;
}

/* ---- the thread ---- */

static void *write_queued(void *ctx)
{
    static char piece[LIVE_BYTES];
    const struct sched_param ordinary = {0};
    size_t bytes;
    bool ok;

    (void)ctx;
    pthread_setschedparam(pthread_self(), SCHED_OTHER, &ordinary); /* else it stays as it is */
    pthread_mutex_lock(&lock);
    for (;;) {
        bytes = log_queue_pop(&queue, piece);
        if (bytes > 0) {
            pthread_mutex_unlock(&lock);
            ok = write_patiently(piece, bytes);
            pthread_mutex_lock(&lock);
            has_failed = has_failed || !ok;
            written_count++;
        } else if (dropped_count > 0) {
            say_dropped();
        } else if (is_ending) {
            break;
        } else {
            pthread_cond_broadcast(&nothing);
            pthread_cond_wait(&something, &lock);
        }
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int log_start_thread(void)
{
    sigset_t all, before;
    int r;

    sigfillset(&all);
    pthread_mutex_lock(&lock);
    log_queue_init(&queue, queue_bytes, sizeof queue_bytes);
    written_count = live_place = dropped_count = 0;
    is_ending = false;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&thread, NULL, write_queued, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        way = BY_THREAD;
    pthread_mutex_unlock(&lock);
    return r;
}

/* With the lock. Once in vain is enough: without a line written meanwhile it does not wait. */
static void await_all_written(void)
{
    int64_t end_ns = dao_clock_mono_ns() + END_NS;
    struct timespec end = {.tv_sec = end_ns / 1000000000, .tv_nsec = end_ns % 1000000000};

    while (way == BY_THREAD && !is_all_written() && stuck_at != written_count) {
        if (pthread_cond_clockwait(&nothing, &lock, CLOCK_MONOTONIC, &end) == ETIMEDOUT &&
            !is_all_written())
            stuck_at = written_count;
    }
}

void log_flush(void)
{
    pthread_mutex_lock(&lock);
    await_all_written();
    pthread_mutex_unlock(&lock);
}

void log_stop_thread(void)
{
    bool has_thread, is_stuck;

    pthread_mutex_lock(&lock);
    await_all_written();
    has_thread = way == BY_THREAD;
    is_stuck = has_thread && !is_all_written();
    if (has_thread)
        way = is_stuck ? NOT_ANY_MORE : DIRECTLY;
    is_ending = true;
    pthread_cond_signal(&something);
    pthread_mutex_unlock(&lock);
    if (is_stuck)
        pthread_detach(thread); /* it ends with the process */
    else if (has_thread)
        pthread_join(thread, NULL);
}
