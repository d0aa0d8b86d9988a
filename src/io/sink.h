/*
 * sink.h - one file being written, with the steps that its safety needs named one by one.
 *
 * Positioned reads and writes of any range (whole pages underneath, composed in a scratch buffer),
 * made for the few bytes written outside the hot path: headers, closing, repair. The stream of
 * pixels goes through engine.h on the same descriptor. All calls block; one thread at a time.
 * Every call that touches the disk goes through `backend`, so that a test can fail, delay or log
 * it. Functions return 0 or negative errno.
 */
#ifndef DAOREC_IO_SINK_H
#define DAOREC_IO_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SINK_PAGE 4096u /* unit of writing; offsets of requests are multiples of it */
/* Where pages are composed, twice: one half for writing, one for reading. */
#define SINK_SCRATCH_BYTES (256u * 1024u)

struct sink_backend {
    ssize_t (*write_at)(void *ctx, int fd, const void *buf, size_t bytes, off_t off);
    ssize_t (*read_at)(void *ctx, int fd, void *buf, size_t bytes, off_t off);
    int (*datasync)(void *ctx, int fd);
    int (*truncate)(void *ctx, int fd, off_t bytes);
    void *ctx;
    /* What a request of a ring came to (bytes or negative errno; off -1: a sync), and what is to be
     * made of that: io_uring calls none of the above. NULL: nothing. */
    int (*completed)(void *ctx, int fd, off_t off, int result);
};

extern const struct sink_backend sink_backend_system; /* pwrite, pread, fdatasync, ftruncate */

struct sink {
    const struct sink_backend *backend;
    int fd;       /* -1: closed */
    int dir_fd;   /* borrowed: the directory the file is in */
    bool direct;  /* O_DIRECT */
    bool unnamed; /* O_TMPFILE; else a dot-file of this name until it is published: */
    char temp_name[280];
    uint64_t length;
    unsigned char *scratch;
};

/*
 * A new file without a name (or, where the file system has no O_TMPFILE, a dot-file), open
 * read-write, `bytes` long and reading as zeros, allocated where the file system can, locked by
 * flock. `want_direct`: O_DIRECT where it is to be had; sink->direct tells.
 * -ENOSPC, -EDQUOT, -EFBIG, -EACCES, ...: nothing is left behind.
 */
int sink_create(struct sink *sink, int dir_fd, const char *name, uint64_t bytes, bool want_direct,
                const struct sink_backend *backend);

/* The same with nothing allocated: sink_reserve() says where it is needed. */
int sink_create_sparse(struct sink *sink, int dir_fd, const char *name, uint64_t bytes,
                       bool want_direct, const struct sink_backend *backend);

/* Blocks for these bytes of the file, which are within its length; 0 also where the file system has
 * no such call. -ENOSPC, -EDQUOT, ... */
int sink_reserve(struct sink *sink, uint64_t off, uint64_t bytes);

/*
 * An existing file of this name, locked by flock, written through the page cache. `want_write`:
 * else it may only be read. -EWOULDBLOCK: somebody holds its lock; -ELOOP: it is a link; -EINVAL:
 * it is no regular file; -ESTALE: the name went to another file meanwhile; -EACCES, -EROFS, ...
 */
int sink_open(struct sink *sink, int dir_fd, const char *name, bool want_write,
              const struct sink_backend *backend);

/* For a new file, while it is empty: what is written again goes to the blocks that it has, also on
 * a file system that would else copy them (btrfs), so that a full disk does not refuse it. Done
 * without where that is not to be had. */
void sink_write_in_place(int fd);

/* Give a file that was made without a name (O_TMPFILE) one; never over another (-EEXIST). */
int sink_link(int fd, int dir_fd, const char *name);

/* Give the file its name; never over another (-EEXIST). */
int sink_publish(struct sink *sink, const char *name);

/* Rename within the directory, never over another file (-EEXIST). */
int sink_rename(struct sink *sink, const char *from, const char *to);

/* Make names durable: fsync of the directory. */
int sink_sync_dir(struct sink *sink);

/* Any range within the length. */
int sink_write(struct sink *sink, uint64_t off, const void *bytes, size_t count);
int sink_read(struct sink *sink, uint64_t off, void *ret_bytes, size_t count);
int sink_sync(struct sink *sink);
int sink_truncate(struct sink *sink, uint64_t bytes);

/* Close; a file that never got a name vanishes. Safe on a closed sink. */
void sink_close(struct sink *sink);

/* For whoever opens a file in another way (recycle.c): the memory that pages are composed in, 0 or
 * -ENOMEM; and whether 4096-byte pages from page-aligned memory can be written directly. */
int sink_make_scratch(struct sink *sink);
bool sink_suits_direct(int fd);

/*
 * A run of consecutive bytes, written in large pieces: begin, put, put, ..., end. Bytes of the
 * first and last page that lie outside the run keep their values. sink_read() may be called in
 * between, other calls on the same sink may not.
 */
struct sink_run {
    struct sink *sink;
    uint64_t page_off; /* file offset of scratch[0] */
    size_t used;       /* bytes of scratch that are valid */
};
int sink_run_begin(struct sink_run *run, struct sink *sink, uint64_t off);
int sink_run_put(struct sink_run *run, const void *bytes, size_t count); /* NULL: zeros */
int sink_run_end(struct sink_run *run);

#endif
