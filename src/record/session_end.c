/* session_end.c - see session_end.h. */
#include "record/session_end.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/clock.h"
#include "record/session_inside.h"

/* The folders of streams that never appeared, or are there and never became segments. */
static void remove_empty_folders(struct session *session)
{
    for (unsigned i = 0; i < session->count; i++) {
        struct record_stream *s = session->streams[i];
        struct dao_segment segment;
        struct dao_text text;
        int r;

        if (atomic_load(&s->condition) != STREAM_AWAITED)
            continue;
        unlinkat(session->dir_fd, s->name, AT_REMOVEDIR);
        r = dao_segment_open(&segment, s->path, DAO_ACCESS_READ, &text);
        if (r == 0) /* it has come too late */
            dao_segment_close(&segment);
        if (r == 0 || r == -ENOENT || r == -ENODATA)
            log_warning("%s never appeared: nothing of it was recorded", s->path);
        else
            log_warning("%s; nothing of it was recorded", text.s);
    }
}

static bool check_balance(const struct ledger *ledger)
{
    bool balanced = true;

    for (size_t i = 0; i < ledger->stream_count; i++) {
        const struct ledger_counts *counts = &ledger->streams[i].counts;

        if (ledger_balances(counts))
            continue;
        balanced = false;
        log_error("stream %s: the ledger does not balance: %llu expected, %llu recorded, %llu "
                  "lost; this is a defect of daorec, please report it",
                  ledger->streams[i].name, (unsigned long long)ledger_expected(counts),
                  (unsigned long long)counts->recorded, (unsigned long long)ledger_lost(counts));
    }
    return balanced;
}

static void print_summary(struct session *session, const struct ledger *ledger)
{
    session->summary = ledger_to_json(ledger, true);
    log_flush(); /* what was said of it is above it */
    if (session->own.json)
        printf("%s\n", session->summary ? session->summary : "{}");
    else
        live_print_summary(stdout, ledger, session->end_ns - session->begin_ns);
    fflush(stdout); /* at once; whether it has arrived output_flush() tells */
}

int session_conclude(struct session *session)
{
    struct ledger ledger;
    bool lost = false, balanced;

    remove_empty_folders(session);
    session->books.end_ns = dao_clock_real_ns();
    session->end_ns = dao_clock_mono_ns();
    books_end(&session->books);
    if (books_view(&session->books, &ledger) < 0)
        return 1;
    for (size_t i = 0; i < ledger.stream_count; i++)
        lost = lost || ledger_lost(&ledger.streams[i].counts) > 0;
    balanced = check_balance(&ledger);
    print_summary(session, &ledger);
    free(ledger.streams);
    if (!balanced || !session->books.is_written)
        return 1;
    return lost ? 3 : session->books.failed || session->teller.any_unfit;
}
