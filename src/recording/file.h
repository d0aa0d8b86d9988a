/*
 * file.h - one recording file from its preparation to its final name.
 *
 * prepare: length, headers, sync, lock, all before it has a name. publish: the header gets the
 * first frame's facts and the file its name, "<stream>_NNNNNN.fits.part". Then whoever writes the
 * pixels and rows places them by file->plan, composing the pages that are shared with headers by
 * recording_file_overlay(). close: the final tables, the final header, the final length, the final
 * name, valid after every single step. Blocking calls, one thread at a time, except overlay, which
 * only reads what prepare and publish left.
 */
#ifndef DAOREC_RECORDING_FILE_H
#define DAOREC_RECORDING_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/header.h"
#include "fits/plan.h"
#include "io/recycle.h"
#include "io/sink.h"
#include "recording/tree.h"

struct reading;

struct recording_file {
    const struct fits_facts *facts; /* borrowed */
    char stream[FITS_STREAM_NAME_MAX + 1];
    struct fits_plan plan;
    uint64_t room_frames; /* frames that there is room for on the disk; before prepare 0: all */
    const struct sink_old *old; /* before prepare: to be used again, see io/recycle.h; or NULL */
    struct fits_state state;
    int64_t dateref_ns; /* a whole second */
    struct sink sink;
    struct fits_bytes primary, frames_header, shmkw, spare_header; /* as they stand in the file */
    char name[TREE_FILE_BYTES];                                    /* the final one */
    char part_name[TREE_FILE_BYTES];
};

/* Lengths of the parts of every file of a stream of these facts. 0 or negative errno. */
int recording_measure_parts(struct fits_parts *ret, const struct fits_facts *facts,
                            struct dao_text *text);

/*
 * Prepare a file in dir_fd as file->plan has it, with room on the disk for file->room_frames frames
 * and for closing with so many: where those are fewer than the capacity, the planes and rows behind
 * them are a hole. file->facts, file->dateref_ns, file->state.file_seq and file->old are the
 * caller's to set before, too. The blocks of file->old are taken if they can be, which is where
 * that file ends in any case; then the planes hold what it had until frames are written, all else
 * is zeros. 0 or negative errno; nothing is left behind.
 */
int recording_file_prepare(struct recording_file *file, int dir_fd, bool want_direct,
                           const struct sink_backend *backend, struct dao_text *text);

/* Room for so many frames in a file that was prepared with less. 0 or negative errno (then it has
 * what it had). */
int recording_file_reserve(struct recording_file *file, uint64_t frames, struct dao_text *text);

/* Bytes on the disk of a file with room for so many of its frames, nearly. */
uint64_t recording_file_room_bytes(const struct fits_plan *plan, uint64_t frames);

/* Put file->state (first frame, PREVFILE, ...) into the header and give the file its .part name. */
int recording_file_publish(struct recording_file *file, struct dao_text *text);

/* Put the headers' bytes that lie in [off, off + count) of the file into buf. */
void recording_file_overlay(const struct recording_file *file, uint64_t off, unsigned char *buf,
                            size_t count);

/* Called after each step of closing with its name; for tests that look at the file in between. */
struct recording_hooks {
    void (*after_step)(void *ctx, const char *step);
    void *ctx;
};

/*
 * Close with the first `frames` frames (1 .. capacity), whose rows are in the file. file->state is
 * complete but for planes, frames and status. data_sum and rows_sum are those of the cube's and the
 * table's bytes. 0 or negative errno (then the file stays as valid as the last step left it, under
 * its .part name; 0 with a text: it is finished, but its name may not survive a power cut). The
 * sink is closed in every case.
 */
int recording_file_close(struct recording_file *file, uint64_t frames, uint32_t data_sum,
                         uint32_t rows_sum, const char *status, const struct recording_hooks *hooks,
                         struct dao_text *text);

/* Has the file the room that closing with so many frames takes? One that we have prepared has; one
 * that was cut to fewer frames, or made by somebody else, may not. */
bool recording_file_has_room(const struct recording_file *file, uint64_t frames);

/* Do its headers, which somebody else may have written, take the cards that closing puts into them?
 * file->state as far as it is known. 0 or negative errno with a text; nothing is changed. */
int recording_file_check(const struct recording_file *file, uint64_t frames, struct dao_text *text);

/*
 * The last two of those steps, for a file whose headers are final: cut it to `frames` frames, give
 * it its name. Returns and leaves the sink as recording_file_close().
 */
int recording_file_finish(struct recording_file *file, uint64_t frames,
                          const struct recording_hooks *hooks, struct dao_text *text);

/*
 * Take over a file that is there under part_name ("....fits.part"): file->sink is open, `reading`
 * is what is in it. Whatever instant of its life it was left in, it can then be closed by the two
 * functions above. Sets everything but file->facts; file->state is what the header says, its
 * strings are borrowed from `reading`. 0 or negative errno; the sink stays open, and is the
 * caller's to close by recording_file_discard().
 */
int recording_file_adopt(struct recording_file *file, const struct reading *reading,
                         const char *part_name, struct dao_text *text);

/* The sums and last facts of the first `frames` frames as their rows on disk tell. */
int recording_file_sum_rows(struct recording_file *file, uint64_t frames, uint32_t *ret_data_sum,
                            uint32_t *ret_rows_sum, int64_t *ret_last_cnt0, int64_t *ret_last_ns);

/* Remove a published file that is worth nothing, still open; discard comes after. */
void recording_file_remove(const struct recording_file *file);

/* Is there neither a .part file nor a finished one in dir_fd (any more)? */
bool recording_file_is_gone(const struct recording_file *file, int dir_fd);

/* Drop a prepared file that never got a name; safe on a closed one. Frees what it allocated. */
void recording_file_discard(struct recording_file *file);

#endif
