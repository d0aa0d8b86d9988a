#!/usr/bin/env python3
"""Writers at their worst: other shapes, killed in mid-frame, silent, clocks and counts that jump,
garbage in the metadata, two at once. What is lost is stated exactly wherever it can be known."""
import mmap
import os
import re
import struct
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

MD_BYTES = 4304
ATYPES = {"u1": 1, "i1": 2, "u2": 3, "i2": 4, "u4": 5, "i4": 6, "u8": 7, "i8": 8, "f4": 9, "f8": 10,
          "c8": 11, "c16": 12}


class Source:
    """A segment written from here. `in_place`: an existing file is truncated and filled again,
    creation_time last, as the field does it; else it is replaced by rename."""

    def __init__(self, path, shape=(6, 5), dtype="u2", depth=64, keywords=(), in_place=False):
        self.path, self.shape, self.dtype, self.depth = path, tuple(shape), np.dtype(dtype), depth
        self.elements = int(np.prod(shape))
        self.frame_bytes = self.elements * self.dtype.itemsize
        self.keywords_off = depth * (MD_BYTES + self.frame_bytes)
        self.size = self.keywords_off + 120 * len(keywords)
        self.count, self.slot = 0, depth - 1
        target = path if in_place else path + ".new"
        with open(target, "r+b" if os.path.exists(target) else "w+b") as f:
            f.truncate(0)
            f.truncate(self.size)
            self.map = mmap.mmap(f.fileno(), self.size)
        self.fill_headers(len(keywords))
        for index, keyword in enumerate(keywords):
            self.put_keyword(index, *keyword)
        struct.pack_into("<d", self.map, 112, time.time())
        if not in_place:
            os.rename(target, path)

    def fill_headers(self, keyword_count):
        sizes = self.shape + (0,) * (3 - len(self.shape))
        for at in range(0, self.depth * MD_BYTES, MD_BYTES):
            struct.pack_into("<B3x3I", self.map, at + 80, len(self.shape), *sizes)
            struct.pack_into("<QB", self.map, at + 96, self.elements, ATYPES[self.dtype.str[1:]])
            struct.pack_into("<H", self.map, at + 178, keyword_count)
        struct.pack_into("<II", self.map, 4296, self.depth, self.depth - 1)

    def put_keyword(self, index, name, kind, value, comment=b""):
        at = self.keywords_off + 120 * index
        packed = {b"L": "q8x", b"D": "d8x", b"S": "16s"}.get(kind, "16s")
        struct.pack_into(f"<16sc7x{packed}80s", self.map, at, name, kind, value, comment)

    def publish(self, count=None, atime=None):
        self.count = self.count + 1 if count is None else count
        self.slot = (self.slot + 1) % self.depth
        at, pixels = self.slot * MD_BYTES, self.depth * MD_BYTES + self.slot * self.frame_bytes
        self.map[at + 176] = 1
        self.map[pixels:pixels + self.frame_bytes] = \
            h.ramp([self.count], self.shape, self.dtype).tobytes()
        struct.pack_into("<qq", self.map, at + 128, 0, time.time_ns() if atime is None else atime)
        struct.pack_into("<Q", self.map, at + 152, self.count)
        self.map[at + 176] = 0
        struct.pack_into("<I", self.map, 4300, self.slot)

    def publish_many(self, frames, pause=0.002):
        for _ in range(frames):
            self.publish()
            time.sleep(pause)


def recording(*arguments, **options):
    recorder = h.record("--wait=20s", *arguments, **options)
    h.wait_for(lambda: len(os.listdir(f"/proc/{recorder.pid}/task")) >= 5, what="threads")
    return recorder


def files_of(path):
    return [os.path.join(d, f) for d, _, files in os.walk(h.output) for f in files
            if f.startswith(h.stream_name(path) + "_")]


def lines(session, *words):
    return [line for line in session.errors.splitlines() if all(w in line for w in words)]


def check_files(session, path):
    """Every file by its own shape: valid, pixels right. Returns [(header, cube, rows)]."""
    files = session.stream(path)["files"]
    h.judge(*files)
    h.check_headers(files)
    result = []
    for file in files:
        cube, rows = h.load([file])
        header = h.fits.getheader(file)
        assert (rows["FLAGS"] & h.FLAG["TORN"] == 0).all()
        assert (cube == h.ramp(rows["CNT0"], cube.shape[1:], cube.dtype)).all(), file
        assert ((rows["FLAGS"] & h.FLAG["GAP"] != 0) == (rows["LOST"] > 0)).all()
        result.append((header, cube, rows))
    return result


# ---- shapes ----

GAIN = (b"GAIN", b"L", 7, b"camera gain")


def every_change_of_shape_goes_on_in_a_new_file_and_disturbs_no_other_stream():
    path, other = h.segment("shapes"), h.segment("steady")
    frames = 30
    shapes = [dict(), dict(dtype="f4"), dict(dtype="f4", depth=80), dict(shape=(30,), dtype="f4"),
              dict(shape=(2, 3, 5), dtype="c8"), dict(keywords=[GAIN]),
              dict(keywords=[(b"GAIN", b"L", 8)]), dict(shape=(5, 6), keywords=[GAIN], in_place=True),
              dict(shape=(6, 5), keywords=[GAIN], in_place=True)]
    steady = h.sim(other, "--size", "16x16", "--type", "uint16", "--rate", 1000, "--depth", 512,
                   "--pattern", "ramp", "-d", "60s")
    Source(path)
    recorder = recording("--roll-frames", 5000, path, other)
    for number, shape in enumerate(shapes, 1):
        source = Source(path, **shape)
        source.publish()
        h.wait_for(lambda: len(files_of(path)) == number, what=f"file {number}")
        source.publish_many(frames - 1)
        time.sleep(0.1)
    recorder.terminate()
    session = h.finish(recorder)
    steady.terminate()
    assert session.status == 0, session.errors
    found, ledger = check_files(session, path), session.ledger_of(path)
    assert len(found) == len(shapes) == len(ledger["geometries"]) + 1
    for (header, cube, rows), shape in zip(found, shapes):
        assert list(rows["CNT0"]) == list(range(1, frames + 1))
        assert cube.shape[1:] == shape.get("shape", (6, 5)), cube.shape
        assert cube.dtype == shape.get("dtype", "u2")
        assert header["FIFOSIZE"] == shape.get("depth", 64)
        assert rows["FLAGS"][0] == h.FLAG["RESET"] and not rows["FLAGS"][1:].any()
    gains = [h.fits.getdata(f, "SHMKW")["LVAL"] for f in session.stream(path)["files"]]
    assert [list(g) for g in gains] == [[]] * 5 + [[7], [8], [7], [7]], gains
    causes = [header["ENDCAUSE"] for header, _, _ in found]
    assert causes == ["RESHAPE"] * 5 + ["SHMGONE", "RESHAPE", "RESHAPE", "SIGNAL"], causes
    assert [header["NEXTFILE"] != "" for header, _, _ in found] == [True] * 8 + [False]
    assert [g["first_file"] for g in ledger["geometries"]] == [1, 2, 3, 4, 5, 6, 8, 9]
    assert ledger["geometry"]["size"] == [6, 5] and ledger["restarts"] == len(shapes)
    assert [r["expected"] for r in ledger["runs"]] == [0] + [frames] * len(shapes)
    assert 1 <= len(lines(session, "in another shape")) <= 2, session.errors
    mine = session.stream(other)
    assert mine["lost"] == 0 and session.ledger_of(other)["restarts"] == 0, mine
    h.check_stream(session, other, (16, 16), "uint16")


def frames_larger_than_all_the_memory_before_are_recorded():
    for options in ((), ("--io", "pwrite", "--no-direct")):
        path = h.segment(f"larger{len(options)}")
        shapes = [(64, 64), (700, 700), (3,), (1500, 1500), (64, 64)]
        Source(path, shapes[0], depth=16)
        recorder = recording("--buffer", "1MiB", *options, path)
        for number, shape in enumerate(shapes, 1):
            source = Source(path, shape, depth=16)
            source.publish()
            h.wait_for(lambda: len(files_of(path)) == number, what=f"file {number}")
            source.publish_many(9, pause=0.02)
            time.sleep(0.1)
        recorder.terminate()
        session = h.finish(recorder)
        found = check_files(session, path)
        assert [cube.shape[1:] for _, cube, _ in found] == shapes
        assert session.stream(path)["expected"] == 10 * len(shapes)
        assert session.stream(path)["recorded"] + session.stream(path)["lost_by"]["disk"] + \
            session.stream(path)["lost_by"]["lapped"] == 10 * len(shapes)


if __name__ == "__main__":
    h.main([every_change_of_shape_goes_on_in_a_new_file_and_disturbs_no_other_stream,
            frames_larger_than_all_the_memory_before_are_recorded])
