/* marks.c - see marks.h. */
#include "fits/marks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define CARD  80u
#define FIRST 40u /* of the text, on a mark's first card: HISTORY MARK, the time, the text */
#define REST  67u /* on the others */

static unsigned find_end(const struct fits_bytes *header)
{
    unsigned at = 0, count = (unsigned)(header->length / CARD);

    while (at < count && memcmp(header->data + (size_t)at * CARD, "END     ", 8) != 0)
        at++;
    return at;
}

static bool is_blank(const unsigned char *card)
{
    for (unsigned i = 0; i < CARD; i++)
        if (card[i] != ' ')
            return false;
    return true;
}

static bool begins_with(const struct fits_bytes *header, unsigned card, const char *text)
{
    return memcmp(header->data + (size_t)card * CARD, text, strlen(text)) == 0;
}

unsigned fits_marks_begin(const struct fits_bytes *header, bool anew)
{
    unsigned at = find_end(header), end;

    while (at > 0 && is_blank(header->data + (size_t)(at - 1) * CARD))
        at--;
    if (!anew)
        return at;
    for (end = at; at > 0 && begins_with(header, at - 1, "HISTORY ");)
        at--;
    while (at < end && !begins_with(header, at, "HISTORY MARK "))
        at++;
    return at;
}

/* END as card number `end`, blanks between. */
static int move_end(struct fits_bytes *header, unsigned end)
{
    unsigned from = find_end(header);
    size_t length = fits_pad(((size_t)end + 1) * CARD);
    unsigned char *grown;

    if (from >= end || (size_t)from * CARD >= header->length)
        return 0;
    if (length > header->length) {
        grown = realloc(header->data, length);
        if (!grown)
            return -ENOMEM;
        memset(grown + header->length, ' ', length - header->length);
        header->data = grown;
        header->length = length;
    }
    memset(header->data + (size_t)from * CARD, ' ', CARD);
    memcpy(header->data + (size_t)end * CARD, "END", 3);
    return 0;
}

int fits_marks_reserve(struct fits_bytes *header, unsigned cards)
{
    return move_end(header, find_end(header) + cards);
}

/* Printable ASCII, a '?' for each other character. Returns its length. */
static size_t make_plain(char ret[FITS_MARK_BYTES], const char *text)
{
    size_t length = 0;

    for (; *text && length + 1 < FITS_MARK_BYTES; text++) {
        if (((unsigned char)*text & 0xc0) == 0x80) /* inside a character */
            continue;
        ret[length++] = *text >= ' ' && *text <= '~' ? *text : '?';
    }
    ret[length] = '\0';
    return length;
}

static unsigned count_cards(size_t length)
{
    return length <= FIRST ? 1 : 1 + (unsigned)((length - FIRST + REST - 1) / REST);
}

static void put_card(struct fits_bytes *header, unsigned at, const char *text)
{
    char card[CARD + 1];

    snprintf(card, sizeof card, "HISTORY %-72.72s", text);
    memcpy(header->data + (size_t)at * CARD, card, CARD);
}

static unsigned put_mark(struct fits_bytes *header, unsigned at, int64_t time_ns, const char *plain)
{
    size_t length = strlen(plain);
    char utc[40], line[CARD];

    units_format_utc(utc, sizeof utc, time_ns, 6);
    snprintf(line, sizeof line, "MARK %.26s %.*s", utc, (int)FIRST, plain);
    put_card(header, at++, line);
    for (size_t done = FIRST; done < length; done += REST) {
        snprintf(line, sizeof line, "     %.*s", (int)REST, plain + done);
        put_card(header, at++, line);
    }
    return at;
}

int fits_marks_put(struct fits_bytes *header, const struct fits_bytes *old,
                   const struct fits_mark *marks, unsigned count, uint64_t more)
{
    unsigned at = find_end(header), end = find_end(old), done;
    int r = move_end(header, end);

    if (r < 0)
        return r;
    for (done = 0; done < count; done++) {
        char plain[FITS_MARK_BYTES];
        unsigned cards = count_cards(make_plain(plain, marks[done].text));
        bool is_last = done + 1 == count && more == 0;

        if (at + cards + !is_last > end) /* a card is left for those that do not fit */
            break;
        at = put_mark(header, at, marks[done].time_ns, plain);
    }
    if (count - done + more > 0 && at < end) {
        char line[CARD];

        snprintf(line, sizeof line, "MARK %llu more, see session.json",
                 (unsigned long long)(count - done + more));
        put_card(header, at, line);
    }
    return 0;
}

/* ---- and back ---- */

/* Append a card's text to a mark's. Blanks at its end stay: the text may go on. */
static void append(struct fits_mark *mark, const char *text)
{
    size_t length = strlen(mark->text);

    snprintf(mark->text + length, sizeof mark->text - length, "%s", text);
}

static void cut_blanks(struct fits_mark *mark)
{
    size_t length = strlen(mark->text);

    while (length > 0 && mark->text[length - 1] == ' ')
        mark->text[--length] = '\0';
}

/* What follows "HISTORY " on a card, printable, with its blanks. */
static void take_card(char ret[CARD - 8 + 1], const unsigned char *card)
{
    for (unsigned i = 8; i < CARD; i++)
        ret[i - 8] = card[i] >= ' ' && card[i] <= '~' ? (char)card[i] : '?';
    ret[CARD - 8] = '\0';
}

static bool take_mark(struct fits_mark *ret, const char *line)
{
    char utc[27];

    snprintf(utc, sizeof utc, "%.26s", line + 5);
    *ret = (struct fits_mark){0};
    if (line[31] != ' ' || units_parse_utc(utc, &ret->time_ns) < 0)
        return false;
    append(ret, line + 32);
    return true;
}

unsigned fits_marks_read(const struct fits_bytes *header, struct fits_mark ret[FITS_MARK_CARDS],
                         uint64_t *ret_more)
{
    unsigned count = 0, end = find_end(header);
    bool goes_on = false;
    int length;

    *ret_more = 0;
    for (unsigned at = 0; at < end; at++) {
        char line[CARD - 8 + 1];
        unsigned long long more = 0;

        take_card(line, header->data + (size_t)at * CARD);
        length = 0;
        if (goes_on && begins_with(header, at, "HISTORY      ")) {
            append(&ret[count - 1], line + 5);
            continue;
        }
        goes_on = false;
        if (!begins_with(header, at, "HISTORY MARK ") || count == FITS_MARK_CARDS)
            continue;
        if (sscanf(line, "MARK %19llu more, see session.json%n", &more, &length) == 1 && length > 0)
            *ret_more += more;
        else if (take_mark(&ret[count], line))
            goes_on = ++count > 0;
    }
    for (unsigned i = 0; i < count; i++)
        cut_blanks(&ret[i]);
    return count;
}
