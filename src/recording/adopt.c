/*
 * adopt.c - a file that another process has left, taken over for closing. See file.h.
 *
 * A file is left between two steps of its life, or in one that a power cut has halved. What is in
 * it then is one of these, and all of them are the same to whoever closes it: `planes` planes, a
 * table FRAMES behind them with the rows of the first frames, SHMKW, and perhaps room behind that:
 *
 *   being filled, or tables behind frame n half written     N planes, N rows, SPARE
 *   the detour's tables rule                                n' > N planes, n rows, FILLER
 *   switched, not cut (n < N)                               n planes, n rows, FILLER
 *   switched, not cut (n = N)                               N planes, N rows, SPARE
 *   cut, not renamed                                        n planes, n rows, nothing
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recording/file.h"
#include "recording/reading.h"

#define SHMKW_BYTES_MAX (16u << 20) /* 32767 keywords have 4.2 MB */

static void plan_from(struct fits_plan *ret, const struct reading *reading)
{
    const struct fits_unit *unit = reading->unit;

    *ret = (struct fits_plan){
        .parts = {.primary_bytes = unit[READING_CUBE].data_off,
                  .frame_bytes = reading->frame_bytes,
                  .frames_header_bytes = unit[READING_FRAMES].header.length,
                  .shmkw_bytes = unit[READING_SHMKW].end - unit[READING_SHMKW].header_off},
        .capacity = reading->planes,
        .cube_off = reading->cube_off,
        .frames_header_off = unit[READING_FRAMES].header_off,
        .rows_off = reading->rows_off,
        .shmkw_off = unit[READING_SHMKW].header_off,
        .spare_off = unit[READING_SHMKW].end,
        .spare_data_bytes =
            reading->unit_count == READING_UNITS ? unit[READING_SPARE].data_bytes : 0,
        .file_bytes = reading->file_bytes,
    };
}

static int read_keywords(struct fits_bytes *ret, const struct reading *reading)
{
    const struct fits_unit *unit = &reading->unit[READING_SHMKW];
    uint64_t bytes = unit->end - unit->header_off;
    int r;

    if (bytes > SHMKW_BYTES_MAX)
        return -EFBIG;
    ret->data = malloc(bytes);
    ret->length = ret->data ? bytes : 0;
    r = ret->data ? fits_read_at(reading->fd, unit->header_off, ret->data, bytes) : -ENOMEM;
    if (r == 0) /* the header as `reading` has it: in the file it may have wrong bits yet */
        memcpy(ret->data, unit->header.data, unit->header.length);
    return r;
}

int recording_file_adopt(struct recording_file *file, const struct reading *reading,
                         const char *part_name, struct dao_text *text)
{
    const struct reading_cards *cards = &reading->cards;
    size_t length = strlen(part_name);
    int r;

    if (length <= 5 || length >= sizeof file->part_name ||
        strcmp(part_name + length - 5, ".part") != 0) {
        snprintf(text->s, sizeof text->s, "its name is none of a recording being written");
        return -EINVAL;
    }
    memcpy(file->part_name, part_name, length + 1);
    snprintf(file->name, sizeof file->name, "%.*s", (int)length - 5, part_name);
    snprintf(file->stream, sizeof file->stream, "%.*s", FITS_STREAM_NAME_MAX, cards->stream);
    plan_from(&file->plan, reading);
    file->dateref_ns = reading->dateref_ns;
    file->state = (struct fits_state){
        .planes = reading->planes,
        .file_seq = (uint64_t)cards->file_seq,
        .frame0 = (uint64_t)cards->frame0,
        .cnt0_begin = cards->cnt0_begin,
        .begin_ns = cards->begin_ns,
        .previous = cards->previous,
        .next = cards->next,
        .end_cause = cards->end_cause,
        .status = "OPEN",
    };
    r = fits_bytes_copy(&file->primary, &reading->unit[READING_CUBE].header);
    if (r == 0)
        r = fits_bytes_copy(&file->frames_header, &reading->unit[READING_FRAMES].header);
    if (r == 0)
        r = read_keywords(&file->shmkw, reading);
    if (r < 0)
        snprintf(text->s, sizeof text->s, "%s", strerror(-r));
    return r;
}
