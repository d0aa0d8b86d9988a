/* keywords.c - the keywords of a segment from a file. See files.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fits/keywords.h"
#include "series/files.h"

#define TABLE_MOST 32767u /* a segment's NBkw */
#define CARDS_MOST 512u   /* taken of a header that has no SHMKW */

/* ---- SHMKW ---- */

static int read_table(int fd, uint64_t off, uint64_t table_rows, IMAGE_KEYWORD **ret,
                      unsigned *ret_count)
{
    unsigned count = table_rows < TABLE_MOST ? (unsigned)table_rows : TABLE_MOST;
    unsigned char *rows = malloc((size_t)count * FITS_SHMKW_ROW_BYTES + 1);
    IMAGE_KEYWORD *keywords = calloc(count + 1, sizeof *keywords);
    int r = rows && keywords ? 0 : -ENOMEM;

    if (r == 0)
        r = fits_read_at(fd, off, rows, (size_t)count * FITS_SHMKW_ROW_BYTES);
    for (unsigned i = 0; i < count && r == 0; i++)
        fits_keyword_unpack(&keywords[i], rows + (size_t)i * FITS_SHMKW_ROW_BYTES);
    free(rows);
    if (r < 0) {
        free(keywords);
        return r;
    }
    *ret = keywords;
    *ret_count = count;
    return 0;
}

/* Of a file that may be closed at any time, and its tables moved: where the table is now, and once
 * more where the head has changed meanwhile. */
static int read_moving_table(int fd, IMAGE_KEYWORD **ret, unsigned *ret_count)
{
    unsigned char head[FITS_BLOCK], after[FITS_BLOCK];
    int r = -EAGAIN;

    for (unsigned attempt = 0; attempt < SERIES_SWITCHES_MOST; attempt++) {
        const struct fits_unit *table;
        struct reading reading;
        struct dao_text ignored;

        r = fits_read_at(fd, 0, head, sizeof head);
        if (r < 0)
            return r;
        r = reading_open(&reading, fd, &ignored);
        if (r == 0) {
            table = &reading.unit[READING_SHMKW];
            r = read_table(fd, table->data_off, table->data_bytes / FITS_SHMKW_ROW_BYTES, ret,
                           ret_count);
            reading_close(&reading);
        }
        if (fits_read_at(fd, 0, after, sizeof after) == 0 && memcmp(head, after, sizeof head) == 0)
            return r;
        if (r == 0)
            free(*ret); /* it was between two steps of closing */
        *ret = NULL;
        r = -EAGAIN;
    }
    return r;
}

/* ---- cards ---- */

/* What a reader of the units, or of a recording, finds elsewhere. */
static bool is_of_frame(const char *name)
{
    static const char *const names[] = {"CNT0", "CNT1", "CNT2",  "RTIME",
                                        "LOST", "SLOT", "FLAGS", NULL};

    for (int i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void get_comment(IMAGE_KEYWORD *keyword, const unsigned char *card)
{
    bool is_in_text = false;

    for (unsigned at = 10; at + 2 < FITS_CARD_BYTES; at++) {
        is_in_text ^= card[at] == '\'';
        if (card[at] != '/' || is_in_text)
            continue;
        at += card[at + 1] == ' ' ? 2 : 1;
        for (unsigned n = 0; at < FITS_CARD_BYTES; at++, n++)
            keyword->comment[n] = (char)card[at];
        for (size_t n = strlen(keyword->comment); n > 0 && keyword->comment[n - 1] == ' ';)
            keyword->comment[--n] = '\0';
        return;
    }
}

/* Could this card have been a keyword? Whole numbers, others, texts (cut to 16). */
static bool read_card(IMAGE_KEYWORD *ret, const struct fits_bytes *header,
                      const unsigned char *card)
{
    char name[9] = "", value[FITS_TEXT_BYTES] = "";
    int64_t integer = 0;
    double real = 0.0;

    memcpy(name, card, 8);
    name[strcspn(name, " ")] = '\0';
    if (memcmp(card + 8, "= ", 2) != 0 || name[0] == '\0' || fits_keyword_is_taken(name) ||
        is_of_frame(name) || fits_card_find(header, name) != card)
        return false;
    memset(ret, 0, sizeof *ret);
    memcpy(ret->name, name, strlen(name));
    if (fits_card_integer(header, name, &integer) == 0) {
        ret->type = 'L';
        ret->value.numl = integer;
    } else if (fits_card_real(header, name, &real) == 0) {
        ret->type = 'D';
        ret->value.numf = real;
    } else if (fits_card_text(header, name, value, sizeof value) == 0) {
        ret->type = 'S';
        memcpy(ret->value.valstr, value, strnlen(value, sizeof ret->value.valstr));
    } else {
        return false;
    }
    get_comment(ret, card);
    return true;
}

static int read_cards(const struct series_file *file, int fd, IMAGE_KEYWORD **ret,
                      unsigned *ret_count)
{
    IMAGE_KEYWORD *keywords = calloc(CARDS_MOST, sizeof *keywords);
    struct fits_unit unit = {0};
    struct dao_text text;
    unsigned count = 0;
    int r = keywords ? 0 : -ENOMEM;

    if (r == 0)
        r = fits_scan_unit(&unit, fd, (uint64_t)INT64_MAX, file->header_off, &text);
    for (size_t at = 0; r == 0 && at + FITS_CARD_BYTES <= unit.header.length && count < CARDS_MOST;
         at += FITS_CARD_BYTES) {
        if (memcmp(unit.header.data + at, "END     ", 8) == 0)
            break;
        count += read_card(&keywords[count], &unit.header, unit.header.data + at);
    }
    fits_unit_free(&unit);
    if (r < 0) {
        free(keywords);
        return r;
    }
    *ret = keywords;
    *ret_count = count;
    return 0;
}

int series_keywords_read(const struct series_file *file, IMAGE_KEYWORD **ret, unsigned *ret_count)
{
    int fd = series_file_open(file), r;

    if (fd < 0)
        return fd;
    if (file->is_part)
        r = read_moving_table(fd, ret, ret_count);
    else if (file->keywords_off)
        r = read_table(fd, file->keywords_off, file->keywords, ret, ret_count);
    else
        r = read_cards(file, fd, ret, ret_count);
    close(fd);
    return r;
}
