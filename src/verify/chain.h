/*
 * chain.h - the files of a stream one after the other, and what session.json says of them. Pure
 * logic over what verify_file() found; any thread.
 *
 * What can be wrong: files that are missing, there twice, exchanged, or of another session or
 * stream; neighbours that do not name each other; counts that do not go on where the file before
 * ended; a ledger whose sums do not hold, or that says other things than the files. What is wrong
 * is said once: a file that could not be judged is not called missing as well, and sums over files
 * are compared only where all of them are there.
 *
 * A hole in the counts between two files is in order where it is booked: frames that a failing disk
 * swallowed stand in NLOST of the file before, or in the ledger.
 */
#ifndef DAOREC_VERIFY_CHAIN_H
#define DAOREC_VERIFY_CHAIN_H

#include "recording/ledger.h"
#include "verify/verify.h"

/* A folder with files of a stream. */
struct chain {
    const char *path;           /* of the folder */
    char name[FITS_TEXT_BYTES]; /* its own, or as much of it */
    struct verify_file *files;  /* all that were looked at */
    size_t count;
    /* by chain_arrange() */
    char stream[FITS_TEXT_BYTES];
    size_t in_order; /* the first of the files: those of the stream, by FILESEQ; each once */
    /* by chain_check() */
    bool is_complete; /* no file is missing, or could not be judged */
};

/* What is known of the session beside a stream's files. */
struct chain_session {
    const struct ledger_stream *ledger; /* of the stream, or NULL */
    bool is_alive;                      /* a recorder goes on */
    bool is_over;                       /* the ledger has its final numbers */
    bool is_cut_short;                  /* the last file may name one that never came to be */
};

/* Which session are the files of? The one of the ledger (NULL: none) if any file is of it, else
 * that of most of them. False: there is no recording. */
bool chain_find_session(char ret[FITS_TEXT_BYTES], const struct chain *chains, size_t count,
                        const char *ledger_uuid);

/* Put the files in their order; doubt those that do not belong there. `uuid`: of the session. */
void chain_arrange(struct chain *chain, const char *uuid, struct verify_doubts *doubts);

/* Of an arranged chain: what is missing, and how each file follows the one before. */
void chain_check(struct chain *chain, const struct chain_session *session,
                 struct verify_doubts *doubts);

/* In chain_ledger.c: a stream's numbers in the ledger by themselves, and against a chain that was
 * checked. `chain` NULL: its folder is not here, or has no recording. */
void chain_check_ledger(const struct chain *chain, const struct chain_session *session,
                        struct verify_doubts *doubts);

/* In chain_ledger.c: start and end of the ledger of a session that is over, against the times at
 * which frames were taken. */
void chain_check_span(const struct ledger *ledger, const struct chain *chains, size_t count,
                      struct verify_doubts *doubts);

/* The number in a file's name, where it is one of this stream; else 0. */
uint64_t chain_name_seq(const char *name, const char *stream);
/* The file of this number among those in order, or NULL. */
const struct verify_file *chain_find(const struct chain *chain, uint64_t seq);
/* Must this file be there, by the ledger? */
bool chain_is_required(const struct ledger_file *entry);

#endif
