/*
 * load.h - a stream that is to be recorded, as a person writes it: "800x800:uint16@1000".
 *
 * Whoever knows streams from elsewhere (living segments, a configuration) fills the struct itself.
 */
#ifndef DAOREC_DOCTOR_LOAD_H
#define DAOREC_DOCTOR_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/layout.h"

struct doctor_load {
    char name[256];               /* as it was given */
    uint64_t count;               /* streams of this kind, >= 1 */
    struct dao_geometry geometry; /* geometry.depth is 1 where `depth` is 0 */
    double rate_hz;               /* 0: not known, nothing comes at present */
    uint32_t depth;               /* of the FIFO; 0: still to be chosen */
    /* of a living segment */
    bool is_segment;
    bool is_on_disk; /* its file lies on no tmpfs */
    bool is_gone;    /* it went while it was looked at */
};

#define DOCTOR_STREAMS_MAX 100000u /* of one kind */
#define DOCTOR_RATE_HZ_MAX 1e9

/*
 * "[COUNT*]SIZE:TYPE@RATE[:DEPTH]": SIZE 1 to 3 axes as in numpy's shape, RATE in Hz (or "2kHz").
 * 0, or -EINVAL with what is wrong and what would be right; *ret untouched then. Any thread.
 */
int doctor_load_parse(struct doctor_load *ret, const char *text, struct dao_text *why);

/* What it brings to the disk, pixels and rows, in bytes a second. */
double doctor_load_bytes_per_s(const struct doctor_load *load);

#endif
