/* align.c - see align.h. */
#include "measure/align.h"

#include <errno.h>

/* A source, and where it stands. */
struct line {
    const struct align_source *source;
    int64_t last_ns; /* newest time so far */
    uint64_t untimed;
};

/* The next frame whose time is good. */
static int next_timed(struct line *line, struct align_frame *ret)
{
    int r;

    while ((r = line->source->next(line->source->ctx, ret)) > 0) {
        if (ret->atime_ns > 0 && ret->atime_ns >= line->last_ns) {
            line->last_ns = ret->atime_ns;
            return 1;
        }
        line->untimed++;
    }
    return r;
}

/* The two frames of B on either side of a time. */
struct sides {
    struct line line;
    struct align_frame before, after;
    bool has_before, has_after, is_begun;
};

static int move_to(struct sides *b, int64_t atime_ns)
{
    int r = 1;

    while (!b->is_begun || (b->has_after && b->after.atime_ns <= atime_ns)) {
        if (b->has_after) {
            b->before = b->after;
            b->has_before = true;
        }
        b->is_begun = true;
        r = next_timed(&b->line, &b->after);
        b->has_after = r > 0;
        if (r <= 0)
            break;
    }
    return r < 0 ? r : 0;
}

static void note_alone(struct align *align, const struct align_frame *a, bool is_next)
{
    uint64_t at = align->stretch_count;

    align->alone++;
    if (is_next) {
        if (at <= align->stretches_most)
            align->stretches[at - 1].count++;
        return;
    }
    if (at < align->stretches_most)
        align->stretches[at] = (struct align_stretch){a->cnt0, a->atime_ns, a->index, 1};
    align->stretch_count++;
}

/* How far the nearest one is; false: there is none. */
static bool find_nearest(const struct sides *b, int64_t atime_ns, int64_t *ret_offset_ns)
{
    int64_t before_ns = b->has_before ? atime_ns - b->before.atime_ns : INT64_MAX;
    int64_t after_ns = b->has_after ? b->after.atime_ns - atime_ns : INT64_MAX;

    *ret_offset_ns = before_ns <= after_ns ? -before_ns : after_ns;
    return b->has_before || b->has_after;
}

int align_run(struct align *align, const struct align_source *a_source,
              const struct align_source *b_source)
{
    struct line a_line = {.source = a_source};
    struct sides b = {.line = {.source = b_source}};
    struct align_frame a;
    bool was_alone = false;
    uint64_t last_index = 0;
    int64_t offset_ns;
    int r;

    while ((r = next_timed(&a_line, &a)) > 0) {
        int error = move_to(&b, a.atime_ns);

        if (error < 0)
            return error;
        align->frames++;
        if (find_nearest(&b, a.atime_ns, &offset_ns) && offset_ns <= align->tolerance_ns &&
            offset_ns >= -align->tolerance_ns) {
            align->matched++;
            spread_add(&align->offset, offset_ns);
            was_alone = false;
            continue;
        }
        align->outside += !b.has_before || !b.has_after;
        note_alone(align, &a, was_alone && a.index == last_index + 1);
        was_alone = true;
        last_index = a.index;
    }
    align->untimed_a = a_line.untimed;
    align->untimed_b = b.line.untimed;
    spread_settle(&align->offset);
    return r;
}
