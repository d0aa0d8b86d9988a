/* order.c - see order.h. */
#include "record/order.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/options.h"

const char *const order_names[] = {"status", "start", "stop", "roll", "mark", "reload", NULL};

int order_queue_init(struct order_queue *queue)
{
    *queue = (struct order_queue){.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (queue->event_fd < 0)
        return -errno;
    pthread_mutex_init(&queue->lock, NULL);
    return 0;
}

void order_queue_fini(struct order_queue *queue)
{
    if (queue->event_fd <= 0)
        return;
    close(queue->event_fd);
    pthread_mutex_destroy(&queue->lock);
    *queue = (struct order_queue){0};
}

/* ---- what was asked ---- */

/* Bytes of the UTF-8 character at `s` (1 to 4), 0: it is none, or a control character. */
static size_t character_bytes(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t code = bytes == 1 ? s[0] : s[0] & (0x7fu >> bytes);

    for (size_t i = 1; i < bytes; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if (bytes == 0 || s[0] > 0xf4 || code < least[bytes] || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000) || code < 0x20 || (code >= 0x7f && code < 0xa0))
        return 0;
    return bytes;
}

static int check_text(const char *text, struct dao_text *why)
{
    const unsigned char *s = (const unsigned char *)text;

    if (strlen(text) >= LEDGER_MARK_BYTES) {
        snprintf(why->s, sizeof why->s, "a mark of %zu bytes: %u are allowed", strlen(text),
                 (unsigned)LEDGER_MARK_BYTES - 1);
        return -EINVAL;
    }
    while (*s) {
        size_t bytes = character_bytes(s);

        if (bytes == 0) {
            snprintf(why->s, sizeof why->s,
                     "a mark with the byte 0x%02x: printable UTF-8 on one line is allowed", *s);
            return -EINVAL;
        }
        s += bytes;
    }
    return 0;
}

int order_parse(struct order *ret, const char *verb, const char *text, struct dao_text *why)
{
    const char *nearest;
    int i = 0;

    while (order_names[i] && strcmp(order_names[i], verb) != 0)
        i++;
    if (!order_names[i]) {
        nearest = options_nearest(verb, order_names);
        snprintf(why->s, sizeof why->s, "no verb '%.40s'%s%s%s", verb,
                 nearest ? "; did you mean '"
                         : ": there are status, start, stop, roll, mark, reload",
                 nearest ? nearest : "", nearest ? "'?" : "");
        return -EINVAL;
    }
    *ret = (struct order){.verb = (enum order_verb)i};
    if ((i == ORDER_MARK) != (text && text[0] != '\0')) {
        snprintf(why->s, sizeof why->s,
                 i == ORDER_MARK ? "a mark wants a text" : "%s takes no text", verb);
        return -EINVAL;
    }
    if (i != ORDER_MARK)
        return 0;
    if (text[strspn(text, " ")] == '\0') {
        snprintf(why->s, sizeof why->s, "a mark wants a text, not only blanks");
        return -EINVAL;
    }
    if (check_text(text, why) < 0)
        return -EINVAL;
    strcpy(ret->text, text);
    return 0;
}

/* ---- there and back ---- */

bool order_post(struct order_queue *queue, const struct order *order)
{
    bool has_room;

    pthread_mutex_lock(&queue->lock);
    has_room = queue->count < ORDERS_MAX;
    if (has_room)
        queue->items[queue->count++] = *order;
    pthread_mutex_unlock(&queue->lock);
    if (has_room && write(queue->event_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0) {
        /* full: it is readable anyway */
    }
    return has_room;
}

bool order_take(struct order_queue *queue, struct order *ret)
{
    bool is_there;
    uint64_t events;

    pthread_mutex_lock(&queue->lock);
    is_there = queue->count > 0;
    if (is_there) {
        *ret = queue->items[0];
        queue->count--;
        memmove(queue->items, queue->items + 1, queue->count * sizeof queue->items[0]);
    } else if (read(queue->event_fd, &events, sizeof events) < 0) {
        /* nothing was there to clear */
    }
    pthread_mutex_unlock(&queue->lock);
    return is_there;
}

void order_answer(struct order_queue *queue, const struct order *order, bool ok, json_t *answer)
{
    json_t *whole = json_pack("{s:b, s:s}", "ok", ok, "verb", order_names[order->verb]);

    if (answer)
        json_object_update(whole, answer);
    json_decref(answer);
    queue->reply(queue->ctx, order->token,
                 whole ? json_dumps(whole, JSON_PRESERVE_ORDER | JSON_COMPACT) : NULL);
    json_decref(whole);
}

void order_refuse(struct order_queue *queue, const struct order *order, const char *fmt, ...)
{
    char text[ORDER_WHY_BYTES];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    order_answer(queue, order, false, json_pack("{s:o}", "error", json_text_value(text)));
}
