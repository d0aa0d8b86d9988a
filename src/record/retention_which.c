/* retention_which.c - see retention_which.h. */
#include "record/retention_which.h"

#include <string.h>
#include <time.h>

#include "lib/clock.h"

#define LEAST_KEPT 1u /* finished files of a stream: what is there to be read */

static int64_t boot_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000ll + now.tv_nsec;
}

void retention_start_clock(struct retention *retention)
{
    retention->begin_real_ns = dao_clock_real_ns();
    retention->begin_boot_ns = boot_ns();
}

int64_t retention_steady_ns(const struct retention *retention)
{
    return retention->begin_real_ns + (boot_ns() - retention->begin_boot_ns);
}

uint64_t retention_part_bytes(const struct retention *retention)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < retention->count; i++)
        bytes += kept_part_bytes(&retention->lists[i]);
    return bytes;
}

/* The oldest of all, taken from each stream in its order; of no stream that has not more than
 * `least`. With the lock held. */
struct kept_file *retention_oldest(const struct retention *retention, uint64_t least,
                                   unsigned *ret_stream)
{
    struct kept_file *found = NULL;

    for (unsigned i = 0; i < retention->count; i++) {
        struct kept_file *file = kept_oldest(&retention->lists[i]);

        if (!file || (found && file->end_ns >= found->end_ns) ||
            kept_count(&retention->lists[i]) <= least)
            continue;
        found = file;
        *ret_stream = i;
    }
    return found;
}

uint64_t retention_bytes(const struct retention *retention)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < retention->count; i++) {
        bytes += kept_bytes(&retention->lists[i]);
        for (unsigned k = 0; k < STREAM_FILES; k++)
            bytes += atomic_load(&retention->streams[i]->files[k].claimed_bytes);
    }
    return bytes;
}

/* With the lock held, whenever files came or went. Without a limit none may go. */
void retention_note_ring(const struct retention *retention)
{
    uint64_t spare = 0;

    for (unsigned i = 0; i < retention->count && retention_is_wanted(&retention->limits); i++)
        spare += kept_spare_bytes(&retention->lists[i]);
    room_set_ring(retention->room, retention_bytes(retention), spare);
}

/* What crashes left unfinished takes its share of the limit, but never all of it. */
static struct kept_file *find_surplus_bytes(const struct retention *retention, unsigned *ret_stream)
{
    uint64_t limit = retention->limits.bytes, bytes = retention_bytes(retention);

    if (limit == 0 || bytes + retention_part_bytes(retention) <= limit)
        return NULL;
    return retention_oldest(retention, bytes > limit ? 0 : LEAST_KEPT, ret_stream);
}

/* Of a stream that a file is to be made for, or not. */
static bool has_too_many(const struct retention *retention, unsigned i, unsigned stream)
{
    uint64_t most = retention->limits.files - (i == stream);

    return retention->limits.files && kept_count(&retention->lists[i]) > most;
}

/* With the lock held. `stream`: that a file is to be made for, or RETENTION_NO_STREAM. */
static struct kept_file *find_surplus(struct retention *retention, unsigned stream,
                                      unsigned *ret_stream)
{
    const struct retention_limits *limits = &retention->limits;
    int64_t before_ns =
        limits->time_ns ? retention_steady_ns(retention) - limits->time_ns : INT64_MIN;

    for (unsigned i = 0; i < retention->count; i++) {
        struct kept_file *file = kept_changed_before(&retention->lists[i], before_ns);

        if (!file && has_too_many(retention, i, stream))
            file = kept_oldest(&retention->lists[i]);
        *ret_stream = i;
        if (file)
            return file;
    }
    return find_surplus_bytes(retention, ret_stream);
}

/* They are not counted from here on. */
bool retention_pick(struct retention *retention, unsigned stream, struct retention_batch *ret)
{
    struct kept_file *file;
    unsigned of = 0;

    ret->count = 0;
    pthread_mutex_lock(&retention->lock);
    while (ret->count < RETIRE_MANY && (file = find_surplus(retention, stream, &of))) {
        if (ret->count > 0 &&
            (of != ret->stream || strcmp(file->session, ret->files[0].session) != 0))
            break;
        ret->stream = of;
        ret->files[ret->count++] = *file;
        file->is_left = true;
    }
    pthread_mutex_unlock(&retention->lock);
    return ret->count > 0;
}

bool retention_has_surplus(struct retention *retention, unsigned stream)
{
    bool has;
    unsigned of;

    pthread_mutex_lock(&retention->lock);
    has = find_surplus(retention, stream, &of);
    pthread_mutex_unlock(&retention->lock);
    return has;
}

/* Where the limits were taken away meanwhile all of it is to be kept. */
bool retention_pick_spare(struct retention *retention, struct retention_batch *ret)
{
    struct kept_file *file = NULL;

    pthread_mutex_lock(&retention->lock);
    if (retention_is_wanted(&retention->limits))
        file = retention_oldest(retention, LEAST_KEPT, &ret->stream);
    ret->count = file != NULL;
    if (file) {
        ret->files[0] = *file;
        file->is_left = true;
    }
    pthread_mutex_unlock(&retention->lock);
    return file;
}
