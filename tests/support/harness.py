"""harness.py - what the integration tests share: running daorec, and judging what it wrote.

Every run goes through finish(), which checks expected = recorded + lost, the exit status against
the losses, that session.json says the same as the summary, and that daorec verify has no doubt.
Every file goes through judge(), which asks fitsverify, fitscheck and astropy. Segments live in a
fresh directory that is removed, with their semaphores, when the test ends, however it ends.
"""
import atexit
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from astropy.io import fits

from ramp import ramp  # noqa: F401 - for the tests, too

BUILD = os.environ.get("BUILD", "build/release")
DAOREC = os.environ.get("DAOREC", os.path.join(BUILD, "daorec"))
FIELD_WRITER = os.path.join(BUILD, "tests", "support", "field_writer")

FLAG = {name: 1 << bit for bit, name in enumerate(
    "GAP OVERWRITE TORN RESET BADTIME PARTIAL RECOVERED QUEUEFULL".split())}

_processes = []
_paths = set()  # of segments that tests were given; they may have removed some


def _clean():
    for process in _processes:
        if process.poll() is None:
            process.kill()
            process.wait()
    there = {name for _, _, names in os.walk(segments) for name in names if name.endswith(".shm")}
    for base in {stream_name(path) for path in there | _paths} - {""}:
        for semaphore in glob.glob(f"/dev/shm/sem.{glob.escape(base)}_sem*"):
            os.unlink(semaphore)
    shutil.rmtree(segments, ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)
    if programs:
        shutil.rmtree(programs)


# Segments are mapped memory: /dev/shm where there is one. Recordings go to $TMPDIR.
segments = tempfile.mkdtemp(prefix="daorec-test-",
                            dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
output = tempfile.mkdtemp(prefix="daorec-test-")
programs = None  # a folder for a copy of the program, where one is needed
atexit.register(_clean)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(1))


def _is_reached_by_anyone(path):
    path = os.path.realpath(path)
    while os.stat(path).st_mode & 0o001:
        if path == "/":
            return True
        path = os.path.dirname(path)
    return False


# Run by root, some tests take root's rights away; a checkout may lie in a folder of root's only.
if os.geteuid() == 0 and not _is_reached_by_anyone(DAOREC):
    programs = tempfile.mkdtemp(prefix="daorec-test-")
    os.chmod(programs, 0o755)
    DAOREC = shutil.copy(DAOREC, programs)


def segment(name):
    """A path for a segment, unique to this process (semaphores are named by it)."""
    path = os.path.join(segments, f"{name}_{os.getpid()}.im.shm")
    _paths.add(path)
    return path


def stream_name(path):
    return os.path.basename(path).split(".")[0]


def start(*arguments, **options):
    """Start a program; killed at the end of the test at the latest."""
    process = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **options)
    _processes.append(process)
    return process


def sim(path, *arguments):
    return start(DAOREC, "sim", path, "-q", *arguments)


def record(*arguments, **options):
    return start(DAOREC, "record", "--json", "-o", output, *arguments, **options)


def wait_for(condition, seconds=60, what="a condition"):
    """Poll until it holds; a test waits, it does not guess a time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.005)


def read_line(process, seconds=60):
    """The next line that a program prints ("" at its end), which must come in this time."""
    def give_up(*_):
        raise AssertionError(f"{process.args[:3]} has said nothing for {seconds} s")
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        return process.stdout.readline()
    finally:
        signal.alarm(0)


class Session:
    """A finished recording."""

    def __init__(self, summary, errors, status):
        self.summary, self.errors, self.status = summary, errors, status
        self.folder = os.path.join(output, summary["session"])
        with open(os.path.join(self.folder, "session.json"), encoding="utf-8") as f:
            self.ledger = json.load(f)

    def stream(self, path):
        return next(s for s in self.summary["streams"] if s["name"] == stream_name(path))

    def ledger_of(self, path):
        return next(s for s in self.ledger["streams"] if s["name"] == stream_name(path))


def newest_count(path):
    """The largest count in the segment, read by offset; 0 while it is being created."""
    with open(path, "rb") as f:
        f.seek(4296)
        depth = int.from_bytes(f.read(4), "little")
        counts = []
        for slot in range(depth):
            f.seek(slot * 4304 + 152)
            counts.append(int.from_bytes(f.read(8), "little"))
    return max(counts, default=0)


def wait_for_frames(path, count, what="frames"):
    """Until its source has published more than so many."""
    at = newest_count(path)
    wait_for(lambda: newest_count(path) > at + count, what=what)


def has_mapped(process, path):
    """Has it this very file open as a segment, as long as it is now?"""
    now = os.stat(path)
    with open(f"/proc/{process.pid}/maps", encoding="ascii", errors="replace") as f:
        for line in f:
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if int(line.split()[4]) == now.st_ino and end - begin == -(-now.st_size // 4096) * 4096:
                return True
    return False


def wait_until_open(process, path):
    """What is published from here on is seen, or told as lost."""
    wait_for(lambda: has_mapped(process, path), what=f"{stream_name(path)} to be opened")


def freeze(process):
    """SIGSTOP, and wait until every thread has stopped: one in a system call ends that first."""
    if process.poll() is not None:
        raise AssertionError(f"it has ended by itself with {process.returncode}: "
                             f"{process.stderr.read() if process.stderr else ''}")
    process.send_signal(signal.SIGSTOP)

    def stopped():
        states = []
        for stat in glob.glob(f"/proc/{process.pid}/task/*/stat"):
            with open(stat, encoding="ascii", errors="replace") as f:
                states.append(f.read().rpartition(")")[2].split()[0])
        return all(state in "TtZX" for state in states)
    wait_for(stopped, what="all threads to stop")


def finish(process, seconds=60, failed=False, errors=None):
    """Wait for a recording to end and check its books. `failed`: exit status 1 is expected, unless
    frames were lost. `errors`: a function that returns what it has said, where that is no pipe."""
    out, told = process.communicate(timeout=seconds)
    errors = errors() if errors else told
    assert process.returncode in (1 if failed else 0, 3), (
        f"exit status {process.returncode}\n{errors}")
    session = Session(json.loads(out), errors, process.returncode)
    assert len(session.summary["streams"]) == len(session.ledger["streams"])
    lost = 0
    for mine, ledger in zip(session.summary["streams"], session.ledger["streams"]):
        for key in ("name", "expected", "recorded", "torn", "lost", "lost_by"):
            assert mine[key] == ledger[key], (key, mine, ledger)
        assert mine["expected"] == mine["recorded"] + mine["lost"], mine
        assert mine["lost"] == sum(mine["lost_by"].values()), mine
        if not ledger["runs_left_out"]:
            assert mine["expected"] == sum(r["expected"] for r in ledger["runs"]), ledger
        removed = ledger.get("removed", {}).get("frames", 0)
        assert mine["recorded"] == sum(f["frames"] for f in ledger["files"]) + removed, ledger
        if not ledger["gaps_left_out"]:
            assert mine["lost"] == sum(g["count"] for g in ledger["gaps"]), ledger
        assert len(mine["files"]) == len(ledger["files"])
        lost += mine["lost"]
    assert process.returncode == (3 if lost else 1 if failed else 0), (process.returncode, lost)
    verified(session.folder)
    assert not glob.glob(os.path.join(session.folder, "*", "*.part")), "an unfinished file"
    assert not glob.glob(os.path.join(session.folder, "*", ".*")), "a temporary file"
    return session


def verified(*paths):
    """daorec verify has no doubt."""
    run = subprocess.run([DAOREC, "verify", *paths], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def fitsverify(*files):
    # one file a call would be slow; -q prints one line a file and counts warnings too
    run = subprocess.run(["fitsverify", "-q", *files], capture_output=True, text=True)
    if run.returncode or run.stdout.count("verification OK") != len(files):
        refused = [f for f in files if f"verification OK: {f}" not in run.stdout] or files
        whole = subprocess.run(["fitsverify", refused[0]], capture_output=True, text=True)
        raise AssertionError(run.stdout + run.stderr + whole.stdout)


def judge(*files):
    """fitsverify, fitscheck and astropy with checksums must accept every file."""
    fitsverify(*files)
    run = subprocess.run(["fitscheck", "--compliance", *files], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in files:
            with fits.open(file, checksum=True) as hdus:
                hdus.verify("exception")
                for hdu in hdus:
                    assert "CHECKSUM" in hdu.header and "DATASUM" in hdu.header


def load(files):
    """(cube, rows) of several files of a stream, joined; complex pairs become complex numbers."""
    cubes, tables = [], []
    for file in files:
        with fits.open(file, memmap=False) as hdus:
            cube = hdus[0].data
            if hdus[0].header.get("CTYPE1") == "COMPLEX":
                kind = "c8" if cube.dtype.itemsize == 4 else "c16"
                cube = np.ascontiguousarray(cube.astype(cube.dtype.newbyteorder("=")))
                cube = cube.view(kind)[..., 0]
            cubes.append(cube.astype(cube.dtype.newbyteorder("=")))
            tables.append(np.array(hdus["FRAMES"].data))
    return np.concatenate(cubes), np.concatenate(tables)


class Raises:
    """with Raises(ValueError, "shape") as raised: the block must raise it, with these texts in it,
    in one line if asked; then it is raised.error."""

    def __init__(self, kind, *texts, in_one_line=False):
        self.kind, self.texts, self.in_one_line, self.error = kind, texts, in_one_line, None

    def __enter__(self):
        return self

    def __exit__(self, found, error, _trace):
        assert found is not None, f"{self.kind.__name__} was not raised"
        if not issubclass(found, self.kind):
            return False
        for text in self.texts:
            assert text in str(error), (text, str(error))
        assert not self.in_one_line or "\n" not in str(error), str(error)
        self.error = error
        return True


def dsum(frame_bytes):
    """The ones'-complement sum of bytes, zero-padded, as DSUM promises it."""
    padded = frame_bytes + b"\0" * (-len(frame_bytes) % 4)
    total = int(np.frombuffer(padded, dtype=">u4").astype(np.uint64).sum())
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def check_stream(session, path, shape, dtype, judged=True):
    """Everything that a scientist relies on, for one stream of a session that recorded a ramp.
    Returns (cube, rows)."""
    mine = session.stream(path)
    if judged and mine["files"]:
        judge(*mine["files"])
    cube, rows = load(mine["files"])
    counts = rows["CNT0"].astype(np.int64)
    dtype = np.dtype(dtype)
    assert cube.dtype == dtype, cube.dtype
    assert cube.shape == (mine["recorded"],) + tuple(shape), cube.shape
    assert len(rows) == mine["recorded"]
    good = (rows["FLAGS"] & FLAG["TORN"]) == 0
    assert mine["torn"] == np.count_nonzero(~good)
    for begin in range(0, len(cube), 256):  # in pieces: a night does not fit twice into memory
        part = slice(begin, begin + 256)
        equal = cube[part] == ramp(counts[part], shape, dtype)
        wrong = ~equal.reshape(len(equal), -1).all(axis=1) & good[part]
        assert not wrong.any(), f"wrong pixels in frames {counts[part][wrong]}"
    if not session.ledger_of(path)["restarts"]:
        assert (np.diff(counts) > 0).all(), "a frame twice, or out of order"
        assert (np.diff(counts) - 1 == rows["LOST"][1:]).all(), "LOST against CNT0"
    assert (rows["RTIME"] > 0).all()
    assert ((rows["FLAGS"] & FLAG["GAP"] != 0) == (rows["LOST"] > 0)).all()
    check_headers(mine["files"])
    return cube, rows


def check_headers(files):
    """Primary keywords against the tables, and the chain of files."""
    index = 0
    for number, file in enumerate(files, 1):
        with fits.open(file, memmap=False) as hdus:
            header, rows = hdus[0].header, hdus["FRAMES"].data
            assert header["FILESEQ"] == number and header["FRAME0"] == index
            assert header["NFRAMES"] == len(rows) == header[f"NAXIS{header['NAXIS']}"]
            assert header["CNT0BEG"] == rows["CNT0"][0] and header["CNT0END"] == rows["CNT0"][-1]
            assert header["NTORN"] == np.count_nonzero(rows["FLAGS"] & FLAG["TORN"])
            assert header["NGAPS"] == np.count_nonzero(rows["LOST"])
            assert header["RECSTAT"] == "CLOSED"
            assert header["PREVFILE"] == (os.path.basename(files[number - 2]) if number > 1 else "")
            if header["NEXTFILE"]:
                assert header["NEXTFILE"] == os.path.basename(files[number])
            assert [h.name for h in hdus[1:]] == ["FRAMES", "SHMKW"]
            assert "ATIME" not in header
            index += len(rows)
            last_lost = header["SESLOST"]
            assert last_lost >= header["NLOST"]


def main(tests):
    """Run test functions, tell which failed; for `if __name__ == '__main__'`."""
    failed = 0
    for test in tests:
        begin = time.monotonic()
        try:
            test()
            print(f"ok      {test.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception:  # noqa: BLE001 - every failure is reported, then the next test runs
            import traceback
            failed += 1
            print(f"FAILED  {test.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
