/*
 * probes.h - looking at one thing each: what this process is allowed (probes_limits.c) and what
 * the machine is like (probes_machine.c). A table of both, in the order in which they are told.
 *
 * A probe reads below context->root and, where that is to be had, tries the thing itself by
 * context->tries; it adds one line, sometimes none, and leaves numbers for what follows in
 * context->machine. Blocking; one thread; nothing on the machine is changed.
 */
#ifndef DAOREC_DOCTOR_PROBES_H
#define DAOREC_DOCTOR_PROBES_H

#include <stdint.h>

#include "doctor/findings.h"
#include "doctor/load.h"

/* Real attempts. Each may be NULL: then it is not tried. */
struct doctor_tries {
    int (*uring)(void);                     /* 0, or negative errno: no ring is to be had */
    uint64_t (*registered)(uint64_t bytes); /* how much of so many bytes a ring registers */
    int (*fifo)(void);                      /* 0, or negative errno: SCHED_FIFO is not granted */
};

extern const struct doctor_tries doctor_tries_system;

/* What was found, in numbers. Zeroed, nothing is known. */
struct doctor_machine {
    double cores;           /* that this process may use; 0: not known */
    uint64_t memory_bytes;  /* that could be given without harm; 0: not known */
    uint64_t memory_total;  /* 0: not known */
    uint64_t staging_bytes; /* of the load, or of one stream where there is none */
    /* of the output folder */
    bool has_folder;         /* it can be written to */
    bool is_left_known;      /* left_bytes says something */
    uint64_t left_bytes;     /* free, without what is to be kept */
    uint64_t file_bytes_max; /* RLIMIT_FSIZE */
    /* measured; 0: not */
    double disk_bytes_per_s, write_cpu_ns_per_byte;
    int64_t stall_ns;             /* the longest time in which no write of several was finished */
    int64_t lateness_ns;          /* the latest of many wake-ups */
    double encode_ns_per_byte[4]; /* by word size: 1, 2, 4, 8 */
};

struct doctor_context {
    const char *root; /* "": this machine */
    const struct doctor_tries *tries;
    const struct doctor_load *loads;
    size_t load_count;
    uint64_t buffer_bytes; /* staging memory of all streams; 0: what record would choose */
    struct doctor_machine machine;
};

struct doctor_probe {
    const char *check;
    void (*look)(struct doctor_context *context, struct findings *findings);
};

extern const struct doctor_probe doctor_probes_limits[],
    doctor_probes_machine[]; /* check NULL: end */

/* Look through a table. */
void doctor_probes_run(const struct doctor_probe *probes, struct doctor_context *context,
                       struct findings *findings);

/* How many streams the load has. */
uint64_t doctor_stream_count(const struct doctor_context *context);

#endif
