/*
 * reader.c - the sequential reader: begin, use in place, finish.
 *
 * What is next is decided in examine(), which changes nothing; dao_reader_begin() adds only the
 * move to a new run. The position moves in dao_reader_finish(). A reader is for one thread.
 *
 * Nothing read from shared memory is trusted: a value is loaded once, checked, and used from
 * there. A head that is out of range proves nothing, so for its time there is nothing to read.
 */
#include "lib/reader.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/shared.h"
#include "lib/slots.h"
#include "lib/clock.h"

/* What examine() found out. FRAME: the take is complete. RESTART: `position` is before the first
 * frame of the new run. */
struct finding {
    enum dao_read what;
    struct dao_frame_at position;
    uint64_t creation_bits;
};

/* ---- restarts ---- */

/* The header as the segment has it now, against what it was at open. */
static bool shape_is_kept(const struct dao_segment *seg)
{
    const IMAGE_METADATA *md = dao_segment_md(seg, 0);
    const struct dao_geometry *geo = &seg->geo;

    return __atomic_load_n(&md->naxis, __ATOMIC_RELAXED) == geo->naxis &&
           __atomic_load_n(&md->size[0], __ATOMIC_RELAXED) == geo->size[0] &&
           (geo->naxis < 2 || __atomic_load_n(&md->size[1], __ATOMIC_RELAXED) == geo->size[1]) &&
           (geo->naxis < 3 || __atomic_load_n(&md->size[2], __ATOMIC_RELAXED) == geo->size[2]) &&
           __atomic_load_n(&md->atype, __ATOMIC_RELAXED) == geo->dtype->atype &&
           __atomic_load_n(&md->NBkw, __ATOMIC_RELAXED) == geo->nbkw &&
           dao_shared_depth(seg, __ATOMIC_RELAXED) == geo->depth;
}

/*
 * Another creation_time. 0: someone has truncated the file and is filling it again, that field
 * last; while our own re-creation is at work the last slot's write flag is up. Both: not yet.
 */
static int examine_new_creation(const struct dao_reader *r, uint64_t bits, struct finding *ret)
{
    const struct dao_segment *seg = r->seg;
    uint32_t last = seg->geo.depth - 1;

    ret->what = DAO_READ_NONE;
    if (dao_segment_check(seg) < 0)
        return -ESTALE;
    if (bits == 0)
        return 0;
    if (!shape_is_kept(seg))
        return -ESTALE;
    /* acquire: pairs with the last release in reset_in_place() (create.c) */
    if (dao_shared_write(seg, last, __ATOMIC_ACQUIRE))
        return 0;
    *ret = (struct finding){DAO_READ_RESTART, {last, dao_segment_seed(seg)}, bits};
    return 0;
}

/* Counts that belong to another run, although creation_time is the same; `frame` is one of it. */
static int examine_new_counts(const struct dao_reader *r, struct dao_frame_at frame,
                              struct finding *ret)
{
    const struct dao_segment *seg = r->seg;
    struct dao_frame_at oldest;
    /* acquire: pairs with the release of it in reset_in_place(). Loaded after the counts: if it
     * is still the old one, no re-creation has touched them. */
    uint64_t bits = dao_shared_creation(seg, __ATOMIC_ACQUIRE);

    if (bits != r->creation_bits)
        return examine_new_creation(r, bits, ret);
    ret->what = DAO_READ_NONE;
    if (dao_segment_check(seg) < 0)
        return -ESTALE;
    if (frame.cnt0 == 0)
        return 0; /* cleared, nothing published yet */
    if (dao_slots_is_seed(seg, frame.slot)) {
        *ret = (struct finding){DAO_READ_RESTART, frame, bits};
        return 0;
    }
    oldest = dao_slots_oldest_of_run(seg, frame);
    *ret = (struct finding){
        DAO_READ_RESTART, {dao_slot_before(seg, oldest.slot), oldest.cnt0 - 1}, bits};
    return 0;
}

/* Was the frame in `later` published after the one in `earlier`, as far as timestamps tell? */
static bool is_later(const struct dao_segment *seg, uint32_t later, uint32_t earlier)
{
    struct dao_take a, b;

    dao_segment_snapshot(seg, later, &a);
    dao_segment_snapshot(seg, earlier, &b);
    return a.atime_ns == 0 || b.atime_ns == 0 || a.atime_ns >= b.atime_ns;
}

/* The slot last taken holds a smaller count than it did: a frame of the new run. */
static struct dao_frame_at frame_gone_back(const struct dao_reader *r, uint64_t own)
{
    struct dao_frame_at frame = {r->slot, own}, newest;

    if (own == 0 && dao_slots_newest(r->seg, &newest) && newest.cnt0 <= r->cnt0)
        return newest; /* cleared, and the new run has not come that far */
    return frame;
}

/*
 * The next slot holds nothing new. Has the source gone back? Yes where the slot last taken has a
 * smaller count than it had, or where the writer has passed the next slot without a larger count
 * in it. (A head that is behind after a whole lap leaves larger counts.) Gives a frame of the new
 * run.
 */
static bool went_back(const struct dao_reader *r, uint32_t next, struct dao_frame_at *ret)
{
    const struct dao_segment *seg = r->seg;
    uint32_t depth = seg->geo.depth, head, ahead;
    /* acquire: pairs with the releases of write and cnt0 in publish and in reset_in_place() */
    uint8_t write = dao_shared_write(seg, r->slot, __ATOMIC_ACQUIRE);
    uint64_t own = dao_shared_cnt0(seg, r->slot, __ATOMIC_ACQUIRE), cnt0;

    if (own < r->cnt0) {
        *ret = frame_gone_back(r, own);
        return true;
    }
    if (depth == 1)
        return false;
    head = dao_shared_head(seg, __ATOMIC_ACQUIRE); /* pairs with the release in publish */
    /* After own and head: a frame that came meanwhile is no restart. */
    cnt0 = dao_shared_cnt0(seg, next, __ATOMIC_ACQUIRE);
    *ret = (struct dao_frame_at){next, cnt0};
    if (head >= depth || cnt0 > r->cnt0)
        return false;
    if (own > r->cnt0)
        return !write;
    ahead = head >= r->slot ? head - r->slot : head + (depth - r->slot);
    /* A writer that damages the head damages the depth beside it, or leads to older frames. */
    if (depth < 3 || ahead < 2 || dao_shared_depth(seg, __ATOMIC_RELAXED) != depth ||
        !is_later(seg, next, r->slot))
        return false;
    /* Where a frame was stamped and not yet published when we attached to it, the head was behind
     * us; if it has moved since, that time may be of a frame in the making. The fence pairs with
     * that in dao_writer_begin(). */
    atomic_thread_fence(memory_order_acquire);
    return !dao_shared_write(seg, next, __ATOMIC_ACQUIRE) &&
           dao_shared_cnt0(seg, next, __ATOMIC_ACQUIRE) == cnt0;
}

/* ---- what is next ---- */

/* Slots left free between writer and resume: more each time a resume did not last for a lap. */
static uint32_t next_margin(const struct dao_reader *r)
{
    uint32_t depth = r->seg->geo.depth, most = depth / 2;

    if (r->clean_frames >= depth)
        return r->margin;
    if (depth < 4)
        most = depth == 3; /* two slots are the writer's, one must remain */
    if (r->margin >= most)
        return most;
    return r->margin == 0 ? 1 : r->margin * 2 < most ? r->margin * 2 : most;
}

static void offer(const struct dao_reader *r, struct dao_frame_at frame, struct dao_take *take)
{
    dao_segment_snapshot(r->seg, frame.slot, take);
    take->cnt0 = frame.cnt0; /* the value that was examined; finish() compares it with the slot's */
    take->missing = frame.cnt0 - r->cnt0 - 1;
}

/* Frames were overwritten: where to go on. */
static int examine_after_lap(const struct dao_reader *r, struct dao_take *take, struct finding *ret)
{
    struct dao_frame_at frame;
    bool found;

    if (r->lap_policy == DAO_LAP_NEWEST)
        found = dao_slots_newest(r->seg, &frame) && frame.cnt0 > r->cnt0;
    else
        found = dao_slots_oldest_after(r->seg, r->cnt0, next_margin(r), &frame);
    ret->what = DAO_READ_NONE;
    if (found && frame.cnt0 - r->cnt0 > DAO_JUMP_MAX)
        return examine_new_counts(r, frame, ret);
    if (found) {
        offer(r, frame, take);
        take->lapped = true;
        ret->what = DAO_READ_FRAME;
    }
    return 0;
}

/*
 * A candidate in slot head+1. With a count above the newest it is either just stamped by a writer
 * of ours, which moves the head last, or left over from an older run. Else it is the oldest frame,
 * about to be overwritten: it can be given out, but never be proven.
 */
static int examine_beyond_head(const struct dao_reader *r, uint32_t head, struct dao_frame_at next,
                               struct dao_take *take, struct finding *ret)
{
    /* By this head, not by a newer one: otherwise a frame published between the two looks would
     * be taken for one that has been lapped. At depth 2 the slot before the head is ours. */
    uint64_t newest = r->seg->geo.depth == 2 ? dao_shared_cnt0(r->seg, head, __ATOMIC_ACQUIRE)
                                             : dao_slots_newest_at(r->seg, head).cnt0;

    if (next.cnt0 > newest)
        return 0;
    /* acquire: pairs with the release in dao_writer_publish(). The head may have been a moment old
     * when it was first loaded; once it has moved on, this slot is not the one behind it. */
    if (next.slot != dao_slot_next(r->seg, dao_shared_head(r->seg, __ATOMIC_ACQUIRE)))
        return 0;
    /* acquire: pairs with the release of write in dao_writer_publish() */
    if (r->lap_policy == DAO_LAP_NEWEST && !dao_shared_write(r->seg, next.slot, __ATOMIC_ACQUIRE)) {
        offer(r, next, take);
        ret->what = DAO_READ_FRAME;
        return 0;
    }
    return examine_after_lap(r, take, ret);
}

/*
 * A count of another run is in the next slot. After a source has gone back it may be left over from
 * an older run, and then it says nothing: it does while the slot last taken is the newest one. In
 * the head's slot it may also be about to be stamped over; its timestamp, which a field writer
 * stores before the count, tells in all but an instant.
 */
static int examine_far_candidate(const struct dao_reader *r, struct dao_frame_at next,
                                 struct finding *ret)
{
    const struct dao_segment *seg = r->seg;
    /* acquire: pairs with the releases of cnt0 and of the head in dao_writer_publish() */
    uint64_t own = dao_shared_cnt0(seg, r->slot, __ATOMIC_ACQUIRE);
    uint32_t head = dao_shared_head(seg, __ATOMIC_ACQUIRE);

    if (seg->geo.depth > 1 && own == r->cnt0 &&
        (head >= seg->geo.depth || next.slot == dao_slot_next(seg, head) ||
         (next.slot == head && !is_later(seg, next.slot, r->slot)) ||
         dao_shared_cnt0(seg, next.slot, __ATOMIC_ACQUIRE) != next.cnt0))
        return 0;
    return examine_new_counts(r, next, ret);
}

/* A count larger than the one last taken is in the next slot. */
static int examine_candidate(const struct dao_reader *r, struct dao_frame_at next,
                             struct dao_take *take, struct finding *ret)
{
    const struct dao_segment *seg = r->seg;
    bool jumped = false;
    uint32_t head;
    int error = 0;

    if (next.cnt0 - r->cnt0 > DAO_JUMP_MAX)
        return examine_far_candidate(r, next, ret);
    if (next.cnt0 - r->cnt0 > 1) {
        /* The slot last taken, loaded after the count: a writer that lapped has been there. */
        uint64_t own = dao_shared_cnt0(seg, r->slot, __ATOMIC_ACQUIRE);

        jumped = own == r->cnt0; /* at depth 1 it is the new one: always a lap */
        if (!jumped)
            return examine_after_lap(r, take, ret);
    }
    /* relaxed: this only sorts out what finish() would refuse, and there the order counts */
    head = dao_shared_head(seg, __ATOMIC_RELAXED);
    if (head >= seg->geo.depth)
        return 0;
    if (seg->geo.depth > 1 && next.slot == dao_slot_next(seg, head)) {
        error = examine_beyond_head(r, head, next, take, ret);
    } else {
        offer(r, next, take);
        ret->what = DAO_READ_FRAME;
    }
    take->jumped = jumped && !take->lapped;
    return error;
}

/* 0 with ret->what, or -ESTALE. Flags of `take` must be clear. */
static int examine(const struct dao_reader *r, struct dao_take *take, struct finding *ret)
{
    const struct dao_segment *seg = r->seg;
    struct dao_frame_at next = {.slot = dao_slot_next(seg, r->slot)}, back;
    uint64_t bits;

    ret->what = DAO_READ_NONE;
    if (dao_segment_is_gone(seg))
        return -ESTALE;
    /* acquire: pairs with the release of it in reset_in_place(); first, so that a slot's content
     * cannot be older than the run it is taken for */
    bits = dao_shared_creation(seg, __ATOMIC_ACQUIRE);
    if (bits != r->creation_bits)
        return examine_new_creation(r, bits, ret);
    /* acquire: pairs with the release of cnt0 in dao_writer_publish() */
    next.cnt0 = dao_shared_cnt0(seg, next.slot, __ATOMIC_ACQUIRE);
    if (next.cnt0 > r->cnt0)
        return examine_candidate(r, next, take, ret);
    return went_back(r, next.slot, &back) ? examine_new_counts(r, back, ret) : 0;
}

static void clear_flags(struct dao_take *take)
{
    take->pixels = NULL;
    take->partial = take->lapped = take->jumped = take->torn = false;
    take->missing = take->restart_lost = take->restart_first = 0;
}

static void start_run(struct dao_reader *r, const struct finding *finding, struct dao_take *take)
{
    take->restart_lost = r->newest_seen > r->cnt0 ? r->newest_seen - r->cnt0 : 0;
    take->restart_first = r->cnt0 + 1;
    r->slot = finding->position.slot;
    r->cnt0 = finding->position.cnt0;
    r->creation_bits = finding->creation_bits;
    r->newest_seen = r->cnt0;
    r->atime_ns = 0;
    r->margin = 0;
    r->clean_frames = r->seg->geo.depth;
}

int dao_reader_begin(struct dao_reader *r, struct dao_take *take)
{
    int64_t look_ns = r->seg->geo.depth == 1 ? dao_clock_mono_ns() : 0;
    struct finding finding;
    int error;

    clear_flags(take);
    error = examine(r, take, &finding);
    if (error == 0 && finding.what == DAO_READ_RESTART && r->creation_bits == 0 &&
        r->newest_seen == 0) {
        /* Attached while the segment was being created: now it is, and this is its first run. */
        start_run(r, &finding, take);
        clear_flags(take);
        error = examine(r, take, &finding);
    }
    /* Pages that vanished under examine() read as zeros: whatever it says is then void. */
    if (error < 0 || dao_segment_is_gone(r->seg))
        return -ESTALE;
    if (finding.what == DAO_READ_RESTART)
        start_run(r, &finding, take);
    if (finding.what == DAO_READ_NONE)
        r->unchanged_ns = look_ns;
    return (int)finding.what;
}

/* A slot's metadata fill more than a page, so each frame begins with a page and lines that only the
 * writer's core has; far enough ahead for both to arrive, near enough for the first-level cache. */
#define PREFETCH_AHEAD 4u
#define PREFETCH_BYTES 512u
#define LINE_BYTES     64u

void dao_reader_prefetch(const struct dao_reader *r, const struct dao_take *take)
{
    const struct dao_segment *seg = r->seg;
    uint64_t slot = (uint64_t)take->slot + PREFETCH_AHEAD, bytes = seg->geo.frame_bytes;
    const IMAGE_METADATA *md;
    const unsigned char *pixels;

    if (r->newest_seen < take->cnt0 + PREFETCH_AHEAD || seg->geo.depth <= 2 * PREFETCH_AHEAD)
        return;
    if (slot >= seg->geo.depth)
        slot -= seg->geo.depth;
    md = dao_segment_md(seg, (uint32_t)slot);
    pixels = dao_segment_pixels(seg, (uint32_t)slot);
    __builtin_prefetch(&md->atime);
    __builtin_prefetch(&md->packetTotal);
    for (uint64_t at = 0; at < bytes && at < PREFETCH_BYTES; at += LINE_BYTES)
        __builtin_prefetch(pixels + at);
}

int dao_reader_peek(const struct dao_reader *r)
{
    struct finding finding;
    struct dao_take take;
    int error;

    clear_flags(&take);
    error = examine(r, &take, &finding);
    return error < 0 || dao_segment_is_gone(r->seg) ? -ESTALE : (int)finding.what;
}

/* ---- the proof ---- */

static bool is_proven(const struct dao_segment *seg, const struct dao_take *take)
{
    struct dao_look look = dao_shared_look(seg, take->slot);

    return look.cnt0 == take->cnt0 && !look.write && look.head < seg->geo.depth &&
           take->slot != dao_slot_next(seg, look.head) &&
           (take->slot != look.head || look.before < take->cnt0);
}

/* Depth 1: write, then the count; the same partners. */
static bool looks_whole(const struct dao_segment *seg, const struct dao_take *take)
{
    uint8_t write = dao_shared_write(seg, take->slot, __ATOMIC_ACQUIRE);
    uint64_t cnt0 = dao_shared_cnt0(seg, take->slot, __ATOMIC_ACQUIRE);

    return cnt0 == take->cnt0 && !write;
}

/* Beyond this distance at depth 1 the source has jumped rather than gone round so often. */
#define LAP_MAX_ALONE 1000u

/*
 * Depth 1: could the frame after this one have been begun before the copy was done? A field writer
 * that is interrupted between pixels and count leaves no other trace. The frame appeared after
 * unchanged_ns; its successor is due one interval later (by the timestamps, whose differences hold
 * whatever they count from), less an eighth for jitter and the time that filling the slot takes.
 */
static bool was_copied_in_time(const struct dao_reader *r, const struct dao_take *take,
                               int64_t copied_ns)
{
    int64_t span_ns, limit_ns;

    if (r->atime_ns <= 0 || take->cnt0 <= r->cnt0 || take->cnt0 - r->cnt0 > LAP_MAX_ALONE ||
        __builtin_sub_overflow(take->atime_ns, r->atime_ns, &span_ns) || span_ns <= 0)
        return true; /* no interval is known */
    limit_ns = (int64_t)((uint64_t)span_ns / (take->cnt0 - r->cnt0));
    limit_ns -= limit_ns / 8 + (int64_t)(r->seg->geo.frame_bytes / 4); /* at 4 GB/s */
    return copied_ns - r->unchanged_ns < limit_ns;
}

/*
 * Depth 1: nothing is a proof, but a second look a little later finds almost all of what is torn,
 * because a field writer stamps the count after the pixels; and what was copied late is suspect.
 */
static bool looks_whole_alone(struct dao_reader *r, const struct dao_take *take)
{
    int64_t copied_ns = dao_clock_mono_ns(), now_ns = copied_ns;
    bool in_time = was_copied_in_time(r, take, copied_ns);

    if (!looks_whole(r->seg, take))
        return false;
    for (; now_ns < copied_ns + r->torn_look_ns; now_ns = dao_clock_mono_ns())
        dao_cpu_relax();
    if (!looks_whole(r->seg, take))
        return false;
    r->unchanged_ns = now_ns;
    return in_time;
}

static void book_taken(struct dao_reader *r, const struct dao_take *take)
{
    uint32_t depth = r->seg->geo.depth;

    if (take->lapped) {
        r->margin = next_margin(r);
        r->clean_frames = 0;
    }
    r->clean_frames++;
    if (r->clean_frames == depth || r->clean_frames == 2 * depth) {
        r->margin /= 2;
        r->clean_frames = depth;
    }
    r->slot = take->slot;
    r->cnt0 = take->cnt0;
    r->atime_ns = take->atime_ns;
    if (r->cnt0 > r->newest_seen)
        r->newest_seen = r->cnt0;
}

int dao_reader_finish(struct dao_reader *r, struct dao_take *take)
{
    bool is_whole;

    /* acquire: pairs with the release fences in dao_writer_begin() and reset_in_place(): a pixel
     * copied from what they let through makes their earlier stores visible below */
    atomic_thread_fence(memory_order_acquire);
    is_whole = r->seg->geo.depth == 1 ? looks_whole_alone(r, take) : is_proven(r->seg, take);
    /* Last, because counts can come round again in a new run: as long as this is the old time, no
     * re-creation had touched what was loaded above. Pairs with the release in reset_in_place(). */
    if (dao_shared_creation(r->seg, __ATOMIC_ACQUIRE) != r->creation_bits ||
        dao_slots_is_cut(r->seg, take->slot))
        return 0;
    if (!is_whole && r->seg->geo.depth > 1) {
        if (take->lapped) {
            r->margin = next_margin(r);
            r->clean_frames = 0;
        }
        return 0;
    }
    take->torn = !is_whole;
    book_taken(r, take);
    return 1;
}

/* ---- around it ---- */

int dao_reader_init(struct dao_reader *r, const struct dao_segment *seg, enum dao_lap_policy policy,
                    bool backlog)
{
    struct dao_frame_at start, newest;

    if (dao_segment_check(seg) < 0)
        return -ESTALE;
    memset(r, 0, sizeof *r);
    r->seg = seg;
    r->lap_policy = policy;
    r->torn_look_ns = DAO_TORN_LOOK_NS;
    r->clean_frames = seg->geo.depth;
    /* First: if it changes while we look, begin() finds a restart. */
    r->creation_bits = dao_slots_run(seg);
    dao_segment_newest(seg, &newest.slot, &newest.cnt0);
    start = newest;
    if (backlog && newest.cnt0 > 0 && !dao_slots_is_seed(seg, newest.slot)) {
        start = dao_slots_oldest_of_run(seg, newest);
        start = (struct dao_frame_at){dao_slot_before(seg, start.slot), start.cnt0 - 1};
    }
    r->slot = start.slot;
    r->cnt0 = start.cnt0;
    r->newest_seen = newest.cnt0 > start.cnt0 ? newest.cnt0 : start.cnt0;
    return dao_segment_is_gone(seg) ? -ESTALE : 0;
}

void dao_reader_rewind(struct dao_reader *r)
{
    r->slot = r->seg->geo.depth - 1;
    r->cnt0 = r->newest_seen = dao_segment_seed(r->seg);
    r->atime_ns = 0;
}

/* The newest count, where it belongs to this run; otherwise what is known of it. */
static uint64_t newest_of_run(const struct dao_reader *r)
{
    struct dao_frame_at newest;

    if (!dao_slots_newest(r->seg, &newest) || newest.cnt0 <= r->newest_seen ||
        newest.cnt0 - r->cnt0 > DAO_JUMP_MAX)
        return r->newest_seen;
    /* acquire, after the count: the old time means that the count is of the old run. Pairs with
     * the release in reset_in_place(). */
    return dao_shared_creation(r->seg, __ATOMIC_ACQUIRE) == r->creation_bits ? newest.cnt0
                                                                             : r->newest_seen;
}

void dao_reader_note_newest(struct dao_reader *r)
{
    r->newest_seen = newest_of_run(r);
}

int dao_reader_look(struct dao_reader *r)
{
    uint64_t newest;
    int what;

    if (dao_segment_check(r->seg) < 0)
        return -ESTALE;
    newest = newest_of_run(r);
    what = dao_reader_peek(r);
    if (what < 0)
        return what;
    r->newest_seen = newest;
    return what == DAO_READ_RESTART;
}

bool dao_reader_is_ready(const struct dao_reader *r)
{
    uint32_t next = dao_slot_next(r->seg, r->slot);
    uint64_t bits;

    /* acquire: pairs with the release of cnt0 in dao_writer_publish() */
    if (dao_shared_cnt0(r->seg, next, __ATOMIC_ACQUIRE) > r->cnt0)
        return true;
    bits = dao_shared_creation(r->seg, __ATOMIC_RELAXED);
    return bits != r->creation_bits && bits != 0;
}

uint64_t dao_reader_backlog(const struct dao_reader *r)
{
    struct dao_frame_at newest;

    return dao_slots_newest(r->seg, &newest) && newest.cnt0 > r->cnt0 ? newest.cnt0 - r->cnt0 : 0;
}
