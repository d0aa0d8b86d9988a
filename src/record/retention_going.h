/*
 * retention_going.h - how files of a ring go: first the ledger is told, then their names are gone.
 * For retention.c only. Keepers' threads, with retention->removing held.
 */
#ifndef DAOREC_RECORD_RETENTION_GOING_H
#define DAOREC_RECORD_RETENTION_GOING_H

#include "record/retention_which.h"

/* Those in the batch; one of `stream` is held back in *ret_old (NULL: none), where there is none
 * yet, as retention->held. What is left in the batch is gone, or held. */
void retention_remove_batch(struct retention *retention, struct retention_batch *batch,
                            unsigned stream, struct retire *ret_old);

/* Its ledger was told: remove the name of one that was held back, or what is left of it. */
void retention_remove_held(struct retention *retention, struct retire *old);

#endif
