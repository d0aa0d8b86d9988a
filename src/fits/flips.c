/* flips.c - see flips.h. */
#include "fits/flips.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fits/scan.h"
#include "fits/sum.h"

#define VALUE_FROM 10u /* where the value's field begins in a card, */
#define VALUE_TO   30u /* and where that of a number, or of a short text, ends */

unsigned fits_flips(const void *a, const void *b, size_t bytes)
{
    const unsigned char *x = a, *y = b;
    unsigned count = 0;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        uint64_t u, v;

        memcpy(&u, x + i, 8);
        memcpy(&v, y + i, 8);
        if (u != v)
            count += (unsigned)__builtin_popcountll(u ^ v);
    }
    for (; i < bytes; i++)
        count += (unsigned)__builtin_popcount(x[i] ^ y[i]);
    return count;
}

unsigned fits_flips_of_texts(const char *a, const char *b)
{
    unsigned count = 0;

    while (*a || *b) {
        count += (unsigned)__builtin_popcount((unsigned char)(*a ? *a : ' ') ^
                                              (unsigned char)(*b ? *b : ' '));
        a += *a != '\0';
        b += *b != '\0';
    }
    return count;
}

bool fits_is_nearly_end(const unsigned char *card)
{
    static const unsigned char end[FITS_CARD_BYTES + 1] =
        "END                                                                             ";

    return fits_flips(card, end, 8) <= 2 && fits_flips(card, end, FITS_CARD_BYTES) <= 2;
}

static bool is_blank(const unsigned char *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (bytes[i] != ' ')
            return false;
    return true;
}

/* ---- legal cards ---- */

/* Behind the closing quote of the text that begins at `from`; 0: there is none. */
static size_t end_of_text(const unsigned char *card, size_t from, size_t to)
{
    for (size_t i = from + 1; i < to; i++)
        if (card[i] == '\'') {
            if (i + 1 == to || card[i + 1] != '\'')
                return i + 1;
            i++;
        }
    return 0;
}

static bool is_value(const unsigned char *card)
{
    size_t from = VALUE_FROM, to;

    while (from < FITS_CARD_BYTES && card[from] == ' ')
        from++;
    if (from == FITS_CARD_BYTES || card[from] == '/')
        return true; /* undefined, which is legal */
    to = from;
    if (card[from] == '\'')
        to = end_of_text(card, from, FITS_CARD_BYTES);
    else if (card[from] == '(') /* a complex number */
        while (to < FITS_CARD_BYTES && card[to - 1] != ')' &&
               strchr("(0123456789+-.,ED) ", card[to]))
            to++;
    else
        while (to < FITS_CARD_BYTES && strchr("0123456789+-.EDTF", card[to]))
            to++;
    if (to == 0 || to == from)
        return false;
    while (to < FITS_CARD_BYTES && card[to] == ' ')
        to++;
    return to == FITS_CARD_BYTES || card[to] == '/';
}

bool fits_card_is_legal(const unsigned char *card)
{
    size_t name = 0;

    for (size_t i = 0; i < FITS_CARD_BYTES; i++)
        if (card[i] < ' ' || card[i] > '~')
            return false;
    while (name < 8 && card[name] != ' ') {
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", card[name]))
            return false;
        name++;
    }
    if (!is_blank(card, name, 8))
        return false;
    if (memcmp(card + 8, "= ", 2) != 0) /* commentary */
        return name == 0 || memcmp(card, "COMMENT ", 8) == 0 || memcmp(card, "HISTORY ", 8) == 0 ||
               memcmp(card, "HIERARCH", 8) == 0;
    return is_value(card);
}

/* ---- values ---- */

/* A field that holds a value: the value as text, if it is written as cfitsio writes it. */
struct field {
    unsigned char bytes[FITS_CARD_BYTES];
    size_t length;
    bool (*read)(const struct field *field, char ret[FITS_FLIPS_TEXT]);
    bool (*is_fit)(const char *value); /* NULL: all are */
};

static bool read_integer(const struct field *field, char ret[FITS_FLIPS_TEXT])
{
    char text[FITS_FLIPS_TEXT], again[FITS_FLIPS_TEXT], *end;
    long long value;

    memcpy(text, field->bytes, field->length);
    text[field->length] = '\0';
    errno = 0;
    value = strtoll(text, &end, 10);
    snprintf(again, sizeof again, "%*lld", (int)field->length, value);
    if (errno != 0 || *end != '\0' || strcmp(again, text) != 0)
        return false;
    snprintf(ret, FITS_FLIPS_TEXT, "%lld", value);
    return true;
}

static bool read_text(const struct field *field, char ret[FITS_FLIPS_TEXT])
{
    const unsigned char *bytes = field->bytes;
    size_t end = bytes[0] == '\'' ? end_of_text(bytes, 0, field->length) : 0, used = 0;

    if (end < 2 || !is_blank(bytes, end, field->length))
        return false;
    for (size_t i = 1; i + 1 < end; i++) {
        if (bytes[i] < ' ' || bytes[i] > '~')
            return false;
        ret[used++] = (char)bytes[i];
        i += bytes[i] == '\'';
    }
    if (end < 10 || (end > 10 && bytes[end - 2] == ' ')) /* eight characters at least */
        return false;
    while (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = '\0';
    return true;
}

/* 0: one value; -ENOENT: none; -EINVAL: it could be several. */
static int settle(struct field *field, char ret[FITS_FLIPS_TEXT])
{
    char value[FITS_FLIPS_TEXT];
    unsigned found = 0;

    if (field->read(field, value) && (!field->is_fit || field->is_fit(value))) {
        strcpy(ret, value);
        return 0;
    }
    for (size_t bit = 0; bit < 8 * field->length; bit++) {
        unsigned char *byte = &field->bytes[bit / 8], mask = (unsigned char)(1u << bit % 8);
        char other[FITS_FLIPS_TEXT];

        *byte ^= mask;
        if (field->read(field, other) && (!field->is_fit || field->is_fit(other)) &&
            (found == 0 || strcmp(other, value) != 0)) {
            found++;
            strcpy(value, other);
        }
        *byte ^= mask;
    }
    if (found == 1)
        strcpy(ret, value);
    return found == 1 ? 0 : found == 0 ? -ENOENT : -EINVAL;
}

int fits_flipped_integer(const unsigned char *card, int64_t *ret)
{
    struct field field = {.length = VALUE_TO - VALUE_FROM, .read = read_integer};
    char value[FITS_FLIPS_TEXT];
    int r;

    memcpy(field.bytes, card + VALUE_FROM, field.length);
    r = settle(&field, value);
    if (r == 0)
        *ret = strtoll(value, NULL, 10);
    return r;
}

/* Where the comment begins, its slash included, as near as that can be told. */
static size_t find_comment(const unsigned char *card, const char *comment)
{
    char tail[FITS_CARD_BYTES + 8];
    size_t length = (size_t)snprintf(tail, sizeof tail, " / %.70s", comment);

    for (size_t at = VALUE_TO; comment[0] && at + 3 <= FITS_CARD_BYTES; at++) {
        size_t part = FITS_CARD_BYTES - at < length ? FITS_CARD_BYTES - at : length;

        if (fits_flips(card + at, tail, part) <= (part < 16 ? part / 4 : FITS_FLIPS_MAX / 2))
            return at;
    }
    return FITS_CARD_BYTES;
}

int fits_flipped_text(const unsigned char *card, const char *comment,
                      bool (*is_fit)(const char *value), char ret[FITS_FLIPS_TEXT])
{
    struct field field = {.read = read_text, .is_fit = is_fit};

    field.length = find_comment(card, comment) - VALUE_FROM;
    memcpy(field.bytes, card + VALUE_FROM, field.length);
    return settle(&field, ret);
}

/* ---- checksums ---- */

bool fits_header_sums_up(const struct fits_bytes *header, uint32_t *ret_datasum)
{
    uint32_t sum;

    if (!fits_has_checksum(header) || fits_card_datasum(header, ret_datasum) < 0)
        return false;
    sum = fits_sum_add(fits_sum_bytes(header->data, header->length), *ret_datasum);
    return sum == 0xffffffffu || sum == 0;
}
