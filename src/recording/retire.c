/* retire.c - see retire.h. */
#include "recording/retire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording/copies.h"
#include "recording/mark.h"
#include "recording/reading.h"

/* ---- may it go? ---- */

static int open_locked(struct retire *retire)
{
    struct stat opened, named;

    retire->fd = openat(retire->dir_fd, retire->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (retire->fd < 0)
        return errno == ELOOP || errno == EISDIR ? -EMEDIUMTYPE : -errno;
    if (fstat(retire->fd, &opened) != 0)
        return -errno;
    if (!S_ISREG(opened.st_mode))
        return -EMEDIUMTYPE;
    if (flock(retire->fd, LOCK_EX | LOCK_NB) != 0)
        return -errno;
    if (fstatat(retire->dir_fd, retire->name, &named, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    return named.st_ino == opened.st_ino && named.st_dev == opened.st_dev ? 0 : -EWOULDBLOCK;
}

/* A finished recording of this stream, under its own name? */
static int check_contents(struct retire *retire, const char *stream, struct dao_text *text)
{
    struct reading *reading = calloc(1, sizeof *reading);
    char own_name[TREE_FILE_BYTES];
    int r = reading ? reading_open(reading, retire->fd, text) : -ENOMEM;

    if (r == 0) {
        const struct reading_cards *cards = &reading->cards;

        tree_file_name(own_name, stream, (uint64_t)cards->file_seq, 0);
        if (strcmp(cards->stream, stream) != 0 || strcmp(cards->status, "OPEN") == 0 ||
            strcmp(own_name, retire->name) != 0) {
            snprintf(text->s, sizeof text->s, "it is no finished file of this stream");
            r = -EMEDIUMTYPE;
        }
        retire->file_seq = (uint64_t)cards->file_seq;
        retire->facts = (struct ledger_file){.frames = reading->rows,
                                             .lost = (uint64_t)cards->lost,
                                             .cnt0_begin = cards->cnt0_begin,
                                             .cnt0_end = cards->cnt0_end};
        retire->torn = (uint64_t)cards->torn;
        retire->cube_off = reading->cube_off;
        retire->cube_end = reading->cube_off + reading->planes * reading->frame_bytes;
        reading_close(reading);
    } else if (r == -EBADMSG) {
        r = -EMEDIUMTYPE;
    }
    free(reading);
    return r;
}

int retire_begin(struct retire *ret, int session_fd, const char *stream, const char *name,
                 struct dao_text *text)
{
    int r = 0;

    *ret = (struct retire){.fd = -1, .dir_fd = -1};
    text->s[0] = '\0';
    snprintf(ret->name, sizeof ret->name, "%s", name);
    ret->dir_fd = openat(session_fd, stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (ret->dir_fd < 0 || faccessat(ret->dir_fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        r = -errno;
    if (r == 0)
        r = open_locked(ret);
    if (r == 0 && mark_is_set(ret->dir_fd, name))
        r = -EPERM;
    if (r == 0)
        r = check_contents(ret, stream, text);
    if (r < 0) {
        if (text->s[0] == '\0')
            snprintf(text->s, sizeof text->s, "%s", strerror(-r));
        retire_end(ret);
    }
    return r;
}

/* ---- the ledger ---- */

/* Of a session that has ended, or was repaired? Else its recorder died. */
static bool is_over(const struct ledger *ledger)
{
    return ledger->end_ns != 0 || ledger->recovered;
}

static const struct ledger_stream *find_stream(const struct ledger *ledger, const char *name)
{
    for (size_t i = 0; i < ledger->stream_count; i++)
        if (strcmp(ledger->streams[i].name, name) == 0)
            return &ledger->streams[i];
    return NULL;
}

static const struct ledger_file *find_file(const struct ledger_stream *stream, uint64_t seq)
{
    for (size_t i = 0; i < stream->file_count; i++)
        if (tree_file_seq(stream->files[i].name, stream->name) == seq)
            return &stream->files[i];
    return NULL;
}

/* The stream's numbers up to the end of this file, as the ledger tells them. */
static bool find_counts(const struct ledger_stream *stream, uint64_t seq, struct ledger_counts *ret)
{
    const struct ledger_file *file = find_file(stream, seq);

    if (file && file->so_far.run_count > 0)
        *ret = file->so_far;
    else if (seq == stream->removed.last_file && stream->removed.has_counts)
        *ret = stream->removed.counts;
    else if (seq == 0 && stream->counts.run_count == 1 && stream->counts.shape_count == 1)
        *ret = (struct ledger_counts){.run_count = 1,
                                      .run = {stream->runs[0].first_cnt0,
                                              (int64_t)((uint64_t)stream->runs[0].first_cnt0 - 1)},
                                      .shape_count = 1};
    else
        return false;
    return true;
}

/* Finished after the ledger was written last: its numbers follow from those of the file before,
 * where nothing was lost in it and nothing else came between. */
static bool follow(const struct ledger_stream *stream, const struct retire *retire,
                   struct ledger_counts *ret)
{
    const struct ledger_counts *told = &stream->counts;
    const struct ledger_file *facts = &retire->facts;
    struct ledger_counts before;

    if (!find_counts(stream, retire->file_seq - 1, &before) || facts->lost > 0 ||
        before.run_count != told->run_count || before.shape_count != told->shape_count ||
        (uint64_t)before.run.last_cnt0 + 1 != (uint64_t)facts->cnt0_begin ||
        !ledger_go_on(ret, &before, facts))
        return false;
    ret->torn += retire->torn;
    return ret->recorded <= told->recorded || ledger_lost(ret) == ledger_lost(told);
}

/* Repair goes on from the numbers at the end of the last file that was removed, so they must be
 * known. 0 or -EUCLEAN. */
static int count_so_far(const struct ledger_stream *stream, const struct retire *retire,
                        struct ledger_counts *ret)
{
    const struct ledger_file *file = find_file(stream, retire->file_seq);
    bool is_known = file && file->closed;

    *ret = (struct ledger_counts){0};
    if (!file && retire->file_seq <= stream->removed.last_file)
        return 0; /* it was told */
    is_known = is_known ? find_counts(stream, retire->file_seq, ret) : follow(stream, retire, ret);
    return is_known ? 0 : -EUCLEAN;
}

static int write_note(const struct retire *retires, size_t count,
                      const struct ledger_document *document, int session_fd, const char *stream)
{
    const struct ledger_stream *entry = find_stream(&document->ledger, stream);
    struct ledger_retired files[RETIRE_MANY];
    struct ledger_counts so_far[RETIRE_MANY];
    char *json;
    int r = entry ? 0 : -EBADMSG;

    for (size_t i = 0; i < count && r == 0; i++) {
        files[i] = (struct ledger_retired){
            .name = retires[i].name, .seq = retires[i].file_seq, .frames = retires[i].facts.frames};
        if (is_over(&document->ledger))
            continue;
        r = count_so_far(entry, &retires[i], &so_far[i]);
        files[i].so_far = so_far[i].run_count > 0 ? &so_far[i] : NULL;
    }
    if (r < 0)
        return r;
    json = ledger_retire_files(document->text, stream, files, count, &r);
    if (r == -EALREADY)
        r = 0; /* who told it was killed before the file was gone */
    else if (r == 0)
        r = tree_replace_file(session_fd, "session.json", json, strlen(json));
    free(json);
    return r;
}

static int note(const struct retire *retires, size_t count, int session_fd, const char *stream,
                struct dao_text *text)
{
    struct ledger_document document;
    int r = ledger_document_read(&document, session_fd, text);

    if (r == 0) {
        r = write_note(retires, count, &document, session_fd, stream);
        if (r == -EUCLEAN)
            snprintf(text->s, sizeof text->s, "session.json does not know %s",
                     is_over(&document.ledger)
                         ? "it"
                         : "what came before it, since its recorder died: `daorec repair` first");
        else if (r < 0)
            snprintf(text->s, sizeof text->s, "session.json cannot be told of it: %s",
                     strerror(-r));
    }
    ledger_document_free(&document);
    return r;
}

int retire_check_session(int session_fd, struct dao_text *text)
{
    struct ledger_document document;
    int r;

    if (flock(session_fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(text->s, sizeof text->s, "its session is being recorded, or repaired");
        return -errno;
    }
    flock(session_fd, LOCK_UN); /* asked only: others look whether it lives, too */
    r = ledger_document_read(&document, session_fd, text);
    ledger_document_free(&document);
    return r;
}

int retire_note(const struct retire *retires, size_t count, int session_fd, const char *stream,
                struct dao_text *text)
{
    int r;

    if (flock(session_fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(text->s, sizeof text->s, "its session is being recorded, or repaired");
        return -errno;
    }
    r = note(retires, count, session_fd, stream, text);
    flock(session_fd, LOCK_UN);
    return r;
}

/* ---- the end ---- */

int retire_unlink(struct retire *retire)
{
    return unlinkat(retire->dir_fd, retire->name, 0) == 0 ? 0 : -errno;
}

void retire_end(struct retire *retire)
{
    if (retire->fd >= 0)
        close(retire->fd);
    if (retire->dir_fd >= 0)
        close(retire->dir_fd);
    retire->fd = retire->dir_fd = -1;
}

/* The ledger, what repair kept of earlier ones, and what was copied beside it. */
static bool is_ledger(const char *name)
{
    return strcmp(name, "session.json") == 0 ||
           strncmp(name, "session.json.before-repair", 26) == 0 || strcmp(name, COPIES_FOLDER) == 0;
}

/* Remove the ledgers in it, where it has nothing else. Takes dir. */
static bool remove_ledgers(DIR *dir)
{
    bool only = true;
    struct dirent *entry;

    while (only && (entry = readdir(dir)))
        only = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
               is_ledger(entry->d_name);
    if (only)
        copies_remove(dirfd(dir));
    rewinddir(dir);
    while (only && (entry = readdir(dir)))
        if (is_ledger(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return only;
}

void retire_folders(int root_fd, const char *session, const char *stream)
{
    int fd = openat(root_fd, session, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return;
    if (unlinkat(fd, stream, AT_REMOVEDIR) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;

        if (dir && remove_ledgers(dir))
            unlinkat(root_fd, session, AT_REMOVEDIR);
        else if (!dir && list_fd >= 0)
            close(list_fd);
    }
    close(fd);
}
