/* plan.c - what repair would do with a file, for those who only tell it. See repair.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "recording/find.h"
#include "recording/reading.h"
#include "repair/repair.h"

int repair_plan(struct repair_file *ret, const char *path)
{
    char folder[4096];
    int dir_fd, r;

    find_folder_of(path, folder, sizeof folder);
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        *ret = (struct repair_file){.verdict = REPAIR_REFUSED};
        r = -errno;
        snprintf(ret->text.s, sizeof ret->text.s, "%s", strerror(-r));
        return r;
    }
    r = repair_file(ret, dir_fd, find_base_of(path), false, &sink_backend_system, NULL);
    close(dir_fd);
    return r;
}

void repair_describe(const struct repair_file *plan, char *ret, size_t ret_bytes)
{
    char cards[240] = "";

    if (plan->restored > 0)
        snprintf(cards, sizeof cards, ", and restores what is damaged in its headers (%s)",
                 plan->cards);
    switch (plan->verdict) {
    case REPAIR_CLOSE:
        snprintf(ret, ret_bytes,
                 "unfinished, and no recorder holds it; daorec repair finishes it with %llu "
                 "frame%s%s",
                 (unsigned long long)plan->frames, units_plural(plan->frames), cards);
        break;
    case REPAIR_RENAME:
        snprintf(ret, ret_bytes, "complete but for its name; daorec repair gives it that%s", cards);
        break;
    case REPAIR_UNNAME:
        snprintf(ret, ret_bytes, "a second name of %s; daorec repair drops it", plan->final_name);
        break;
    case REPAIR_OWNED:
        snprintf(ret, ret_bytes, "unfinished; %s", plan->text.s);
        break;
    default:
        snprintf(ret, ret_bytes, "daorec repair does not finish it: %s", plan->text.s);
        break;
    }
}

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
