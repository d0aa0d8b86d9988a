/* glance.c - see glance.h. */
#include "measure/glance.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <time.h>

#include "lib/reader.h"
#include "lib/clock.h"

#define STEP_NS 200000 /* between two looks at the count: the rate's error is this over for_ns */

/* The rate is taken between moments at which the count was seen to move, not over the whole look:
 * so it is not off by a frame. */
static void measure_rate(struct glance *g, const struct dao_segment *seg, int64_t for_ns)
{
    const struct timespec step = {0, STEP_NS};
    int64_t start = dao_clock_mono_ns(), now = start, first_ns = 0, last_ns = 0;
    uint64_t first = 0, last, cnt0;
    uint32_t slot;

    dao_segment_newest(seg, &slot, &last);
    while (now < start + for_ns) {
        nanosleep(&step, NULL);
        now = dao_clock_mono_ns();
        dao_segment_newest(seg, &slot, &cnt0);
        if (cnt0 == last)
            continue;
        if (cnt0 < last) {
            g->is_restarted = true;
            first_ns = 0;
        } else {
            g->frames_seen += cnt0 - last;
        }
        last = cnt0;
        last_ns = now;
        if (first_ns == 0) {
            first = cnt0;
            first_ns = now;
        }
    }
    g->looked_ns = now - start;
    if (first_ns && last_ns > first_ns)
        g->rate_hz = (double)(last - first) * 1e9 / (double)(last_ns - first_ns);
}

/* Asking takes a shared lock for an instant; a writer that starts just then tries again. */
static bool writer_lock_is_held(const struct dao_segment *seg)
{
    if (flock(seg->fd, LOCK_SH | LOCK_NB) == 0) {
        flock(seg->fd, LOCK_UN);
        return false;
    }
    return errno == EWOULDBLOCK;
}

static unsigned count_keywords(const struct dao_segment *seg)
{
    unsigned used = 0;
    IMAGE_KEYWORD keyword;

    for (unsigned i = 0; i < seg->geo.nbkw; i++) {
        dao_segment_keyword(seg, i, &keyword);
        used += keyword.type == 'L' || keyword.type == 'D' || keyword.type == 'S';
    }
    return used;
}

void glance_take(struct glance *ret, const struct dao_segment *seg, int64_t for_ns)
{
    struct glance g = {0};
    struct dao_take newest = {0};
    struct statfs fs;

    measure_rate(&g, seg, for_ns);
    dao_segment_newest(seg, &g.slot, &g.cnt0);
    dao_segment_snapshot(seg, g.slot, &newest);
    g.atime_ns = newest.atime_ns;
    g.age_ns = dao_clock_real_ns() - newest.atime_ns;
    g.is_locked = writer_lock_is_held(seg);
    g.keywords_used = count_keywords(seg);
    g.is_on_disk =
        fstatfs(seg->fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
    g.is_gone = dao_segment_check(seg) < 0 || dao_segment_check_path(seg) < 0;
    *ret = g;
}
