/*
 * daytime.h - a time of day as a point in time, for a recording of one night. Pure, any thread.
 */
#ifndef DAOREC_SERIES_DAYTIME_H
#define DAOREC_SERIES_DAYTIME_H

#include <stdint.h>

#include "lib/layout.h"

#define DAYTIME_BYTES 48

/*
 * Where `words` are HH:MM or HH:MM:SS, with decimals perhaps and a Z: the same with the one date
 * that puts it into the recording, which goes from begin_ns to end_ns (POSIX, UTC), or nearest to
 * its middle where that is shorter than a day: from 02:00 on is also said of one that begins at
 * 02:01. Everything else comes out as it is. -EINVAL with a text where more than one date does.
 */
int daytime_resolve(char ret[DAYTIME_BYTES], const char *words, int64_t begin_ns, int64_t end_ns,
                    struct dao_text *text);

#endif
