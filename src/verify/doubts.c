/* doubts.c - see doubts.h. */
#include "verify/doubts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for one more, or NULL; it is counted in any case. */
static struct verify_doubt *append(struct verify_doubts *doubts, int64_t frame)
{
    struct verify_doubt *doubt;

    doubts->count++;
    if (!doubts->kept)
        doubts->kept = calloc(VERIFY_DOUBTS_KEPT, sizeof *doubts->kept);
    if (!doubts->kept || doubts->kept_count == VERIFY_DOUBTS_KEPT)
        return NULL;
    doubt = &doubts->kept[doubts->kept_count++];
    doubt->frame = frame;
    return doubt;
}

void verify_doubts_add(struct verify_doubts *doubts, int64_t frame, const char *fmt, ...)
{
    struct verify_doubt *doubt = append(doubts, frame);
    va_list args;

    if (!doubt)
        return;
    va_start(args, fmt);
    vsnprintf(doubt->text, sizeof doubt->text, fmt, args);
    va_end(args);
}

/* ---- frames ---- */

static void describe_one(struct verify_doubt *doubt)
{
    const struct verify_frame *frame = &doubt->first;
    char bytes[64] = "", cnt0[128] = "";

    if (frame->bytes > 0)
        snprintf(bytes, sizeof bytes, ", bytes %llu to %llu", (unsigned long long)frame->off,
                 (unsigned long long)(frame->off + frame->bytes - 1));
    if (!frame->has_no_cnt0)
        snprintf(cnt0, sizeof cnt0, " (CNT0 %lld%s)", (long long)frame->cnt0, bytes);
    snprintf(doubt->text, sizeof doubt->text, "frame %llu%s%s: %s",
             (unsigned long long)frame->index, cnt0, frame->is_row ? ", its row" : "", frame->what);
}

static void describe_several(struct verify_doubt *doubt)
{
    const struct verify_frame *first = &doubt->first, *last = &doubt->last;
    char number[48] = "", cnt0[64] = "";

    if (last->index - first->index != doubt->frames - 1)
        snprintf(number, sizeof number, "%llu of the ", (unsigned long long)doubt->frames);
    if (!first->has_no_cnt0)
        snprintf(cnt0, sizeof cnt0, " (CNT0 %lld to %lld)", (long long)first->cnt0,
                 (long long)last->cnt0);
    snprintf(doubt->text, sizeof doubt->text, "%sframes %llu to %llu%s%s: %s", number,
             (unsigned long long)first->index, (unsigned long long)last->index, cnt0,
             first->is_row ? ", their rows" : "", first->what);
}

/* Which kind it is, or a new one; NULL: there are too many. */
static struct verify_doubt_kind *find_kind(struct verify_doubts *doubts, const char *what)
{
    size_t i = 0;

    while (i < doubts->kind_count && doubts->kinds[i].what != what)
        i++;
    if (!doubts->kinds)
        doubts->kinds = calloc(VERIFY_DOUBTS_KINDS, sizeof *doubts->kinds);
    if (!doubts->kinds || i == VERIFY_DOUBTS_KINDS)
        return NULL;
    if (i == doubts->kind_count)
        doubts->kinds[doubts->kind_count++].what = what;
    return &doubts->kinds[i];
}

/* The kept doubt that this frame can join, or NULL. */
static struct verify_doubt *find_to_join(struct verify_doubts *doubts,
                                         const struct verify_doubt_kind *kind, uint64_t index)
{
    struct verify_doubt *newest = kind && kind->kept ? &doubts->kept[kind->newest] : NULL;

    if (newest && newest->last.index + 1 != index && kind->kept < VERIFY_DOUBTS_OF_KIND &&
        doubts->kept_count < VERIFY_DOUBTS_KEPT)
        return NULL;
    return newest;
}

void verify_doubts_add_frame(struct verify_doubts *doubts, const struct verify_frame *frame)
{
    struct verify_doubt_kind *kind = find_kind(doubts, frame->what);
    struct verify_doubt *doubt = find_to_join(doubts, kind, frame->index);

    if (doubt) {
        doubt->last = *frame;
        doubt->frames++;
        describe_several(doubt);
        return;
    }
    doubt = append(doubts, (int64_t)frame->index);
    if (!doubt)
        return;
    if (kind) {
        kind->newest = doubts->kept_count - 1;
        kind->kept++;
    }
    doubt->frames = 1;
    doubt->first = doubt->last = *frame;
    describe_one(doubt);
}

void verify_doubts_free(struct verify_doubts *doubts)
{
    free(doubts->kept);
    free(doubts->kinds);
    *doubts = (struct verify_doubts){0};
}
