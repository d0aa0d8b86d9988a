/*
 * chain.h - the files of a stream one after the other, and what session.json says of them. Pure
 * logic over what verify_file() found; any thread.
 *
 * What can be wrong: files that are missing or do not belong here, neighbours that do not name each
 * other, counts that do not go on where the file before ended, a ledger whose sums do not hold, or
 * whose numbers are not those of the files.
 *
 * A hole in the counts between two files is in order where it is booked: frames that a failing disk
 * swallowed stand in NLOST of the file before, or in the ledger.
 */
#ifndef DAOREC_RECORDING_CHAIN_H
#define DAOREC_RECORDING_CHAIN_H

#include "recording/ledger.h"
#include "recording/verify.h"

/* Sort by FILESEQ; files that are no recordings come first. */
void chain_sort(struct verify_file *files, size_t count);

/* The files of one folder, sorted. `ledger`: of this stream, or NULL. `is_settled`: no recorder is
 * about to name the next file, nor did one die before it had. */
void chain_check(const struct verify_file *files, size_t count, const struct ledger_stream *ledger,
                 bool is_settled, struct verify_doubts *doubts);

/* A stream's numbers in the ledger by themselves, and against its files where `is_final` (a session
 * that goes on is ahead of its ledger). */
void chain_check_ledger(const struct ledger_stream *ledger, const struct verify_file *files,
                        size_t count, bool is_final, struct verify_doubts *doubts);

#endif
