/*
 * segment_parts.h - what segment.c and create.c share. For these two only.
 */
#ifndef DAO_SEGMENT_PARTS_H
#define DAO_SEGMENT_PARTS_H

#include <sys/stat.h>

#include "lib/segment.h"

/* An empty segment that dao_segment_close() accepts. */
void dao_segment_clear(struct dao_segment *seg);

/* Keep the path. 0, -EINVAL, -ENAMETOOLONG. */
int dao_segment_set_path(struct dao_segment *seg, const char *path, struct dao_text *text);

/* Map seg->geo.file_bytes of seg->fd (or private memory) and put the guard over it. */
int dao_segment_map(struct dao_segment *seg, struct dao_text *text);

/* Open a regular file that exists. File descriptor or negative errno, with a text. */
int dao_segment_open_file(const char *path, enum dao_access access, struct stat *ret_st,
                          struct dao_text *text);

/* dao_layout_identify() on a file. The text does not name the path. */
int dao_segment_identify_fd(struct dao_geometry *ret, int fd, uint64_t file_bytes,
                            bool *ret_ambiguous, struct dao_text *text);

/* Say why a path was refused; with owner and mode where permission is the reason. -error. */
int dao_segment_refused(const char *path, int error, struct dao_text *text);

#endif
