/* chain_arrange.c - which files of a folder are those of its stream, and in which order. See
 * chain.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/chain.h"

static bool is_recording(const struct verify_file *file)
{
    return file->state >= VERIFY_FINISHED;
}

/* ---- whose are they? ---- */

/* The one value that more than half of them have, if there is any: each other one cancels one. */
struct vote {
    const char *leader;
    uint64_t lead;
};

static void vote_for(struct vote *vote, const char *value)
{
    if (vote->lead == 0)
        vote->leader = value;
    vote->lead = strcmp(vote->leader, value) == 0 ? vote->lead + 1 : vote->lead - 1;
}

bool chain_find_session(char ret[FITS_TEXT_BYTES], const struct chain *chains, size_t count,
                        const char *ledger_uuid)
{
    struct vote vote = {"", 0};
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < chains[i].count; k++) {
            const struct verify_file *file = &chains[i].files[k];

            if (!is_recording(file))
                continue;
            any = true;
            if (ledger_uuid && strcmp(file->uuid, ledger_uuid) == 0) {
                memcpy(ret, file->uuid, FITS_TEXT_BYTES);
                return true;
            }
            vote_for(&vote, file->uuid);
        }
    }
    snprintf(ret, FITS_TEXT_BYTES, "%s", vote.leader);
    return any;
}

/* The stream of most files of the session; where there is no majority the folder's name decides. */
static void find_stream(struct chain *chain, const char *uuid)
{
    struct vote vote = {NULL, 0};
    bool is_named = false;

    for (size_t i = 0; i < chain->count; i++) {
        const struct verify_file *file = &chain->files[i];

        if (!is_recording(file) || strcmp(file->uuid, uuid) != 0)
            continue;
        vote_for(&vote, file->stream);
        is_named = is_named || strcmp(file->stream, chain->name) == 0;
    }
    snprintf(chain->stream, sizeof chain->stream, "%s",
             !vote.leader || (vote.lead == 0 && is_named) ? chain->name : vote.leader);
}

static void place(struct verify_file *file, const char *uuid, const char *stream,
                  struct verify_doubts *doubts)
{
    file->name_seq = chain_name_seq(file->name, stream);
    file->is_in_order = false;
    if (!is_recording(file))
        return;
    if (strcmp(file->uuid, uuid) != 0)
        verify_doubts_add(doubts, -1, "%s is of another session: file %lld of %s, RECUUID %s",
                          file->name, (long long)file->file_seq, file->stream, file->uuid);
    else if (strcmp(file->stream, stream) != 0)
        verify_doubts_add(doubts, -1, "%s is of another stream: file %lld of %s", file->name,
                          (long long)file->file_seq, file->stream);
    else
        file->is_in_order = true;
}

/* ---- which number has each? ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static bool has_own_name(const struct verify_file *file)
{
    return file->name_seq == (uint64_t)file->file_seq;
}

/* Those in order come first, by number; of one number the one that is named by it, finished. Then
 * the others, by the number in their name. */
static int compare_files(const void *a, const void *b)
{
    const struct verify_file *x = a, *y = b;
    int r;

    if (x->is_in_order != y->is_in_order)
        return x->is_in_order ? -1 : 1;
    r = x->is_in_order ? compare_numbers((uint64_t)x->file_seq, (uint64_t)y->file_seq)
                       : compare_numbers(x->name_seq, y->name_seq);
    if (r == 0 && x->is_in_order)
        r = has_own_name(y) - has_own_name(x);
    if (r == 0)
        r = x->is_part - y->is_part;
    return r ? r : strcmp(x->name, y->name);
}

static void sort(struct chain *chain)
{
    if (chain->count > 0)
        qsort(chain->files, chain->count, sizeof *chain->files, compare_files);
    chain->in_order = 0;
    while (chain->in_order < chain->count && chain->files[chain->in_order].is_in_order)
        chain->in_order++;
}

/* Of several files of one number the first is taken. */
static void drop_doubles(struct chain *chain, struct verify_doubts *doubts)
{
    for (size_t i = 1, first = 0; i < chain->in_order; i++) {
        struct verify_file *file = &chain->files[i];

        if (file->file_seq != chain->files[first].file_seq) {
            first = i;
            continue;
        }
        file->is_in_order = false;
        if (strcmp(file->name, chain->files[first].name) != 0) /* else it was said of the file */
            verify_doubts_add(doubts, -1, "%s is there twice: %s is file %lld of %s as well",
                              chain->files[first].name, file->name, (long long)file->file_seq,
                              file->stream);
    }
    sort(chain);
}

static void check_names(const struct chain *chain, struct verify_doubts *doubts)
{
    for (size_t i = 0; i < chain->in_order; i++) {
        const struct verify_file *file = &chain->files[i], *other;
        char own[TREE_FILE_BYTES];

        if (has_own_name(file))
            continue;
        other = chain_find(chain, file->name_seq);
        if (other && other->name_seq == (uint64_t)file->file_seq) { /* of the two, once */
            if (file->file_seq < other->file_seq)
                verify_doubts_add(doubts, -1, "%s and %s are exchanged", other->name, file->name);
            continue;
        }
        tree_file_name(own, file->stream, (uint64_t)file->file_seq, 0);
        verify_doubts_add(doubts, -1, "%s calls itself %s; rename it", file->name, own);
    }
}

void chain_arrange(struct chain *chain, const char *uuid, struct verify_doubts *doubts)
{
    find_stream(chain, uuid);
    for (size_t i = 0; i < chain->count; i++)
        place(&chain->files[i], uuid, chain->stream, doubts);
    sort(chain);
    drop_doubles(chain, doubts);
    check_names(chain, doubts);
}

/* ---- looking for one ---- */

/* What tree_file_name() makes, read without making it: a ledger may name a million of them. */
uint64_t chain_name_seq(const char *name, const char *stream)
{
    size_t length = strlen(stream), digits;
    uint64_t seq = 0;

    if (strncmp(name, stream, length) != 0 || name[length] != '_')
        return 0;
    name += length + 1;
    digits = strspn(name, "0123456789");
    if (digits < 6 || digits > 12 || (digits > 6 && name[0] == '0') ||
        strcmp(name + digits, ".fits") != 0)
        return 0;
    for (size_t i = 0; i < digits; i++)
        seq = 10 * seq + (uint64_t)(name[i] - '0');
    return seq;
}

static int compare_seq(const void *key, const void *element)
{
    return compare_numbers(*(const uint64_t *)key,
                           (uint64_t)((const struct verify_file *)element)->file_seq);
}

const struct verify_file *chain_find(const struct chain *chain, uint64_t seq)
{
    return seq && chain->in_order
               ? bsearch(&seq, chain->files, chain->in_order, sizeof *chain->files, compare_seq)
               : NULL;
}
