"""daorec_face.py - what the tests of lib/daorec.py share: the module, sources, a recording for
all who only look at it, and judging what comes out."""
import functools
import itertools
import os
import subprocess
import sys
import textwrap

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults as f  # noqa: E402
import harness as h  # noqa: E402

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LIB = os.path.join(ROOT, "lib")
sys.path.insert(0, LIB)
import daorec  # noqa: E402,F401 - for the tests

names = itertools.count(1)


def source(*arguments, shape=(6, 5), dtype="uint16", name=None, rate=1000, depth=512):
    """(segment, simulator) of a ramp."""
    path = name or h.segment(f"pyrec{next(names)}")
    return path, h.sim(path, "--size", "x".join(map(str, shape)), "--type", dtype, "--rate", rate,
                       "--depth", depth, "--pattern", "ramp", *arguments)


def root():
    """A fresh folder, for recordings and other files."""
    return f.new_root()


def end(*processes):
    for process in processes:
        process.terminate()
        process.communicate(timeout=60)


def begun(process):
    h.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 5, what="threads")


def fails(kind, *texts):
    """with fails(daorec.Error, "text"): the block must raise it, in one line with these texts."""
    return h.Raises(kind, *texts, in_one_line=True)


def is_ramp(pixels, counts, shape=(6, 5), dtype="uint16"):
    pixels = np.asarray(pixels).reshape((-1,) + shape)
    return np.array_equal(pixels, h.ramp(np.atleast_1d(counts), shape, dtype))


def check_against_source(stream, shape=(6, 5), dtype="uint16"):
    assert is_ramp(stream[:], stream.rows["CNT0"], shape, dtype)


@functools.cache
def recorded():
    """(session, path) of 500 frames in three files, 7 frames missing in the first."""
    path = h.segment("pyrec")
    recorder = h.record("--wait=30s", "--backlog", "-n", 500, "--roll-frames", 200, path)
    # Deep enough that the first frame is still there, however late the recorder comes.
    _, process = source("--jump-at", 150, "--jump-by", 7, "--start-count", 1000, name=path,
                        depth=8192)
    session = h.finish(recorder)
    end(process)
    assert session.status == 3 and session.stream(path)["lost_by"]["source"] == 7
    return session, path


class BytesRead:
    """What is read of files in the block, and how many descriptors are open at once."""

    def __enter__(self):
        self.bytes, self._preadv, self._pread = 0, os.preadv, os.pread

        def preadv(fd, buffers, at):
            done = self._preadv(fd, buffers, at)
            self.bytes += done
            return done

        def pread(fd, count, at):
            done = self._pread(fd, count, at)
            self.bytes += len(done)
            return done
        os.preadv, os.pread = preadv, pread
        return self

    def __exit__(self, *_):
        os.preadv, os.pread = self._preadv, self._pread


def python(code, *arguments):
    environment = dict(os.environ, PYTHONPATH=LIB)
    run = subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
                         env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0 and not run.stderr, run.stdout + run.stderr
    return run.stdout
