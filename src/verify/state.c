/* state.c - what a recording is by its name, its lock and its header: finished, being
 * written or left by a crash. See verify.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "recording/find.h"
#include "repair/repair.h"
#include "verify/verify.h"

bool verify_is_uncut(const struct reading *reading)
{
    return reading->unit_count != 3 || reading->rows != reading->planes;
}

bool verify_is_part(const char *path)
{
    size_t length = strlen(path);

    return length > 5 && strcmp(path + length - 5, ".part") == 0;
}

void verify_note_name(struct verify_file *file, const char *path)
{
    snprintf(file->name, sizeof file->name, "%.79s", find_base_of(path));
    file->is_part = verify_is_part(path);
    if (verify_is_part(file->name))
        file->name[strlen(file->name) - 5] = '\0';
}

static void note_cards(struct verify_file *file, const struct reading *reading)
{
    const struct reading_cards *cards = &reading->cards;

    memcpy(file->stream, cards->stream, sizeof file->stream);
    memcpy(file->uuid, cards->uuid, sizeof file->uuid);
    memcpy(file->end_cause, cards->end_cause, sizeof file->end_cause);
    memcpy(file->previous, cards->previous, sizeof file->previous);
    memcpy(file->next, cards->next, sizeof file->next);
    snprintf(file->segment, sizeof file->segment, "%.255s", cards->segment);
    file->geometry = reading->geometry;
    file->begin_ns = cards->begin_ns;
    file->end_ns = cards->end_ns;
    file->is_recovered = strcmp(cards->status, "RECOVERD") == 0;
    file->file_seq = cards->file_seq;
    file->frame0 = cards->frame0;
    file->lost = cards->lost;
    file->session_lost = cards->session_lost;
}

/* Under a final name, or any other but ".part". */
static void look_at_finished(struct verify_file *file, const struct reading *reading)
{
    char part_name[TREE_FILE_BYTES];

    tree_file_name(part_name, file->stream, (uint64_t)file->file_seq, 1);
    if (strcmp(reading->cards.status, "OPEN") == 0) {
        if (file->state != VERIFY_BEING_WRITTEN)
            file->state = VERIFY_UNFINISHED;
        verify_doubts_add(&file->doubts, -1,
                          file->state == VERIFY_UNFINISHED
                              ? "unfinished, but named as a finished file; rename it to %s, then "
                                "daorec repair finishes it"
                              : "still being recorded, but renamed; its recorder needs the name %s",
                          part_name);
        return;
    }
    file->state = VERIFY_FINISHED;
    if (!file->is_recovered && strcmp(reading->cards.status, "CLOSED") != 0)
        verify_doubts_add(&file->doubts, -1,
                          "RECSTAT is %.8s in a file that is named as a finished one",
                          reading->cards.status);
    if (verify_is_uncut(reading))
        verify_doubts_add(&file->doubts, -1,
                          "it still has the room that closing takes away; rename it to %s, then "
                          "daorec repair finishes it",
                          part_name);
}

bool verify_is_repairable(const char *path)
{
    struct repair_file plan;

    return repair_plan(&plan, path) == 0;
}

void verify_plan(struct verify_file *file, const char *path)
{
    struct repair_file plan;
    char words[sizeof((struct verify_doubt *)0)->text];
    int r = repair_plan(&plan, path);

    repair_describe(&plan, words, sizeof words);
    if (r == -EEXIST)
        verify_doubts_add(&file->doubts, -1,
                          "unfinished, and another file has its final name, %s; move one of them "
                          "away",
                          file->name);
    else
        verify_doubts_add(&file->doubts, -1, "%s", words);
}

static void look_at_part(struct verify_file *file, const char *path)
{
    if (file->state == VERIFY_BEING_WRITTEN)
        return;
    file->state = VERIFY_UNFINISHED;
    verify_plan(file, path);
}

void verify_state(struct verify_file *file, const struct reading *reading, const char *path)
{
    note_cards(file, reading);
    if (file->is_part)
        look_at_part(file, path);
    else
        look_at_finished(file, reading);
}
