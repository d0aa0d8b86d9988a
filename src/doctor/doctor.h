/*
 * doctor.h - can this machine record, and this load on it? Every probe, the trials, the verdict.
 */
#ifndef DAOREC_DOCTOR_DOCTOR_H
#define DAOREC_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "doctor/findings.h"
#include "doctor/fit.h"
#include "doctor/load.h"

#define DOCTOR_DISK_TIME_NS 2000000000ll

struct doctor_config {
    const char *folder;              /* where would be recorded to */
    struct option_amount keep_free;  /* of it */
    const struct doctor_load *loads; /* borrowed; from options, segments, a configuration */
    size_t load_count;
    uint64_t buffer_bytes;       /* staging memory; 0: what record would choose */
    int64_t disk_time_ns;        /* how long the disk is tried; 0: not at all */
    bool disk_beside_recordings; /* also where a recording runs */
};

/*
 * Look at everything; takes disk_time_ns, half a second, and as long as the disk stalls. Writes
 * nothing but a file without a name in the folder. Adds to `findings` (zeroed by the caller, who
 * frees them). One thread; it starts two for a while. Returns whether the load
 * fits; it does not where anything is a problem.
 */
enum fit doctor_run(const struct doctor_config *config, struct findings *findings);

#endif
