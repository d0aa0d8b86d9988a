/*
 * session_run.h - a session while it records: what is looked at every half a second until its
 * streams are over, what is said of it meanwhile, and how its streams are told to end. For
 * session.c only; session's thread.
 */
#ifndef DAOREC_RECORD_SESSION_RUN_H
#define DAOREC_RECORD_SESSION_RUN_H

struct session;

/* Have all streams end, with this ENDCAUSE, once they have taken what is there. Never waits. */
void session_ask_to_stop(struct session *session, const char *cause);

/* Its threads were started: until all of its streams are over and all they had is written. */
void session_run(struct session *session);

#endif
