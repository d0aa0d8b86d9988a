/*
 * summary.h - what a FITS file is: a recording of ours, finished or not, or anything else.
 *
 * Nothing in the file is believed, nothing is changed and no lock is kept. Any thread, one file
 * each.
 */
#ifndef DAOREC_RECORDING_SUMMARY_H
#define DAOREC_RECORDING_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/layout.h"

#define SUMMARY_AXES_MAX 9
#define SUMMARY_TEXT     81 /* a keyword's value and NUL */

struct recording_summary {
    /* any FITS file */
    uint64_t file_bytes;
    int hdus;
    int naxis;                       /* of the primary image; 0: none */
    uint64_t size[SUMMARY_AXES_MAX]; /* in numpy's order, slowest first */
    char type[SUMMARY_TEXT];         /* as numpy spells it */
    bool is_extract;                 /* frames that the verb extract took out of a recording */
    /* the rest: only where is_recording */
    bool is_recording;
    char stream[SUMMARY_TEXT], segment[SUMMARY_TEXT], session[SUMMARY_TEXT];
    char host[SUMMARY_TEXT], version[SUMMARY_TEXT];
    char status[SUMMARY_TEXT];    /* OPEN, CLOSED, RECOVERD */
    char end_cause[SUMMARY_TEXT]; /* "" before the end */
    bool is_part;                 /* by its name */
    bool is_locked;               /* a living writer holds it */
    uint64_t file_seq;
    uint64_t capacity;             /* frames there is room for */
    uint64_t frames;               /* frames that are there */
    int64_t cnt0_first, cnt0_last; /* meaningless where frames is 0; so the next two */
    int64_t atime_first_ns, atime_last_ns;
    uint64_t lost, gaps, torn; /* of this file, from its rows where it is not finished */
    uint64_t session_lost;     /* up to this file's end; of finished files only */
    double fps;
};

/* Does a file that begins with these bytes look like FITS? */
bool recording_is_fits(const void *head, size_t head_bytes);

/* 0; -EBADMSG: it is damaged, or no FITS that we can read (text says why); other errno. *ret is
 * untouched on failure. */
int recording_summary_read(struct recording_summary *ret, const char *path, struct dao_text *text);

#endif
