/*
 * dtype.c - the table of element types. Constant data: any thread may call.
 */
#include "lib/dtype.h"

#include <string.h>
#include <strings.h>

#include "lib/dao.h"

/* By words: unsigned for integers, where overflow wraps and the signed types have the same bits;
 * complex numbers add by component. */
#define DEFINE_ADD(name, type, words)                                                              \
    static void name(void *sum, const void *term, size_t count)                                    \
    {                                                                                              \
        type *to = sum;                                                                            \
                                                                                                   \
        for (size_t i = 0; i < count * (words); i++) {                                             \
            type value;                                                                            \
                                                                                                   \
            memcpy(&value, (const unsigned char *)term + i * sizeof value, sizeof value);          \
            to[i] = (type)(to[i] + value);                                                         \
        }                                                                                          \
    }

DEFINE_ADD(add_8, uint8_t, 1)
DEFINE_ADD(add_16, uint16_t, 1)
DEFINE_ADD(add_32, uint32_t, 1)
DEFINE_ADD(add_64, uint64_t, 1)
DEFINE_ADD(add_float, float, 1)
DEFINE_ADD(add_double, double, 1)
DEFINE_ADD(add_complex_float, float, 2)
DEFINE_ADD(add_complex_double, double, 2)

/* In the order of the codes, from 1. */
static const struct dao_dtype dtypes[DAO_DTYPE_COUNT] = {
    /* code                     bytes word unsigned float complex  name  dao_name  add */
    {_DATATYPE_UINT8, 1, 1, 1, 0, 0, "uint8", "UINT8", add_8},
    {_DATATYPE_INT8, 1, 1, 0, 0, 0, "int8", "INT8", add_8},
    {_DATATYPE_UINT16, 2, 2, 1, 0, 0, "uint16", "UINT16", add_16},
    {_DATATYPE_INT16, 2, 2, 0, 0, 0, "int16", "INT16", add_16},
    {_DATATYPE_UINT32, 4, 4, 1, 0, 0, "uint32", "UINT32", add_32},
    {_DATATYPE_INT32, 4, 4, 0, 0, 0, "int32", "INT32", add_32},
    {_DATATYPE_UINT64, 8, 8, 1, 0, 0, "uint64", "UINT64", add_64},
    {_DATATYPE_INT64, 8, 8, 0, 0, 0, "int64", "INT64", add_64},
    {_DATATYPE_FLOAT, 4, 4, 0, 1, 0, "float32", "FLOAT", add_float},
    {_DATATYPE_DOUBLE, 8, 8, 0, 1, 0, "float64", "DOUBLE", add_double},
    {_DATATYPE_COMPLEX_FLOAT, 8, 4, 0, 1, 1, "complex64", "COMPLEX_FLOAT", add_complex_float},
    {_DATATYPE_COMPLEX_DOUBLE, 16, 8, 0, 1, 1, "complex128", "COMPLEX_DOUBLE", add_complex_double},
};

const struct dao_dtype *dao_dtype_get(unsigned atype)
{
    return atype >= 1 && atype <= DAO_DTYPE_COUNT ? &dtypes[atype - 1] : NULL;
}

const struct dao_dtype *dao_dtype_find(const char *name)
{
    for (unsigned i = 0; name && i < DAO_DTYPE_COUNT; i++)
        if (strcasecmp(name, dtypes[i].name) == 0 || strcasecmp(name, dtypes[i].dao_name) == 0)
            return &dtypes[i];
    return NULL;
}
