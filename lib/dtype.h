/*
 * dtype.h - the twelve element types of a DAO segment, in one table.
 *
 * Everything that differs from type to type (size, name, how FITS stores it) is a row here;
 * no other file of the project switches on a type. Constant data: any thread may call.
 */
#ifndef DAO_DTYPE_H
#define DAO_DTYPE_H

#include <stddef.h>
#include <stdint.h>

struct dao_dtype {
    uint8_t atype;         /* the _DATATYPE_* code, 1..12 */
    uint8_t element_bytes; /* bytes of one element: 1, 2, 4, 8 or 16 */
    uint8_t word_bytes;    /* bytes of one byte-order unit: half an element for complex types */
    uint8_t is_unsigned;   /* 1 where FITS needs BZERO = 2^(bits-1); for 8 bits see fits/ */
    uint8_t is_float;      /* 1 for floating point, complex included */
    uint8_t is_complex;
    const char *name;     /* "uint16", as numpy spells it ("float32", "complex64") */
    const char *dao_name; /* "UINT16", "FLOAT", "COMPLEX_FLOAT", as _DATATYPE_* spells it */
    /* sum[i] += term[i], count elements; integers wrap. `term` may be misaligned, `sum` not. */
    void (*add)(void *sum, const void *term, size_t count);
};

#define DAO_DTYPE_COUNT 12

/* The row of a type code, or NULL where the code is none of the twelve. */
const struct dao_dtype *dao_dtype_get(unsigned atype);

/* The row of a name ("uint16", "UINT16", "float", "float32"; case does not matter), or NULL. */
const struct dao_dtype *dao_dtype_find(const char *name);

#endif
