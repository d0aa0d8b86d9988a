/*
 * dtype.c - the table of element types. Constant data: any thread may call.
 */
#include "lib/dtype.h"

#include <strings.h>

#include "lib/dao.h"

/* In the order of the codes, from 1. */
static const struct dao_dtype dtypes[DAO_DTYPE_COUNT] = {
    /* code                     bytes word unsigned float complex  name  dao_name */
    {_DATATYPE_UINT8, 1, 1, 1, 0, 0, "uint8", "UINT8"},
    {_DATATYPE_INT8, 1, 1, 0, 0, 0, "int8", "INT8"},
    {_DATATYPE_UINT16, 2, 2, 1, 0, 0, "uint16", "UINT16"},
    {_DATATYPE_INT16, 2, 2, 0, 0, 0, "int16", "INT16"},
    {_DATATYPE_UINT32, 4, 4, 1, 0, 0, "uint32", "UINT32"},
    {_DATATYPE_INT32, 4, 4, 0, 0, 0, "int32", "INT32"},
    {_DATATYPE_UINT64, 8, 8, 1, 0, 0, "uint64", "UINT64"},
    {_DATATYPE_INT64, 8, 8, 0, 0, 0, "int64", "INT64"},
    {_DATATYPE_FLOAT, 4, 4, 0, 1, 0, "float32", "FLOAT"},
    {_DATATYPE_DOUBLE, 8, 8, 0, 1, 0, "float64", "DOUBLE"},
    {_DATATYPE_COMPLEX_FLOAT, 8, 4, 0, 1, 1, "complex64", "COMPLEX_FLOAT"},
    {_DATATYPE_COMPLEX_DOUBLE, 16, 8, 0, 1, 1, "complex128", "COMPLEX_DOUBLE"},
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
