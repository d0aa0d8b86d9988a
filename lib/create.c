/*
 * create.c - making a segment file: set back in place, or made anew and renamed into place.
 *
 * One thread creates a segment; readers and even a writer of an existing one may be at work, and
 * the order of stores in reset_in_place() is theirs to rely on.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/segment.h"
#include "lib/segment_parts.h"
#include "lib/clock.h"
#include "lib/slots.h"

/* ---- contents ---- */

/* A creation time that differs from the one there was, so that readers notice. */
static double creation_time_after(double before)
{
    double now = (double)dao_clock_real_ns() / 1e9;

    return now == before ? now + 1e-6 : now;
}

/* What is fixed for the life of a run: everything but counts, times and the head. */
static void fill_shape(struct dao_segment *seg)
{
    const struct dao_geometry *geo = &seg->geo;
    const char *base = strrchr(seg->path, '/');
    const char *name =
        strlen(seg->path) < sizeof dao_segment_md(seg, 0)->name || !base ? seg->path : base + 1;

    for (uint32_t i = 0; i < geo->depth; i++) {
        IMAGE_METADATA *md = dao_segment_md(seg, i);

        memset(md->name, 0, sizeof md->name);
        memcpy(md->name, name, strnlen(name, sizeof md->name - 1));
        md->naxis = geo->naxis;
        memcpy(md->size, geo->size, sizeof md->size);
        md->nelement = geo->nelement;
        md->atype = geo->dtype->atype;
        md->shared = !seg->is_private;
        md->NBkw = geo->nbkw;
    }
    dao_segment_md(seg, 0)->sem = seg->is_private ? 0 : IMAGE_NB_SEMAPHORE;
    dao_segment_md(seg, 0)->fifo_size = geo->depth;
}

static void fill_keywords(struct dao_segment *seg, const IMAGE_KEYWORD *keywords)
{
    IMAGE_KEYWORD blank;

    memset(&blank, 0, sizeof blank);
    blank.type = 'N';
    for (unsigned i = 0; i < seg->geo.nbkw; i++)
        memcpy(seg->map + seg->geo.kw_off + i * sizeof blank, keywords ? &keywords[i] : &blank,
               sizeof blank);
}

/* The count before the first frame's, while the slot's write flag is up or nobody looks. */
static void plant_count(struct dao_segment *seg, uint64_t cnt0)
{
    IMAGE_METADATA *md = dao_segment_md(seg, seg->geo.depth - 1);

    if (cnt0 == 0)
        return;
    __atomic_store_n(&md->atime.tsfixed.secondlong, DAO_SEED_ATIME_NS, __ATOMIC_RELAXED);
    /* release: the mark before the count; pairs with the acquire in dao_segment_seed() */
    __atomic_store_n(&md->cnt0, cnt0, __ATOMIC_RELEASE);
}

/* A new file, all zero, that nobody else can see yet. */
static void fill_new(struct dao_segment *seg, const struct dao_seed *seed)
{
    double now = creation_time_after(0.0);

    fill_shape(seg);
    fill_keywords(seg, seed ? seed->keywords : NULL);
    plant_count(seg, seed ? seed->cnt0 : 0);
    for (uint32_t i = 0; i < seg->geo.depth; i++) {
        dao_segment_md(seg, i)->creation_time = now;
        dao_segment_md(seg, i)->last_access = now;
    }
    dao_segment_md(seg, 0)->fifo_last_written = seg->geo.depth - 1;
}

static void clear_counts(IMAGE_METADATA *md)
{
    __atomic_store_n(&md->cnt0, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->cnt1, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->cnt2, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->atime.tsfixed.firstlong, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->atime.tsfixed.secondlong, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->lastPos, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->lastNb, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->packetNb, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&md->packetTotal, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 512; i++)
        __atomic_store_n(&md->lastNbArray[i], 0, __ATOMIC_RELAXED);
}

/*
 * The same geometry again, under the eyes of attached readers. A reader that still sees the old
 * creation_time sees old pixels or a raised write flag; one that sees the new creation_time sees
 * every write flag raised until all counts are 0. The last slot's flag goes down last.
 */
static void reset_in_place(struct dao_segment *seg, const struct dao_seed *seed)
{
    uint32_t depth = seg->geo.depth;
    IMAGE_METADATA *first = dao_segment_md(seg, 0), *last = dao_segment_md(seg, depth - 1);
    double now = creation_time_after(first->creation_time);
    uint64_t now_bits;

    memcpy(&now_bits, &now, sizeof now_bits);
    for (uint32_t i = 0; i < depth; i++)
        __atomic_store_n(&dao_segment_md(seg, i)->write, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&last->status, DAO_STATUS_RESET, __ATOMIC_RELAXED);
    for (uint32_t i = depth; i-- > 0;) {
        IMAGE_METADATA *md = dao_segment_md(seg, i);

        /* release: flags and state before the time; pairs with the acquire in examine() of the
         * reader */
        __atomic_store_n((uint64_t *)(void *)&md->creation_time, now_bits, __ATOMIC_RELEASE);
        md->last_access = now;
    }
    /* The time before what follows: pairs with the acquire fence in dao_reader_finish(), whose
     * reader, having copied a pixel zeroed here, then sees the new time. */
    atomic_thread_fence(memory_order_release);
    for (uint32_t i = 0; i < depth; i++)
        clear_counts(dao_segment_md(seg, i));
    memset(seg->map + seg->geo.data_off, 0, seg->geo.kw_off - seg->geo.data_off);
    fill_shape(seg);
    fill_keywords(seg, seed ? seed->keywords : NULL);
    plant_count(seg, seed ? seed->cnt0 : 0);
    /* release: pairs with the acquire of the head in the reader and in dao_writer_begin() */
    __atomic_store_n(&first->fifo_last_written, depth - 1, __ATOMIC_RELEASE);
    /* release: the counts before it; pairs with the acquire in dao_slots_run() */
    __atomic_store_n(&last->status, 0, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < depth; i++)
        /* release: counts are 0 before the flag; pairs with the acquires of it in the reader */
        __atomic_store_n(&dao_segment_md(seg, i)->write, 0, __ATOMIC_RELEASE);
}

/* ---- the file ---- */

/* Give the file its length and its memory now: later only SIGBUS says that none is left. */
static int reserve(const struct dao_segment *seg, struct dao_text *text)
{
    int error;

    do
        error = posix_fallocate(seg->fd, 0, (off_t)seg->geo.file_bytes);
    while (error == EINTR);
    if (error)
        dao_text_set(text, "%s: cannot reserve %" PRIu64 " bytes: %s", seg->path,
                     seg->geo.file_bytes, strerror(error));
    return -error;
}

/* 1: an existing segment of this geometry was set back and is mapped. 0: a new file is needed. */
static int try_in_place(struct dao_segment *seg, const struct dao_seed *seed, struct dao_text *text)
{
    struct dao_geometry found;
    struct stat st;
    int error, fd = dao_segment_open_file(seg->path, DAO_ACCESS_WRITE, &st, text);

    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return fd;
    if (dao_segment_identify_fd(&found, fd, (uint64_t)st.st_size, NULL, NULL) < 0 ||
        !dao_geometry_equal(&found, &seg->geo)) {
        close(fd);
        return 0;
    }
    seg->fd = fd;
    seg->dev = st.st_dev;
    seg->ino = st.st_ino;
    /* A file with holes would fault for want of room when they are written. */
    error = reserve(seg, text);
    if (error == 0)
        error = dao_segment_map(seg, text);
    if (error < 0)
        return error;
    reset_in_place(seg, seed);
    return 1;
}

/* Create a file under a name of its own beside the path. File descriptor or negative errno. */
static int open_beside(const char *path, char *ret_name, size_t name_bytes, struct dao_text *text)
{
    static atomic_uint serial;

    for (int attempt = 0; attempt < 1000; attempt++) {
        unsigned number = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
        int length = snprintf(ret_name, name_bytes, "%s.%ld-%u.new", path, (long)getpid(), number);
        int fd;

        if (length < 0 || (size_t)length >= name_bytes) {
            dao_text_set(text, "%s: the name is too long", path);
            return -ENAMETOOLONG;
        }
        fd = open(ret_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST) { /* EEXIST: left behind by a process of the same number */
            dao_text_set(text, "%s: cannot create a file there: %s", path, strerror(errno));
            return -errno;
        }
    }
    dao_text_set(text, "%s: too many unfinished files of this name (*.new); remove them", path);
    return -EEXIST;
}

/* Reserve, fill and rename. On failure the unfinished file is removed by the caller. */
static int make_new(struct dao_segment *seg, const char *unfinished, const struct dao_seed *seed,
                    struct dao_text *text)
{
    struct stat st;
    int error;

    error = reserve(seg, text);
    if (error < 0)
        return error;
    if (fstat(seg->fd, &st) < 0)
        return dao_segment_refused(seg->path, errno, text);
    seg->dev = st.st_dev;
    seg->ino = st.st_ino;
    error = dao_segment_map(seg, text);
    if (error < 0)
        return error;
    fill_new(seg, seed);
    if (rename(unfinished, seg->path) < 0)
        return dao_segment_refused(seg->path, errno, text);
    return 0;
}

static int create_new(struct dao_segment *seg, const struct dao_seed *seed, struct dao_text *text)
{
    char unfinished[sizeof seg->path + 32];
    int error;

    seg->fd = open_beside(seg->path, unfinished, sizeof unfinished, text);
    if (seg->fd < 0)
        return seg->fd;
    error = make_new(seg, unfinished, seed, text);
    if (error < 0)
        unlink(unfinished);
    return error;
}

static int check_geometry(const struct dao_geometry *geo, struct dao_text *text)
{
    if (geo->layout && geo->layout->kind == DAO_LAYOUT_FIFO && geo->dtype && geo->depth > 0)
        return 0;
    dao_text_set(text, "only segments of the FIFO layout can be created");
    return -EINVAL;
}

int dao_segment_create(struct dao_segment *seg, const char *path, const struct dao_geometry *geo,
                       struct dao_text *text)
{
    return dao_segment_create_seeded(seg, path, geo, NULL, text);
}

int dao_segment_create_seeded(struct dao_segment *seg, const char *path,
                              const struct dao_geometry *geo, const struct dao_seed *seed,
                              struct dao_text *text)
{
    int error;

    dao_segment_clear(seg);
    error = check_geometry(geo, text);
    if (error == 0)
        error = dao_segment_set_path(seg, path, text);
    if (error < 0)
        return error;
    seg->geo = *geo;
    seg->access = DAO_ACCESS_WRITE;
    error = try_in_place(seg, seed, text);
    if (error == 0)
        error = create_new(seg, seed, text);
    if (error >= 0)
        return 0;
    if (!seg->map && seg->fd >= 0)
        close(seg->fd);
    dao_segment_close(seg);
    return error;
}

int dao_segment_create_private(struct dao_segment *seg, const char *name,
                               const struct dao_geometry *geo, struct dao_text *text)
{
    int error;

    dao_segment_clear(seg);
    error = check_geometry(geo, text);
    if (error == 0)
        error = dao_segment_set_path(seg, name, text);
    if (error < 0)
        return error;
    seg->geo = *geo;
    seg->access = DAO_ACCESS_WRITE;
    seg->is_private = true;
    error = dao_segment_map(seg, text);
    if (error < 0) {
        dao_segment_clear(seg);
        return error;
    }
    fill_new(seg, NULL);
    return 0;
}
