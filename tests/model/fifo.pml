/*
 * fifo.pml - the publish/validate protocol of lib/writer.c and lib/reader.c, for exhaustive
 * checking with spin: one writer, one reader, every interleaving of their steps. Run by run-model;
 * README.md says what is in here, what is not, and what came out.
 *
 * A step touches shared memory once at most; d_step joins such an access to local computation and
 * to ghosts, never to another access. Stores that nothing orders come in any order. Acquire loads
 * are steps in the order of the program; what stands between an acquire load and the fence of
 * finish() (snapshot, copy, the relaxed load of the head) comes in the orders left open there. Of
 * the two words of the payload the reader loads the first one first: the writer stores them in
 * either order, so the other case is this one with the names exchanged.
 *
 * Parameters, all by -D:
 *   N                      depth
 *   FRAMES                 how many frames the writer publishes
 *   OURS | FIELD | WEAK    the writer: ours; the field's on a machine that keeps stores in order;
 *                          the field's where nothing orders the stores of one frame
 *   EXTRAS                 quiet writes, partial writes, the newest frame stamped again
 *   JUMPS                  the source once skips JUMP counts, before any frame
 *   PROOF | PLAIN | HABIT  the reader: begin() and finish(); GetNext, then Check; one in the
 *                          field's habit
 *   NEWEST                 after a lap to the newest frame, else to the oldest provable one
 *   EARLY                  the reader attached before the first frame, else at any moment
 *   L1 .. L4               another order for the loads of the proof
 *   BREAK_...              one rule left out
 *   CLAIM_...              what is asserted beyond, or (=0) short of, what the protocol claims
 *   WITNESS=...            asserts that something never happens that must be able to happen
 */
#ifndef N
#define N 2
#endif
#ifndef FRAMES
#define FRAMES (2 * N + 1)
#endif

#define NEXT(s)   (((s) + 1) % N)
#define BEFORE(s) (((s) + N - 1) % N)
#define JUMP      2
#define JUNK      255 /* pixels of a quiet write: of no frame */
#define NEVER     200 /* above every count */

/* ---- what is claimed ---- */

/* No torn frame is passed as whole. At depth 1 nothing is a proof against the field's writer, nor
 * against quiet writes; Check is none at any depth; nor is there one where a writer's stores have
 * no order. */
#ifndef CLAIM_TORN
#if defined(WEAK) || (N == 1 && (defined(FIELD) || defined(EXTRAS))) ||                            \
    (defined(PLAIN) && !defined(OURS))
#define CLAIM_TORN 0
#else
#define CLAIM_TORN 1
#endif
#endif

/* The field's habit sees no false overwrite: beside our writer, at depth 2 and up. */
#ifndef CLAIM_HABIT
#define CLAIM_HABIT (N > 1)
#endif

/* begin() offers nothing that finish() would refuse for ever. After a lap to the newest frame it
 * does offer slot head+1, for callers that do without finish(). */
#ifndef CLAIM_STUCK
#ifdef NEWEST
#define CLAIM_STUCK 0
#else
#define CLAIM_STUCK 1
#endif
#endif

/* A lap is never reported for what is a jump. Not claimed: after a jump and N-1 frames more the
 * slot last taken is rewritten, too, and no count tells this from a lap. What is missing is then
 * the next to be overwritten. */
#ifndef CLAIM_JUMP
#define CLAIM_JUMP 0
#endif

/* Check finds only what is overwritten. Not claimed: it cannot look at everything at once. */
#ifndef CLAIM_ALARM
#define CLAIM_ALARM 0
#endif

/* ---- shared memory ---- */

byte head = N - 1;
byte cnt[N];
bool write[N];
/* Two words of payload and the time; each holds the count of the frame that it belongs to. */
byte pixel0[N], pixel1[N], atime[N];

/* ---- ghosts: what is true, for the assertions only ---- */

byte begun;       /* number (from 1) of the newest frame of which anything is stored */
byte led;         /* number of the frame that the head points at */
byte jat = NEVER; /* the last count before the jump */
byte last;        /* once `done`: the newest count */
bool done;        /* nothing more will be stored */

/* Number of a published count; was it left out; the first published after c, the last before it */
#define NUMBER(c)      ((c) > jat -> (c) - JUMP : (c))
#define IS_SKIPPED(c)  ((c) > jat && (c) <= jat + JUMP)
#define FIRST_AFTER(c) (IS_SKIPPED((c) + 1) -> jat + JUMP + 1 : (c) + 1)
#define LAST_BEFORE(c) (IS_SKIPPED((c) - 1) -> jat : (c) - 1)

/* Something is stored over it. It lies where the next frame goes, or did (no proof is possible). */
#define IS_OVERWRITTEN(c)        (NUMBER(c) + N <= begun)
#define IS_UNPROVABLE(c, margin) (NUMBER(c) + N - 1 <= led + (margin))

/* ---- the two of them ---- */

#include "writer.pml"
#ifdef HABIT
#include "habit.pml"
#else
#include "reader.pml"
#endif
