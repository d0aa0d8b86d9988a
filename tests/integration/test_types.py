#!/usr/bin/env python3
"""All twelve types, one to three axes: what comes out is what went in, by judges not ours."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
         "float32", "float64", "complex64", "complex128"]
SHAPES = [(97,), (13, 7), (5, 3, 4)]


def record_all(shape, *options):
    """One session with a stream of each type, each rolled within."""
    paths = {t: h.segment(f"{t}_{len(shape)}") for t in TYPES}
    size = "x".join(str(n) for n in shape)
    sims = [h.sim(p, "--size", size, "--type", t, "--rate", 1000, "--depth", 256,
                  "--pattern", "ramp", "-d", "60s") for t, p in paths.items()]
    session = h.finish(h.record("--wait=20s", "-n", 500, "--roll-frames", 200, *options,
                                *paths.values()))
    for process in sims:
        process.terminate()
        process.communicate()
    return session, paths


def every_type_and_shape(shape, *options):
    session, paths = record_all(shape, *options)
    h.judge(*(file for path in paths.values() for file in session.stream(path)["files"]))
    for dtype, path in paths.items():
        cube, rows = h.check_stream(session, path, shape, dtype, judged=False)
        assert session.stream(path)["recorded"] == 500
        assert len(session.stream(path)["files"]) == 3
        for i in (0, 1, 250, 499):  # DSUM against the definition, frame by frame
            stored = cube[i].astype(cube.dtype.newbyteorder(">"))
            if dtype.startswith("uint") and dtype != "uint8":
                bits = np.uint64(1 << (8 * stored.dtype.itemsize - 1)).astype(cube.dtype)
                stored = (cube[i] ^ bits).astype(cube.dtype.newbyteorder(">"))
            if dtype == "int8":
                stored = cube[i].view("u1") ^ np.uint8(0x80)
            assert h.dsum(stored.tobytes()) == int(rows["DSUM"][i]) + 2**31, (dtype, i)  # TZERO


def one_axis():
    every_type_and_shape(SHAPES[0])


def two_axes_without_io_uring():
    every_type_and_shape(SHAPES[1], "--io", "pwrite")


def three_axes_through_the_page_cache():
    every_type_and_shape(SHAPES[2], "--no-direct")


if __name__ == "__main__":
    h.main([one_axis, two_axes_without_io_uring, three_axes_through_the_page_cache])
