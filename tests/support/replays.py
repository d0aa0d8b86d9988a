"""replays.py - recordings played back: sources with counters and keywords of their own, daorec
replay as a process, and comparing what was recorded of it with what was played.

Sources publish through libdao by its Python module. A replay is held until the reader of its
segments has attached, so that no frame is missed at the beginning.
"""
import ctypes
import json
import os
import signal
import subprocess

import numpy as np
from astropy.io import fits

import harness as h
from python_face import daoShm, shm  # over this build's library

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
         "float32", "float64", "complex64", "complex128"]

KEYWORDS = [("GAIN", "D", 0.5, "of the loop"), ("MODES", "L", 54321, ""),
            ("SYSTEM", "S", "sixteen letters!", "no NUL behind them"), ("FREE", "N", None, "")]


def make_keywords(keywords):
    table = (daoShm.IMAGE_KEYWORD * max(len(keywords), 1))()
    for keyword, (name, kind, value, comment) in zip(table, keywords):
        keyword.name, keyword.type, keyword.comment = name.encode(), kind.encode(), comment.encode()
        if kind == "D":
            keyword.value.numf = value
        elif kind == "L":
            keyword.value.numl = value
        elif kind == "S":
            keyword.value.valstr = value.encode()
    return table


class Source:
    """A segment that is written with counts of one's own."""

    def __init__(self, name, shape=(6, 5), dtype="uint16", depth=512, keywords=KEYWORDS, before=0,
                 path=None):
        self.path = path or h.segment(name)
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.image = daoShm.IMAGE()
        self.count = before
        size = (ctypes.c_uint32 * len(shape))(*shape)
        status = daoShm._lib.daoShmImageCreateSeeded(
            self.image, self.path.encode(), len(shape), size,
            TYPES.index(self.dtype.name) + 1, len(keywords), depth, before, make_keywords(keywords))
        assert status == shm.DAO_SUCCESS, self.path

    def pixels(self, count):
        """Any bits at all, other ones in every frame: NaNs too must come back as they were."""
        random = np.random.default_rng(count * 1000 + len(self.path))
        bits = random.bytes(int(np.prod(self.shape)) * self.dtype.itemsize)
        return np.frombuffer(bits, self.dtype).reshape(self.shape)

    def publish(self, count=None, atime=0):
        self.count = self.count + 1 if count is None else count
        stamp = daoShm.DAO_FRAME(cnt0=self.count, cnt1=self.count * 3, cnt2=2**40 + self.count,
                                 atime_ns=atime)
        pixels = np.ascontiguousarray(self.pixels(self.count))
        assert daoShm._lib.daoShmImage2ShmStamped(pixels.ctypes.data, pixels.size, self.image,
                                                  stamp) == shm.DAO_SUCCESS

    def close(self):
        daoShm._lib.daoShmCloseShm(self.image)


class Replay:
    """daorec replay --hold --json, ready to begin."""

    def __init__(self, *arguments, hold=True, json=True, **options):
        self.log = os.path.join(h.segments, f"replay-{len(h._processes)}.log")
        words = [h.DAOREC, "replay"] + ["--json"] * json + ["--hold"] * hold
        words += [str(a) for a in arguments]
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True,
                                            stdin=subprocess.DEVNULL, **options)
        h._processes.append(self.process)
        if hold:
            h.wait_for(lambda: "segments are ready" in self.errors() or self.has_ended(),
                       what="a replay to be ready")
            assert not self.has_ended(), self.errors()

    def errors(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()

    def has_ended(self):
        return self.process.poll() is not None

    def begin(self):
        self.process.send_signal(signal.SIGUSR1)

    def told(self, status=0, seconds=60):
        """What it printed, once it has ended with this exit status."""
        out, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == status, (self.process.returncode, self.errors())
        return out

    def finish(self, status=0, seconds=60):
        """Its summary, once it has ended with this exit status."""
        out = self.told(status, seconds)
        return json.loads(out) if out.strip() else None


def attached(*arguments):
    """A recorder whose threads run: it has attached."""
    recorder = h.record("--wait=20s", *arguments)
    h.wait_for(lambda: len(os.listdir(f"/proc/{recorder.pid}/task")) >= 5, what="threads")
    return recorder


def finish_first(recorder):
    """Its session, of what was published until now."""
    recorder.send_signal(signal.SIGINT)
    return h.finish(recorder)


def replayed(name, prefix=None):
    """The path that a replay with --prefix gives a segment."""
    return os.path.join(h.segments, (prefix or "again_") + os.path.basename(name))


def play_and_record(folder, paths, *arguments, prefix="again_", frames=None, failed=False):
    """Play a session and record what is played: (summary of the replay, session)."""
    replay = Replay(folder, "--prefix", os.path.join(h.segments, prefix), *arguments)
    recorder = attached(*(["-n", frames] if frames else []),
                        *(replayed(p, prefix) for p in paths))
    replay.begin()
    summary = replay.finish()
    if not frames:
        recorder.send_signal(signal.SIGINT)
    return summary, h.finish(recorder, failed=failed)


def of(summary, path):
    return next(s for s in summary["streams"] if s["name"] == h.stream_name(path))


def keywords_in(file):
    """The rows of its SHMKW, as bytes."""
    with fits.open(file) as hdus:
        hdu = hdus["SHMKW"]
        with open(file, "rb") as raw:
            raw.seek(hdu.fileinfo()["datLoc"])
            return raw.read(hdu.header["NAXIS1"] * hdu.header["NAXIS2"])


def same_frames(first, again):
    """(cube, rows) twice: the same bytes, counters and keywords."""
    assert first[0].dtype == again[0].dtype and first[0].shape == again[0].shape
    assert first[0].tobytes() == again[0].tobytes(), "pixels differ"
    for column in ("CNT0", "CNT1", "CNT2"):
        assert (first[1][column] == again[1][column]).all(), column


def same_intervals(first, again, played):
    """No frame came early: each interval is as long as it was recorded, but for what the frame
    before was late by."""
    late = played["late_ns"]["max"] + 2_000_000
    recorded, found = np.diff(first["ATIME"]), np.diff(again["ATIME"])
    assert (found >= recorded - recorded // 1000 - late).all(), (recorded - found).max()
    assert (again["ATIME"][-1] - again["ATIME"][0] >=
            (first["ATIME"][-1] - first["ATIME"][0]) * 0.999 - late)
