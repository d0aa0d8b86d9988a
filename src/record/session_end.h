/*
 * session_end.h - how a session is concluded: the ledger's last words, whether it balances, the
 * summary. For session.c only; session's thread, when the others have ended.
 */
#ifndef DAOREC_RECORD_SESSION_END_H
#define DAOREC_RECORD_SESSION_END_H

struct session;

/* Prints the summary, which session_summary() returns from then on. The exit status: 0; 1 failed; 3
 * frames were lost. */
int session_conclude(struct session *session);

#endif
