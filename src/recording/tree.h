/*
 * tree.h - names and folders of recordings:
 *
 *     <root>/<session>/<stream>/<stream>_000001.fits[.part]
 *     <root>/<session>/session.json
 *
 * session is a date and time in UTC; names hold only A-Z a-z 0-9 _ - and dots.
 */
#ifndef DAOREC_RECORDING_TREE_H
#define DAOREC_RECORDING_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fits/header.h"

#define TREE_SESSION_BYTES 20 /* "2026-11-24_02-01-08" and NUL */
#define TREE_FILE_BYTES    (FITS_STREAM_NAME_MAX + 24)

/*
 * The stream name of a segment path: the file's name up to its first dot, other characters than
 * the allowed ones replaced by '_', "shm_" in front where that is empty or starts with '-'.
 * `dst` holds FITS_STREAM_NAME_MAX + 1. 0, or -ENAMETOOLONG (dst untouched).
 */
int tree_stream_name(char *dst, const char *segment_path);

/* Is it a name that a stream, and its folder, may have? */
bool tree_is_stream_name(const char *name);

/* "<stream>_000001.fits", with ".part" behind it where `part`. dst holds TREE_FILE_BYTES. */
void tree_file_name(char *dst, const char *stream, uint64_t seq, int part);

/* The number in the name of a finished file of this stream; 0: it is no such name. */
uint64_t tree_file_seq(const char *name, const char *stream);

/*
 * Make a new session folder below root (which is made too, with its parents). A second that is
 * taken is waited out, in `ns`, of which waiting() is told before (NULL: nobody). Fills the
 * session's name; returns a descriptor of the folder, or negative errno with a text.
 */
int tree_create_session(const char *root, char session[TREE_SESSION_BYTES],
                        void (*waiting)(const char *taken, int64_t ns), struct dao_text *text);

/* When a session of this name (of its folder) began, POSIX ns; 0: it is no session's name. */
int64_t tree_session_start(const char *name);

/* Does a recorder hold this session's folder? (tree_create_session()'s descriptor holds a lock on
 * it for as long as it is open.) Asking takes the lock for an instant. */
bool tree_session_is_alive(int session_fd);

/* Remove files below root that were prepared and never named (dot-files, where the file system has
 * no nameless ones), and what a ledger was written into, where their recorder does not live any
 * more. Never anything else. */
void tree_remove_leftovers(const char *root);

/* Was this folder removed, so that nothing can be put into it any more? */
bool tree_is_gone(int dir_fd);

/* Make and open a stream's folder in a session. A descriptor or negative errno with a text. */
int tree_create_stream(int session_fd, const char *stream, struct dao_text *text);

/* Replace a small file by rename, durably. 0 or negative errno. */
int tree_replace_file(int dir_fd, const char *name, const char *content, size_t bytes);

#endif
