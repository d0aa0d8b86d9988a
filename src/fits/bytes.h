/*
 * bytes.h - bytes of a FITS file, in whole blocks, in memory that somebody owns. Any thread.
 */
#ifndef DAOREC_FITS_BYTES_H
#define DAOREC_FITS_BYTES_H

#include <stddef.h>
#include <stdint.h>

#define FITS_BLOCK 2880u

/* Bytes owned by the holder; release with fits_bytes_free(). */
struct fits_bytes {
    unsigned char *data;
    size_t length; /* a multiple of FITS_BLOCK */
};

void fits_bytes_free(struct fits_bytes *bytes);
int fits_bytes_copy(struct fits_bytes *ret, const struct fits_bytes *from); /* 0 or -ENOMEM */

static inline uint64_t fits_pad(uint64_t bytes)
{
    return (bytes + FITS_BLOCK - 1) / FITS_BLOCK * FITS_BLOCK;
}

#endif
