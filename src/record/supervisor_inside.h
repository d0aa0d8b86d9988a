/*
 * supervisor_inside.h - what a supervisor is made of; for supervisor.c and supervisor_orders.c.
 */
#ifndef DAOREC_RECORD_SUPERVISOR_INSIDE_H
#define DAOREC_RECORD_SUPERVISOR_INSIDE_H

#include "record/asking.h"
#include "record/board.h"
#include "record/configs.h"
#include "record/hooks.h"
#include "record/service.h"
#include "record/supervisor.h"

struct supervisor {
    const struct session_config *config; /* of the next session */
    const struct session_config *first;  /* that the process began with */
    const struct supervisor_setup *setup;
    struct configs configs; /* that were read again */
    bool may_release;       /* somebody has ceased to use one, perhaps */
    struct session_listener listener;
    int signal_fd;
    bool had_terminal;
    struct board *board, own_board; /* own: where the configuration has none */
    struct service service;
    struct session *session;        /* NULL: none */
    struct hooks *telling;          /* of sessions that have ended: a list */
    bool is_running;                /* it records */
    bool is_wanted;                 /* a session is to begin */
    bool is_ending;                 /* a signal asked for the end of the process */
    bool was_asked;                 /* for this session, or for its end */
    struct order start;             /* that asked for it */
    bool start_waits;               /* for its answer */
    struct asked asked[ORDERS_MAX]; /* under way */
    unsigned asked_count;
};

#endif
