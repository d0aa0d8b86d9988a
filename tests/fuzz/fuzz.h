/*
 * fuzz.h - what the fuzz targets share: bytes as a file, decisions taken from bytes, and mutations
 * that know what a header of FITS or of a segment looks like (libFuzzer alone hardly ever hits a
 * field of it). One thread.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNUSED_HELPER __attribute__((unused))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Not merged with others, so that the stack that the fuzzer prints tells the line. */
__attribute__((noinline, nomerge, noreturn, unused)) static void fuzz_fail(void)
{
    __builtin_trap();
}

/* Something that must hold. */
#define FUZZ_MUST(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail();                                                                           \
    } while (0)

/* ---- decisions ---- */

/* xorshift: the same input, the same decisions. */
static inline uint64_t fuzz_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

UNUSED_HELPER static uint64_t fuzz_seed_of(const uint8_t *data, size_t size)
{
    uint64_t hash = 1469598103934665603ull;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 1099511628211ull;
    return hash ? hash : 1;
}

/* Bytes that are used up one after the other; zeros when they are at an end. */
struct fuzz_bytes {
    const uint8_t *data;
    size_t left;
};

UNUSED_HELPER static void fuzz_take(struct fuzz_bytes *from, void *ret, size_t count)
{
    size_t part = count < from->left ? count : from->left;

    memset(ret, 0, count);
    memcpy(ret, from->data, part);
    from->data += part;
    from->left -= part;
}

UNUSED_HELPER static unsigned fuzz_byte(struct fuzz_bytes *from)
{
    uint8_t byte;

    fuzz_take(from, &byte, 1);
    return byte;
}

/* ---- bytes as a file ---- */

/* A descriptor of a file with these bytes that has no name but the one put into `path`. */
UNUSED_HELPER static int fuzz_file(char path[64], const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    FUZZ_MUST(fd >= 0);
    FUZZ_MUST(size == 0 || pwrite(fd, data, size, 0) == (ssize_t)size);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* ---- mutations ---- */

UNUSED_HELPER static uint64_t fuzz_odd_number(uint64_t *state)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   2,
                                   3,
                                   7,
                                   8,
                                   255,
                                   256,
                                   511,
                                   512,
                                   4096,
                                   65535,
                                   65536,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000ull,
                                   INT64_MAX,
                                   (uint64_t)INT64_MAX + 1,
                                   UINT64_MAX};
    uint64_t value = odd[fuzz_next(state) % (sizeof odd / sizeof odd[0])];

    return value + fuzz_next(state) % 5 - 2;
}

/* The card at `at`, 80 bytes, changed in one of the ways in which a header can be wrong. */
UNUSED_HELPER static void fuzz_change_card(uint8_t *data, size_t cards, size_t at, uint64_t *state)
{
    static const char *const values[] = {"'OPEN    '",
                                         "'CLOSED  '",
                                         "'RECOVERD'",
                                         "'FRAMES  '",
                                         "'BINTABLE'",
                                         "'IMAGE   '",
                                         "'COMPRESSED_IMAGE'",
                                         "'&'",
                                         "''",
                                         "'",
                                         "T",
                                         "-1",
                                         "1E308",
                                         "1E-320",
                                         "NAN",
                                         "'16A     '",
                                         "'999999999A'",
                                         "'1K      '",
                                         "'0D      '",
                                         "'1PE(9)  '",
                                         "'COMPLEX_FLOAT'"};
    uint8_t *card = data + 80 * at, swap[80];
    char text[71];

    switch (fuzz_next(state) % 8) {
    case 0: /* another number */
    case 1:
        snprintf(text, sizeof text, "%20lld", (long long)fuzz_odd_number(state));
        memcpy(card + 8, "= ", 2);
        memcpy(card + 10, text, strlen(text));
        break;
    case 2: /* another value */
        memset(card + 10, ' ', 70);
        snprintf(text, sizeof text, "%s",
                 values[fuzz_next(state) % (sizeof values / sizeof *values)]);
        memcpy(card + 10, text, strlen(text));
        break;
    case 3: /* another digit */
        for (unsigned i = 10 + (unsigned)(fuzz_next(state) % 20); i < 80; i++)
            if (card[i] >= '0' && card[i] <= '9') {
                card[i] = (uint8_t)('0' + fuzz_next(state) % 10);
                break;
            }
        break;
    case 4: /* two cards change places */
        at = fuzz_next(state) % cards;
        memcpy(swap, card, 80);
        memcpy(card, data + 80 * at, 80);
        memcpy(data + 80 * at, swap, 80);
        break;
    case 5: /* one card twice */
        memcpy(card, data + 80 * (fuzz_next(state) % cards), 80);
        break;
    case 6: /* a card of its own kind, or none */
        memset(card, ' ', 80);
        memcpy(card, fuzz_next(state) % 2 ? "END     " : "CONTINUE", 8);
        break;
    default: /* any byte */
        card[fuzz_next(state) % 80] = (uint8_t)fuzz_next(state);
        break;
    }
}

/* A FITS file of at least a header block: mostly its cards change, now and then its length. */
UNUSED_HELPER static size_t fuzz_mutate_fits(uint8_t *data, size_t size, size_t max_size,
                                             unsigned seed)
{
    uint64_t state = seed * 2654435761ull + 1;
    size_t cards = size / 80, changes;

    if (cards < 36 || fuzz_next(&state) % 6 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    if (fuzz_next(&state) % 12 == 0)
        return fuzz_next(&state) % size;
    for (changes = 1 + fuzz_next(&state) % 3; changes > 0; changes--) {
        size_t at = fuzz_next(&state) % cards, tries = 0;

        /* Cards, not pixels: what looks like a keyword. */
        while (tries++ < 200 &&
               (data[80 * at] < 'A' || data[80 * at] > 'Z' || data[80 * at + 8] != '='))
            at = fuzz_next(&state) % cards;
        fuzz_change_card(data, cards, at, &state);
    }
    return size;
}

#endif
