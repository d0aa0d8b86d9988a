/*
 * mixed_reader.c - reads frames as it is told to; mixed.h has the commands. One thread.
 */
#include "tests/support/mixed.h"

static IMAGE image;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "mixed_reader: %s\n", what);
    exit(1);
}

static bool is_right(const void *pixels, uint64_t cnt0)
{
    return mixed_is_ramp(pixels, image.md[0].atype, image.md[0].nelement, cnt0);
}

static int_fast8_t wait_and_get(void **ret_pixels, uint64_t *ret_cnt0)
{
    int_fast8_t status;

    do {
        if (daoShmWaitForNextSegment(&image) != DAO_SUCCESS)
            fail("the wait failed");
        status = daoShmGetNextSegment(&image, ret_pixels, NULL, ret_cnt0);
    } while (status == DAO_NOTREADY);
    return status;
}

static void next(uint64_t frames)
{
    for (uint64_t i = 0; i < frames; i++) {
        void *pixels = NULL;
        uint64_t cnt0 = 0;
        int status = wait_and_get(&pixels, &cnt0);

        printf("%s%d:%" PRIu64 ":%s", i ? " " : "", status, cnt0,
               mixed_verdict(is_right(pixels, cnt0)));
    }
    printf("\n");
}

static void ready(void)
{
    void *pixels = NULL;
    uint64_t cnt0 = 0;
    int status = daoShmGetNextSegment(&image, &pixels, NULL, &cnt0);

    if (status == DAO_NOTREADY)
        printf("%d\n", status);
    else
        printf("%d:%" PRIu64 ":%s\n", status, cnt0, mixed_verdict(is_right(pixels, cnt0)));
}

static void newest(void)
{
    void *pixels = NULL;
    uint64_t cnt0 = 0;

    if (daoShmGetNewestSegment(&image, &pixels, NULL, &cnt0) != DAO_SUCCESS)
        fail("no newest frame");
    printf("%" PRIu64 ":%s\n", cnt0, mixed_verdict(is_right(pixels, cnt0)));
}

static bool is_in_slot(uint_fast32_t slot, uint64_t cnt0)
{
    void *pixels;

    return daoShmGetArbitrarySegment(&image, &pixels, slot) == DAO_SUCCESS &&
           image.md[slot % image.md[0].fifo_size].cnt0 == cnt0 && is_right(pixels, cnt0);
}

static bool look_back(uint64_t last, uint64_t frames)
{
    uint32_t head;
    uint64_t cnt0, right = 0;

    if (daoShmResetTail(&image, &head, &cnt0) != DAO_SUCCESS || cnt0 != last)
        return false;
    for (uint64_t back = 0; back < frames; back++)
        right += is_in_slot(head + image.md[0].fifo_size - (uint32_t)back, last - back);
    return right == frames;
}

static void follow(uint64_t frames)
{
    uint64_t first = 0, last = 0, in_order = 0, wrong = 0, overwritten = 0;

    for (uint64_t i = 0; i < frames; i++) {
        void *pixels = NULL;
        uint64_t cnt0 = 0;

        overwritten += wait_and_get(&pixels, &cnt0) == DAO_OVERWRITE;
        wrong += !is_right(pixels, cnt0) || daoShmCheckSegmentOverwrite(&image) != DAO_SUCCESS;
        in_order += i == 0 || cnt0 == last + 1;
        first = i == 0 ? cnt0 : first;
        last = cnt0;
    }
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", first, last, in_order,
           wrong, overwritten);
}

/* Commands without a number. */
static bool obey_word(const char *word)
{
    if (strcmp(word, "ready") == 0)
        ready();
    else if (strcmp(word, "newest") == 0)
        newest();
    else if (strcmp(word, "check") == 0)
        printf("%d\n", daoShmCheckSegmentOverwrite(&image));
    else if (strcmp(word, "keywords") == 0)
        mixed_print_keywords(&image);
    else if (strcmp(word, "close") == 0 && daoShmCloseShm(&image) == DAO_SUCCESS)
        printf("ok\n");
    else
        return false;
    return true;
}

static bool obey_numbers(const char *word, uint64_t a, uint64_t b)
{
    if (strcmp(word, "next") == 0)
        next(a);
    else if (strcmp(word, "follow") == 0)
        follow(a);
    else if (strcmp(word, "history") == 0)
        printf("%s\n", mixed_verdict(look_back(a, b)));
    else if (strcmp(word, "slot") == 0)
        printf("%s\n", mixed_verdict(is_in_slot((uint_fast32_t)a, b)));
    else if (strcmp(word, "meta") == 0)
        mixed_print_metadata(&image.md[a], image.md);
    else
        return false;
    return true;
}

static void open_segment(const char *path)
{
    const IMAGE_METADATA *md;

    if (daoShmShm2Img(path, &image) != DAO_SUCCESS)
        fail("no segment");
    md = image.md;
    printf("%s %u %u %u\n", ramp_types[md->atype].name, md->fifo_size, md->size[0], md->size[1]);
}

int main(void)
{
    char line[MIXED_LINE_MAX], word[MIXED_LINE_MAX];
    uint64_t a = 0, b = 0;

    while (fgets(line, sizeof line, stdin)) {
        int fields = sscanf(line, MIXED_NAME_FORMAT " %" SCNu64 " %" SCNu64, word, &a, &b);

        if (sscanf(line, "open " MIXED_NAME_FORMAT, word) == 1)
            open_segment(word);
        else if (fields < 1 || !(fields == 1 ? obey_word(word) : obey_numbers(word, a, b)))
            fail(line);
        fflush(stdout);
    }
    return 0;
}
