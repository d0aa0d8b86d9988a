/* retention_going.c - see retention_going.h. */
#include "record/retention_going.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void forget(struct retention *retention, unsigned stream, const struct kept_file *file)
{
    struct kept_file *own;

    pthread_mutex_lock(&retention->lock);
    own = kept_find(&retention->lists[stream], file->session, file->seq);
    if (own)
        kept_remove(&retention->lists[stream], own);
    pthread_mutex_unlock(&retention->lock);
}

static void say_left(struct retention *retention, const struct retention_batch *batch, size_t i,
                     int why, const char *text)
{
    if (why == -EPERM || why == -EWOULDBLOCK || retention->left_said)
        return;
    retention->left_said = true;
    log_warning("%s/%s, file %llu: it would be removed to make room, and is left: %s",
                batch->files[i].session, retention->streams[batch->stream]->name,
                (unsigned long long)batch->files[i].seq, text);
}

/* The ledger is told before files go. */
static int tell_ledger(struct retention *retention, const struct retention_batch *batch,
                       size_t first, size_t count, int session_fd, struct dao_text *text)
{
    struct record_stream *s = retention->streams[batch->stream];

    if (strcmp(batch->files[0].session, retention->session) != 0)
        return retire_note(&batch->olds[first], count, session_fd, s->name, text);
    for (size_t i = first; i < first + count; i++)
        books_file_retired(retention->books, s, batch->olds[i].name, batch->olds[i].file_seq);
    if (books_write(retention->books))
        return 0;
    snprintf(text->s, sizeof text->s, "the ledger cannot be written");
    return -EIO;
}

static void drop_from_batch(struct retention_batch *batch, size_t i)
{
    size_t behind = --batch->count - i;

    memmove(&batch->files[i], &batch->files[i + 1], behind * sizeof *batch->files);
    memmove(&batch->olds[i], &batch->olds[i + 1], behind * sizeof *batch->olds);
}

/* No descriptors for more at once: the first of them are enough to go on. */
static void put_back(struct retention *retention, struct retention_batch *batch, size_t first)
{
    pthread_mutex_lock(&retention->lock);
    for (size_t i = first; i < batch->count; i++) {
        struct kept_file *own = kept_find(&retention->lists[batch->stream], batch->files[i].session,
                                          batch->files[i].seq);

        if (own)
            own->is_left = false;
    }
    pthread_mutex_unlock(&retention->lock);
    batch->count = first;
}

static void set_odd(struct retention *retention, unsigned stream, const struct kept_file *file)
{
    struct kept_file *own;

    pthread_mutex_lock(&retention->lock);
    own = kept_find(&retention->lists[stream], file->session, file->seq);
    if (own)
        own->is_odd = true;
    pthread_mutex_unlock(&retention->lock);
}

static void begin_all(struct retention *retention, struct retention_batch *batch, int session_fd,
                      int error)
{
    const char *stream = retention->streams[batch->stream]->name;

    for (size_t i = 0; i < batch->count;) {
        char name[TREE_FILE_BYTES];
        struct dao_text text;
        int r = error;

        tree_file_name(name, stream, batch->files[i].seq, 0);
        snprintf(text.s, sizeof text.s, "its session's folder: %s", strerror(-error));
        if (r == 0)
            r = retire_begin(&batch->olds[i], session_fd, stream, name, &text);
        if (r == 0) {
            i++;
            continue;
        }
        if (r == -EMFILE && i > 0) {
            put_back(retention, batch, i);
            return;
        }
        if (r == -EMEDIUMTYPE || r == -EACCES || r == -EROFS)
            set_odd(retention, batch->stream, &batch->files[i]);
        if (r == -ENOENT) /* somebody else removed it: his affair */
            forget(retention, batch->stream, &batch->files[i]);
        else
            say_left(retention, batch, i, r, text.s);
        drop_from_batch(batch, i);
    }
}

/* One by one: something is wrong with one of them. */
static void tell_each(struct retention *retention, struct retention_batch *batch, int session_fd)
{
    for (size_t i = 0; i < batch->count;) {
        struct dao_text text;
        int r = tell_ledger(retention, batch, i, 1, session_fd, &text);

        if (r == 0) {
            i++;
            continue;
        }
        say_left(retention, batch, i, r, text.s);
        retire_end(&batch->olds[i]);
        drop_from_batch(batch, i);
    }
}

/* What stays in it is to be removed now. */
static void take(struct retention *retention, struct retention_batch *batch)
{
    struct dao_text text;
    int session_fd = openat(retention->root_fd, batch->files[0].session,
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    begin_all(retention, batch, session_fd, session_fd < 0 ? -errno : 0);
    if (batch->count == 1 ||
        (batch->count > 1 && tell_ledger(retention, batch, 0, batch->count, session_fd, &text) < 0))
        tell_each(retention, batch, session_fd);
    for (size_t i = 0; i < batch->count; i++)
        forget(retention, batch->stream, &batch->files[i]);
    pthread_mutex_lock(&retention->lock);
    retention_note_ring(retention);
    pthread_mutex_unlock(&retention->lock);
    if (session_fd >= 0)
        close(session_fd);
}

/* To be closed by somebody who has the time. */
static void put_off(struct retention *retention, struct retire *old)
{
    pthread_mutex_lock(&retention->lock);
    if (retention->to_close_count < RETENTION_TO_CLOSE) {
        retention->to_close[retention->to_close_count++] = old->fd;
        old->fd = -1;
    }
    pthread_mutex_unlock(&retention->lock);
}

static void drop(struct retention *retention, struct retire *old, const struct kept_file *file,
                 unsigned stream)
{
    if (old->fd >= 0) {
        int r = retire_unlink(old);

        if (r < 0 && r != -ENOENT && !retention->trouble_said) {
            retention->trouble_said = true;
            log_error("%s/%s/%s/%s: cannot be removed to make room: %s; check who owns its folder",
                      retention->root, file->session, retention->streams[stream]->name, old->name,
                      strerror(-r));
        }
        put_off(retention, old);
    }
    retire_end(old);
    if (strcmp(file->session, retention->session) != 0)
        retire_folders(retention->root_fd, file->session, retention->streams[stream]->name);
}

void retention_remove_held(struct retention *retention, struct retire *old)
{
    drop(retention, old, &retention->held, retention->held_stream);
}

/* Those in the batch; one of `stream` is held back in *ret_old, where there is none yet. */
void retention_remove_batch(struct retention *retention, struct retention_batch *batch,
                            unsigned stream, struct retire *ret_old)
{
    take(retention, batch);
    for (size_t i = 0; i < batch->count; i++) {
        log_debug("%s/%s is removed", batch->files[i].session, batch->olds[i].name);
        if (ret_old && ret_old->fd < 0 && batch->stream == stream) {
            *ret_old = batch->olds[i];
            retention->held = batch->files[i];
            retention->held_stream = stream;
            continue;
        }
        drop(retention, &batch->olds[i], &batch->files[i], batch->stream);
    }
}
