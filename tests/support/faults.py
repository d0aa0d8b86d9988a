"""faults.py - recordings that meet a failing disk: faults on request, and judging what is left.

Faults puts preload_disk.so in front of a recorder's libc; its members may be changed while it runs.
end() is harness.finish() for recordings that may have failed: it checks the books, the exit status
against them, every file against the frames that were counted as recorded, and that nothing
half-made is left. Files are collected there and given to fitsverify and fitscheck together by
judge_all(), since starting those for each file would take most of the time.
"""
import concurrent.futures
import errno
import glob
import json
import mmap
import os
import signal
import struct
import subprocess
import tempfile
import warnings

import numpy as np
from astropy.io import fits

import harness as h
from at_rest import wait_for_locks

PRELOAD_DISK = os.path.join(h.BUILD, "tests", "support", "preload_disk.so")
PRELOAD_CLOCK = os.path.join(h.BUILD, "tests", "support", "preload_clock.so")

OPS = {name: 1 << bit for bit, name in enumerate(
    "pwrite sync allocate name create truncate pread write nameless folder close".split())}
FOREVER = -1
_MEMBERS = "calls hits ops first count error short_to stall_ms off_min off_max bytes_min".split()


class Faults:
    """Faults in files whose path contains `folder`, for recorders given to start()."""

    def __init__(self, folder, **members):
        fd, self.path = tempfile.mkstemp(prefix="faults-", dir=h.segments)
        os.ftruncate(fd, mmap.PAGESIZE)
        self._page = mmap.mmap(fd, mmap.PAGESIZE)
        os.close(fd)
        self._environment = {**os.environ, "LD_PRELOAD": os.path.abspath(PRELOAD_DISK),
                             "FAULT_FOLDER": folder, "FAULT_CONTROL": self.path}
        self.set(**members)

    def set(self, ops=(), first=1, count=FOREVER, error=0, short_to=0, stall_ms=0, off_min=0,
            off_max=0, bytes_min=0):
        """What is to go wrong from now on; without arguments: nothing. Counts from the first call
        of these ops after this."""
        if error and isinstance(error, str):
            error = getattr(errno, error)
        mask = sum(OPS[op] for op in ops)
        values = (0, 0, mask, first, count, error, short_to, stall_ms, off_min, off_max, bytes_min)
        struct.pack_into("=q", self._page, 16, 0)  # no op while the others change
        for index, value in enumerate(values):
            if index != 2:
                struct.pack_into("=q", self._page, 8 * index, value)
        struct.pack_into("=q", self._page, 16, mask)

    def get(self, member):
        return struct.unpack_from("=q", self._page, 8 * _MEMBERS.index(member))[0]

    def environment(self):
        return self._environment


class Ended:
    """A recording that has ended, perhaps badly."""

    def __init__(self, root, summary, errors, status):
        self.root, self.summary, self.errors, self.status = root, summary, errors, status
        self.folder = os.path.join(root, summary["session"])
        self.ledger = None
        if os.path.exists(os.path.join(self.folder, "session.json")):
            with open(os.path.join(self.folder, "session.json"), encoding="utf-8") as f:
                self.ledger = json.load(f)

    def stream(self, path):
        return next(s for s in self.summary["streams"] if s["name"] == h.stream_name(path))

    def lost(self):
        return sum(s["lost"] for s in self.summary["streams"])


class Recorder:
    """A recorder that writes below `root`; what it says can be read while it runs."""

    def __init__(self, root, *arguments, faults=None, **options):
        self.root = root
        fd, self._errors_path = tempfile.mkstemp(prefix="errors-", dir=h.segments)
        if faults:
            options["env"] = faults.environment()
        self.process = subprocess.Popen(
            [h.DAOREC, "record", "--json", "-o", root, *map(str, arguments)],
            stdout=options.pop("stdout", subprocess.PIPE), stderr=fd, text=True, **options)
        os.close(fd)
        h._processes.append(self.process)  # killed at the end at the latest

    def errors(self):
        with open(self._errors_path, encoding="utf-8") as f:
            return f.read()

    def says(self, text, seconds=60):
        h.wait_for(lambda: text in self.errors() or self.process.poll() is not None, seconds,
                   f"'{text}'")
        assert text in self.errors(), (text, self.errors())

    def folder(self):
        """The session's, once there is one."""
        h.wait_for(lambda: glob.glob(os.path.join(self.root, "*-*")), what="a session folder")
        return glob.glob(os.path.join(self.root, "*-*"))[0]

    def has_files(self, path, count, ending=".fits", seconds=60):
        """Wait for `count` files of a stream."""
        pattern = os.path.join(self.root, "*", h.stream_name(path), "*" + ending)
        h.wait_for(lambda: len(glob.glob(pattern)) >= count or self.process.poll() is not None,
                   seconds, f"{count} files")
        assert len(glob.glob(pattern)) >= count, self.errors()

    def count_files(self, path):
        """Finished ones of a stream."""
        return len(glob.glob(os.path.join(self.root, "*", h.stream_name(path), "*.fits")))

    def ledger(self):
        """session.json as it is now, {} while there is none; it is whole at each instant."""
        try:
            with open(os.path.join(self.folder(), "session.json"), encoding="utf-8") as f:
                ledger = json.load(f)
        except FileNotFoundError:
            return {}
        for stream in ledger["streams"]:
            assert stream["expected"] == stream["recorded"] + stream["lost"], stream
            assert stream["lost"] == sum(stream["lost_by"].values()), stream
            assert stream["lost"] == sum(g["count"] for g in stream["gaps"]) or (
                stream["gaps_left_out"]), stream
        return ledger

    def known_lost(self, path):
        """Frames lost to the disk, as session.json has it now."""
        return sum(s["lost_by"]["disk"] for s in self.ledger().get("streams", ())
                   if s["name"] == h.stream_name(path))

    def part_number(self, path):
        """Of the file that is being written, 0 while none is."""
        files = glob.glob(os.path.join(self.root, "*", h.stream_name(path), "*.part"))
        return int(files[-1].rsplit("_", 1)[1].split(".")[0]) if files else 0

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)


def start(root, *arguments, **options):
    return Recorder(root, *arguments, **options)


def _rows(file):
    """(cube, rows) of what a file holds, finished or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(file, memmap=False) as hdus:
            hdus.verify("exception")
            rows = np.array(hdus["FRAMES"].data)
            cube = hdus[0].data[:len(rows)]  # half-way through closing there are more planes
            status = hdus[0].header["RECSTAT"]
    there = rows["RTIME"] != 0
    if status == "CLOSED":
        assert there.all(), file
    return cube[there], rows[there], status


def _check_files(session, stream, shape, dtype):
    """Every frame that is counted as recorded is in a file that the summary lists, pixel by pixel;
    frames that lie in a file are in no other one."""
    folder = os.path.join(session.folder, stream["name"])
    there = sorted(glob.glob(os.path.join(folder, "*.fits*"))) if os.path.isdir(folder) else []
    assert there == sorted(stream["files"]), (there, stream["files"], session.errors)
    counts = []
    for file in there:
        cube, rows, status = _rows(file)
        assert (status == "CLOSED") or file.endswith(".part"), (file, status)
        counts += list(rows["CNT0"])
        if len(rows):
            good = cube == h.ramp(rows["CNT0"].astype(np.int64), shape, dtype)
            assert good.all(), f"wrong pixels in {file}"
    assert len(set(counts)) == len(counts), "a frame twice"
    unfinished = any(file.endswith(".part") for file in there)
    # An unfinished file may hold more whole frames than were known to be whole, never fewer.
    assert len(counts) == stream["recorded"] or (unfinished and len(counts) > stream["recorded"]), (
        len(counts), stream, session.errors)
    return there


_collected = []


def end(recorder, streams, seconds=60, allow_part=False):
    """Wait for the end and check everything. streams: {path: (shape, dtype)}. None: it could not
    even begin, and said so."""
    process, root = recorder.process, recorder.root
    out, _ = process.communicate(timeout=seconds)
    errors = recorder.errors()
    assert process.returncode in (0, 1, 3), (process.returncode, errors)
    if out is not None and not out and process.returncode == 1:  # it could not begin
        assert errors.startswith("daorec: ") and errors.count("\n") <= 2, errors
        left = [name for _, folders, files in os.walk(root) for name in folders + files]
        assert not left, left
        return None
    session = Ended(root, json.loads(out), errors, process.returncode)
    for path, (shape, dtype) in streams.items():
        mine = session.stream(path)
        assert mine["expected"] == mine["recorded"] + mine["lost"], mine
        assert mine["lost"] == sum(mine["lost_by"].values()), mine
        files = _check_files(session, mine, shape, dtype)
        if not allow_part:
            assert not [f for f in files if f.endswith(".part")], (files, errors)
        _collected.extend(files)
        if session.ledger:
            ledger = next(s for s in session.ledger["streams"] if s["name"] == mine["name"])
            for key in ("expected", "recorded", "torn", "lost", "lost_by"):
                assert session.status == 1 or mine[key] == ledger[key], (key, mine, ledger)
    if session.status == 0:
        assert session.lost() == 0 and session.ledger, errors
        assert ": error:" not in errors and "ERROR" not in errors, errors
    if session.status == 3:
        assert session.lost() > 0 and session.ledger, errors
    if session.status == 1:
        assert errors, "failed, and does not say why"
    hidden = glob.glob(os.path.join(session.folder, ".*")) + glob.glob(
        os.path.join(session.folder, "*", ".*"))
    assert not hidden, hidden
    return session


def killed_while_it_waits(recorder, streams, mend):
    """Kill a recorder that waits for the disk, call mend() to make that well, repair: what the
    ledger told of losses stays told. streams as for end()."""
    path = next(iter(streams))
    h.wait_for(lambda: recorder.known_lost(path) > 0, what="a ledger that tells a loss")
    for _ in range(2):  # it is written anew again and again
        before = recorder.known_lost(path)
        h.wait_for(lambda b=before: recorder.known_lost(path) > b, what="the next ledger")
    before = recorder.known_lost(path)
    recorder.process.kill()
    recorder.process.communicate(timeout=60)
    told = recorder.ledger()
    assert told["end"] is None and recorder.known_lost(path) >= before
    mend()
    wait_for_locks(recorder.root)
    run = subprocess.run([h.DAOREC, "repair", "--apply", recorder.root], capture_output=True,
                         text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    h.verified(recorder.folder())
    ledger = recorder.ledger()
    assert ledger["recovered"] is True
    for stream, was in zip(ledger["streams"], told["streams"]):
        assert stream["expected"] >= was["expected"], (stream, was)
        assert stream["lost_by"]["disk"] >= was["lost_by"]["disk"], (stream, was)
        gaps = {(g["first_cnt0"], g["count"], g["cause"]) for g in stream["gaps"]}
        assert all((g["first_cnt0"], g["count"], g["cause"]) in gaps for g in was["gaps"]), (
            stream, was)
    left = glob.glob(os.path.join(recorder.folder(), ".*"))
    assert not left, left
    files = glob.glob(os.path.join(recorder.folder(), "*", "*.fits"))
    assert files
    _collected.extend(files)


def new_root():
    """A fresh output folder: session names are a second apart within one."""
    return tempfile.mkdtemp(prefix="root-", dir=h.output)


def sweep(job, items, at_once=4):
    """Call job(item) for all of them, some at a time; the first failure is raised with its item."""
    def one(item):
        try:
            return job(item)
        except Exception as e:
            raise AssertionError(f"at {item}: {e}") from e
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, items))


def together(*tests):
    """Tests that mostly wait, at the same time and as one."""
    def run():
        sweep(lambda test: test(), tests, at_once=len(tests))
    run.__name__ = ", ".join(test.__name__ for test in tests)
    return run


def judge_all(checked_of=4):
    """Every file that end() has seen by fitsverify, and one of `checked_of` by fitscheck, which is
    slow (astropy has read all of them already); unfinished ones have no checksums yet."""
    files = [f for f in _collected if os.path.exists(f)]
    _collected.clear()
    for begin in range(0, len(files), 500):
        h.fitsverify(*files[begin:begin + 500])  # takes any name
    closed = [f for f in files if f.endswith(".fits")][::checked_of]
    for begin in range(0, len(closed), 500):
        run = subprocess.run(["fitscheck", "--compliance", *closed[begin:begin + 500]],
                             capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
    return len(files)
