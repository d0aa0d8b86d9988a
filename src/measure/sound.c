/* sound.c - see sound.h. */
#include "measure/sound.h"

#include "fits/sum.h"
#include "recording/rowcheck.h"

void sound_begin(struct sound *sound, const struct series_member *member, uint32_t depth)
{
    *sound = (struct sound){
        .has_sum = member->has_rows_sum,
        .stated = member->rows_sum,
        .is_ours = member->is_ours,
        .depth = depth,
    };
}

void sound_row(struct sound *sound, const struct fits_row *row)
{
    unsigned char packed[FITS_ROW_BYTES];

    if (sound->has_sum)
        sound->sum = fits_sum_add(sound->sum, fits_row_pack(packed, row));
    else if (sound->is_ours && !sound->fault)
        sound->fault = rowcheck_impossible(row, sound->depth);
}

const char *sound_end(const struct sound *sound)
{
    if (sound->has_sum && !fits_sum_is_same(sound->sum, sound->stated))
        return "the rows do not fit their DATASUM";
    return sound->fault;
}
