/*
 * combine.h - the element-wise sum of several segments' newest frames. Inside lib/ only.
 */
#ifndef DAO_COMBINE_H
#define DAO_COMBINE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/segment.h"
#include "lib/writer.h"

/*
 * Sum the first `count` elements of the newest frames of `channel_count` segments, all of `to`'s
 * element type and at least that long, into the frame begun in `to`, which may itself be one of the
 * channels. For the thread that writes `to`. True: each of the frames was whole all the time;
 * false: one was overwritten under the sum in each of three tries.
 */
bool dao_combine(const struct dao_segment *const *channels, int channel_count,
                 const struct dao_segment *to, const struct dao_write *w, uint32_t count);

#endif
