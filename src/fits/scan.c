/* scan.c - see scan.h. */
#include "fits/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fits_read_at(int fd, uint64_t off, void *ret_bytes, size_t count)
{
    unsigned char *to = ret_bytes;

    while (count > 0) {
        ssize_t n;

        if (off > INT64_MAX - count)
            return -ENODATA;
        n = pread(fd, to, count, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENODATA;
        to += n;
        off += (uint64_t)n;
        count -= (size_t)n;
    }
    return 0;
}

bool fits_scan_is_extension(int fd, uint64_t file_bytes, uint64_t off)
{
    char head[9];

    return off < file_bytes && file_bytes - off >= FITS_BLOCK &&
           fits_read_at(fd, off, head, sizeof head) == 0 && memcmp(head, "XTENSION=", 9) == 0;
}

void fits_scan_describe_behind(struct dao_text *ret, uint64_t bytes, uint64_t file_bytes)
{
    snprintf(ret->s, sizeof ret->s, "%llu byte%s behind the last HDU (from byte %llu on)",
             (unsigned long long)bytes, bytes == 1 ? " lies" : "s lie",
             (unsigned long long)(file_bytes - bytes));
}

bool fits_scan_is_fits(const void *head, size_t head_bytes)
{
    return head_bytes >= 30 && memcmp(head, "SIMPLE  =", 9) == 0;
}

/* ---- cards ---- */

const unsigned char *fits_card_find(const struct fits_bytes *header, const char *key)
{
    char name[9];

    snprintf(name, sizeof name, "%-8s", key);
    for (size_t at = 0; at + FITS_CARD_BYTES <= header->length; at += FITS_CARD_BYTES) {
        if (memcmp(header->data + at, name, 8) == 0)
            return header->data + at;
        if (memcmp(header->data + at, "END     ", 8) == 0)
            break; /* what lies behind is no card */
    }
    return NULL;
}

/* The number field of a card, up to the comment, without blanks around it; false: none there. */
static bool number_field(const unsigned char *card, char ret[FITS_CARD_BYTES])
{
    size_t from = 10, to = 10;

    if (memcmp(card + 8, "= ", 2) != 0)
        return false;
    while (from < FITS_CARD_BYTES && card[from] == ' ')
        from++;
    for (to = from; to < FITS_CARD_BYTES && card[to] != ' ' && card[to] != '/';)
        to++;
    memcpy(ret, card + from, to - from);
    ret[to - from] = '\0';
    while (to < FITS_CARD_BYTES && card[to] == ' ')
        to++;
    return ret[0] != '\0' && (to == FITS_CARD_BYTES || card[to] == '/');
}

int fits_card_integer(const struct fits_bytes *header, const char *key, int64_t *ret)
{
    const unsigned char *card = fits_card_find(header, key);
    char field[FITS_CARD_BYTES], *end;
    long long value;

    if (!card)
        return -ENOENT;
    if (!number_field(card, field))
        return -EINVAL;
    errno = 0;
    value = strtoll(field, &end, 10);
    if (errno != 0 || *end != '\0')
        return -EINVAL;
    *ret = value;
    return 0;
}

int fits_card_real(const struct fits_bytes *header, const char *key, double *ret)
{
    const unsigned char *card = fits_card_find(header, key);
    char field[FITS_CARD_BYTES], *end;
    double value;

    if (!card)
        return -ENOENT;
    if (!number_field(card, field) || strspn(field, "0123456789+-.EeDd") != strlen(field))
        return -EINVAL;
    value = strtod(field, &end);
    if (*end != '\0')
        return -EINVAL;
    *ret = value;
    return 0;
}

/* The text between the quotes that begins at card[from], appended to ret. -EINVAL: no text. */
static int append_text(const unsigned char *card, size_t from, char *ret, size_t ret_bytes)
{
    size_t used = strlen(ret), at = from;

    while (at < FITS_CARD_BYTES && card[at] == ' ')
        at++;
    if (at >= FITS_CARD_BYTES || card[at] != '\'')
        return -EINVAL;
    for (at++; at < FITS_CARD_BYTES; at++) {
        if (card[at] == '\'') {
            if (at + 1 >= FITS_CARD_BYTES || card[at + 1] != '\'')
                break;
            at++;
        }
        if (used + 1 < ret_bytes)
            ret[used++] = (char)card[at];
    }
    while (used > 0 && ret[used - 1] == ' ')
        used--;
    ret[used] = '\0';
    return at < FITS_CARD_BYTES ? 0 : -EINVAL;
}

int fits_card_text(const struct fits_bytes *header, const char *key, char *ret, size_t ret_bytes)
{
    const unsigned char *card = fits_card_find(header, key), *end = header->data + header->length;
    size_t used;

    if (!card)
        return -ENOENT;
    if (memcmp(card + 8, "= ", 2) != 0 || ret_bytes == 0)
        return -EINVAL;
    {
        char first[FITS_CARD_BYTES] = "";

        if (append_text(card, 10, first, sizeof first) < 0)
            return -EINVAL;
        snprintf(ret, ret_bytes, "%s", first);
    }
    for (;;) {
        used = strlen(ret);
        card += FITS_CARD_BYTES;
        if (used == 0 || ret[used - 1] != '&' || card + FITS_CARD_BYTES > end ||
            memcmp(card, "CONTINUE  ", 10) != 0)
            return 0;
        ret[used - 1] = '\0';
        if (append_text(card, 10, ret, ret_bytes) < 0)
            return 0;
    }
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " ")] == '\0';
}

int fits_card_datasum(const struct fits_bytes *header, uint32_t *ret)
{
    char text[FITS_TEXT_BYTES] = "", *end;
    unsigned long long value;
    int r = fits_card_text(header, "DATASUM", text, sizeof text);

    if (r < 0)
        return r;
    if (is_blank(text))
        return -ENOENT;
    if (strspn(text, "0123456789") != strlen(text))
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || value > UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)value;
    return 0;
}

bool fits_has_checksum(const struct fits_bytes *header)
{
    char text[FITS_TEXT_BYTES] = "";

    return fits_card_text(header, "CHECKSUM", text, sizeof text) == 0 && !is_blank(text);
}

/* ---- units ---- */

static int refuse(struct dao_text *text, uint64_t off, const char *what)
{
    snprintf(text->s, sizeof text->s, "the header at byte %llu %s", (unsigned long long)off, what);
    return -EBADMSG;
}

/* Where the END card is in a block, or FITS_BLOCK; -1: bytes that are no text. */
static int find_end(const unsigned char *block)
{
    for (unsigned at = 0; at < FITS_BLOCK; at++)
        if (block[at] < ' ' || block[at] > '~')
            return -1;
    for (unsigned at = 0; at < FITS_BLOCK; at += FITS_CARD_BYTES)
        if (memcmp(block + at, "END     ", 8) == 0)
            return (int)at;
    return (int)FITS_BLOCK;
}

static int read_header(struct fits_unit *unit, int fd, uint64_t file_bytes, struct dao_text *text)
{
    uint64_t off = unit->header_off;

    for (unsigned blocks = 0; blocks < FITS_SCAN_HEADER_BLOCKS; blocks++) {
        unsigned char *grown, *block;
        int end, r;

        if (blocks == 0 && off == file_bytes)
            return -ENODATA;
        if (off > file_bytes || file_bytes - off < FITS_BLOCK)
            return refuse(text, unit->header_off, "is cut off: the file ends in it");
        grown = realloc(unit->header.data, unit->header.length + FITS_BLOCK);
        if (!grown)
            return -ENOMEM;
        unit->header.data = grown;
        block = grown + unit->header.length;
        r = fits_read_at(fd, off, block, FITS_BLOCK);
        if (r < 0)
            return r;
        if (blocks == 0 && off > 0 && memcmp(block, "XTENSION=", 9) != 0)
            return refuse(text, off, "does not begin with XTENSION");
        unit->header.length += FITS_BLOCK;
        off += FITS_BLOCK;
        end = find_end(block);
        if (end < 0)
            return refuse(text, unit->header_off, "holds bytes that are no text");
        if (end < (int)FITS_BLOCK) {
            unit->data_off = off;
            return 0;
        }
    }
    return refuse(text, unit->header_off, "has no end");
}

/* Bytes of the data from BITPIX, NAXISn, PCOUNT and GCOUNT, as the standard has it. */
static int measure_data(struct fits_unit *unit, struct dao_text *text)
{
    const struct fits_bytes *header = &unit->header;
    int64_t bitpix = 0, naxis = -1, pcount = 0, gcount = 1;
    uint64_t bytes = 1;

    if (fits_card_integer(header, "BITPIX", &bitpix) < 0 ||
        (bitpix != 8 && bitpix != 16 && bitpix != 32 && bitpix != 64 && bitpix != -32 &&
         bitpix != -64))
        return refuse(text, unit->header_off, "has no proper BITPIX");
    if (fits_card_integer(header, "NAXIS", &naxis) < 0 || naxis < 0 || naxis > FITS_SCAN_AXES)
        return refuse(text, unit->header_off, "has no NAXIS that we could read");
    fits_card_integer(header, "PCOUNT", &pcount);
    fits_card_integer(header, "GCOUNT", &gcount);
    if (pcount < 0 || gcount != 1)
        return refuse(text, unit->header_off, "has a PCOUNT or GCOUNT that we cannot read");
    for (int i = 0; i < naxis; i++) {
        char key[24];
        int64_t axis = -1;

        snprintf(key, sizeof key, "NAXIS%d", i + 1);
        if (fits_card_integer(header, key, &axis) < 0 || axis < 0)
            return refuse(text, unit->header_off, "lacks a size");
        unit->axis[i] = (uint64_t)axis;
        if (__builtin_mul_overflow(bytes, (uint64_t)axis, &bytes))
            return refuse(text, unit->header_off, "tells of a size beyond all bounds");
    }
    unit->bitpix = (int)bitpix;
    unit->naxis = (int)naxis;
    if (naxis == 0)
        bytes = 0;
    if (__builtin_add_overflow(bytes, (uint64_t)pcount, &bytes) ||
        __builtin_mul_overflow(bytes, (uint64_t)llabs(bitpix) / 8, &bytes) || bytes > INT64_MAX / 2)
        return refuse(text, unit->header_off, "tells of a size beyond all bounds");
    unit->data_bytes = bytes;
    return 0;
}

static int find_kind(struct fits_unit *unit, struct dao_text *text)
{
    char kind[FITS_TEXT_BYTES] = "";

    unit->is_primary = unit->header_off == 0;
    if (unit->is_primary) {
        if (memcmp(unit->header.data, "SIMPLE  =                    T", 30) != 0)
            return refuse(text, 0, "does not begin with SIMPLE = T");
    } else if (fits_card_text(&unit->header, "XTENSION", kind, sizeof kind) < 0) {
        return refuse(text, unit->header_off, "has no proper XTENSION");
    }
    unit->is_table = strcmp(kind, "BINTABLE") == 0;
    fits_card_text(&unit->header, "EXTNAME", unit->extname, sizeof unit->extname);
    return 0;
}

int fits_scan_unit(struct fits_unit *ret, int fd, uint64_t file_bytes, uint64_t off,
                   struct dao_text *text)
{
    struct fits_unit unit = {.header_off = off};
    int r = read_header(&unit, fd, file_bytes, text);

    if (r == 0)
        r = find_kind(&unit, text);
    if (r == 0)
        r = measure_data(&unit, text);
    if (r == 0) {
        unit.end = unit.data_off + fits_pad(unit.data_bytes);
        if (unit.data_off > file_bytes || fits_pad(unit.data_bytes) > file_bytes - unit.data_off) {
            snprintf(text->s, sizeof text->s,
                     "%s should reach to byte %llu, but the file ends at %llu: it was cut off",
                     unit.extname[0] ? unit.extname : "a unit", (unsigned long long)unit.end,
                     (unsigned long long)file_bytes);
            r = -EBADMSG;
        }
    }
    if (r < 0) {
        fits_unit_free(&unit);
        return r;
    }
    *ret = unit;
    return 0;
}

void fits_unit_free(struct fits_unit *unit)
{
    fits_bytes_free(&unit->header);
    *unit = (struct fits_unit){0};
}
