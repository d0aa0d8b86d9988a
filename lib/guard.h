/*
 * guard.h - the SIGBUS guard's table of mappings. Used by segment.c only; see segment.h for what
 * the guard does. Any thread may call.
 */
#ifndef DAO_GUARD_H
#define DAO_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Enter a mapping (installing the handler at the first one). The entry's index, or -1: the guard
 * is switched off or no memory for it; the mapping is then unguarded. */
int dao_guard_enter(void *map, size_t bytes, int prot);

/* Take an entry out again, before the mapping is unmapped. -1 is allowed. */
void dao_guard_leave(int index);

/* What tells, by true, that zero pages have been put under this mapping: valid until the entry is
 * left. Load it with acquire, which pairs with the release in the handler. NULL for -1. */
const atomic_bool *dao_guard_flag(int index);

/* Switch the guard on or off for mappings to come. */
void dao_guard_enable(bool enabled);

#endif
