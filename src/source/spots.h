/*
 * spots.h - what a Shack-Hartmann camera sees, and how the commands of a mirror move.
 *
 * A scene is a set of expected brightnesses for one moment of a closed cycle (phase 0..1), to which
 * the caller adds the noise of photons. Pure functions, any thread.
 */
#ifndef DAOREC_SOURCE_SPOTS_H
#define DAOREC_SOURCE_SPOTS_H

#include <stdint.h>

#define SPOTS_PITCH_MIN 8u /* pixels a subaperture needs for a spot that is seen to move */

/* Pixels from one subaperture to the next for an image of this size, or 0 where it is too small
 * for spots. */
uint32_t spots_pitch(uint32_t rows, uint32_t columns);

/*
 * Spots of subapertures on a grid in a round pupil with a central obstruction, moved by a slow
 * common wobble and by a smooth turbulent field. `image` (rows x columns, row after row) gets the
 * brightness, 0 .. about 1. `plane` tells cameras of one segment apart.
 */
void spots_draw(float *image, uint32_t rows, uint32_t columns, uint32_t plane, float phase);

/* Smooth modes running along a vector: `values` gets -1 .. 1. */
void spots_draw_modes(float *values, uint64_t count, float phase);

#endif
