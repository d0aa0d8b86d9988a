/*
 * segment.h - a segment file mapped into this process: create, open, close.
 *
 * This is the core below dao.h, used by daorec too. Functions return 0 or negative errno and fill
 * a text; they print nothing and never exit. A segment may be used by many threads at once;
 * opening and closing one is for one thread.
 *
 * SIGBUS guard: a foreign writer may truncate the file under our mapping. A handler, installed at
 * the first open (dao_segment_guard(false) before that switches it off), acts only on addresses
 * inside our own mappings: it maps zero pages over the rest of that mapping, marks the segment
 * gone, and returns; other faults go to the handler that was there before. No longjmp.
 */
#ifndef DAO_SEGMENT_H
#define DAO_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/layout.h"

enum dao_access {
    DAO_ACCESS_READ,  /* O_RDONLY, PROT_READ: the segment is never touched */
    DAO_ACCESS_WRITE, /* O_RDWR, PROT_READ|PROT_WRITE */
};

struct dao_segment {
    struct dao_geometry geo; /* read once at open; never re-read from shared memory */
    unsigned char *map;      /* geo.file_bytes bytes */
    int fd;                  /* -1 for a private (heap) segment */
    enum dao_access access;
    bool is_private; /* heap memory, no file, no semaphores */
    bool ambiguous;  /* two layouts fitted; FIFO was taken */
    dev_t dev;
    ino_t ino;
    int guard_index;                /* entry in the SIGBUS guard's table, -1: none */
    const atomic_bool *guard_fired; /* of that entry, NULL: none */
    char path[4096];
};

/*
 * Create `path` with this geometry (layout must be FIFO) and map it read-write.
 * A file of the same geometry is re-initialised in place: inode kept, never shrunk, every write
 * flag 1 while it happens, new creation_time, counts 0, pixels 0, keywords 'N', head N-1, write 0
 * last, so attached readers go on. Any other existing regular file that is a segment (or is not
 * one, but is a regular file) is replaced by rename. Mode 0666 under the umask.
 * Semaphores are not this function's affair (semset.h).
 * 0; -EINVAL, -ENOSPC (checked by posix_fallocate: no SIGBUS later for want of room), -EACCES,
 * -EISDIR, -ENOMEM, ... `seg` needs no initialisation and is closed on failure.
 */
int dao_segment_create(struct dao_segment *seg, const char *path, const struct dao_geometry *geo,
                       struct dao_text *text);

/*
 * What a segment has from its first instant on, for a source whose counts go on from elsewhere:
 * slot N-1, the one before the first frame's, carries `cnt0`, and readers expect cnt0 + 1. That it
 * holds no frame is told by its atime, then DAO_SEED_ATIME_NS; the first frame in that slot takes
 * both away, and who comes to a restart as late as that takes the run to have begun at 0.
 */
struct dao_seed {
    uint64_t cnt0;
    const IMAGE_KEYWORD *keywords; /* geo->nbkw of them; NULL: all of type 'N' */
};

#define DAO_SEED_ATIME_NS (-1ll)

/* dao_segment_create() with a seed (NULL: without). No reader sees the segment without it. */
int dao_segment_create_seeded(struct dao_segment *seg, const char *path,
                              const struct dao_geometry *geo, const struct dao_seed *seed,
                              struct dao_text *text);

/* dao_segment_create() in private heap memory, without a file. */
int dao_segment_create_private(struct dao_segment *seg, const char *name,
                               const struct dao_geometry *geo, struct dao_text *text);

/*
 * Open an existing segment of any of the three layouts.
 * 0; -ENOENT; -EACCES (text names owner and mode); -EISDIR; -EMEDIUMTYPE: not a segment;
 * -ENODATA: still being created, worth another try; -ENOTSUP: GPU payload.
 */
int dao_segment_open(struct dao_segment *seg, const char *path, enum dao_access access,
                     struct dao_text *text);

/* Unmap and close; safe on a zeroed or half-built segment, and twice. */
void dao_segment_close(struct dao_segment *seg);

/*
 * Is the mapped file still whole? 0; -ESTALE: truncated or regrown with another size, or the
 * guard fired (then always). One fstat; cheap enough for every wake.
 */
int dao_segment_check(const struct dao_segment *seg);

/* Does the path still lead to the inode we mapped? 0; -ESTALE: removed or replaced. */
int dao_segment_check_path(const struct dao_segment *seg);

/* True once the SIGBUS guard has put zero pages under this segment. Async-signal-safe. */
static inline bool dao_segment_is_gone(const struct dao_segment *seg)
{
    /* acquire: pairs with the release in replace_pages() (guard.c) */
    return seg->guard_fired && atomic_load_explicit(seg->guard_fired, memory_order_acquire);
}

/* True where the file lies on a file system that writes back to a disk (not tmpfs and its like):
 * recording from it competes with that writeback, which is worth a word to the user. */
bool dao_segment_is_on_disk(const struct dao_segment *seg);

/* Switch the SIGBUS guard off (or on again); to be called before the first open. */
void dao_segment_guard(bool enabled);

/*
 * A writer's advisory lock on the segment's file (an addition of ours; field writers take none).
 * 0; -EWOULDBLOCK: another process holds it. Released by close or exit.
 */
int dao_segment_lock_writer(struct dao_segment *seg);

/* Metadata block of a slot. Valid for every layout up to and including offset 4295. */
static inline IMAGE_METADATA *dao_segment_md(const struct dao_segment *seg, uint32_t slot)
{
    return (IMAGE_METADATA *)(void *)(seg->map + (uint64_t)slot * seg->geo.layout->md_bytes);
}

/* Pixels of a slot. */
static inline unsigned char *dao_segment_pixels(const struct dao_segment *seg, uint32_t slot)
{
    return seg->map + seg->geo.data_off + (uint64_t)slot * seg->geo.frame_bytes;
}

/* Copy keyword `index` (0 .. nbkw-1) out; keywords may be misaligned in the file. */
void dao_segment_keyword(const struct dao_segment *seg, unsigned index, IMAGE_KEYWORD *ret);

#endif
