/*
 * log.c - the library's messages and their level. Any thread may call.
 */
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/dao.h"

#define LINE_BYTES 1024

int daoLogLevel = 0;

void daoSetLogLevel(int logLevel)
{
    __atomic_store_n(&daoLogLevel, logLevel, __ATOMIC_RELAXED);
}

int daoGetLogLevel(void)
{
    return __atomic_load_n(&daoLogLevel, __ATOMIC_RELAXED);
}

void dao_log(int level, const char *function, const char *format, ...)
{
    static const char *const labels[] = {"error", "warning", "info", "debug", "trace"};
    char line[LINE_BYTES];
    int saved = errno;
    size_t length;
    va_list args;

    if (level > daoGetLogLevel() && level != DAO_LOG_ALWAYS)
        return;
    snprintf(line, sizeof line, "[%s] %s: ", labels[level + 1], function);
    length = 0;
    while (line[length])
        length++;
    va_start(args, format);
    vsnprintf(line + length, sizeof line - length - 1, format, args);
    va_end(args);
    while (line[length])
        length++;
    line[length++] = '\n';
    /* A message that cannot be written cannot be reported either. */
    if (write(STDERR_FILENO, line, length) < 0)
        errno = saved;
    errno = saved;
}
