/* books.c - see books.h. */
#include "record/books.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lib/clock.h"

/* After a writing, in which it is not written again for what can wait. */
#define REST_TIMES   20 /* as long as it took: so at most a 20th of the time goes into it */
#define REST_MOST_NS 10000000000ll

int books_init(struct books *books, struct record_stream *const *streams, unsigned count)
{
    pthread_mutex_init(&books->lock, NULL);
    pthread_mutex_init(&books->write_lock, NULL);
    rewrite_init(&books->rewrite, -1, "session.json");
    atomic_init(&books->is_owed, true); /* there is none yet */
    books->streams = streams;
    books->count = count;
    books->files = calloc(count, sizeof(struct ledger_file *));
    books->file_counts = calloc(count, sizeof(size_t));
    books->removed = calloc(count, sizeof(struct ledger_removed));
    books->failed_frames = calloc(count, sizeof(uint64_t));
    books->marks_put = calloc(count, sizeof(size_t));
    books->awaited = calloc(count, sizeof(struct ledger_awaited));
    return books->files && books->file_counts && books->removed && books->failed_frames &&
                   books->marks_put && books->awaited
               ? 0
               : -ENOMEM;
}

void books_fini(struct books *books)
{
    if (!books->streams)
        return;
    for (unsigned i = 0; i < books->count && books->files; i++)
        free(books->files[i]);
    free(books->files);
    free(books->file_counts);
    free(books->removed);
    free(books->failed_frames);
    copies_free(&books->copies);
    free(books->marks);
    for (size_t i = 0; i < books->change_count; i++)
        free((char *)(uintptr_t)books->changes[i].text);
    free(books->changes);
    free(books->marks_put);
    free(books->awaited);
    rewrite_close(&books->rewrite);
    pthread_mutex_destroy(&books->lock);
    pthread_mutex_destroy(&books->write_lock);
    *books = (struct books){0};
}

void books_place(struct books *books, int dir_fd)
{
    rewrite_init(&books->rewrite, dir_fd, "session.json");
}

static unsigned stream_index(const struct books *books, const struct record_stream *stream)
{
    unsigned i = 0;

    while (books->streams[i] != stream)
        i++;
    return i;
}

/* Its entry, looked for from the end: it is one of the last. */
static struct ledger_file *find_file(struct books *books, unsigned stream, const char *name)
{
    size_t at = books->file_counts[stream];

    while (at-- > 0)
        if (strcmp(books->files[stream][at].name, name) == 0)
            return &books->files[stream][at];
    return NULL;
}

void books_file_opened(struct books *books, const struct record_file *f)
{
    unsigned i = stream_index(books, f->stream);
    size_t count;
    struct ledger_file *grown;

    pthread_mutex_lock(&books->lock);
    count = books->file_counts[i];
    grown = realloc(books->files[i], (count + 1) * sizeof *grown);
    if (grown) {
        books->files[i] = grown;
        grown[count] = (struct ledger_file){
            .cnt0_begin = f->first_cnt0, .begin_ns = f->first_ns, .end_cause = ""};
        strcpy(grown[count].name, f->file.name);
        books->file_counts[i]++;
    } else {
        books->failed = true;
        log_error("no memory to book %s in the ledger", f->file.name);
    }
    pthread_mutex_unlock(&books->lock);
}

/* With the lock held. */
static uint64_t all_changes(const struct books *books)
{
    return books->change_count + books->changes_left_out;
}

/* With the lock held; entries hold books->count. Streams without a run are not among them. */
static void view(struct books *books, struct ledger *ledger, struct ledger_stream *entries)
{
    *ledger = (struct ledger){
        .session = books->session,
        .uuid = books->uuid,
        .host = books->host,
        .root = books->root,
        .start_ns = books->start_ns,
        .end_ns = books->end_ns,
        .streams = entries,
        .copies = books->copies.list,
        .copy_count = books->copies.count,
        .marks = books->marks,
        .mark_count = books->mark_count,
        .changes = books->changes,
        .change_count = books->change_count,
        .changes_left_out = books->changes_left_out,
        .awaited = books->awaited,
    };
    for (unsigned i = 0; i < books->count; i++) {
        struct record_stream *s = books->streams[i];
        struct account_view account; /* what it counts is there to be read */

        account_read(&s->account, &account);
        if (account.counts.run_count == 0) {
            books->awaited[ledger->awaited_count++] = (struct ledger_awaited){s->name, s->path};
            continue;
        }
        entries[ledger->stream_count++] = (struct ledger_stream){
            .name = s->name,
            .shm_path = s->path,
            .counts = account.counts,
            .gaps = s->account.gaps,
            .failed = s->account.failed,
            .failed_count = account.failed_count,
            .waiting = account.waiting,
            .runs = s->account.runs,
            .shapes = s->account.shapes,
            .files = books->files[i],
            .file_count = books->file_counts[i],
            .removed = books->removed[i],
        };
    }
}

int books_view(struct books *books, struct ledger *ret)
{
    struct ledger_stream *entries = calloc(books->count, sizeof *entries);

    if (!entries)
        return -ENOMEM;
    pthread_mutex_lock(&books->lock);
    view(books, ret, entries);
    pthread_mutex_unlock(&books->lock);
    return 0;
}

/* What a ledger tells of, once it is written. */
struct told {
    uint64_t lost, marks, changes;
};

/* The ledger as it stands, as text; NULL without memory. */
static char *compose(struct books *books, struct told *ret)
{
    struct ledger_stream *entries = calloc(books->count, sizeof *entries);
    struct ledger ledger;
    char *json;

    if (!entries)
        return NULL;
    pthread_mutex_lock(&books->lock);
    view(books, &ledger, entries);
    json = ledger_to_json(&ledger, false);
    *ret = (struct told){.marks = books->mark_count, .changes = all_changes(books)};
    pthread_mutex_unlock(&books->lock);
    for (size_t i = 0; i < ledger.stream_count; i++)
        ret->lost += entries[i].counts.lost_by[LEDGER_DISK];
    free(entries);
    return json;
}

/* A disk that has stalled once is not to keep it from being written for minutes. */
static void begin_rest(struct books *books, int64_t begin_ns)
{
    int64_t now_ns = dao_clock_mono_ns(), rest_ns = (now_ns - begin_ns) * REST_TIMES;

    atomic_store(&books->rests_until_ns,
                 now_ns + (rest_ns < REST_MOST_NS ? rest_ns : REST_MOST_NS));
}

static bool is_resting(struct books *books)
{
    return dao_clock_mono_ns() < atomic_load(&books->rests_until_ns);
}

static bool write_it(struct books *books, bool is_last)
{
    int64_t begin_ns;
    bool is_written;
    struct told told = {0};
    char *json;
    int r = -ENOMEM;

    pthread_mutex_lock(&books->write_lock);
    begin_ns = dao_clock_mono_ns();
    atomic_store(&books->is_owed, false); /* what is booked from here on is for the next one */
    json = compose(books, &told);
    if (json)
        r = is_last ? rewrite_end(&books->rewrite, json, strlen(json))
                    : rewrite_put(&books->rewrite, json, strlen(json));
    books->is_written = r == 0;
    if (r == 0) {
        atomic_store(&books->told_lost, told.lost);
        atomic_store(&books->marks_written, told.marks);
        atomic_store(&books->changes_written, told.changes);
    }
    if (r < 0 && !books->trouble_said && !tree_is_gone(books->rewrite.dir_fd))
        log_error("%s/%s/session.json: cannot write the ledger: %s; it is tried again", books->root,
                  books->session, strerror(-r));
    books->trouble_said = r < 0;
    if (r < 0)
        atomic_store(&books->is_owed, true);
    begin_rest(books, begin_ns);
    is_written = books->is_written;
    pthread_mutex_unlock(&books->write_lock);
    free(json);
    return is_written;
}

bool books_write(struct books *books)
{
    return write_it(books, false);
}

void books_end(struct books *books)
{
    write_it(books, true);
}

bool books_is_behind(struct books *books)
{
    uint64_t lost = 0;

    if (is_resting(books))
        return false;
    if (atomic_load(&books->is_owed))
        return true;
    for (unsigned i = 0; i < books->count; i++) {
        struct account_view account;

        account_read(&books->streams[i]->account, &account);
        lost += account.counts.lost_by[LEDGER_DISK];
    }
    return lost != atomic_load(&books->told_lost);
}

void books_catch_up(struct books *books)
{
    bool is_untold;

    pthread_mutex_lock(&books->lock);
    is_untold = books->mark_count > atomic_load(&books->marks_written) ||
                all_changes(books) > atomic_load(&books->changes_written);
    pthread_mutex_unlock(&books->lock);
    if (is_untold || books_is_behind(books))
        write_it(books, false);
}

static void drop_file(struct books *books, unsigned stream, struct ledger_file *file)
{
    size_t behind = (size_t)(books->files[stream] + books->file_counts[stream] - (file + 1));

    memmove(file, file + 1, behind * sizeof *file);
    books->file_counts[stream]--;
}

/* The drain counts what it staged; what failed behind its back is the disk's. */
static struct ledger_counts without_failed(const struct ledger_counts *staged, uint64_t failed)
{
    struct ledger_counts counts = *staged;

    counts.recorded -= failed < counts.recorded ? failed : counts.recorded;
    counts.lost_by[LEDGER_DISK] = ledger_expected(&counts) - counts.recorded -
                                  (ledger_lost(&counts) - counts.lost_by[LEDGER_DISK]);
    return counts;
}

void books_file_closed(struct books *books, const struct record_file *f, int result)
{
    unsigned stream = stream_index(books, f->stream);
    bool has_failed = result < 0 || f->removed || f->failed > 0;
    struct ledger_file *file;

    pthread_mutex_lock(&books->lock);
    books->failed_frames[stream] += f->failed;
    file = find_file(books, stream, f->file.name);
    if (file && f->removed) {
        drop_file(books, stream, file);
    } else if (file) {
        file->closed = result == 0;
        file->frames = f->frames;
        file->lost = f->lost;
        file->cnt0_end = f->last_cnt0;
        file->end_ns = f->last_ns;
        file->end_cause = f->end_cause;
        file->so_far = without_failed(&f->so_far, books->failed_frames[stream]);
    }
    if (result < 0 || atomic_load(&f->error) != 0)
        books->failed = true;
    pthread_mutex_unlock(&books->lock);
    if (has_failed || !is_resting(books))
        write_it(books, false);
    else
        atomic_store(&books->is_owed, true);
}

void books_file_retired(struct books *books, const struct record_stream *stream, const char *name,
                        uint64_t file_seq)
{
    unsigned i = stream_index(books, stream);
    struct ledger_removed *removed = &books->removed[i];
    struct ledger_file *file;

    pthread_mutex_lock(&books->lock);
    file = find_file(books, i, name);
    if (file) {
        removed->files++;
        removed->frames += file->frames;
        if (file_seq > removed->last_file) {
            removed->last_file = file_seq;
            removed->has_counts = true;
            removed->counts = file->so_far;
        }
        drop_file(books, i, file);
    }
    pthread_mutex_unlock(&books->lock);
}

/* ---- what others ask ---- */

size_t books_add_mark(struct books *books, int64_t time_ns, const char *text)
{
    struct fits_mark *grown = NULL;
    size_t count = 0;

    pthread_mutex_lock(&books->lock);
    if (books->mark_count < LEDGER_MARKS_MAX)
        grown = realloc(books->marks, (books->mark_count + 1) * sizeof *grown);
    if (grown) {
        books->marks = grown;
        grown[books->mark_count] = (struct fits_mark){.time_ns = time_ns};
        strncpy(grown[books->mark_count].text, text, FITS_MARK_BYTES - 1);
        count = ++books->mark_count;
    }
    pthread_mutex_unlock(&books->lock);
    return count;
}

void books_add_change(struct books *books, int64_t time_ns, const char *text)
{
    struct ledger_change *grown = NULL;
    char *copy = NULL;

    pthread_mutex_lock(&books->lock);
    if (books->change_count < LEDGER_CHANGES_MAX) {
        copy = strdup(text);
        grown = realloc(books->changes, (books->change_count + 1) * sizeof *grown);
    }
    books->changes = grown ? grown : books->changes;
    if (grown && copy) {
        grown[books->change_count++] = (struct ledger_change){time_ns, copy};
    } else {
        free(copy);
        books->changes_left_out++;
    }
    pthread_mutex_unlock(&books->lock);
}

unsigned books_take_marks(struct books *books, const struct record_file *f,
                          struct fits_mark ret[FITS_MARK_CARDS], uint64_t *ret_more)
{
    unsigned stream = stream_index(books, f->stream), count = 0;
    size_t *put = &books->marks_put[stream];

    *ret_more = 0;
    pthread_mutex_lock(&books->lock);
    for (; *put < books->mark_count && books->marks[*put].time_ns <= f->ended_ns; ++*put) {
        if (count < FITS_MARK_CARDS)
            ret[count++] = books->marks[*put];
        else
            ++*ret_more;
    }
    pthread_mutex_unlock(&books->lock);
    return count;
}

enum books_file books_find(struct books *books, unsigned stream, const char *name)
{
    enum books_file found = BOOKS_NO_FILE;
    const struct ledger_file *file;

    pthread_mutex_lock(&books->lock);
    file = find_file(books, stream, name);
    if (file)
        found = file->closed         ? BOOKS_CLOSED_FILE
                : file->end_cause[0] ? BOOKS_FAILED_FILE
                                     : BOOKS_OPEN_FILE;
    pthread_mutex_unlock(&books->lock);
    return found;
}

const char *books_current(struct books *books, unsigned stream, char ret[TREE_FILE_BYTES])
{
    size_t count;

    ret[0] = '\0';
    pthread_mutex_lock(&books->lock);
    count = books->file_counts[stream];
    if (count > 0 && !books->files[stream][count - 1].closed &&
        books->files[stream][count - 1].end_cause[0] == '\0')
        strcpy(ret, books->files[stream][count - 1].name);
    pthread_mutex_unlock(&books->lock);
    return ret[0] ? ret : NULL;
}
