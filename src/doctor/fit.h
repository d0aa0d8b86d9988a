/*
 * fit.h - does a load fit on what was found and measured? Pure arithmetic on context->loads and
 * context->machine; numbers that are not known (0) are said to be so, and decide nothing.
 */
#ifndef DAOREC_DOCTOR_FIT_H
#define DAOREC_DOCTOR_FIT_H

#include "doctor/probes.h"

/* Of what a bare trial of the disk writes, this part is had by a recorder, too. */
#define FIT_DISK_SHARE 0.9
/* Above this part of what there is, it is a note: little is left for a bad moment. */
#define FIT_COMFORTABLE 0.7

/* Staging memory that record gives one stream of load i, and to all of them; with no load, to one
 * of moderate frames. Bytes. */
uint64_t fit_staging_of(const struct doctor_context *context, size_t i);
uint64_t fit_staging(const struct doctor_context *context);

enum fit { FIT_YES, FIT_NO, FIT_UNKNOWN };

/* Add a line for each load, and for disk, CPU, memory and room of all together; none where there is
 * no load. FIT_UNKNOWN: nothing speaks against it, but not everything is known. */
enum fit fit_judge(const struct doctor_context *context, struct findings *findings);

#endif
