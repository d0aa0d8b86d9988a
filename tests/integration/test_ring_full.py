#!/usr/bin/env python3
"""A ring of files on a disk that has not room for it: it is said, and the ring is what fits, while
what is to be kept free stays so, and nothing goes that must not. Small file systems of our own, in
a mount namespace of the test's own, so that nothing is ever left mounted."""
import glob
import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mounts import mount  # noqa: E402  (runs the test again in a namespace)

import faults as f  # noqa: E402
import harness as h  # noqa: E402
from at_rest import wait_for_locks  # noqa: E402

CAMERA = h.segment("cam")
FRAME = 64 * 48 * 2
SAID = "is more than there is room for"


def begin_source():
    h.sim(CAMERA, "--size", "64x48", "--type", "uint16", "--rate", 4000, "--depth", 4096,
          "--pattern", "ramp")
    h.wait_for(lambda: os.path.exists(CAMERA), what="a segment")


class Watch:
    """The least that was free at any time."""

    def __init__(self, root):
        self.root, self.least, self._over = root, 1 << 60, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            fs = os.statvfs(self.root)
            self.least = min(self.least, fs.f_bavail * fs.f_frsize)
            time.sleep(0.001)

    def end(self):
        self._over = True
        self._thread.join()
        return self.least


def files_of(root, ending=".fits"):
    return sorted(glob.glob(os.path.join(root, "*", h.stream_name(CAMERA), "*" + ending)))


def ended(recorder, status=(0, 3)):
    """The only stream's entry in the summary; everything that is left is verified."""
    out, _ = recorder.process.communicate(timeout=120)
    assert recorder.process.returncode in status, recorder.errors()
    (told,) = json.loads(out)["streams"]
    assert told["expected"] == told["recorded"] + told["lost"], told
    h.verified(recorder.root)
    return told


def a_ring_larger_than_the_disk_is_what_fits():
    cases = ((2 << 20, ["--keep-size", "1GiB"], True),
             (2 << 20, ["--keep-files", 5, "--roll-size", "8MiB"], True),
             (0, ["--keep-time", "1h", "--roll-size", "1MiB"], False))
    for kept, options, is_said in cases:
        root = mount(f.new_root(), 16)
        watch = Watch(root)
        recorder = f.start(root, "--keep-free", kept, *options, "-n", 4000, CAMERA)
        told = ended(recorder)
        # Twice what there is room for, so that it went on although the disk was full. What is lost
        # to the disk meanwhile is as much as the machine is busy, and has its cause.
        assert told["recorded"] == 4000, (options, told)
        assert told["lost"] == told["lost_by"]["disk"] + told["lost_by"]["lapped"], (options, told)
        assert watch.end() >= kept, (options, watch.least)
        assert recorder.errors().count(SAID) == is_said, recorder.errors()
        assert "cannot" not in recorder.errors(), recorder.errors()
        # And it is of use: not a few tiny files.
        left = sum(os.stat(file).st_size for file in files_of(root))
        assert left >= 4 << 20 and os.stat(files_of(root)[0]).st_size >= 500 << 10, left


def limits_that_fit_are_not_warned_of():
    root = mount(f.new_root(), 16)
    recorder = f.start(root, "--keep-size", "8MiB", "-n", 100, CAMERA)
    ended(recorder)
    assert "warning" not in recorder.errors(), recorder.errors()
    recorder = f.start(root, "--keep-files", 3, "--roll-size", "2MiB", "-n", 100, CAMERA)
    ended(recorder)
    assert "warning" not in recorder.errors(), recorder.errors()


def what_must_stay_stays_though_the_disk_is_full():
    """What is marked, the last file of a stream, and others' files."""
    root = mount(f.new_root(), 16)
    first = f.start(root, "--roll-frames", 200, "-n", 1000, CAMERA)
    ended(first)
    files = files_of(root)
    kept = subprocess.run([h.DAOREC, "keep", "-q", *files[:3]], check=False)
    assert kept.returncode == 0
    others = os.path.join(root, "others")
    free = os.statvfs(root).f_bavail * 4096
    with open(others, "wb") as other:
        os.posix_fallocate(other.fileno(), 0, free - (3 << 20))
    recorder = f.start(root, "--keep-free", "1MiB", "--keep-files", 99, "--roll-frames", 150,
                       "-n", 2000, CAMERA)
    told = ended(recorder, status=(0, 1, 3))
    assert told["recorded"] > 600, told  # more than the 2 MiB that were free
    assert all(map(os.path.exists, files[:3])) and not os.path.exists(files[3]), files_of(root)
    assert os.path.getsize(others) == free - (3 << 20)
    before = files_of(root)
    subprocess.run([h.DAOREC, "keep", "-q", *before], check=True)
    with open(others, "ab") as other:
        fs = os.statvfs(root)
        os.posix_fallocate(other.fileno(), free - (3 << 20),
                           max(1, fs.f_bavail * 4096 - (5 << 18)))
    recorder = f.start(root, "--keep-free", "1MiB", "--keep-files", 99, "--roll-frames", 150, "-n",
                       20000, CAMERA)
    recorder.process.communicate(timeout=60)
    assert recorder.process.returncode == 1, recorder.errors()
    assert "no room for its first file" in recorder.errors(), recorder.errors()
    assert before == files_of(root)


def crashes_do_not_fill_the_disk():
    """The recorder is killed again and again, and begun anew at once."""
    root = mount(f.new_root(), 24)
    options = ["--keep-size", "10MiB", "--roll-size", "900KiB"]
    for _ in range(2):
        recorder = f.start(root, *options, CAMERA)
        h.wait_for(lambda: f"_{14:06d}.fits" in recorder.errors() or
                   recorder.process.poll() is not None, what="14 files")
        recorder.process.kill()
        recorder.process.communicate()
        wait_for_locks(root)
    out, _ = (last := f.start(root, *options, "-n", 4000, CAMERA)).process.communicate(timeout=60)
    assert last.process.returncode in (0, 3), last.errors()
    assert json.loads(out)["streams"][0]["recorded"] == 4000
    parts = sum(512 * os.stat(part).st_blocks for part in files_of(root, ".part"))
    all_of_it = parts + sum(512 * os.stat(file).st_blocks for file in files_of(root))
    assert all_of_it <= 10 << 20, (all_of_it, parts)
    subprocess.run([h.DAOREC, "repair", "--apply", root], stdout=subprocess.DEVNULL, check=False)
    h.verified(root)


if __name__ == "__main__":
    begin_source()
    h.main([a_ring_larger_than_the_disk_is_what_fits, limits_that_fit_are_not_warned_of,
            what_must_stay_stays_though_the_disk_is_full, crashes_do_not_fill_the_disk])
