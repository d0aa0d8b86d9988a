/*
 * session_folder.h - the folder of a session with one stream, wfs, in a folder of the test's own;
 * for tests that put files of takes.h there. Its NAME is defined by those who include it.
 */
#ifndef TESTS_SESSION_FOLDER_H
#define TESTS_SESSION_FOLDER_H

#include "tests/support/takes.h"

static struct take_folder folder;
static char session[300]; /* its path */
static int session_fd, stream_fd;

static inline void begin(void)
{
    take_folder_make(&folder);
    snprintf(session, sizeof session, "%s/" NAME, folder.path);
    ck_assert_int_eq(mkdirat(folder.fd, NAME, 0700), 0);
    session_fd = openat(folder.fd, NAME, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(mkdirat(session_fd, "wfs", 0700), 0);
    stream_fd = openat(session_fd, "wfs", O_RDONLY | O_DIRECTORY);
}

static inline void end(void)
{
    close(stream_fd);
    close(session_fd);
    take_folder_remove(&folder);
}

#endif
