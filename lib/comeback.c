/* comeback.c - see comeback.h. */
#include "lib/comeback.h"

#include <errno.h>
#include <string.h>

#include "lib/slots.h"

/* No run is taken to have begun at 0, or its seed, beyond so many counts. */
#define COUNT_MAX DAO_JUMP_MAX

/* Is it the run that the reader was in? */
static bool is_same_run(const struct dao_reader *reader, const struct dao_segment *back)
{
    uint64_t bits;

    memcpy(&bits, &dao_segment_md(back, 0)->creation_time, sizeof bits);
    return bits != 0 && bits == reader->creation_bits;
}

void dao_comeback_begin(struct dao_comeback *c, const struct dao_segment *back)
{
    c->newest = c->seed = dao_segment_seed(back);
    dao_comeback_look(c, back);
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
