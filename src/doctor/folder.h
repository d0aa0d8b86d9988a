/*
 * folder.h - the output folder: what its file system can, how much room there is, and who records
 * there already. One thread, blocking.
 *
 * For a moment a file without a name lies in it, made as recordings are; it is small, and gone when
 * this returns, or when the process ends before.
 */
#ifndef DAOREC_DOCTOR_FOLDER_H
#define DAOREC_DOCTOR_FOLDER_H

#include "base/options.h"
#include "doctor/probes.h"

/*
 * Add what there is to say about the folder; `keep` of it is not for recordings. Returns a
 * descriptor of it, also where it cannot be written to (context->machine.has_folder tells), or
 * negative errno.
 */
int doctor_folder_look(struct doctor_context *context, const char *path,
                       const struct option_amount *keep, struct findings *findings);

/* Recordings that run in sessions below the folder, or elsewhere on its file system as far as that
 * is to be seen; adds a line. */
unsigned doctor_folder_recordings(const struct doctor_context *context, int dir_fd,
                                  struct findings *findings);

/* A file of `bytes` in the folder, as recordings are made, that never has a name for longer than an
 * instant. 0 or negative errno; sink_close() takes it away. */
struct sink;
int doctor_folder_create(struct sink *sink, int dir_fd, uint64_t bytes);

/* Does this folder lie in memory? */
bool doctor_folder_is_memory(int dir_fd);

#endif
