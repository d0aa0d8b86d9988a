/* restore_cards.c - one header against the one it should be. See restore_parts.h. */
#include "repair/restore_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "fits/flips.h"

#define LOST_CARD     40u /* bits that a card counts which has no counterpart */
#define KEY_BYTES     10u /* with what follows it, "= " */
#define KEY_FLIPS_MAX 3u
#define SHOWN_BYTES   40u /* of a card that nobody can restore */

static const unsigned char *card_of(const struct fits_bytes *bytes, int index)
{
    return bytes->data + (size_t)index * FITS_CARD_BYTES;
}

size_t restore_count_cards(const struct fits_bytes *bytes)
{
    size_t cards = bytes->length / FITS_CARD_BYTES;

    for (size_t i = 0; i < cards && i < RESTORE_CARDS_MAX; i++)
        if (fits_is_nearly_end(bytes->data + i * FITS_CARD_BYTES))
            return i;
    return 0;
}

int restore_find(const struct fits_bytes *model, const char *key)
{
    const unsigned char *card = fits_card_find(model, key);

    return card ? (int)((size_t)(card - model->data) / FITS_CARD_BYTES) : -1;
}

/* ---- which is which ---- */

static bool has_key(const unsigned char *card, const unsigned char *like)
{
    return memcmp(card, like, KEY_BYTES) == 0;
}

/* From card j of bytes on: the first with exactly this keyword, or count. */
static int find_key(const struct fits_bytes *bytes, int j, int count, const unsigned char *like)
{
    while (j < count && !has_key(card_of(bytes, j), like))
        j++;
    return j;
}

void restore_align(const struct fits_bytes *model, const struct fits_bytes *bytes, int *map)
{
    int models = (int)restore_count_cards(model), count = (int)restore_count_cards(bytes), j = 0;

    for (int i = 0; i < models; i++) {
        const unsigned char *like = card_of(model, i);
        int found;

        map[i] = -1;
        if (j >= count)
            continue;
        if (fits_flips(card_of(bytes, j), like, KEY_BYTES) > KEY_FLIPS_MAX) {
            found = find_key(bytes, j + 1, count, like);
            if (find_key(model, i + 1, models, card_of(bytes, j)) < models) {
                map[i] = found < count ? found : -1; /* somewhere else, or there is none */
                continue;
            }
            if (found < count)
                j = found; /* cards of somebody else are in between */
            else if (fits_card_is_legal(card_of(bytes, j)))
                continue; /* there is none, but a card of somebody else */
        }
        map[i] = j++;
    }
}

/* Is its keyword one of " DATE BUNIT "? */
static bool is_among(const unsigned char *card, const char *keys)
{
    char name[12];
    size_t length = 0;

    while (length < 8 && card[length] != ' ')
        length++;
    snprintf(name, sizeof name, " %.*s ", (int)length, (const char *)card);
    return strstr(keys, name) != NULL;
}

unsigned restore_distance(const struct fits_bytes *model, const struct fits_bytes *bytes,
                          const char *leave_out)
{
    int models = (int)restore_count_cards(model);
    int *map = calloc(RESTORE_CARDS_MAX, sizeof *map);
    unsigned sum = 0;

    if (!map)
        return UINT32_MAX;
    restore_align(model, bytes, map);
    for (int i = 0; i < models; i++) {
        unsigned flips = LOST_CARD;

        if (is_among(card_of(model, i), leave_out))
            continue;
        if (map[i] >= 0)
            flips = fits_flips(card_of(model, i), card_of(bytes, map[i]), FITS_CARD_BYTES);
        sum += flips < LOST_CARD ? flips : LOST_CARD;
    }
    free(map);
    return sum;
}

/* ---- what it should be ---- */

/* Where the comment of a card begins: its value is never longer than in the model. */
static size_t find_comment(const unsigned char *card)
{
    size_t at = KEY_BYTES;

    if (card[at] == '\'')
        for (at++; at < FITS_CARD_BYTES && card[at] != '\''; at++)
            ;
    while (at + 1 < FITS_CARD_BYTES && memcmp(card + at, " /", 2) != 0)
        at++;
    return at + 1 < FITS_CARD_BYTES ? at : FITS_CARD_BYTES;
}

/* Would whoever reads the header take the value? Empty texts are values, empty fields are not. */
static bool is_possible(const unsigned char *card)
{
    struct fits_bytes header = {(unsigned char *)(uintptr_t)card, FITS_CARD_BYTES};
    char key[9], text[FITS_TEXT_BYTES];
    int64_t integer;
    double real;

    snprintf(key, sizeof key, "%.8s", (const char *)card);
    key[strcspn(key, " ")] = '\0';
    if (!fits_card_is_legal(card))
        return false;
    if (strcmp(key, "FPS") == 0 || strcmp(key, "MJD-END") == 0)
        return fits_card_real(&header, key, &real) == 0;
    if (card[KEY_BYTES] != '\'')
        return fits_card_integer(&header, key, &integer) == 0;
    return fits_card_text(&header, key, text, sizeof text) == 0 &&
           (strncmp(key, "DATE", 4) != 0 || strcmp(key, "DATASUM") == 0 ||
            units_parse_utc(text, &integer) == 0);
}

/* The model's card with the value that is there; false: that is none of its kind. */
static bool take_value(unsigned char *card, const unsigned char *there)
{
    size_t comment = find_comment(card);
    unsigned char mixed[FITS_CARD_BYTES];

    memcpy(mixed, card, FITS_CARD_BYTES);
    memcpy(mixed + KEY_BYTES, there + KEY_BYTES, comment - KEY_BYTES);
    if ((mixed[KEY_BYTES] == '\'') != (card[KEY_BYTES] == '\'') || !is_possible(mixed))
        return false;
    memcpy(card, mixed, FITS_CARD_BYTES);
    return true;
}

static void note(struct restore *restore, const char *unit, const unsigned char *card)
{
    size_t used = strlen(restore->cards);
    int length = 0;

    while (length < 8 && card[length] != ' ')
        length++;
    if (used + 40 < sizeof restore->cards)
        snprintf(restore->cards + used, sizeof restore->cards - used, "%s%s%.*s", used ? ", " : "",
                 unit, length, (const char *)card);
    else if (strcmp(restore->cards + used - 3, "...") != 0)
        strcat(restore->cards, ", ...");
    restore->count++;
}

/* As much of a card as tells a person which one it is, without blanks at its end. */
static const char *show(const unsigned char *card, char ret[SHOWN_BYTES + 1])
{
    size_t length = SHOWN_BYTES;

    while (length > 0 && card[length - 1] == ' ')
        length--;
    for (size_t i = 0; i < length; i++)
        ret[i] = card[i] >= ' ' && card[i] <= '~' ? (char)card[i] : '?';
    ret[length] = '\0';
    return ret;
}

/* Cards that have no counterpart: whoever put them there, they have to be cards. */
static int check_rest(const struct fits_bytes *bytes, const int *map, int models, const char *unit,
                      struct dao_text *text)
{
    int count = (int)restore_count_cards(bytes);

    for (int j = 0; j < count; j++) {
        const unsigned char *card = card_of(bytes, j);
        char shown[SHOWN_BYTES + 1];
        bool is_ours = false, goes_on = j > 0 && memcmp(card, "CONTINUE  '", 11) == 0;

        for (int i = 0; i < models && !is_ours; i++)
            is_ours = map[i] == j;
        if (is_ours || fits_card_is_legal(card) ||
            (goes_on && memchr(card_of(bytes, j - 1), '&', FITS_CARD_BYTES)))
            continue;
        snprintf(text->s, sizeof text->s,
                 "card %d of the %sheader (%s) is damaged, and nothing tells what it was", j + 1,
                 unit[0] ? unit : "primary ", show(card, shown));
        return -EBADMSG;
    }
    return 0;
}

int restore_mend(struct restore *restore, struct restore_header *header,
                 const struct fits_bytes *model, const char *free_keys, const char *unit,
                 struct dao_text *text)
{
    struct fits_bytes *bytes = &header->bytes;
    int models = (int)restore_count_cards(model), count = (int)restore_count_cards(bytes);
    int *map = calloc(RESTORE_CARDS_MAX, sizeof *map);
    size_t end = (size_t)count * FITS_CARD_BYTES;
    unsigned char tail[FITS_CARD_BYTES];
    int r;

    if (count == 0) { /* without END nobody knows where it ends, and what would be blanked */
        free(map);
        return 0;
    }
    if (!map)
        return -ENOMEM;
    restore_align(model, bytes, map);
    for (int i = 0; i < models; i++) {
        unsigned char card[FITS_CARD_BYTES], *there;
        bool is_value = true;
        unsigned flips;

        if (map[i] < 0)
            continue;
        there = bytes->data + (size_t)map[i] * FITS_CARD_BYTES;
        memcpy(card, card_of(model, i), FITS_CARD_BYTES);
        if (is_among(card, free_keys))
            is_value = take_value(card, there);
        flips = fits_flips(card, there, FITS_CARD_BYTES);
        if (flips == 0 || (flips > FITS_FLIPS_MAX && is_value && fits_card_is_legal(there)))
            continue;
        memcpy(there, card, FITS_CARD_BYTES);
        note(restore, unit, card);
        header->is_changed = true;
    }
    r = check_rest(bytes, map, models, unit, text);
    free(map);
    memset(tail, ' ', sizeof tail);
    memcpy(tail, "END", 3);
    for (size_t at = end; at < bytes->length; at += FITS_CARD_BYTES) {
        if (memcmp(bytes->data + at, tail, sizeof tail) != 0) {
            memcpy(bytes->data + at, tail, sizeof tail);
            note(restore, unit, (const unsigned char *)"END     ");
            header->is_changed = true;
        }
        memset(tail, ' ', 3); /* behind END: blanks */
    }
    return r;
}
