/* target.c - see target.h. */
#include "replay/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/claim.h"

/* Where nothing tells the depth: as a source of ours has it, as long as that is no great memory. */
#define DEPTH_DEFAULT     64u
#define DEPTH_DEFAULT_MIN 4u
#define DEPTH_BYTES_MAX   (256ull << 20)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* ---- names ---- */

/* The folder part of a path, its slash included; "" where it has none. */
static int folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (int)(slash - path) + 1 : 0;
}

static bool is_folder(const char *path)
{
    size_t length = strlen(path);
    struct stat st;

    return path[length - 1] == '/' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

static int choose_by_prefix(char *ret, const struct series *series, const char *prefix)
{
    char name[sizeof series->segment + sizeof series->stream];
    const char *segment = series->segment;

    if (segment[folder_length(segment)])
        snprintf(name, sizeof name, "%s", segment + folder_length(segment));
    else
        snprintf(name, sizeof name, "%s.im.shm", series->stream);
    if (is_folder(prefix))
        return snprintf(ret, TARGET_PATH_BYTES, "%s%s%s", prefix,
                        prefix[strlen(prefix) - 1] == '/' ? "" : "/", name);
    if (strchr(prefix, '/'))
        return snprintf(ret, TARGET_PATH_BYTES, "%s%s", prefix, name);
    return snprintf(ret, TARGET_PATH_BYTES, "%.*s%s%s", folder_length(segment), segment, prefix,
                    name);
}

int target_choose_path(char *ret, const struct series *series, const struct target_naming *naming,
                       struct dao_text *text)
{
    int n;

    if (naming->to)
        n = snprintf(ret, TARGET_PATH_BYTES, "%s", naming->to);
    else if (naming->prefix && *naming->prefix)
        n = choose_by_prefix(ret, series, naming->prefix);
    else
        n = snprintf(ret, TARGET_PATH_BYTES, "%s", series->segment);
    if (n <= 0) {
        dao_text_set(text,
                     "stream %s: nothing in it tells its segment; name one with --to or --prefix",
                     series->stream);
        return -EINVAL;
    }
    if (n >= TARGET_PATH_BYTES) {
        dao_text_set(text, "stream %s: the name of its segment is too long", series->stream);
        return -ENAMETOOLONG;
    }
    return 0;
}

/* ---- creating ---- */

void target_init(struct target *target, uint32_t depth)
{
    *target = (struct target){.depth = depth, .segment = {.fd = -1, .guard_index = -1}};
}

static uint32_t default_depth(uint64_t frame_bytes)
{
    uint64_t depth = frame_bytes ? DEPTH_BYTES_MAX / frame_bytes : DEPTH_DEFAULT;

    return depth > DEPTH_DEFAULT       ? DEPTH_DEFAULT
           : depth < DEPTH_DEFAULT_MIN ? DEPTH_DEFAULT_MIN
                                       : (uint32_t)depth;
}

int target_geometry(struct dao_geometry *ret, const struct series_part *part, uint32_t depth,
                    struct dao_text *text)
{
    const struct dao_geometry *recorded = &part->geometry;

    if (depth == 0)
        depth = recorded->depth ? recorded->depth : default_depth(recorded->frame_bytes);
    return dao_geometry_make(ret, recorded->naxis, recorded->size, recorded->dtype->atype, depth,
                             (int)part->keyword_count, text);
}

/* The semaphores before the segment: if they cannot be had, one that is there is not touched. */
int target_create(struct target *target, const struct series_part *part, uint64_t cnt0,
                  struct dao_text *text)
{
    const struct dao_seed seed = {cnt0, part->keyword_count ? part->keywords : NULL};
    struct dao_segment fresh;
    struct dao_geometry geometry;
    int r = target_geometry(&geometry, part, target->depth, text);

    if (r == 0 && !target->semaphores.base[0])
        r = dao_semset_open(&target->semaphores, target->path, false, text);
    if (r < 0)
        return r;
    r = dao_segment_create_seeded(&fresh, target->path, &geometry, &seed, text);
    if (r < 0) {
        if (!target->segment.map)
            dao_semset_undo(&target->semaphores);
        return r;
    }
    dao_semset_drain(&target->semaphores);
    dao_segment_close(&target->segment); /* the lock belongs to the file: let it go first */
    target->segment = fresh;
    /* Faulted in now, not frame by frame in the first lap. Without it, it only is slower. */
    madvise(fresh.map, fresh.geo.file_bytes, MADV_POPULATE_WRITE);
    return claim_lock(&target->segment, text);
}

/* ---- frames ---- */

int target_fill(struct target *target, const void *pixels, struct dao_write *ret)
{
    int r = dao_writer_begin(&target->segment, ret);

    if (r < 0)
        return r;
    memcpy(ret->pixels, pixels, target->segment.geo.frame_bytes);
    dao_writer_note_whole(&target->segment, ret);
    return 0;
}

void target_publish(struct target *target, const struct dao_write *w, uint64_t cnt1, uint64_t cnt2,
                    int64_t atime_ns)
{
    dao_writer_note_counters(&target->segment, w, cnt1, cnt2);
    dao_writer_publish(&target->segment, w, atime_ns);
    dao_semset_post(&target->semaphores, DAO_SEMSET_ALL);
}

int target_check(const struct target *target)
{
    int r = dao_segment_check(&target->segment);

    return r == 0 ? dao_segment_check_path(&target->segment) : r;
}

/* ---- the end ---- */

void target_close(struct target *target, bool remove)
{
    bool ours = remove && target->segment.map && dao_segment_check_path(&target->segment) == 0;

    dao_semset_close(&target->semaphores);
    if (ours) {
        unlink(target->segment.path);
        dao_semset_unlink(target->segment.path);
    }
    dao_segment_close(&target->segment);
}
