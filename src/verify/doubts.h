/*
 * doubts.h - what a verification found: a list of sentences, the first of them kept. One thread.
 *
 * What can be wrong: too much. Doubts of one kind about frame after frame are one doubt, about all
 * of them; where a kind comes back again and again after pauses, its last one takes the rest.
 */
#ifndef DAOREC_VERIFY_DOUBTS_H
#define DAOREC_VERIFY_DOUBTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFY_DOUBTS_KEPT    200
#define VERIFY_DOUBTS_KINDS   24 /* of doubts about frames that are told apart */
#define VERIFY_DOUBTS_OF_KIND 10 /* of one kind, before the last one takes the rest */

/* A frame that is doubted, or its row. */
struct verify_frame {
    uint64_t index; /* in the file */
    int64_t cnt0;
    bool has_no_cnt0; /* nobody knows it; of a kind all or none */
    bool is_row;
    uint64_t off, bytes; /* of the pixels in the file; bytes 0: not told */
    const char *what;    /* a text that lives on; who uses the same one means the same kind */
};

struct verify_doubt {
    int64_t frame;   /* index in the file, -1: none in particular */
    uint64_t frames; /* about how many it is, from `first` to `last`; 0: no list of frames */
    struct verify_frame first, last;
    char text[480]; /* with room for what repair says */
};

struct verify_doubt_kind {
    const char *what;
    size_t kept, newest; /* how many of its doubts are kept, and which is the newest */
};

struct verify_doubts {
    struct verify_doubt *kept; /* the first of them */
    size_t kept_count;
    uint64_t count;                  /* all */
    struct verify_doubt_kind *kinds; /* of doubts about frames */
    size_t kind_count;
};
/* About this frame, or about none in particular (-1). */
void verify_doubts_add(struct verify_doubts *doubts, int64_t frame, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Of a file, in the order of its frames as far as one kind goes. */
void verify_doubts_add_frame(struct verify_doubts *doubts, const struct verify_frame *frame);
void verify_doubts_free(struct verify_doubts *doubts); /* safe on zeroed ones */

#endif
