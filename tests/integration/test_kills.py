#!/usr/bin/env python3
"""The kill matrix: a recorder that dies at a chosen step, or at any moment, and what repair makes
of what it leaves.

Chosen steps: the recorder kills itself before, or in the middle of, its n-th call that changes the
file system (tests/support/preload_kill.c). Any moment: SIGKILL from outside, with io_uring. Each
time every file there must be valid, verify must tell the truth about it, repair must make closed
files with every frame whose row is on the disk, and a second repair must change nothing.

    test_kills.py           a sample: some sixty kills
    test_kills.py --long    every step of a recording, four ways, and hundreds of random moments
"""
import collections
import concurrent.futures
import glob
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from at_rest import is_locked, snapshot  # noqa: E402

warnings.simplefilter("error")
warnings.simplefilter("ignore", ResourceWarning)  # of processes that were killed
LONG = "--long" in sys.argv
SHIM = os.path.join(h.BUILD, "tests", "support", "preload_kill.so")
SHAPES = {"fast": ((48, 32), "uint16"), "slow": ((97,), "float32")}
ROLLING = ["--roll-frames", 25, "-n", 70]
NEVER_SURE = 2  # a recording is not the same twice: the last few steps of a count may not come

numbers = itertools.count()
totals = collections.Counter()
lock = threading.Lock()


def count(**what):
    with lock:
        totals.update(what)


def run(verb, *arguments, status=0):
    result = subprocess.run([os.path.abspath(h.DAOREC), verb, *map(str, arguments)],
                            capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == status, (verb, arguments, result.returncode, result.stdout,
                                         result.stderr)
    return result.stdout


# ---- sources: they live as long as the test, readers do not disturb them ----

def start_sources():
    paths = []
    for name, rate, depth in (("fast", 1500, 1024), ("slow", 150, 64)):
        shape, dtype = SHAPES[name]
        paths.append(h.segment(name))
        h.sim(paths[-1], "--size", "x".join(map(str, shape)), "--type", dtype, "--rate", rate,
              "--depth", depth, "--pattern", "ramp")
    h.wait_for(lambda: all(map(os.path.exists, paths)), what="the sources")
    return paths


# ---- dying ----

def command(root, options):
    # The environment may ask for a shim: no shell, no wrapper in between.
    return [h.DAOREC, "record", "-q", "-o", root, "--buffer", "4MiB", *map(str, options)]


def die_at_step(root, options, at, half):
    """True if the recorder came that far."""
    environment = dict(os.environ, LD_PRELOAD=os.path.abspath(SHIM), KILL_AT=str(at))
    if half:
        environment["KILL_HALF"] = "1"
    done = subprocess.run(command(root, options), env=environment, capture_output=True, timeout=60,
                          check=False)
    assert done.returncode in (-9, 0, 3), (done.returncode, done.stderr)
    return done.returncode == -9


def die_at_moment(root, options, seconds):
    process = h.start(*command(root, options))
    time.sleep(seconds)
    process.kill()
    process.communicate()
    return process.returncode == -9


def list_steps(paths, options):
    """The calls of one recording that is left alone, by name, in their order."""
    root = os.path.join(h.output, "counted")
    log = os.path.join(h.output, "calls")
    environment = dict(os.environ, LD_PRELOAD=os.path.abspath(SHIM), KILL_COUNT=log)
    subprocess.run(command(root, [*options, *paths]), env=environment, stdout=subprocess.DEVNULL,
                   timeout=60, check=False)
    with open(log, encoding="ascii") as f:
        steps = f.read().split()
    os.unlink(log)
    shutil.rmtree(root)
    return steps


# ---- judging ----

def rows_there(file):
    """What a standard reader finds: the rows of the frames that are there."""
    with fits.open(file, memmap=False, checksum=False) as hdus:
        hdus.verify("exception")
        rows = np.array(hdus["FRAMES"].data)
    there = np.flatnonzero(rows["RTIME"])
    return rows[:there[-1] + 1] if len(there) else rows[:0]


def check_repaired(file, before):
    """It holds every frame whose row was there, with its pixels, and at most the first one more."""
    shape, dtype = SHAPES[os.path.basename(file).split("_")[0]]
    with fits.open(file, memmap=False, checksum=True) as hdus:
        header, cube, rows = hdus[0].header, hdus[0].data, np.array(hdus["FRAMES"].data)
        assert [u.name for u in hdus[1:]] == ["FRAMES", "SHMKW"]
    assert header["RECSTAT"] in ("RECOVERD", "CLOSED"), header["RECSTAT"]
    assert len(rows) == max(len(before), 1), (len(rows), len(before))
    assert len(cube) == len(rows) == header["NFRAMES"]
    for column in before.dtype.names:
        assert np.array_equal(rows[column][:len(before)], before[column],
                              equal_nan=column == "TIME"), column
    good = rows["FLAGS"] & h.FLAG["TORN"] == 0
    assert good[:len(before)].all(), "a row was there before its pixels"
    assert (cube[good] == h.ramp(rows["CNT0"][good], shape, dtype)).all(), "wrong pixels"
    count(frames_kept=len(before))


def check_ledger(session):
    with open(os.path.join(session, "session.json"), encoding="utf-8") as f:
        ledger = json.load(f)
    for stream in ledger["streams"]:
        files = sorted(glob.glob(os.path.join(session, stream["name"], "*.fits")))
        assert [os.path.join(session, f["name"]) for f in stream["files"]] == files
        assert stream["expected"] == stream["recorded"] + stream["lost"], stream
        gone = stream.get("removed", {"frames": 0})["frames"]
        assert stream["recorded"] == gone + sum(len(rows_there(f)) for f in files), stream
        assert stream["lost"] == sum(stream["lost_by"].values()), stream


def judge(root):
    """Everything about what one recorder has left."""
    parts = sorted(glob.glob(f"{root}/*/*/*.part"))
    closed = sorted(glob.glob(f"{root}/*/*/*.fits"))
    h.wait_for(lambda: not any(map(is_locked, parts)), what="locks to go")
    count(parts=len(parts), closed=len(closed))
    if parts or closed:
        h.fitsverify(*parts, *closed)
    before = {part: rows_there(part) for part in parts}
    for part in parts:
        said = run("verify", part, status=1)
        assert "unfinished" in said or "complete but for its name" in said, said
    if closed:
        run("verify", "-q", *closed)
    at_rest = snapshot(root)
    said = run("repair", root)
    assert "damaged" not in said, said  # a sound header is not taken for a damaged one
    assert snapshot(root) == at_rest, "repair without --apply changed something"
    run("repair", "--apply", root)
    for part in parts:
        assert not os.path.exists(part)
        check_repaired(part[:-5], before[part])
    for file in closed:
        assert snapshot(os.path.dirname(file))[file] == at_rest[file], "a finished file was changed"
    if parts:
        h.fitsverify(*[part[:-5] for part in parts])
    if parts or closed:
        run("verify", "-q", root)
        for session in glob.glob(f"{root}/*"):
            check_ledger(session)
    at_rest = snapshot(root)
    run("repair", "--apply", root)
    assert snapshot(root) == at_rest, "a second repair changed something"


def one(name, dying, *arguments):
    root = os.path.join(h.output, f"kill{next(numbers)}")
    os.mkdir(root)
    try:
        if dying(root, *arguments):
            judge(root)
            count(kills=1)
        else:
            count(not_reached=1)
    except Exception as error:
        told = str(error)
        told = told if len(told) < 700 else told[:300] + " ... " + told[-300:]
        kept = "" if not os.environ.get("KEEP_KILLS") else shutil.copytree(
            root, os.path.join(os.environ["KEEP_KILLS"], os.path.basename(root)))
        raise AssertionError(f"killed at {name}: {told} {kept}") from error
    shutil.rmtree(root)


def all_of(jobs):
    """Two at a time; every failure is told."""
    before, begin = totals.copy(), time.monotonic()
    failures = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(one, *job) for job in jobs]:
            if job.exception():
                failures.append(str(job.exception()))
    got = totals - before
    print(f"  {got['kills']} kills ({got['not_reached']} not reached), {got['closed']} closed "
          f"files and {got['parts']} unfinished ones, {got['frames_kept']} frames kept of these, "
          f"{len(failures)} failures, {time.monotonic() - begin:.0f} s", flush=True)
    assert not failures, f"{len(failures)} of {len(jobs)}:\n" + "\n".join(failures[:5])
    assert got["kills"] > len(jobs) / 2, got


# ---- the matrix ----

def spread(total, most):
    """Up to `most` of the numbers 1 ... total, evenly, the first and the last among them."""
    total = max(total - NEVER_SURE, 1)
    if most >= total:
        return list(range(1, total + 1))
    return sorted({1 + round(i * (total - 1) / max(most - 1, 1)) for i in range(most)})


def chosen_steps(paths, options, most):
    steps = collections.Counter(list_steps(paths, options))
    jobs = []
    for name, total in sorted(steps.items()):
        halves = (False, True) if name in ("pwrite", "write") else (False,)
        for half in halves:
            for n in spread(total, most.get(name, most["any"])):
                jobs.append((f"{name} {n}{' half done' if half else ''} with {options}",
                             die_at_step, [*options, *paths], f"{name}:{n}", half))
    return jobs


def every_step_of_closing():
    """A file that is nearly full goes by way of SPARE: the longest way there is. One stream, one
    file: what is done is nearly the same each time."""
    options = ["--io", "pwrite", "--roll-frames", 25, "-n", 20]
    steps = list_steps(sources[:1], options)
    last = len(steps) - steps[::-1].index("ftruncate")  # the end is cut off, then comes the name
    all_of([(f"step {n} of {len(steps)} {half and 'half done'}", die_at_step,
             [*options, sources[0]], n, half)
            for n in range(last - 12, last + 4) for half in (False, True)
            if not half or steps[n - 1] == "pwrite"])


def every_step_with_direct_io():
    most = {"any": 999} if LONG else {"any": 1, "pwrite": 4, "fdatasync": 3, "renameat2": 2}
    all_of(chosen_steps(sources, ["--io", "pwrite", *ROLLING], most))


def every_step_through_the_page_cache():
    most = {"any": 999} if LONG else {"any": 1, "pwrite": 4, "ftruncate": 2, "renameat": 2}
    all_of(chosen_steps(sources, ["--io", "pwrite", "--no-direct", *ROLLING], most))


def every_step_of_a_ring():
    """Files that are removed while others are written, mostly into the blocks of those that go."""
    most = {"any": 999} if LONG else {"any": 1, "renameat": 3, "fallocate": 4, "unlinkat": 2}
    options = ["--io", "pwrite", "--keep-files", 1, "--roll-frames", 25, "-n", 120]
    all_of(chosen_steps(sources[:1], options, most))


def random_moments_with_io_uring():
    chance = random.Random(int.from_bytes(os.urandom(4), "little"))
    jobs = []
    for number in range(200 if LONG else 12):
        options = ["--roll-frames", chance.choice((20, 100, 1500))]
        options += ["--no-direct"] if number % 2 else []
        options += ["--keep-files", 1] if number % 3 else []
        # Most of them where there is something to lose; rows go out once a second.
        seconds = chance.choice((chance.uniform(0, 0.1), chance.uniform(0.05, 2.5)))
        jobs.append((f"{seconds:.3f} s with {options}", die_at_moment,
                     [*options, *sources], seconds))
    all_of(jobs)


def frames_were_kept():
    assert totals["frames_kept"] > 0, totals


if __name__ == "__main__":
    sources = start_sources()
    h.main([every_step_of_closing, every_step_with_direct_io,
            every_step_through_the_page_cache, every_step_of_a_ring,
            random_moments_with_io_uring, frames_were_kept])
