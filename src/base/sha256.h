/*
 * sha256.h - the SHA-256 of bytes (FIPS 180-4), as sha256sum prints it: so that whoever has a
 * session can prove its copies of files without this program. None of the libraries that it is
 * built on has it; a library of cryptography would be one more for a page of code. Any thread, one
 * sum each.
 */
#ifndef DAOREC_BASE_SHA256_H
#define DAOREC_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_TEXT_BYTES 65

struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
};

void sha256_begin(struct sha256 *sum);
void sha256_add(struct sha256 *sum, const void *bytes, size_t count);
/* In 64 hexadecimal digits. The sum is used up. */
void sha256_end(struct sha256 *sum, char text[SHA256_TEXT_BYTES]);

#endif
