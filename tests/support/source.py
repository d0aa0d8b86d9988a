"""source.py - a FIFO segment written from Python, as strangely as a test wants it.

For tests of what the recorder makes of its sources; judging what it wrote is in harness.py.
"""
import ctypes
import glob
import itertools
import json
import mmap
import os
import re
import struct
import subprocess
import time

import numpy as np

import harness as h

MD_BYTES = 4304
_numbers = itertools.count(1)  # of sockets
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

    def store(self, kind, at, value):
        """As one store: struct.pack_into() clears the bytes first."""
        kind.from_buffer(self.map, at).value = value

    def publish(self, count=None, atime=None):
        self.count = self.count + 1 if count is None else count
        self.slot = (self.slot + 1) % self.depth
        at, pixels = self.slot * MD_BYTES, self.depth * MD_BYTES + self.slot * self.frame_bytes
        self.map[at + 176] = 1
        self.map[pixels:pixels + self.frame_bytes] = \
            h.ramp([self.count], self.shape, self.dtype).tobytes()
        self.store(ctypes.c_int64, at + 136, time.time_ns() if atime is None else atime)
        self.store(ctypes.c_uint64, at + 152, self.count)
        self.map[at + 176] = 0
        self.store(ctypes.c_uint32, 4300, self.slot)

    def publish_many(self, frames, pause=0.002):
        for _ in range(frames):
            self.publish()
            time.sleep(pause)


def recording(*arguments, **options):
    recorder = h.record("--wait=20s", *arguments, **options)
    h.wait_for(lambda: len(os.listdir(f"/proc/{recorder.pid}/task")) >= 5, what="threads")
    return recorder


def asked(*arguments, **options):
    """recording() that can be asked how far it has come: wait_for_count()."""
    socket = os.path.join(h.segments, f"ctl{next(_numbers)}")
    recorder = recording(f"--control={socket}", *arguments, **options)
    recorder.socket = socket
    h.wait_for(lambda: _status(recorder), what="an answer of the recorder")
    return recorder


def _status(recorder):
    """Of each stream, by name; {} before there is an answer."""
    run = subprocess.run([h.DAOREC, "ctl", "--socket", recorder.socket, "--json", "status"],
                         capture_output=True, text=True, timeout=60, check=False)
    return {s["name"]: s for s in json.loads(run.stdout)["streams"]} if run.returncode == 0 else {}


def wait_for_count(recorder, path, expected):
    """Until so many frames are counted, recorded or lost, over all runs of the source."""
    def counted():
        told = _status(recorder)[h.stream_name(path)]
        return told["frames"] + told["lost"]
    h.wait_for(lambda: counted() >= expected, what=f"{expected} frames to be counted")


def wait_for_newest(recorder, path, restarts):
    """Until so many restarts of the source were seen, and nothing of its FIFO is left to take."""
    def is_there():
        told = _status(recorder)[h.stream_name(path)]
        return told["restarts"] == restarts and told["frames"] > 0 and told["fifo_backlog"] == 0
    h.wait_for(is_there, what=f"restart {restarts} of the source to be seen")


def files_of(path):
    return [os.path.join(d, f) for d, _, files in os.walk(h.output) for f in files
            if f.startswith(h.stream_name(path) + "_")]


def rows_there(path, number=1):
    """How many rows of a stream's file are on the disk while it is written: they go there once a
    second."""
    for file in glob.glob(f"{h.output}/*/{h.stream_name(path)}/*_{number:06d}.fits.part"):
        with h.fits.open(file, memmap=False) as hdus:
            return np.count_nonzero(hdus["FRAMES"].data["RTIME"])
    return 0


def lines(session, *words):
    return [line for line in session.errors.splitlines() if all(w in line for w in words)]


def told(session, *words):
    """How often that happened, by what those lines say: a line may stand for several."""
    again = [re.search(r"\((\d+) times since", line) for line in lines(session, *words)]
    return sum(int(match[1]) if match else 1 for match in again)


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
