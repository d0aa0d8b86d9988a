/*
 * fuzz_control.c - a line of the control protocol, from any bytes, and the mark that it may be.
 *
 * What must hold: no crash; what is accepted is within its bounds; a request that is written again
 * is the same one; a mark that is taken stands in a header as printable ASCII.
 */
#include "fits/header.h"
#include "record/order.h"
#include "serve/request.h"
#include "tests/fuzz/fuzz.h"

static void check_mark(const char *text)
{
    static unsigned char card[20 * 2880];
    struct fits_bytes header = {card, sizeof card};
    struct fits_bytes old = {card, sizeof card};
    struct fits_mark mark = {.time_ns = 1764000000123456789};

    memset(card, ' ', sizeof card);
    memcpy(card + (size_t)FITS_MARK_CARDS * 80, "END", 3);
    strcpy(mark.text, text);
    FUZZ_MUST(fits_marks_put(&header, &old, &mark, 1, 0) == 0);
    for (size_t i = 0; i < sizeof card; i++)
        FUZZ_MUST(card[i] >= ' ' && card[i] <= '~');
}

static void check_request(const struct request *request)
{
    char *line = request_write(request->verb, request->text, request->timeout_ns);
    struct request again;
    struct dao_text why;
    size_t length;

    FUZZ_MUST(request->timeout_ns > 0 && request->verb[0] != '\0');
    FUZZ_MUST(line);
    length = strlen(line);
    FUZZ_MUST(length > 0 && strchr(line, '\n') == line + length - 1);
    FUZZ_MUST(request_read(&again, line, length - 1, &why) == 0);
    FUZZ_MUST(strcmp(again.verb, request->verb) == 0 && strcmp(again.text, request->text) == 0);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dao_text why = {""};
    struct request request;
    struct order order;

    if (request_read(&request, (const char *)data, size, &why) < 0) {
        FUZZ_MUST(why.s[0] != '\0');
        return 0;
    }
    check_request(&request);
    why.s[0] = '\0';
    if (order_parse(&order, request.verb, request.text, &why) < 0)
        FUZZ_MUST(why.s[0] != '\0');
    else if (order.verb == ORDER_MARK)
        check_mark(order.text);
    return 0;
}
