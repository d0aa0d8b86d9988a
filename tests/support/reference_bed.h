/*
 * reference_bed.h - what the tests of the reference page's promises share, over api_bed.h.
 */
#ifndef TESTS_REFERENCE_BED_H
#define TESTS_REFERENCE_BED_H

#include "tests/support/api_bed.h"

/* Are these the 4 x 2 pixels of the frame of this count? */
UNUSED_HELPER static bool holds(const void *pixels, uint64_t cnt0)
{
    uint16_t expected[8];

    ramp_fill(expected, _DATATYPE_UINT16, cnt0, 8);
    return memcmp(pixels, expected, sizeof expected) == 0;
}

#endif
