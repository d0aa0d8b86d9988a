/*
 * pairing.h - two recorded streams of one session: which frames of A have no partner in B, printed.
 * Rows are read, pixels never. The main thread.
 */
#ifndef DAOREC_MEASURE_PAIRING_H
#define DAOREC_MEASURE_PAIRING_H

#include "measure/report.h"
#include "series/series.h"

struct pairing {
    const struct series *a, *b;
    const bool *left_out_a, *left_out_b; /* by member: not to be read; NULL: none is */
    int64_t tolerance_ns;                /* 0: not known, and an error */
    const struct report_options *report;
    json_t *list; /* where JSON is wanted: results are appended */
};

/* 0; -EINVAL: there is no tolerance; other errno from reading. With a text. */
int pairing_run(const struct pairing *pairing, struct dao_text *text);

#endif
