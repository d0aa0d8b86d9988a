/*
 * pattern.h - what simulated frames show: spots, ramp or noise.
 *
 * The ramp is computed frame by frame: every pixel is a function of the count and its index, which
 * a test can check. Spots and noise are prepared once, as a cycle of frames, and then copied, so
 * that a source keeps up with any camera. pattern_fill() may be called from any thread.
 */
#ifndef DAOREC_SOURCE_PATTERN_H
#define DAOREC_SOURCE_PATTERN_H

#include <stdint.h>

#include "lib/layout.h"
#include "source/elements.h"

#define PATTERN_CYCLE_FRAMES 32u            /* at most, and never fewer than one */
#define PATTERN_CYCLE_BYTES  (256ull << 20) /* at most, where one frame is not larger */

struct pattern {
    const struct elements *elements;
    uint64_t nelement;
    uint64_t frame_bytes;
    unsigned char *cycle; /* cycle_frames frames; NULL: computed frame by frame */
    uint32_t cycle_frames;
};

/* The names there are, NULL-terminated: "spots", "ramp", "noise". */
extern const char *const pattern_names[];

/*
 * Prepare the pattern of that name for frames of this shape and type. The same seed gives the same
 * frames. 0; -EINVAL: no such pattern; -ENOMEM. Release with pattern_fini().
 */
int pattern_init(struct pattern *p, const char *name, const struct dao_geometry *geometry,
                 uint64_t seed);

/* The frame of that count, into frame_bytes bytes at `pixels`. */
void pattern_fill(const struct pattern *p, void *pixels, uint64_t cnt0);

void pattern_fini(struct pattern *p); /* safe on a zeroed pattern */

#endif
