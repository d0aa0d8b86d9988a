#!/usr/bin/env python3
"""Replaying: interval errors at 1 kHz against a bare clock_nanosleep() loop, alternating in one run,
and --asap against cat and a bare cfitsio loop over the same file. Part of `make bench`.

    BENCH_DIR=DIR   where to write (default: a new folder in the current one); some 1.3 GB
    BENCH_ROUNDS=3  alternating rounds; medians are reported, and the spread
"""
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build/release")
DAOREC = os.path.join(BUILD, "daorec")
PROGRAMS = os.path.join(BUILD, "tests", "bench")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = 1.5  # a turn; many short ones, since what else the machine does comes in bursts
TURNS = 4 * ROUNDS

output = tempfile.mkdtemp(prefix="daorec-bench-", dir=os.environ.get("BENCH_DIR", "."))
segments = tempfile.mkdtemp(prefix="daorec-bench-", dir="/dev/shm")
mark = os.path.basename(segments)[-8:]
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(1))  # by way of what is cleaned up at the end


def record(name, size, dtype, rate, frames):
    """A session of this many frames of a simulated source."""
    path = os.path.join(segments, f"{name}_{mark}.im.shm")
    source = subprocess.Popen([DAOREC, "sim", path, "-q", "--remove", "--size", size, "--type",
                               dtype, "--rate", str(rate), "--depth", "256"])
    try:
        run = subprocess.run([DAOREC, "record", "-q", "--json", "--wait=10s", "-n", str(frames),
                              "--roll-size", "4GiB", "-o", output, path],
                             stdout=subprocess.PIPE, text=True)
    finally:
        source.terminate()
        source.wait()
    return os.path.join(output, json.loads(run.stdout)["session"])


def replay(session, *options):
    run = subprocess.run([DAOREC, "replay", "-q", "--json", "--remove", "--to",
                          os.path.join(segments, f"out_{mark}.im.shm"), session, *options],
                         stdout=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"daorec replay failed with exit status {run.returncode}")
    return json.loads(run.stdout)


def row(what, values, unit, digits=2):
    print(f"{what:<62} {statistics.median(values):>10.{digits}f}  "
          f"{min(values):.{digits}f} .. {max(values):.{digits}f} {unit}", flush=True)


def intervals():
    small = record("small", "97x1", "float32", 1000, round(1000 * SECONDS))
    large = record("large", "256x256", "uint16", 1000, round(1000 * SECONDS))
    names = ("p50", "p99", "max")
    found = {what: {n: [] for n in names} for what in ("bare", "97 float32", "256x256 uint16")}
    for _ in range(TURNS):
        run = subprocess.run([os.path.join(PROGRAMS, "bare_sleep"), "1000",
                              str(round(1000 * SECONDS))],
                             stdout=subprocess.PIPE, text=True, check=True)
        for name, value in zip(names, run.stdout.split()):
            found["bare"][name].append(float(value))
        for what, session in (("97 float32", small), ("256x256 uint16", large)):
            error = replay(session)["streams"][0]["interval_error_ns"]
            for name in names:
                found[what][name].append(error[name])
    for what, values in found.items():
        for name in names:
            title = "a bare clock_nanosleep() loop" if what == "bare" else f"daorec replay, {what}"
            row(f"{title}, 1 kHz: interval error {name}", [v / 1000 for v in values[name]], "us")
    for what in list(found)[1:]:
        middle = [statistics.median(found[k]["p99"]) for k in (what, "bare")]
        print(f"... median p99 of {what} against that of the bare loop: {middle[0] / middle[1]:.2f}")


def forget(file):
    fd = os.open(file, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def rates():
    session = record("camera", "800x800", "uint16", 500, 1000)
    rate = {what: [] for what in ("cat", "cfitsio", "replay", "cat, cold", "replay, cold")}
    files = glob.glob(os.path.join(session, "*", "*.fits"))
    bytes_of = sum(os.path.getsize(f) for f in files)
    for _ in range(ROUNDS):
        for cold in ("", ", cold"):
            for file in files * bool(cold):
                forget(file)
            begin = time.monotonic()
            subprocess.run(["cat", *files], stdout=subprocess.DEVNULL, check=True)
            rate["cat" + cold].append(bytes_of / (time.monotonic() - begin) / 1e9)
            for file in files * bool(cold):
                forget(file)
            summary = replay(session, "--asap")
            rate["replay" + cold].append(summary["bytes"] / summary["elapsed_s"] / 1e9)
        total, seconds = 0, 0.0
        for file in files:
            run = subprocess.run([os.path.join(PROGRAMS, "bare_cfitsio"), file],
                                 stdout=subprocess.PIPE, text=True, check=True)
            total, seconds = total + int(run.stdout.split()[0]), seconds + float(run.stdout.split()[1])
        rate["cfitsio"].append(total / seconds / 1e9)
    row("cat FILES > /dev/null, files in memory", rate["cat"], "GB/s")
    row("a bare cfitsio loop over them", rate["cfitsio"], "GB/s")
    row("daorec replay --asap of them", rate["replay"], "GB/s")
    row("... against cat", [a / b for a, b in zip(rate["replay"], rate["cat"])], "")
    row("... against cfitsio", [a / b for a, b in zip(rate["replay"], rate["cfitsio"])], "")
    row("cat FILES > /dev/null, files not in memory", rate["cat, cold"], "GB/s")
    row("daorec replay --asap of them", rate["replay, cold"], "GB/s")
    row("... against cat", [a / b for a, b in zip(rate["replay, cold"], rate["cat, cold"])], "")


if __name__ == "__main__":
    try:
        intervals()
        rates()
    finally:
        shutil.rmtree(output, ignore_errors=True)
        shutil.rmtree(segments, ignore_errors=True)
