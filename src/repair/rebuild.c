/* rebuild.c - see rebuild.h. The files are in rebuild_files.c, a stream's numbers in
 * rebuild_stream.c. */
#include "repair/rebuild.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recording/find.h"

#define KEPT_MAX 1000 /* old ledgers of one session */

static bool needs_it(const struct rebuild_job *job, bool anyway)
{
    const struct ledger *old = &job->old.ledger;

    if (!old->session) /* none, or none that can be read */
        return job->has_old_file || rebuild_has_streams(job);
    if (anyway || (old->end_ns == 0 && !old->recovered))
        return true;
    return old->recovered && !rebuild_names_its_files(job);
}

/* ---- the new one ---- */

static char *compose(struct rebuild_job *job)
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
        .marks = old->marks,
        .mark_count = old->mark_count,
        .changes = old->changes,
        .change_count = old->change_count,
        .changes_left_out = old->changes_left_out,
        .streams = calloc(job->stream_count ? job->stream_count : 1, sizeof *ledger.streams),
        .stream_count = job->stream_count,
        .copies = old->copies,
        .copy_count = old->copy_count,
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
static int keep_old(struct rebuild_job *job)
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

static int write_new(struct rebuild_job *job, const char *text)
{
    int r = job->has_old_file ? keep_old(job) : 0;

    if (r < 0)
        return rebuild_refuse(job, r, "it cannot be kept beside a new one: %s", strerror(-r));
    r = tree_replace_file(job->dir_fd, "session.json", text, strlen(text));
    return r < 0 ? rebuild_refuse(job, r, "a new one cannot be written: %s", strerror(-r)) : 0;
}

static int rebuild(struct rebuild_job *job, unsigned how)
{
    char *text = NULL;
    int r = rebuild_add_streams(job);

    if (r == 0) {
        text = compose(job);
        r = text ? 0 : -ENOMEM;
    }
    if (r < 0) {
        if (job->ret->verdict != REBUILD_REFUSED)
            rebuild_refuse(job, r, "%s", strerror(-r));
        return r;
    }
    if (job->old.text && strcmp(job->old.text, text) == 0)
        job->ret->verdict = REBUILD_NOTHING;
    else if (job->stream_count == 0 && !job->has_old_file)
        job->ret->verdict = REBUILD_NOTHING;
    else
        job->ret->verdict = REBUILD_WRITE;
    if (how & REBUILD_APPLY && job->ret->verdict == REBUILD_WRITE)
        r = write_new(job, text);
    free(text);
    return r;
}

/* ---- one session ---- */

/* The last part of the path, also where that is "." or has none. */
static void find_name(struct rebuild_job *job)
{
    char *whole = realpath(job->path, NULL);

    snprintf(job->name, sizeof job->name, "%.255s", find_base_of(whole ? whole : job->path));
    free(whole);
}

static int look(struct rebuild_job *job, unsigned how, const char *held)
{
    bool is_applied = how & REBUILD_APPLY;
    struct dao_text text;
    int r, read;

    if (!rebuild_take(job, is_applied)) {
        job->ret->verdict = REBUILD_OWNED;
        return 0;
    }
    r = find_tree_scan(&job->tree, job->path, FIND_FOLDERS_MAX);
    if (r < 0)
        return rebuild_refuse(job, r, "its folder cannot be read: %s", strerror(-r));
    find_name(job);
    read = ledger_document_read(&job->old, job->dir_fd, &text);
    job->has_old_file = read != -ENOENT;
    rebuild_identify(job);
    if (rebuild_is_held(job)) {
        job->ret->verdict = REBUILD_OWNED;
        return 0;
    }
    if (!needs_it(job, how & REBUILD_ANYWAY))
        return 0;
    if (read < 0 && read != -ENOENT && read != -EBADMSG)
        return rebuild_refuse(job, read,
                              "it cannot be read: %.200s; move it away, then "
                              "repair again",
                              text.s);
    if (held)
        return rebuild_refuse(
            job, -EBUSY, "%.200s could not be repaired; see to that one, then repair again", held);
    if (!rebuild_find_part(job))
        return rebuild(job, how);
    if (is_applied)
        return rebuild_refuse(job, -EBUSY, "%s is not repaired; repair that one, too", job->part);
    job->ret->verdict = REBUILD_WRITE; /* with what will have become of it */
    return 0;
}

int rebuild_ledger(struct rebuild *ret, const char *session, unsigned how, const char *held)
{
    char path[4096];
    struct rebuild_job job = {.ret = ret, .path = path};
    size_t length = strlen(session);
    int r;

    *ret = (struct rebuild){.verdict = REBUILD_NOTHING};
    while (length > 1 && session[length - 1] == '/')
        length--;
    snprintf(path, sizeof path, "%.*s", (int)length, session);
    job.dir_fd = open(session, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job.dir_fd < 0)
        return rebuild_refuse(&job, -errno, "its folder cannot be read: %s", strerror(errno));
    r = look(&job, how, held);
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
