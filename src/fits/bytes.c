/* bytes.c - see bytes.h. */
#include "fits/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void fits_bytes_free(struct fits_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct fits_bytes){0};
}

int fits_bytes_copy(struct fits_bytes *ret, const struct fits_bytes *from)
{
    unsigned char *data = malloc(from->length);

    if (!data)
        return -ENOMEM;
    memcpy(data, from->data, from->length);
    *ret = (struct fits_bytes){data, from->length};
    return 0;
}
