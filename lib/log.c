/*
 * log.c - messages: the library's own, the macros of dao.h and the daoLog functions.
 *
 * A line is composed in a buffer of its own and leaves in one write(2), so that lines of threads
 * and processes do not mix; what is longer is cut. Any thread may call.
 */
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/dao.h"

#define LINE_BYTES 2048

int daoLogLevel = 0;
static int function_level = DEFAULT_LOG_LEVEL; /* of daoLog() and its like */

void daoSetLogLevel(int logLevel)
{
    __atomic_store_n(&daoLogLevel, logLevel, __ATOMIC_RELAXED);
}

int daoGetLogLevel(void)
{
    return __atomic_load_n(&daoLogLevel, __ATOMIC_RELAXED);
}

void daoLogSetLevel(int level)
{
    __atomic_store_n(&function_level, level, __ATOMIC_RELAXED);
}

/* ---- lines ---- */

struct line {
    char text[LINE_BYTES];
    size_t length; /* without the NUL; room for a newline is kept */
};

static void __attribute__((format(printf, 2, 0)))
add_text(struct line *line, const char *format, va_list args)
{
    size_t room = sizeof line->text - 1 - line->length;
    int count = vsnprintf(line->text + line->length, room, format, args);

    if (count > 0)
        line->length += (size_t)count < room ? (size_t)count : room - 1;
}

static void __attribute__((format(printf, 2, 3))) add(struct line *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_text(line, format, args);
    va_end(args);
}

/* Labels of the levels from DAO_LOG_ALWAYS, which is LOG_LEVEL_ERROR - 1, on. */
static void begin_line(struct line *line, int macro_level)
{
    static const char *const labels[] = {"error", "warning", "info", "debug", "trace"};

    line->length = 0;
    add(line, "[%s] ", labels[macro_level + 1]);
}

static bool is_macro_level(int level)
{
    return level >= DAO_LOG_ALWAYS && level <= DAO_TRACE;
}

static int_fast8_t send_line(struct line *line)
{
    ssize_t count;

    if (line->length == 0 || line->text[line->length - 1] != '\n')
        line->text[line->length++] = '\n';
    do
        count = write(STDERR_FILENO, line->text, line->length);
    while (count < 0 && errno == EINTR);
    return count == (ssize_t)line->length ? DAO_SUCCESS : DAO_ERROR;
}

/* ---- the library and the macros ---- */

void dao_log(int level, const char *function, const char *format, ...)
{
    int saved = errno;
    struct line line;
    va_list args;

    if (level > daoGetLogLevel() && level != DAO_LOG_ALWAYS)
        return;
    begin_line(&line, level);
    add(&line, "%s: ", function);
    va_start(args, format);
    add_text(&line, format, args);
    va_end(args);
    send_line(&line); /* a message that cannot be written cannot be reported either */
    errno = saved;
}

int_fast8_t daoLogAt(int level, const char *function, int line_number, const char *fmt, ...)
{
    int_fast8_t status = DAO_SUCCESS;
    int saved = errno;
    struct line line;
    va_list args;

    if (!fmt || !is_macro_level(level))
        return DAO_ERROR;
    if (level <= daoGetLogLevel() || level == DAO_LOG_ALWAYS) {
        begin_line(&line, level);
        add(&line, "%s:%d: ", function ? function : "?", line_number);
        va_start(args, fmt);
        add_text(&line, fmt, args);
        va_end(args);
        status = send_line(&line);
    }
    errno = saved;
    return status;
}

/* Through stdio: a program's other output to stdout keeps its order. */
int_fast8_t daoPrintAt(const char *function, int line_number, const char *fmt, ...)
{
    int count, saved = errno;
    va_list args;

    if (!fmt)
        return DAO_ERROR;
    flockfile(stdout);
    count = fprintf(stdout, "%s:%d: ", function ? function : "?", line_number);
    va_start(args, fmt);
    if (count >= 0)
        count = vfprintf(stdout, fmt, args);
    va_end(args);
    funlockfile(stdout);
    errno = saved;
    return count >= 0 ? DAO_SUCCESS : DAO_ERROR;
}

/* ---- the daoLog functions ---- */

static int_fast8_t __attribute__((format(printf, 2, 0)))
log_by_function_level(int level, const char *fmt, va_list args)
{
    int_fast8_t status = DAO_SUCCESS;
    int saved = errno;
    struct line line;

    if (!fmt || level < LOG_LEVEL_ERROR || level > LOG_LEVEL_TRACE)
        return DAO_ERROR;
    if (level <= __atomic_load_n(&function_level, __ATOMIC_RELAXED)) {
        begin_line(&line, level - 1);
        add_text(&line, fmt, args);
        status = send_line(&line);
    }
    errno = saved;
    return status;
}

int_fast8_t daoLog(int level, const char *fmt, ...)
{
    int_fast8_t status;
    va_list args;

    va_start(args, fmt);
    status = log_by_function_level(level, fmt, args);
    va_end(args);
    return status;
}

/* One function a level, all alike. */
#define DEFINE_LOG_FUNCTION(name, level)                                                           \
    int_fast8_t name(const char *fmt, ...)                                                         \
    {                                                                                              \
        int_fast8_t status;                                                                        \
        va_list args;                                                                              \
                                                                                                   \
        va_start(args, fmt);                                                                       \
        status = log_by_function_level(level, fmt, args);                                          \
        va_end(args);                                                                              \
        return status;                                                                             \
    }

DEFINE_LOG_FUNCTION(daoLogError, LOG_LEVEL_ERROR)
DEFINE_LOG_FUNCTION(daoLogWarning, LOG_LEVEL_WARNING)
DEFINE_LOG_FUNCTION(daoLogInfo, LOG_LEVEL_INFO)
DEFINE_LOG_FUNCTION(daoLogDebug, LOG_LEVEL_DEBUG)
DEFINE_LOG_FUNCTION(daoLogTrace, LOG_LEVEL_TRACE)

int_fast8_t daoLogPrint(const char *fmt, ...)
{
    int count, saved = errno;
    va_list args;

    if (!fmt)
        return DAO_ERROR;
    va_start(args, fmt);
    count = vfprintf(stdout, fmt, args);
    va_end(args);
    errno = saved;
    return count >= 0 ? DAO_SUCCESS : DAO_ERROR;
}
