/*
 * ramp.h - frames that a test can check: every pixel a function of the count and its index.
 *
 * Integers: (cnt0 + i) cut to the type. Floats: (cnt0 + i) & 0xFFFFF. Complex: that, and its
 * negative as imaginary part. Types are _DATATYPE_* codes.
 */
#ifndef TESTS_RAMP_H
#define TESTS_RAMP_H

#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include "lib/dao.h"

static const struct {
    const char *name;
    unsigned bytes;
} ramp_types[] = {
    {"", 0},        {"uint8", 1},     {"int8", 1},        {"uint16", 2}, {"int16", 2},
    {"uint32", 4},  {"int32", 4},     {"uint64", 8},      {"int64", 8},  {"float32", 4},
    {"float64", 8}, {"complex64", 8}, {"complex128", 16},
};

#define RAMP_TYPES 12u

/* Type code of a name, 0: none. */
static inline uint8_t ramp_find(const char *name)
{
    for (unsigned i = 1; i <= RAMP_TYPES; i++)
        if (strcasecmp(name, ramp_types[i].name) == 0)
            return (uint8_t)i;
    return 0;
}

/* One loop a type, so that the compiler makes vectors of it: sources must be fast. */
#define RAMP_LOOP(type, value)                                                                     \
    for (uint64_t i = 0; i < nelement; i++)                                                        \
    ((type *)to)[i] = (value)
#define RAMP_REAL(type) ((type)((cnt0 + i) & 0xFFFFF))

static inline void ramp_fill(void *to, uint8_t atype, uint64_t cnt0, uint64_t nelement)
{
    switch (atype) {
    case _DATATYPE_UINT8: /* two's complement: the signed types have the same bytes */
    case _DATATYPE_INT8:
        RAMP_LOOP(uint8_t, (uint8_t)(cnt0 + i));
        break;
    case _DATATYPE_UINT16:
    case _DATATYPE_INT16:
        RAMP_LOOP(uint16_t, (uint16_t)(cnt0 + i));
        break;
    case _DATATYPE_UINT32:
    case _DATATYPE_INT32:
        RAMP_LOOP(uint32_t, (uint32_t)(cnt0 + i));
        break;
    case _DATATYPE_UINT64:
    case _DATATYPE_INT64:
        RAMP_LOOP(uint64_t, cnt0 + i);
        break;
    case _DATATYPE_FLOAT:
        RAMP_LOOP(float, RAMP_REAL(float));
        break;
    case _DATATYPE_DOUBLE:
        RAMP_LOOP(double, RAMP_REAL(double));
        break;
    case _DATATYPE_COMPLEX_FLOAT:
        RAMP_LOOP(complex_float, ((complex_float){RAMP_REAL(float), -RAMP_REAL(float)}));
        break;
    default:
        RAMP_LOOP(complex_double, ((complex_double){RAMP_REAL(double), -RAMP_REAL(double)}));
        break;
    }
}

#endif
