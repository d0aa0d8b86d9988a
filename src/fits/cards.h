/*
 * cards.h - cards of a header that is being built in a cfitsio memory file; for the files in this
 * folder that build headers. Any thread, one memory file each.
 */
#ifndef DAOREC_FITS_CARDS_H
#define DAOREC_FITS_CARDS_H

#include <fitsio.h>
#include <stdint.h>

#include "fits/bytes.h"
#include "lib/dtype.h"
#include "lib/layout.h"

/* A memory file; create the unit whose header is wanted in it as its last. */
fitsfile *fits_cards_begin(int *status);

/*
 * Take the current header out as padded bytes and throw the memory file away. `size_key` is the
 * axis that was declared large: set back to 0 so that cfitsio does not allocate the data. 0,
 * -EINVAL (cfitsio refused something at any time since the beginning; text says what), -ENOMEM.
 */
int fits_cards_take(struct fits_bytes *ret, fitsfile *file, const char *size_key, int *status,
                    struct dao_text *text);

/* One card each, made or replaced; a NULL string means no card. */
void fits_put_string(fitsfile *file, const char *key, const char *value, const char *comment,
                     int *status);
void fits_put_integer(fitsfile *file, const char *key, int64_t value, const char *comment,
                      int *status);
void fits_put_utc(fitsfile *file, const char *key, int64_t ns, int decimals, const char *comment,
                  int *status);
void fits_put_mjd(fitsfile *file, const char *key, int64_t ns, const char *comment, int *status);
/* What first and last frame tell: DATE-OBS, DATE-BEG, ... (POSIX ns); NFRAMES, CNT0BEG, CNT0END. */
void fits_put_span(fitsfile *file, int64_t begin_ns, int64_t end_ns, int *status);
void fits_put_counts(fitsfile *file, uint64_t frames, int64_t cnt0_begin, int64_t cnt0_end,
                     int *status);
/* That the first axis is the two parts of a complex number. */
void fits_put_complex_axis(fitsfile *file, int *status);
void fits_put_checksums(fitsfile *file, int *status);

/* Fill CHECKSUM and DATASUM for data of this sum, or blank both (the convention's "undefined"). */
void fits_set_checksums(struct fits_bytes *header, const uint32_t *data_sum);

/* The value field of a card, or NULL. */
unsigned char *fits_card_value(struct fits_bytes *header, const char *key);

/* A type as fits_create_img() wants it. */
int fits_image_code(const struct dao_dtype *dtype);

/* The axes a FITS reader sees: a complex pair first, then `size` reversed, frames last (as 0: the
 * count is put into its card afterwards). Returns their number. */
int fits_image_axes(const struct dao_geometry *geometry, LONGLONG axes[5]);

#endif
