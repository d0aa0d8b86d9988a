/* rebuild_files.c - which files a session has, and their streams' entries. See rebuild.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "recording/reading.h"
#include "repair/rebuild.h"

int rebuild_refuse(struct rebuild_job *job, int error, const char *fmt, ...)
{
    char *to = job->ret->text.s;
    int lead = snprintf(to, sizeof job->ret->text.s, "session.json: left as it is: ");
    va_list args;

    job->ret->verdict = REBUILD_REFUSED;
    va_start(args, fmt);
    vsnprintf(to + lead, sizeof job->ret->text.s - (size_t)lead, fmt, args);
    va_end(args);
    return error;
}

/* ---- what is there ---- */

static const struct ledger_stream *old_stream(const struct rebuild_job *job, const char *name)
{
    for (size_t i = 0; i < job->old.ledger.stream_count; i++)
        if (strcmp(job->old.ledger.streams[i].name, name) == 0)
            return &job->old.ledger.streams[i];
    return NULL;
}

/* Does the old ledger know this file as a finished one? */
static bool is_named(const struct ledger_stream *old, const char *file)
{
    for (size_t i = 0; old && i < old->file_count; i++)
        if (old->files[i].closed && strcmp(old->files[i].name, file) == 0)
            return true;
    return false;
}

/* A folder right below the session's whose name is that of a stream. */
static const char *stream_of(const struct rebuild_job *job, const struct find_folder *folder)
{
    size_t length = strlen(job->path);
    const char *name = folder->path + length + 1;

    if (strncmp(folder->path, job->path, length) != 0 || folder->path[length] != '/' ||
        folder->name_count == 0 || !tree_is_stream_name(name))
        return NULL;
    return name;
}

static int open_below(const struct rebuild_job *job, const char *stream, const char *name)
{
    int dir = openat(job->dir_fd, stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), fd;

    if (dir < 0)
        return -1;
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    close(dir);
    return fd;
}

static bool is_held(const struct rebuild_job *job, const char *stream, const char *name)
{
    int fd = open_below(job, stream, name);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;

    if (fd >= 0)
        close(fd);
    return held;
}

/* Call `look` for every file of every stream, until it returns true. */
static bool any_file(struct rebuild_job *job,
                     bool (*look)(struct rebuild_job *job, const char *stream, const char *name))
{
    for (size_t i = 0; i < job->tree.folder_count; i++) {
        const struct find_folder *folder = &job->tree.folders[i];
        const char *stream = stream_of(job, folder);

        for (size_t k = 0; stream && k < folder->name_count; k++)
            if (look(job, stream, folder->names[k]))
                return true;
    }
    return false;
}

static bool is_held_part(struct rebuild_job *job, const char *stream, const char *name)
{
    return find_is_part(name) && is_held(job, stream, name);
}

bool rebuild_take(struct rebuild_job *job, bool is_kept)
{
    if (flock(job->dir_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return false;
    if (!is_kept)
        flock(job->dir_fd, LOCK_UN);
    return true;
}

bool rebuild_is_held(struct rebuild_job *job)
{
    return any_file(job, is_held_part);
}

static bool note_part(struct rebuild_job *job, const char *stream, const char *name)
{
    if (find_is_part(name))
        snprintf(job->part, sizeof job->part, "%s/%.200s", stream, name);
    return find_is_part(name);
}

const char *rebuild_find_part(struct rebuild_job *job)
{
    return any_file(job, note_part) ? job->part : NULL;
}

bool rebuild_names_its_files(const struct rebuild_job *job)
{
    size_t named = 0, there = 0, both = 0;

    for (size_t i = 0; i < job->old.ledger.stream_count; i++)
        for (size_t k = 0; k < job->old.ledger.streams[i].file_count; k++)
            named += job->old.ledger.streams[i].files[k].closed;
    for (size_t i = 0; i < job->tree.folder_count; i++) {
        const char *name = stream_of(job, &job->tree.folders[i]);

        for (size_t k = 0; name && k < job->tree.folders[i].name_count; k++) {
            const char *file = job->tree.folders[i].names[k];

            there += !find_is_part(file);
            both += is_named(old_stream(job, name), file);
        }
    }
    return named == there && there == both;
}

bool rebuild_has_streams(const struct rebuild_job *job)
{
    for (size_t i = 0; i < job->tree.folder_count; i++)
        if (stream_of(job, &job->tree.folders[i]))
            return true;
    return false;
}

/* ---- which session ---- */

/* A recording of the stream whose folder it is in: its session, if it may be that of the ledger. */
static bool take_identity(struct rebuild_job *job, const char *stream, const char *name)
{
    struct reading *reading = calloc(1, sizeof *reading);
    int fd = open_below(job, stream, name);
    struct dao_text text;
    bool found = fd >= 0 && reading && reading_open(reading, fd, &text) == 0;

    if (found) {
        const char *old = job->old.ledger.uuid;

        found = strcmp(reading->cards.stream, stream) == 0 &&
                (!old || strcmp(old, reading->cards.uuid) == 0);
        if (found) {
            memcpy(job->uuid, reading->cards.uuid, sizeof job->uuid);
            memcpy(job->host, reading->cards.host, sizeof job->host);
            memcpy(job->version, reading->cards.version, sizeof job->version);
        }
        reading_close(reading);
    }
    free(reading);
    if (fd >= 0)
        close(fd);
    return found;
}

void rebuild_identify(struct rebuild_job *job)
{
    if (any_file(job, take_identity) || !job->old.ledger.uuid)
        return;
    /* No file is of the old ledger's session: it is another one's, if there are files at all. */
    {
        const char *uuid = job->old.ledger.uuid;

        job->old.ledger.uuid = NULL;
        if (any_file(job, take_identity))
            job->old.ledger = (struct ledger){0};
        else
            job->old.ledger.uuid = uuid;
    }
}

/* ---- streams ---- */

struct found_file {
    const char *name;
    int64_t seq;
};

static int compare_found(const void *a, const void *b)
{
    const struct found_file *x = a, *y = b;

    return x->seq < y->seq ? -1 : x->seq > y->seq ? 1 : strcmp(x->name, y->name);
}

/* Opened, and of this stream and session? -EXDEV: of another; -EMEDIUMTYPE: no recording. */
static int open_own(struct rebuild_job *job, const char *stream, const char *name,
                    struct reading *ret, int *ret_fd, struct dao_text *text)
{
    int fd = open_below(job, stream, name), r;

    if (fd < 0) {
        r = -errno;
        snprintf(text->s, sizeof text->s, "%s", strerror(-r));
        return r;
    }
    r = reading_open(ret, fd, text);
    if (r == 0 &&
        (strcmp(ret->cards.stream, stream) != 0 || strcmp(ret->cards.uuid, job->uuid) != 0)) {
        snprintf(text->s, sizeof text->s, "is of another stream or session");
        reading_close(ret);
        r = -EXDEV;
    }
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

/* Is it just being removed to keep within a limit? The ledger was told before, which takes the
 * lock that we have. `r`: of opening it. */
static bool is_going(const struct rebuild_job *job, const struct ledger_stream *old,
                     const char *stream, const char *name, int r)
{
    uint64_t seq = tree_file_seq(name, stream);

    return old && seq > 0 && seq <= old->removed.last_file && !is_named(old, name) &&
           (r == -ENOENT || (r == 0 && is_held(job, stream, name)));
}

/* Which files of a folder are to be booked, in their order. Others' files are left out, but not
 * where the old ledger names them; what cannot be read must not be left out without a word. */
static int sort_files(struct rebuild_job *job, const char *stream, const struct find_folder *folder,
                      struct reading *reading, struct found_file *ret, size_t *ret_count)
{
    const struct ledger_stream *old = old_stream(job, stream);

    *ret_count = 0;
    for (size_t i = 0; i < folder->name_count; i++) {
        const char *name = folder->names[i];
        struct dao_text text;
        int fd, r = open_own(job, stream, name, reading, &fd, &text);

        if ((r == -EXDEV || r == -EMEDIUMTYPE) && !is_named(old, name))
            continue;
        if (is_going(job, old, stream, name, r)) {
            if (r == 0) {
                reading_close(reading);
                close(fd);
            }
            continue;
        }
        if (r < 0)
            return rebuild_refuse(job, r,
                                  "%.100s cannot be counted (%.150s); see to that file, or move it "
                                  "away, then repair again",
                                  name, text.s);
        if (strcmp(reading->cards.status, "OPEN") == 0)
            r = rebuild_refuse(job, -EINVAL,
                               "%.100s is not finished; give it back its name with .part, and "
                               "repair it",
                               name);
        ret[(*ret_count)++] = (struct found_file){name, reading->cards.file_seq};
        reading_close(reading);
        close(fd);
        if (r < 0)
            return r;
    }
    if (*ret_count > 0)
        qsort(ret, *ret_count, sizeof *ret, compare_found);
    for (size_t i = 1; i < *ret_count; i++) /* a copy: its frames would be counted twice */
        if (ret[i].seq == ret[i - 1].seq)
            return rebuild_refuse(job, -EEXIST,
                                  "%.100s and %.100s are both file %lld of the stream; move one of "
                                  "them out of the folder, then repair again",
                                  ret[i - 1].name, ret[i].name, (long long)ret[i].seq);
    return 0;
}

static bool is_there(const struct find_folder *folder, const char *file)
{
    size_t length = strlen(file);

    for (size_t i = 0; folder && i < folder->name_count; i++)
        if (strncmp(folder->names[i], file, length) == 0 &&
            (folder->names[i][length] == '\0' || strcmp(folder->names[i] + length, ".part") == 0))
            return true;
    return false;
}

static void note_missing(struct rebuild_job *job, const char *stream, const char *first,
                         const char *last)
{
    struct dao_text *missing = &job->ret->missing, range;
    size_t at = strlen(missing->s);
    int length =
        snprintf(range.s, sizeof range.s, "%s%s/%.80s%s%.80s", at ? ", " : "", stream, first,
                 strcmp(first, last) == 0 ? "" : " to ", strcmp(first, last) == 0 ? "" : last);

    if (at + (size_t)length + sizeof ", ..." <= sizeof missing->s)
        strcpy(missing->s + at, range.s);
    else if (at > 4 && strcmp(missing->s + at - 3, "...") != 0)
        strcpy(missing->s + at, ", ...");
}

/* Before this file of the stream, by the numbers. */
static void note_hole(struct rebuild_job *job, const char *stream, int64_t before, int64_t seq)
{
    char first[TREE_FILE_BYTES], last[TREE_FILE_BYTES];

    if (seq <= before + 1)
        return;
    tree_file_name(first, stream, (uint64_t)before + 1, 0);
    tree_file_name(last, stream, (uint64_t)seq - 1, 0);
    note_missing(job, stream, first, last);
}

/* ret_next: the name of the file after it, as it says. */
static int add_file(struct rebuild_job *job, struct rebuild_stream *stream, const char *name,
                    struct reading *reading, const struct ledger_stream *old,
                    char ret_next[FITS_TEXT_BYTES])
{
    struct dao_text text;
    int fd, r;

    if (strlen(name) >= TREE_FILE_BYTES)
        return rebuild_refuse(job, -ENAMETOOLONG,
                              "the name %.60s... is too long for a ledger; give that file its own "
                              "name back, or move it away, then repair again",
                              name);
    r = open_own(job, stream->name, name, reading, &fd, &text);
    if (r < 0)
        return r;
    r = rebuild_stream_add(stream, name, reading, old);
    memcpy(ret_next, reading->cards.next, FITS_TEXT_BYTES);
    reading_close(reading);
    close(fd);
    return r;
}

static struct rebuild_stream *append_stream(struct rebuild_job *job, const char *name)
{
    struct rebuild_stream **grown = realloc(job->streams, (job->stream_count + 1) * sizeof *grown);
    struct rebuild_stream *stream = grown ? malloc(sizeof *stream) : NULL;

    job->streams = grown ? grown : job->streams;
    if (stream && rebuild_stream_begin(stream, name, old_stream(job, name)) < 0) {
        free(stream);
        stream = NULL;
    }
    if (stream)
        job->streams[job->stream_count++] = stream;
    return stream;
}

/* `folder`: NULL where a stream that the old ledger knows has no file. */
static int add_stream(struct rebuild_job *job, const char *name, const struct find_folder *folder)
{
    const struct ledger_stream *old = old_stream(job, name);
    size_t most = folder ? folder->name_count : 0, count = 0;
    struct found_file *files = calloc(most ? most : 1, sizeof *files);
    struct reading *reading = calloc(1, sizeof *reading);
    struct rebuild_stream *stream = NULL;
    char next[FITS_TEXT_BYTES] = "";
    int r = files && reading ? 0 : -ENOMEM;

    if (r == 0 && folder)
        r = sort_files(job, name, folder, reading, files, &count);
    if (r == 0 && (count > 0 || old)) {
        stream = append_stream(job, name);
        r = stream ? 0 : -ENOMEM;
        for (size_t i = 0; i < count && r == 0; i++) {
            if (!old) /* it knows which numbers were left out, and what became of the last ones */
                note_hole(job, name, i ? files[i - 1].seq : 0, files[i].seq);
            r = add_file(job, stream, files[i].name, reading, old, next);
        }
        if (!old && next[0] != '\0' && !is_there(folder, next))
            note_missing(job, name, next, next);
        if (r == 0)
            rebuild_stream_end(stream, old);
    }
    free(files);
    free(reading);
    return r;
}

static const struct find_folder *folder_of(const struct rebuild_job *job, const char *stream)
{
    for (size_t i = 0; i < job->tree.folder_count; i++) {
        const char *name = stream_of(job, &job->tree.folders[i]);

        if (name && strcmp(name, stream) == 0)
            return &job->tree.folders[i];
    }
    return NULL;
}

/* A finished file that the old ledger names and that is not here was taken away: nobody but that
 * ledger knows its frames, so a new one would be wrong. */
static int check_missing(struct rebuild_job *job)
{
    for (size_t i = 0; i < job->old.ledger.stream_count; i++) {
        const struct ledger_stream *old = &job->old.ledger.streams[i];
        const struct find_folder *folder = folder_of(job, old->name);

        if (old->removed.files > 0 && !old->removed.has_counts)
            return rebuild_refuse(job, -ENODATA,
                                  "files of %.60s were removed to keep within a limit, and nobody "
                                  "else knows what they had",
                                  old->name);
        for (size_t k = 0; k < old->file_count; k++)
            if (old->files[k].closed && !is_there(folder, old->files[k].name))
                return rebuild_refuse(job, -ENOENT,
                                      "it names %.100s, which is not here; put that file back, or "
                                      "rename session.json to have it rebuilt without it",
                                      old->files[k].name);
    }
    return 0;
}

int rebuild_add_streams(struct rebuild_job *job)
{
    int r = check_missing(job);

    for (size_t i = 0; i < job->old.ledger.stream_count && r == 0; i++)
        r = add_stream(job, job->old.ledger.streams[i].name,
                       folder_of(job, job->old.ledger.streams[i].name));
    for (size_t i = 0; i < job->tree.folder_count && r == 0; i++) {
        const char *name = stream_of(job, &job->tree.folders[i]);

        if (name && !old_stream(job, name))
            r = add_stream(job, name, &job->tree.folders[i]);
    }
    return r;
}
