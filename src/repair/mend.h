/*
 * mend.h - which frames of an unfinished file are there, and rows for those of which only half is.
 * Repair's; what is done in which case is told in repair.h.
 */
#ifndef DAOREC_REPAIR_MEND_H
#define DAOREC_REPAIR_MEND_H

#include <stdbool.h>
#include <stdint.h>

#include "recording/file.h"
#include "recording/reading.h"
#include "recording/rowcheck.h"

struct mend_survey {
    uint64_t frames;    /* to be kept, >= 1 */
    uint64_t flagged;   /* of these */
    uint64_t dropped;   /* rows behind them */
    bool no_rows;       /* there is none at all */
    int64_t last_known; /* CNT0 of the last row that is there, also where it is dropped */
    bool has_last_known;
    uint32_t data_sum;      /* of the kept planes, as DATASUM has it */
    unsigned char *is_half; /* a bit a frame: row or pixels are not right */
};

/* 0 or negative errno. Release with mend_survey_free(), which is safe on a zeroed one. */
int mend_look(struct mend_survey *ret, const struct reading *reading);
void mend_survey_free(struct mend_survey *survey);

/* Flag and make up rows in place, through file->sink; before_cnt0: of the last frame of the file
 * before, where that is known. 0 or negative errno. */
int mend_rows(const struct mend_survey *survey, struct recording_file *file,
              const struct reading *reading, const int64_t *before_cnt0);

#endif
