#!/usr/bin/env python3
"""Speed as ratios measured in one run: recording against what the disk does bare, reading frames
against a bare memcpy, waiting against spinning. `make bench`.

    BENCH_DIR=DIR   where to write (default: a new folder in the current one)
    BENCH_ROUNDS=3  alternating rounds; medians are reported, and the spread
"""
import json
import os
import platform
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
BARE = os.path.join(PROGRAMS, "bare_write")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
FRAME = 800 * 800 * 2

output = tempfile.mkdtemp(prefix="daorec-bench-", dir=os.environ.get("BENCH_DIR", "."))
segments = tempfile.mkdtemp(prefix="daorec-bench-", dir="/dev/shm")
mark = os.path.basename(segments)[-8:]
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: sys.exit(1))  # by way of what is cleaned up at the end


def bare(megabytes, *swap):
    """(bytes/s, CPU s/GB) of writing, without recording anything."""
    run = subprocess.run([BARE, os.path.join(output, "bare"), str(megabytes), *swap],
                         capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    rate, cpu = run.stdout.split()
    return float(rate), float(cpu)


def cpu_seconds(pid):
    """CPU time of another process so far, to the nanosecond (clock_getcpuclockid by hand)."""
    return time.clock_gettime((~pid << 3) | 2)


def record(size, dtype, rate, depth, seconds):
    """Record a simulated source; its part of the summary, and the share of a core that the
    recorder used between half a second after its threads began and the end."""
    path = os.path.join(segments, f"bench_{mark}.im.shm")
    source = subprocess.Popen([DAOREC, "sim", path, "-q", "--remove", "--size", size, "--type",
                               dtype, "--rate", str(rate), "--depth", str(depth), "--pattern",
                               "ramp", "-d", f"{seconds + 20}s"])
    try:
        recorder = subprocess.Popen([DAOREC, "record", "-q", "--json", "--wait=10s", "-d",
                                     f"{seconds}s", "-o", output, path],
                                    stdout=subprocess.PIPE, text=True)
        while len(os.listdir(f"/proc/{recorder.pid}/task")) < 5:
            time.sleep(0.01)
        time.sleep(0.5)
        wall, cpu = time.monotonic(), cpu_seconds(recorder.pid)
        time.sleep(seconds - 1)
        wall, cpu = time.monotonic() - wall, cpu_seconds(recorder.pid) - cpu
        out, _ = recorder.communicate()
        if recorder.returncode not in (0, 3):
            sys.exit(f"daorec record failed with exit status {recorder.returncode}")
        summary = json.loads(out)
        shutil.rmtree(os.path.join(output, summary["session"]))
    finally:
        source.terminate()
        source.wait()
    return summary["streams"][0] | {"core": cpu / wall}


def medians(values):
    return statistics.median(values), min(values), max(values)


def row(what, values, unit, digits=3):
    middle, low, high = medians(values)
    print(f"{what:<62} {middle:>9.{digits}f}  {low:.{digits}f} .. {high:.{digits}f} {unit}", flush=True)
    results[what] = {"median": middle, "min": low, "max": high, "unit": unit}


def highest_lossless(bare_rate):
    """The highest rate, in steps of 5 % of the bare one, at which 3 s lose nothing."""
    for percent in range(95, 25, -5):
        rate = bare_rate * percent / 100 / FRAME
        stream = record("800x800", "uint16", round(rate), 64, 3)
        reached = stream["expected"] / 3 * FRAME
        if stream["lost"] == 0 and reached > 0.97 * rate * FRAME:
            return reached
    return 0.0


def measured(program, *options):
    """What a program of ours that measures something prints as JSON."""
    run = subprocess.run([os.path.join(PROGRAMS, program), "--json", *options],
                         stdout=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"{program} failed with exit status {run.returncode}")
    return json.loads(run.stdout)


def library():
    """Rates and ratios of the library's reader, and the cost of its waits."""
    for what, figure in measured("read_rate", "--rounds", str(3 * ROUNDS)).items():
        row(what, figure["values"], figure["unit"])
    print(f"\n{'wait for the next frame':<38} {'p50':>8} {'p99':>8} {'max':>8} us {'CPU':>7} %")
    for cell in measured("wait_cost"):
        what = f"{cell['source']}: {cell['wait']}"
        print(f"{what:<38} {cell['p50_us']:>8.1f} {cell['p99_us']:>8.1f} {cell['max_us']:>8.0f}    "
              f"{cell['cpu_percent']:>7.1f}")
        results[what] = cell


results = {}


def main():
    print(f"{platform.node()}, {os.cpu_count()} CPUs, Linux {platform.release()}, "
          f"{time.strftime('%Y-%m-%d')}; {ROUNDS} rounds: median, lowest .. highest\n")
    kilohertz, swap, lossless, vector, lost, disk = [], [], [], [], [], []
    for _ in range(ROUNDS):
        rate, _ = bare(8000)
        disk.append(rate / 1e9)
        _, cpu = bare(8000, "swap")
        swap.append(cpu)
        stream = record("800x800", "uint16", 1000, 64, 10)
        kilohertz.append(stream["core"] / (stream["recorded"] / 10 * FRAME / 1e9))
        lost.append(stream["lost"])
        lossless.append(highest_lossless(rate) / rate)
        stream = record("97x1", "float32", 1000, 1024, 10)
        vector.append(100 * stream["core"])
        lost[-1] += stream["lost"]
    row("bare sequential O_DIRECT write", disk, "GB/s", 2)
    row("CPU of a bare loop that swaps and writes", swap, "s/GB")
    row("CPU of daorec, 800x800 uint16 at 1 kHz for 10 s", kilohertz, "s/GB")
    row("highest lossless rate / bare write, 800x800 uint16", lossless, "", 2)
    row("CPU of daorec, 97 float32 at 1 kHz", vector, "% of a core", 2)
    row("frames lost in the 10 s runs at 1 kHz", lost, "", 0)
    library()
    if "--json" in sys.argv:
        print(json.dumps(results))


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(output, ignore_errors=True)
        shutil.rmtree(segments, ignore_errors=True)
