/* finished.c - see finished.h. */
#include "repair/finished.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording/reading.h"
#include "recording/tree.h"

int repair_look_at_finished(int dir_fd, const char *name, struct dao_text *text)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct reading *reading = calloc(1, sizeof *reading);
    int r = fd < 0 ? -errno : reading ? 0 : -ENOMEM;
    char part[TREE_FILE_BYTES];
    struct stat st;

    if (r == 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
        r = -ENOTSUP;
    snprintf(text->s, sizeof text->s, "%s", r == -ENOTSUP ? "is not a regular file" : strerror(-r));
    if (r == 0)
        r = reading_open(reading, fd, text);
    if (r == -EBADMSG && strlen(text->s) < 200)
        strcat(text->s, "; repair finishes unfinished files, daorec verify says more of this one");
    if (r == 0 && (strcmp(reading->cards.status, "OPEN") == 0 || reading->unit_count != 3 ||
                   reading->rows != reading->planes)) {
        tree_file_name(part, reading->cards.stream, (uint64_t)reading->cards.file_seq, 1);
        snprintf(text->s, sizeof text->s,
                 "is not finished, whatever its name says; rename it to %s, then repair it", part);
        r = -EINPROGRESS;
    }
    if (reading)
        reading_close(reading);
    free(reading);
    if (fd >= 0)
        close(fd);
    return r;
}
