/* rebuild.c - see rebuild.h. A stream's numbers are in rebuild_stream.c. */
#include "recording/rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "recording/find.h"
#include "recording/reading.h"

#define KEPT_MAX 1000 /* old ledgers of one session */

/* One session under repair. */
struct job {
    struct rebuild *ret;
    const char *path;
    int dir_fd;
    struct find_tree tree;
    struct ledger_document old; /* empty where there is none that is any good */
    bool has_old_file;
    struct rebuild_stream **streams;
    size_t stream_count;
    char uuid[FITS_TEXT_BYTES], host[FITS_TEXT_BYTES], version[FITS_TEXT_BYTES];
    char name[256]; /* of the session's folder */
};

static int refuse(struct job *job, int error, const char *what)
{
    job->ret->verdict = REBUILD_REFUSED;
    snprintf(job->ret->text.s, sizeof job->ret->text.s, "%s: %s", what, strerror(-error));
    return error;
}

/* ---- what is there ---- */

static const struct ledger_stream *old_stream(const struct job *job, const char *name)
{
    for (size_t i = 0; i < job->old.ledger.stream_count; i++)
        if (strcmp(job->old.ledger.streams[i].name, name) == 0)
            return &job->old.ledger.streams[i];
    return NULL;
}

/* A folder right below the session's whose name is that of a stream. */
static const char *stream_of(const struct job *job, const struct find_folder *folder)
{
    size_t length = strlen(job->path);
    const char *name = folder->path + length + 1;

    if (strncmp(folder->path, job->path, length) != 0 || folder->path[length] != '/' ||
        folder->name_count == 0 || strlen(name) > FITS_STREAM_NAME_MAX ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") !=
            strlen(name))
        return NULL;
    return name;
}

static int open_below(const struct job *job, const char *stream, const char *name)
{
    int dir = openat(job->dir_fd, stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), fd;

    if (dir < 0)
        return -1;
    fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    close(dir);
    return fd;
}

static bool is_held(const struct job *job, const char *stream, const char *name)
{
    int fd = open_below(job, stream, name);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;

    if (fd >= 0)
        close(fd);
    return held;
}

static bool is_alive(const struct job *job)
{
    if (tree_session_is_alive(job->dir_fd))
        return true;
    for (size_t i = 0; i < job->tree.folder_count; i++) {
        const char *stream = stream_of(job, &job->tree.folders[i]);

        for (size_t k = 0; stream && k < job->tree.folders[i].name_count; k++)
            if (find_is_part(job->tree.folders[i].names[k]) &&
                is_held(job, stream, job->tree.folders[i].names[k]))
                return true;
    }
    return false;
}

/* Does the old ledger name the finished files that are there, and no others? */
static bool names_its_files(const struct job *job)
{
    size_t named = 0, there = 0, both = 0;

    for (size_t i = 0; i < job->old.ledger.stream_count; i++)
        for (size_t k = 0; k < job->old.ledger.streams[i].file_count; k++)
            named += job->old.ledger.streams[i].files[k].closed;
    for (size_t i = 0; i < job->tree.folder_count; i++) {
        const char *name = stream_of(job, &job->tree.folders[i]);
        const struct ledger_stream *stream = name ? old_stream(job, name) : NULL;

        for (size_t k = 0; name && k < job->tree.folders[i].name_count; k++) {
            const char *file = job->tree.folders[i].names[k];

            if (find_is_part(file))
                continue;
            there++;
            for (size_t n = 0; stream && n < stream->file_count; n++)
                both += stream->files[n].closed && strcmp(stream->files[n].name, file) == 0;
        }
    }
    return named == there && there == both;
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

static bool has_streams(const struct job *job)
{
    for (size_t i = 0; i < job->tree.folder_count; i++)
        if (stream_of(job, &job->tree.folders[i]))
            return true;
    return false;
}

static bool needs_it(const struct job *job, bool anyway)
{
    const struct ledger *old = &job->old.ledger;

    if (!old->session) /* none, or none that can be read */
        return job->has_old_file || has_streams(job);
    if (anyway || (old->end_ns == 0 && !old->recovered))
        return true;
    return old->recovered && !names_its_files(job);
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

/* Opened, and of this stream and session? */
static int open_own(struct job *job, const char *stream, const char *name, struct reading *ret,
                    int *ret_fd)
{
    struct dao_text text;
    int fd = open_below(job, stream, name), r;

    if (fd < 0)
        return -errno;
    r = reading_open(ret, fd, &text);
    if (r == 0 &&
        (strcmp(ret->cards.stream, stream) != 0 || strcmp(ret->cards.uuid, job->uuid) != 0)) {
        reading_close(ret);
        r = -EXDEV;
    }
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

/* Which session is it? The first recording says so; an old ledger of another one is of no use. */
static int identify(struct job *job)
{
    struct reading *reading = calloc(1, sizeof *reading);
    struct dao_text text;
    bool found = false;

    if (!reading)
        return -ENOMEM;
    for (size_t i = 0; i < job->tree.folder_count && !found; i++) {
        const char *stream = stream_of(job, &job->tree.folders[i]);

        for (size_t k = 0; stream && k < job->tree.folders[i].name_count && !found; k++) {
            int fd = open_below(job, stream, job->tree.folders[i].names[k]);

            found = fd >= 0 && reading_open(reading, fd, &text) == 0;
            if (found) {
                memcpy(job->uuid, reading->cards.uuid, sizeof job->uuid);
                memcpy(job->host, reading->cards.host, sizeof job->host);
                memcpy(job->version, reading->cards.version, sizeof job->version);
                reading_close(reading);
            }
            if (fd >= 0)
                close(fd);
        }
    }
    free(reading);
    if (found && job->old.ledger.uuid && strcmp(job->old.ledger.uuid, job->uuid) != 0)
        job->old.ledger = (struct ledger){0};
    return 0;
}

/* Which files of a folder are to be booked, in their order. */
static size_t sort_files(struct job *job, const char *stream, const struct find_folder *folder,
                         struct reading *reading, struct found_file *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < folder->name_count; i++) {
        int fd;

        if (open_own(job, stream, folder->names[i], reading, &fd) < 0)
            continue;
        ret[count++] = (struct found_file){folder->names[i], reading->cards.file_seq};
        reading_close(reading);
        close(fd);
    }
    if (count > 0)
        qsort(ret, count, sizeof *ret, compare_found);
    return count;
}

static int add_file(struct job *job, struct rebuild_stream *stream, const char *name,
                    struct reading *reading, const struct ledger_stream *old)
{
    char final_name[TREE_FILE_BYTES];
    int fd, r = 0;

    if (strlen(name) >= sizeof final_name)
        return 0;
    r = open_own(job, stream->name, name, reading, &fd);
    if (r < 0)
        return r;
    if (!find_is_part(name) && strcmp(reading->cards.status, "OPEN") == 0) {
        snprintf(job->ret->text.s, sizeof job->ret->text.s,
                 "session.json: left as it is: %.120s is not finished; give it back its name with "
                 ".part, and repair it",
                 name);
        r = -EINVAL;
    } else if (find_is_part(name)) { /* could not be repaired */
        snprintf(final_name, sizeof final_name, "%.*s", (int)strlen(name) - 5, name);
        r = rebuild_stream_name(stream, final_name, reading, old);
    } else {
        r = rebuild_stream_add(stream, name, reading, old);
    }
    reading_close(reading);
    close(fd);
    return r;
}

static struct rebuild_stream *append_stream(struct job *job, const char *name)
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
static int add_stream(struct job *job, const char *name, const struct find_folder *folder)
{
    const struct ledger_stream *old = old_stream(job, name);
    size_t most = folder ? folder->name_count : 0, count = 0;
    struct found_file *files = calloc(most ? most : 1, sizeof *files);
    struct reading *reading = calloc(1, sizeof *reading);
    struct rebuild_stream *stream = NULL;
    int r = files && reading ? 0 : -ENOMEM;

    if (r == 0 && folder)
        count = sort_files(job, name, folder, reading, files);
    if (r == 0 && (count > 0 || old)) {
        stream = append_stream(job, name);
        r = stream ? 0 : -ENOMEM;
        for (size_t i = 0; i < count && r == 0; i++)
            r = add_file(job, stream, files[i].name, reading, old);
        if (r == 0)
            rebuild_stream_end(stream, old);
    }
    free(files);
    free(reading);
    return r;
}

static const struct find_folder *folder_of(const struct job *job, const char *stream)
{
    for (size_t i = 0; i < job->tree.folder_count; i++) {
        const char *name = stream_of(job, &job->tree.folders[i]);

        if (name && strcmp(name, stream) == 0)
            return &job->tree.folders[i];
    }
    return NULL;
}

/*
 * A finished file that the old ledger names and that is not here was taken away: nobody but that
 * ledger knows its frames, so a new one would be wrong.
 */
static int check_missing(struct job *job)
{
    for (size_t i = 0; i < job->old.ledger.stream_count; i++) {
        const struct ledger_stream *old = &job->old.ledger.streams[i];
        const struct find_folder *folder = folder_of(job, old->name);

        for (size_t k = 0; k < old->file_count; k++) {
            if (!old->files[k].closed || is_there(folder, old->files[k].name))
                continue;
            job->ret->verdict = REBUILD_REFUSED;
            snprintf(job->ret->text.s, sizeof job->ret->text.s,
                     "session.json: left as it is: it names %.120s, which is not here; put that "
                     "file back, or rename session.json to have it rebuilt without it",
                     old->files[k].name);
            return -ENOENT;
        }
    }
    return 0;
}

/* Those of the old ledger in its order, then the others. */
static int add_streams(struct job *job)
{
    int r = 0;

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

/* ---- the new one ---- */

static char *compose(struct job *job)
{
    const struct ledger *old = &job->old.ledger;
    struct ledger ledger = {
        .session = old->session ? old->session : job->name,
        .uuid = old->session ? old->uuid : job->uuid,
        .host = old->session ? old->host : job->host,
        .version = old->session ? old->version : job->version,
        .root = "",
        .start_ns = old->session ? old->start_ns : tree_session_start(job->name),
        .end_ns = old->end_ns,
        .recovered = true,
        .streams = calloc(job->stream_count ? job->stream_count : 1, sizeof *ledger.streams),
        .stream_count = job->stream_count,
    };
    char *text = NULL;

    for (size_t i = 0; ledger.streams && i < job->stream_count; i++) {
        const struct ledger_counts *counts = &job->streams[i]->stream.counts;

        ledger.streams[i] = job->streams[i]->stream;
        job->ret->files += job->streams[i]->stream.file_count;
        job->ret->expected += ledger_expected(counts);
        job->ret->recorded += counts->recorded;
        job->ret->lost += ledger_lost(counts);
    }
    job->ret->streams = job->stream_count;
    if (ledger.streams)
        text = ledger_to_json(&ledger, false);
    free(ledger.streams);
    return text;
}

/* Give the old ledger another name beside its own; then a rename may replace it. */
static int keep_old(struct job *job)
{
    char *name = job->ret->kept_as;

    for (int i = 1; i <= KEPT_MAX; i++) {
        snprintf(name, sizeof job->ret->kept_as,
                 i == 1 ? "session.json.before-repair" : "session.json.before-repair.%d", i);
        if (linkat(job->dir_fd, "session.json", job->dir_fd, name, 0) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    name[0] = '\0';
    return -errno;
}

static int write_new(struct job *job, const char *text)
{
    int r = job->has_old_file ? keep_old(job) : 0;

    if (r < 0)
        return refuse(job, r, "session.json: cannot keep the old ledger beside the new one");
    r = tree_replace_file(job->dir_fd, "session.json", text, strlen(text));
    return r < 0 ? refuse(job, r, "session.json: cannot write it") : 0;
}

static int rebuild(struct job *job, bool apply)
{
    char *text = NULL;
    int r = check_missing(job);

    if (r == 0)
        r = add_streams(job);
    if (r == 0) {
        text = compose(job);
        r = text ? 0 : -ENOMEM;
    }
    if (r < 0) {
        free(text);
        if (job->ret->text.s[0] == '\0')
            return refuse(job, r, "session.json: cannot be rebuilt");
        job->ret->verdict = REBUILD_REFUSED;
        return r;
    }
    if (job->old.text && strcmp(job->old.text, text) == 0)
        job->ret->verdict = REBUILD_NOTHING;
    else if (job->stream_count == 0 && !job->has_old_file)
        job->ret->verdict = REBUILD_NOTHING;
    else
        job->ret->verdict = REBUILD_WRITE;
    if (apply && job->ret->verdict == REBUILD_WRITE)
        r = write_new(job, text);
    free(text);
    return r;
}

/* ---- one session ---- */

static int look(struct job *job)
{
    struct dao_text text;
    const char *slash;
    int r = find_tree_scan(&job->tree, job->path, FIND_FOLDERS_MAX);

    if (r < 0)
        return refuse(job, r, "its folder cannot be read");
    slash = strrchr(job->path, '/');
    snprintf(job->name, sizeof job->name, "%.255s", slash ? slash + 1 : job->path);
    r = ledger_document_read(&job->old, job->dir_fd, &text);
    job->has_old_file = r != -ENOENT;
    if (r < 0)
        job->old.ledger = (struct ledger){0};
    return identify(job);
}

int rebuild_ledger(struct rebuild *ret, const char *session, bool anyway, bool apply)
{
    char path[4096];
    struct job job = {.ret = ret, .path = path};
    size_t length = strlen(session);
    int r = 0;

    *ret = (struct rebuild){.verdict = REBUILD_NOTHING};
    while (length > 1 && session[length - 1] == '/')
        length--;
    snprintf(path, sizeof path, "%.*s", (int)length, session);
    job.dir_fd = open(session, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job.dir_fd < 0)
        return refuse(&job, -errno, "its folder cannot be read");
    r = look(&job);
    if (r == 0 && is_alive(&job))
        ret->verdict = REBUILD_OWNED;
    else if (r == 0 && needs_it(&job, anyway))
        r = rebuild(&job, apply);
    for (size_t i = 0; i < job.stream_count; i++) {
        rebuild_stream_free(job.streams[i]);
        free(job.streams[i]);
    }
    free(job.streams);
    find_tree_free(&job.tree);
    ledger_document_free(&job.old);
    close(job.dir_fd);
    return r;
}
