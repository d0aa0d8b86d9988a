/* books.c - see books.h. */
#include "record/books.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int books_init(struct books *books, struct record_stream *const *streams, unsigned count)
{
    pthread_mutex_init(&books->lock, NULL);
    books->streams = streams;
    books->count = count;
    books->files = calloc(count, sizeof(struct ledger_file *));
    books->file_counts = calloc(count, sizeof(size_t));
    return books->files && books->file_counts ? 0 : -ENOMEM;
}

void books_fini(struct books *books)
{
    if (!books->streams)
        return;
    for (unsigned i = 0; i < books->count && books->files; i++)
        free(books->files[i]);
    free(books->files);
    free(books->file_counts);
    pthread_mutex_destroy(&books->lock);
    *books = (struct books){0};
}

static unsigned stream_index(const struct books *books, const struct record_stream *stream)
{
    unsigned i = 0;

    while (books->streams[i] != stream)
        i++;
    return i;
}

/* Its entry, looked for from the end: it is one of the last. */
static struct ledger_file *find_file(struct books *books, const struct record_file *f)
{
    unsigned i = stream_index(books, f->stream);
    size_t at = books->file_counts[i];

    while (at-- > 0)
        if (strcmp(books->files[i][at].name, f->file.name) == 0)
            return &books->files[i][at];
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

/* With the lock held; entries hold books->count. */
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
        .stream_count = books->count,
    };
    for (unsigned i = 0; i < books->count; i++) {
        struct record_stream *s = books->streams[i];
        struct account_view account; /* what it counts is there to be read */

        account_read(&s->account, &account);
        entries[i] = (struct ledger_stream){
            .name = s->name,
            .shm_path = s->path,
            .counts = account.counts,
            .gaps = s->account.gaps,
            .failed = s->account.failed,
            .failed_count = account.failed_count,
            .runs = s->account.runs,
            .shapes = s->account.shapes,
            .files = books->files[i],
            .file_count = books->file_counts[i],
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

static void write_locked(struct books *books)
{
    struct ledger_stream *entries = calloc(books->count, sizeof *entries);
    struct ledger ledger;
    char *json = NULL;
    int r = -ENOMEM;

    if (entries) {
        view(books, &ledger, entries);
        json = ledger_to_json(&ledger, false);
    }
    if (json)
        r = tree_replace_file(books->dir_fd, "session.json", json, strlen(json));
    books->is_written = r == 0;
    if (r < 0 && !books->trouble_said)
        log_error("%s/%s/session.json: cannot write the ledger: %s; it is tried again at every "
                  "file's end",
                  books->root, books->session, strerror(-r));
    books->trouble_said = r < 0;
    free(json);
    free(entries);
}

void books_write(struct books *books)
{
    pthread_mutex_lock(&books->lock);
    write_locked(books);
    pthread_mutex_unlock(&books->lock);
}

static void drop_file(struct books *books, unsigned stream, struct ledger_file *file)
{
    size_t behind = (size_t)(books->files[stream] + books->file_counts[stream] - (file + 1));

    memmove(file, file + 1, behind * sizeof *file);
    books->file_counts[stream]--;
}

void books_file_closed(struct books *books, const struct record_file *f, int result)
{
    struct ledger_file *file;

    pthread_mutex_lock(&books->lock);
    file = find_file(books, f);
    if (file && f->removed) {
        drop_file(books, stream_index(books, f->stream), file);
    } else if (file) {
        file->closed = result == 0;
        file->frames = f->frames;
        file->lost = f->lost;
        file->cnt0_end = f->last_cnt0;
        file->end_ns = f->last_ns;
        file->end_cause = f->end_cause;
    }
    books->failed = books->failed || result < 0 || atomic_load(&f->error) != 0;
    write_locked(books);
    pthread_mutex_unlock(&books->lock);
}
