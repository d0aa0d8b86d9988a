/* doubts.c - see doubts.h. */
#include "recording/doubts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void verify_doubts_add(struct verify_doubts *doubts, int64_t frame, const char *fmt, ...)
{
    struct verify_doubt *doubt;
    va_list args;

    doubts->count++;
    if (!doubts->kept)
        doubts->kept = calloc(VERIFY_DOUBTS_KEPT, sizeof *doubts->kept);
    if (!doubts->kept || doubts->kept_count == VERIFY_DOUBTS_KEPT)
        return;
    doubt = &doubts->kept[doubts->kept_count++];
    doubt->frame = frame;
    va_start(args, fmt);
    vsnprintf(doubt->text, sizeof doubt->text, fmt, args);
    va_end(args);
}

void verify_doubts_free(struct verify_doubts *doubts)
{
    free(doubts->kept);
    *doubts = (struct verify_doubts){0};
}
