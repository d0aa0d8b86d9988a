/* kept.c - see kept.h. */
#include "record/kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "recording/find.h"
#include "recording/mark.h"
#include "recording/retire.h"

bool kept_append(struct kept_list *list, const struct kept_file *file)
{
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        struct kept_file *grown = realloc(list->files, room * sizeof *grown);

        if (!grown) {
            log_warning("no memory to keep an eye on another file: it is not removed by itself");
            return false;
        }
        list->files = grown;
        list->room = room;
    }
    list->files[list->count++] = *file;
    return true;
}

void kept_remove(struct kept_list *list, struct kept_file *file)
{
    size_t behind = (size_t)(list->files + list->count - (file + 1));

    memmove(file, file + 1, behind * sizeof *file);
    list->count--;
}

void kept_free(struct kept_list *list)
{
    free(list->files);
    *list = (struct kept_list){0};
}

/* ---- what is there ---- */

bool kept_measure(struct kept_file *ret, int dir_fd, const char *name)
{
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    ret->bytes = (uint64_t)st.st_blocks * 512u;
    ret->end_ns = (int64_t)st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
    ret->is_left = mark_is_set(dir_fd, name);
    return true;
}

static void scan_stream(struct kept_list *list, int session_fd, const char *session,
                        int64_t latest_ns)
{
    int fd = openat(session_fd, list->stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        struct kept_file file = {.is_part = find_is_part(entry->d_name)};
        char name[NAME_MAX + 1];

        snprintf(name, sizeof name, "%s", entry->d_name);
        if (file.is_part)
            name[strlen(name) - strlen(".part")] = '\0';
        file.seq = tree_file_seq(name, list->stream);
        memcpy(file.session, session, sizeof file.session);
        if (file.seq == 0 || !kept_measure(&file, fd, entry->d_name))
            continue;
        if (file.end_ns > latest_ns)
            file.end_ns = latest_ns;
        kept_append(list, &file);
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
}

static int compare(const void *a, const void *b)
{
    const struct kept_file *x = a, *y = b;
    int order = strcmp(x->session, y->session);

    return order ? order : x->seq < y->seq ? -1 : x->seq > y->seq;
}

int kept_scan(struct kept_list *lists, unsigned count, int root_fd, int64_t latest_ns)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), session_fd;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        if (tree_session_start(entry->d_name) == 0)
            continue;
        session_fd =
            openat(root_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        for (unsigned i = 0; i < count && session_fd >= 0; i++)
            scan_stream(&lists[i], session_fd, entry->d_name, latest_ns);
        if (session_fd >= 0)
            close(session_fd);
    }
    closedir(dir);
    for (unsigned i = 0; i < count; i++)
        if (lists[i].count > 0)
            qsort(lists[i].files, lists[i].count, sizeof *lists[i].files, compare);
    return 0;
}

/* ---- what must not go ---- */

static bool is_locked(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;

    if (fd >= 0)
        close(fd);
    return locked;
}

/* Somebody writes it, or repairs it. */
static bool has_locked_part(const struct kept_list *list, size_t first, size_t end, int dir_fd)
{
    bool any = false;

    for (size_t i = first; i < end && !any; i++) {
        char name[TREE_FILE_BYTES];

        tree_file_name(name, list->stream, list->files[i].seq, 1);
        any = list->files[i].is_part && is_locked(dir_fd, name);
    }
    return any;
}

/* It takes room like the others, unless it is marked or its recorder lives; what became of it since
 * by repair is one of them. */
static void survey_part(struct kept_list *list, struct kept_file *file, int dir_fd, bool is_alive)
{
    char name[TREE_FILE_BYTES];

    tree_file_name(name, list->stream, file->seq, 1);
    if (!kept_measure(file, dir_fd, name)) {
        tree_file_name(name, list->stream, file->seq, 0);
        file->is_part = !kept_measure(file, dir_fd, name);
        file->is_left = file->is_part;
    }
    if (file->is_part && (is_alive || file->is_left))
        file->bytes = 0;
    file->is_left = file->is_left || file->is_part;
}

/* Files [first, end) are those of one session; `is_left`: all of them, `is_alive`: since that is
 * being recorded. */
static void survey_session(struct kept_list *list, size_t first, size_t end, int session_fd,
                           bool is_left, bool is_alive)
{
    int dir_fd = openat(session_fd, list->stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    is_alive = is_alive || has_locked_part(list, first, end, dir_fd);
    is_left = is_left || is_alive;
    for (size_t i = first; i < end; i++) {
        struct kept_file *file = &list->files[i];
        char name[TREE_FILE_BYTES];

        tree_file_name(name, list->stream, file->seq, 0);
        if (file->is_part)
            survey_part(list, file, dir_fd, is_alive);
        if (file->is_part)
            continue;
        file->is_left = is_left || file->is_odd || dir_fd < 0 || mark_is_set(dir_fd, name) ||
                        is_locked(dir_fd, name);
    }
    if (dir_fd >= 0)
        close(dir_fd);
}

const char *kept_survey(struct kept_list *list, int root_fd, const char *own, struct dao_text *text)
{
    const char *closed = "";

    for (size_t first = 0, end; first < list->count; first = end) {
        const char *session = list->files[first].session;
        int fd = openat(root_fd, session, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), r = 0;
        struct dao_text why = {""};

        for (end = first; end < list->count; end++)
            if (strcmp(list->files[end].session, session) != 0)
                break;
        if (strcmp(session, own) != 0)
            r = fd < 0 ? -errno : retire_check_session(fd, &why);
        survey_session(list, first, end, fd, r < 0, r == -EWOULDBLOCK);
        if (r < 0 && r != -EWOULDBLOCK && r != -ENOENT && closed[0] == '\0') {
            closed = session;
            *text = why;
        }
        if (fd >= 0)
            close(fd);
    }
    return closed;
}

/* ---- which, and how many ---- */

struct kept_file *kept_find(const struct kept_list *list, const char *session, uint64_t seq)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->files[i].seq == seq && !list->files[i].is_part &&
            strcmp(list->files[i].session, session) == 0)
            return &list->files[i];
    return NULL;
}

struct kept_file *kept_oldest(const struct kept_list *list)
{
    return kept_changed_before(list, INT64_MAX);
}

struct kept_file *kept_changed_before(const struct kept_list *list, int64_t ns)
{
    for (size_t i = 0; i < list->count; i++)
        if (!list->files[i].is_left && list->files[i].end_ns < ns)
            return &list->files[i];
    return NULL;
}

uint64_t kept_count(const struct kept_list *list)
{
    uint64_t count = 0;

    for (size_t i = 0; i < list->count; i++)
        count += !list->files[i].is_left;
    return count;
}

uint64_t kept_bytes(const struct kept_list *list)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < list->count; i++)
        bytes += list->files[i].is_left ? 0 : list->files[i].bytes;
    return bytes;
}

uint64_t kept_spare_bytes(const struct kept_list *list)
{
    for (size_t i = list->count; i-- > 0;)
        if (!list->files[i].is_left)
            return kept_bytes(list) - list->files[i].bytes;
    return 0;
}

uint64_t kept_part_bytes(const struct kept_list *list)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < list->count; i++)
        bytes += list->files[i].is_part ? list->files[i].bytes : 0;
    return bytes;
}
