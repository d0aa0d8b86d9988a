/* output.c - see output.h. */
#include "base/output.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

bool output_reader_is_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP));
}

bool output_flush(const char *who, bool is_last)
{
    int failed = ferror(stdout); /* of a write before this one, whose errno is gone */

    errno = 0;
    if ((fflush(stdout) == 0 && !failed) || (is_last && output_reader_is_gone()))
        return true;
    log_error("%sstandard output: %s", who, errno ? strerror(errno) : "could not be written");
    __fpurge(stdout);
    clearerr(stdout);
    return false;
}
