#!/usr/bin/env python3
"""Segments of the two other layouts, written byte by byte from here, are recorded too."""
import ctypes
import mmap
import os
import struct
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

SHAPE, FRAMES = (6, 5), 300
UINT16 = 3


class Segment:
    """md_bytes a slot, fifo fields at `fifo_off` (None: none), two keywords."""

    def __init__(self, path, md_bytes, depth, fifo_off):
        self.md_bytes, self.depth, self.fifo_off = md_bytes, depth, fifo_off
        self.frame_bytes = int(np.prod(SHAPE)) * 2
        size = depth * (md_bytes + self.frame_bytes) + 2 * 120
        with open(path, "w+b") as f:
            f.truncate(size)
            self.map = mmap.mmap(f.fileno(), size)
        for slot in range(depth):
            at = slot * md_bytes
            struct.pack_into("<B3x3I", self.map, at + 80, 2, *SHAPE, 0)
            struct.pack_into("<QB", self.map, at + 96, int(np.prod(SHAPE)), UINT16)
            struct.pack_into("<H", self.map, at + 178, 2)
        keywords = depth * (md_bytes + self.frame_bytes)
        struct.pack_into("<16sc7xq8x80s", self.map, keywords, b"GAIN", b"L", 42, b"camera gain")
        struct.pack_into("<16sc7x16s80s", self.map, keywords + 120, b"band", b"S", b"K'", b"filter")
        if fifo_off:
            struct.pack_into("<II", self.map, fifo_off, depth, depth - 1)
        struct.pack_into("<d", self.map, 112, time.time())
        self.count, self.slot = 0, depth - 1

    def publish(self, atime=None):
        self.slot, self.count = (self.slot + 1) % self.depth, self.count + 1
        at = self.slot * self.md_bytes
        pixels = self.depth * self.md_bytes + self.slot * self.frame_bytes
        self.map[at + 176] = 1
        self.map[pixels:pixels + self.frame_bytes] = h.ramp([self.count], SHAPE, "uint16").tobytes()
        self.store(ctypes.c_int64, at + 136, time.time_ns() if atime is None else atime)
        self.store(ctypes.c_uint64, at + 160, 10 * self.count)
        self.store(ctypes.c_uint64, at + 168, 100 * self.count)
        self.store(ctypes.c_uint64, at + 152, self.count)
        self.map[at + 176] = 0
        if self.fifo_off:
            self.store(ctypes.c_uint32, self.fifo_off + 4, self.slot)

    def store(self, kind, at, value):
        """As one store: struct.pack_into() clears the bytes first, which no writer does."""
        kind.from_buffer(self.map, at).value = value


def recorded(name, md_bytes, depth, fifo_off):
    path = h.segment(name)
    segment = Segment(path, md_bytes, depth, fifo_off)
    recorder = h.record("--wait=20s", path)
    h.wait_for(lambda: len(os.listdir(f"/proc/{recorder.pid}/task")) >= 5, what="threads")
    for _ in range(FRAMES):
        segment.publish()
        time.sleep(0.004)
    recorder.terminate()
    session = h.finish(recorder)
    cube, rows = h.check_stream(session, path, SHAPE, "uint16")
    assert session.stream(path)["expected"] == FRAMES
    assert (rows["CNT1"] == 10 * rows["CNT0"]).all() and (rows["CNT2"] == 100 * rows["CNT0"]).all()
    assert (rows["SLOT"] == (rows["CNT0"] - 1) % depth).all()
    with h.fits.open(session.stream(path)["files"][0]) as hdus:
        header, table = hdus[0].header, hdus["SHMKW"].data
        assert header["GAIN"] == 42 and "BAND" not in header
        assert list(table["NAME"]) == ["GAIN", "band"] and table["LVAL"][0] == 42
        assert table["SVAL"][1] == "K'" and table["COMMENT"][1] == "filter"
        assert header["FIFOSIZE"] == depth and header["SHMTYPE"] == "UINT16"
        assert [header[f"SHMSIZ{i}"] for i in (1, 2, 3)] == [6, 5, 0]
        assert header["EXTNAME"] == h.stream_name(path) and header["SHMNAME"] == path
        assert header["TIMESYS"] == "UTC" and "MJDREF" not in hdus["FRAMES"].header
        check_times(hdus)


def check_times(hdus):
    """TIME after DATEREF is ATIME, by astropy's own clock."""
    from astropy.time import Time
    rows, header = hdus["FRAMES"].data, hdus["FRAMES"].header
    reference = Time(header["DATEREF"], scale="utc", format="isot")
    expected = reference.unix + rows["TIME"]
    assert np.abs(expected - rows["ATIME"] * 1e-9).max() < 1e-6
    begin = Time(hdus[0].header["DATE-BEG"], scale="utc", format="isot")
    assert abs(begin.unix - rows["ATIME"][0] * 1e-9) < 1e-6
    assert abs(hdus[0].header["MJD-BEG"] - begin.mjd) < 1e-9
    assert abs(hdus[0].header["FPS"] * (rows["ATIME"][-1] - rows["ATIME"][0]) * 1e-9
               - (len(rows) - 1)) < 0.01


def the_fifo_layout_written_from_python():
    recorded("pyfifo", 4304, 16, 4296)


def the_layout_before_the_fifo():
    recorded("prefifo", 4296, 1, None)


def the_newer_layout():
    recorded("newer", 16448, 8, 16392)


if __name__ == "__main__":
    h.main([the_fifo_layout_written_from_python, the_layout_before_the_fifo, the_newer_layout])
