/* comeback.c - see comeback.h. */
#include "lib/comeback.h"

#include <errno.h>
#include <string.h>

#include "lib/shared.h"
#include "lib/slots.h"

/* No run is taken to have begun at 0, or its seed, beyond so many counts. */
#define COUNT_MAX DAO_JUMP_MAX

#define REFUSED_MIN_NS 2000000ll   /* between tries to open what may not be opened */
#define REFUSED_MAX_NS 100000000ll /* and at most */

/* Is it the run that the reader was in? */
static bool is_same_run(const struct dao_reader *reader, const struct dao_segment *back)
{
    uint64_t bits;

    memcpy(&bits, &dao_segment_md(back, 0)->creation_time, sizeof bits);
    return bits != 0 && bits == reader->creation_bits;
}

/* Only where the last slot, at which a run begins, has a frame can one be overwritten. */
static void find_lapped(struct dao_comeback *c, const struct dao_segment *back)
{
    uint32_t last = back->geo.depth - 1;
    struct dao_frame_at frame;

    c->lapped = c->seed;
    c->lapped_slot = last;
    dao_segment_newest(back, &frame.slot, &frame.cnt0);
    /* relaxed: what it leads to is proven by the reader */
    if (dao_shared_cnt0(back, last, __ATOMIC_RELAXED) <= c->seed || frame.cnt0 <= c->seed ||
        frame.cnt0 - c->seed > COUNT_MAX)
        return;
    frame = dao_slots_oldest_of_run(back, frame);
    if (dao_segment_is_gone(back) || frame.cnt0 <= c->seed)
        return;
    c->lapped = frame.cnt0 - 1;
    c->lapped_slot = dao_slot_before(back, frame.slot);
}

/* What is refused for its rights, say, stays so for longer, and finding out whose it is takes a
 * look into the users' data base: less and less often. */
static void rest_from_opening(struct dao_comeback *c, int error, int64_t now_ns)
{
    if (error == -ENOENT || error == -ENODATA || error == -EMEDIUMTYPE)
        c->open_rest_ns = 0; /* it is being made */
    else if (c->open_rest_ns == 0)
        c->open_rest_ns = REFUSED_MIN_NS;
    else if (c->open_rest_ns < REFUSED_MAX_NS / 2)
        c->open_rest_ns *= 2;
    else
        c->open_rest_ns = REFUSED_MAX_NS;
    c->open_after_ns = now_ns + c->open_rest_ns;
}

int dao_comeback_open(struct dao_comeback *c, struct dao_segment *back, const char *path,
                      int64_t now_ns)
{
    struct dao_segment fresh;
    struct dao_text text;
    int r;

    if (now_ns < c->open_after_ns)
        return -EAGAIN;
    r = dao_segment_open(&fresh, path, DAO_ACCESS_READ, &text);
    if (r < 0) {
        rest_from_opening(c, r, now_ns);
        return r;
    }
    *back = fresh;
    c->open_after_ns = c->open_rest_ns = 0;
    dao_comeback_begin(c, back);
    return 0;
}

void dao_comeback_begin(struct dao_comeback *c, const struct dao_segment *back)
{
    c->newest = c->seed = dao_segment_seed(back);
    dao_comeback_look(c, back);
    c->opened_newest = c->newest;
    find_lapped(c, back);
}

void dao_comeback_look(struct dao_comeback *c, const struct dao_segment *back)
{
    uint64_t newest;
    uint32_t slot;

    dao_segment_newest(back, &slot, &newest);
    if (!dao_segment_is_gone(back) && newest > c->newest)
        c->newest = newest;
}

uint64_t dao_comeback_unseen(const struct dao_comeback *c, const struct dao_reader *reader,
                             const struct dao_segment *back, uint64_t *ret_first)
{
    uint64_t first = c->newest - c->seed > COUNT_MAX ? c->newest : c->seed + 1;

    if (is_same_run(reader, back))
        first = reader->newest_seen + 1;
    *ret_first = first;
    return c->newest > 0 && c->newest >= first ? c->newest - first + 1 : 0;
}

int dao_comeback_attach(const struct dao_comeback *c, struct dao_reader *reader,
                        const struct dao_segment *back, uint64_t *ret_first)
{
    struct dao_reader old = *reader;
    bool is_same = is_same_run(reader, back);

    if (dao_reader_init(reader, back, old.lap_policy, !is_same) < 0) {
        *reader = old;
        return -ESTALE;
    }
    /* Created anew: its count began at 0, or at its seed, and not all of it is there any more. */
    if (!is_same && reader->creation_bits != old.creation_bits) {
        dao_reader_rewind(reader);
        if (reader->cnt0 < c->seed)
            reader->cnt0 = reader->newest_seen = c->seed;
    }
    dao_reader_note_newest(reader);
    if (c->newest > reader->newest_seen && c->newest - reader->cnt0 <= COUNT_MAX)
        reader->newest_seen = c->newest; /* known, even if it goes away now */
    *ret_first = reader->cnt0 + 1;
    if (is_same && old.newest_seen < reader->cnt0)
        *ret_first = old.newest_seen + 1;
    return 0;
}

uint64_t dao_comeback_skip(const struct dao_comeback *c, struct dao_reader *reader)
{
    uint64_t count;

    if (c->lapped <= reader->cnt0 || c->lapped - reader->cnt0 > COUNT_MAX)
        return 0;
    count = c->lapped - reader->cnt0;
    reader->slot = c->lapped_slot;
    reader->cnt0 = c->lapped;
    if (reader->newest_seen < reader->cnt0)
        reader->newest_seen = reader->cnt0;
    return count;
}
