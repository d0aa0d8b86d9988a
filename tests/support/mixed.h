/*
 * mixed.h - what the programs of tests/integration/test_mixed.py in C and C++ share: keywords and
 * metadata as one line of text, and frames that can be checked. One thread.
 *
 * mixed_writer and mixed_reader exist once a language, and do the same. They take commands on
 * stdin, one a line, and answer each with one line on stdout:
 *
 *     writer    create PATH TYPE DEPTH KEYWORDS ROWS COLUMNS    with the ramp of count 1 as its
 *                                 first frame, and 0 or MIXED_KEYWORDS keywords: "ok"
 *               write N           the next N frames: "at COUNT"
 *               run N PAUSE_US    the same with a pause after each
 *               parts ID          one frame in two parts with ID as the frame's number: "at COUNT"
 *               close             "ok"
 *     reader    open PATH         "TYPE DEPTH ROWS COLUMNS"
 *               next N            waits for N frames: STATUS:COUNT:ok or STATUS:COUNT:wrong for
 *               each ready             the same for one frame, without waiting; or the status alone
 *               newest            COUNT:ok
 *               history LAST K    looks back at K frames up to the count LAST: "ok" or "wrong"
 *               slot I COUNT      is it in slot I? "ok" or "wrong"
 *               check             the status of a check for overwrites
 *               meta I            see mixed_print_metadata()
 *               keywords          see mixed_print_keywords()
 *               follow N          waits for N frames: "FIRST LAST IN_ORDER WRONG OVERWRITTEN"
 *               close             "ok"
 */
#ifndef TESTS_MIXED_H
#define TESTS_MIXED_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/dao.h"
#include "tests/support/ramp.h"

#define MIXED_KEYWORDS    3
#define MIXED_BYTES_MAX   65536u
#define MIXED_LINE_MAX    1024
#define MIXED_HELPER      __attribute__((unused))
#define MIXED_NAME_FORMAT "%1023s"

MIXED_HELPER static bool mixed_is_ramp(const void *pixels, unsigned atype, uint64_t nelement,
                                       uint64_t cnt0)
{
    static union {
        unsigned char bytes[MIXED_BYTES_MAX];
        complex_double alignment;
    } expected;
    uint64_t bytes = nelement * ramp_types[atype].bytes;

    if (!pixels || bytes > sizeof expected.bytes)
        return false;
    ramp_fill(expected.bytes, (uint8_t)atype, cnt0, nelement);
    return memcmp(pixels, expected.bytes, bytes) == 0;
}

MIXED_HELPER static const char *mixed_verdict(bool is_right)
{
    return is_right ? "ok" : "wrong";
}

/* One of each type: 42, 0.125, and 16 characters without a NUL. */
MIXED_HELPER static void mixed_fill_keywords(const IMAGE *image)
{
    IMAGE_KEYWORD keywords[MIXED_KEYWORDS];

    memset(keywords, 0, sizeof keywords);
    strcpy(keywords[0].name, "GAIN");
    keywords[0].type = 'L';
    keywords[0].value.numl = -42;
    strcpy(keywords[0].comment, "a whole number");
    strcpy(keywords[1].name, "EXPOSURE");
    keywords[1].type = 'D';
    keywords[1].value.numf = 0.125;
    strcpy(keywords[1].comment, "seconds");
    strcpy(keywords[2].name, "FILTER");
    keywords[2].type = 'S';
    memcpy(keywords[2].value.valstr, "sixteen letters!", 16);
    strcpy(keywords[2].comment, "no NUL at its end");
    memcpy((void *)image->kw, keywords, sizeof keywords); /* there they can be misaligned */
}

/* NAME:TYPE:VALUE:COMMENT, separated by semicolons. */
MIXED_HELPER static void mixed_print_keywords(const IMAGE *image)
{
    for (unsigned i = 0; i < image->md[0].NBkw; i++) {
        IMAGE_KEYWORD keyword;

        memcpy(&keyword, (const char *)image->kw + i * sizeof keyword, sizeof keyword);
        printf("%s%.16s:%c:", i ? ";" : "", keyword.name, keyword.type);
        if (keyword.type == 'L')
            printf("%" PRId64, keyword.value.numl);
        else if (keyword.type == 'D')
            printf("%.3f", keyword.value.numf);
        else if (keyword.type == 'S')
            printf("%.16s", keyword.value.valstr);
        printf(":%.80s", keyword.comment);
    }
    printf("\n");
}

/* Of one slot; what slot 0 alone knows comes from `first`. */
MIXED_HELPER static void mixed_print_metadata(const IMAGE_METADATA *md, const IMAGE_METADATA *first)
{
    printf("cnt0=%" PRIu64 " cnt1=%" PRIu64 " cnt2=%" PRIu64 " write=%u naxis=%u", md->cnt0,
           md->cnt1, md->cnt2, md->write, md->naxis);
    printf(" size=%u,%u,%u nelement=%" PRIu64 " atype=%u NBkw=%u", md->size[0], md->size[1],
           md->size[2], md->nelement, md->atype, md->NBkw);
    printf(" packetTotal=%u packets=%" PRIu64 ",%" PRIu64 " atime=%" PRId64, md->packetTotal,
           md->lastNbArray[0], md->lastNbArray[1], md->atime.tsfixed.secondlong);
    printf(" fifo_size=%u fifo_last_written=%u sem=%u name=%.80s\n", first->fifo_size,
           first->fifo_last_written, first->sem, md->name);
}

#endif
