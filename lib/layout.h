/*
 * layout.h - what the bytes of a segment file are: the ABI and the three known layouts.
 *
 * The structs themselves are in dao.h (programs use them); layout.c pins every offset and size
 * by static assertion. This file answers one question: given the first bytes of a file and its
 * length, which layout is it, and where is everything? Pure functions: any thread may call.
 */
#ifndef DAO_LAYOUT_H
#define DAO_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/dao.h"
#include "lib/dtype.h"

/* A message for a person: one line, no newline. Library functions fill it on failure only. */
struct dao_text {
    char s[1024];
};

/* Fill a text (NULL: nothing is done), cut to what fits. */
void dao_text_set(struct dao_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

enum dao_layout_kind {
    DAO_LAYOUT_FIFO = 1, /* metadata of 4304 bytes; the one we create */
    DAO_LAYOUT_PREFIFO,  /* 4296 bytes, no fifo_size: one slot */
    DAO_LAYOUT_NEWER,    /* 16448 bytes, lastNbArray[2024] */
};

/* One known layout: where a field that differs between layouts lies within one metadata block. */
struct dao_layout {
    enum dao_layout_kind kind;
    const char *name;         /* "FIFO", "pre-FIFO", "newer" */
    uint32_t md_bytes;        /* bytes of one metadata block */
    uint32_t last_nb_entries; /* entries of lastNbArray, at offset 200 in all three */
    uint32_t fifo_size_off;   /* 0: the layout has none */
    uint32_t fifo_last_written_off;
};

/* The geometry of one segment, read once from its header and range-checked. */
struct dao_geometry {
    const struct dao_layout *layout;
    const struct dao_dtype *dtype;
    uint8_t naxis;    /* 1..3 */
    uint32_t size[3]; /* unused axes 0 */
    uint64_t nelement;
    uint64_t frame_bytes; /* nelement * element size */
    uint32_t depth;       /* N >= 1 */
    uint16_t nbkw;
    uint64_t data_off;   /* file offset of slot 0's pixels */
    uint64_t kw_off;     /* file offset of the keywords; may be misaligned */
    uint64_t file_bytes; /* exact length of such a file */
};

/*
 * Fill a geometry from a shape, overflow-checked. naxis 1..3, each used size >= 1, depth >= 1,
 * nbkw 0..32767 (the field's NBkw is signed where it is read as int16).
 * 0, or -EINVAL with `text` saying which value is wrong and what is allowed, or -EOVERFLOW where
 * the file would exceed 2^63-1 bytes. `ret` is untouched on failure.
 */
int dao_geometry_make(struct dao_geometry *ret, int naxis, const uint32_t *size, unsigned atype,
                      uint32_t depth, int nbkw, struct dao_text *text);

/*
 * Identify a file from its first `head_bytes` bytes (as many as there are, up to
 * DAO_LAYOUT_PROBE_BYTES suffice) and its length. FIFO wins where two layouts fit, and
 * *ret_ambiguous (may be NULL) is then set.
 * 0; -ENODATA: an all-zero header, being created, not ready yet; -ENOTSUP: pixels live on a GPU;
 * -EMEDIUMTYPE: not a DAO segment (text says what was found: empty, too short, header values,
 * size that does not fit). `ret` is untouched on failure.
 */
#define DAO_LAYOUT_PROBE_BYTES 16448u
int dao_layout_identify(struct dao_geometry *ret, const void *head, size_t head_bytes,
                        uint64_t file_bytes, bool *ret_ambiguous, struct dao_text *text);

/* True where their frames are alike: type, number of axes and their sizes. A type may be NULL where
 * none is known. */
bool dao_geometry_same_frame(const struct dao_geometry *a, const struct dao_geometry *b);

/* True where their frames are alike and their depths the same, in whatever layout. */
bool dao_geometry_same_shape(const struct dao_geometry *a, const struct dao_geometry *b);

/* True where two geometries describe the same bytes (layout, type, shape, depth, keywords). */
bool dao_geometry_equal(const struct dao_geometry *a, const struct dao_geometry *b);

#endif
