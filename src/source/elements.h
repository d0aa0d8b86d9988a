/*
 * elements.h - what simulated pixels of each of the twelve types are made of: one table, so that
 * no pattern has to know types. Pure functions but for the generator they are given.
 */
#ifndef DAOREC_SOURCE_ELEMENTS_H
#define DAOREC_SOURCE_ELEMENTS_H

#include <stdint.h>

#include "source/random.h"

struct elements {
    /* Pixel i of the frame `cnt0`: integers cnt0 + i cut to the type; floating point
     * (cnt0 + i) & 0xFFFFF; complex that value and its negative. */
    void (*ramp)(void *pixels, uint64_t cnt0, uint64_t count);
    /* A scene of floats, rounded and kept within the type's range; complex: real part. */
    void (*store)(void *pixels, const float *scene, uint64_t count);
    /* Integers: all values alike; floating point: normal, mean 0, variance 1. */
    void (*noise)(void *pixels, struct random_source *random, uint64_t count);
    /* A camera of this type, in counts: level without light, and the brightest spot above it. */
    float bias, peak;
    /* A vector of commands of this type: its rest position, and how far it moves to each side. */
    float rest, stroke;
};

/* The row of a type code 1..12. */
const struct elements *elements_get(unsigned atype);

#endif
