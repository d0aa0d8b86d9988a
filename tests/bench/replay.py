"""replay.py - replaying: interval errors at 1 kHz against a bare clock_nanosleep() loop, and --asap
against cat and a bare cfitsio loop over the same files, alternating."""
import glob
import json
import os
import shutil
import subprocess
import time

import bed as b
import turns as t

TITLE = "replaying against bare loops"
SECONDS = 1.0  # a turn; many short ones, since what else the machine does comes in bursts
TURNS_A_ROUND = 2
CAMERA_FRAMES = 800
NAMES = ("p50", "p99", "max")
BARE = "a bare clock_nanosleep() loop"


def need_bytes(_):
    return 6 << 30


def record(bed, stream, rate, frames):
    """A session of this many frames; its folder."""
    with t.source(bed, stream, rate, frames) as src:
        recorder = t.start_recorder(bed, src, frames, "--roll-size", "4GiB")
        src.go()
        t.stop_recording(recorder)
        out, _ = bed.wait(recorder, accepted=(0, 3))
    return os.path.join(bed.output, json.loads(out)["session"])


def replay(bed, session, *options):
    out, _ = bed.wait(bed.start(b.DAOREC, "replay", "-q", "--json", "--remove", "--to",
                                bed.segment(), session, *options, stdout=subprocess.PIPE))
    return json.loads(out)


def intervals(bed, section):
    frames = 100 if bed.is_quick else round(1000 * SECONDS)
    sessions = {f"daorec replay, {stream}": record(bed, stream, 1000, frames)
                for stream in (t.SLOPES, t.SENSOR)}
    found = {what: {name: [] for name in NAMES} for what in (BARE, *sessions)}
    for _ in range(1 if bed.is_quick else TURNS_A_ROUND * bed.rounds):
        for name, value in zip(NAMES, bed.run("bare_sleep", 1000, frames).split()):
            found[BARE][name].append(float(value) / 1000)
        for what, session in sessions.items():
            error = replay(bed, session)["streams"][0]["interval_error_ns"]
            for name in NAMES:
                found[what][name].append(error[name] / 1000)
    for name in NAMES:
        for what, values in found.items():
            section.line(f"{what}, 1 kHz: error {name}", values[name], "us",
                         against=None if what == BARE else found[BARE][name])
    for session in sessions.values():
        shutil.rmtree(session)


def forget(file):
    """Out of the page cache."""
    fd = os.open(file, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def cat_rate(bed, files):
    begin = time.monotonic()
    bed.wait(bed.start("sh", "-c", 'exec cat "$@" > /dev/null', "sh", *files,
                       stdout=subprocess.PIPE))
    return sum(os.path.getsize(f) for f in files) / (time.monotonic() - begin) / 1e9


def cfitsio_rate(bed, files):
    told = [bed.run("bare_cfitsio", file).split() for file in files]
    return sum(int(n) for n, _ in told) / sum(float(s) for _, s in told) / 1e9


def replay_rate(bed, session):
    summary = replay(bed, session, "--asap")
    return summary["bytes"] / summary["elapsed_s"] / 1e9


def rates(bed, section):
    session = record(bed, t.CAMERA, 500, 20 if bed.is_quick else CAMERA_FRAMES)
    files = glob.glob(os.path.join(session, "*", "*.fits"))
    rate = {what: [] for what in ("cat", "cfitsio", "replay", "cold cat", "cold replay")}
    cat_rate(bed, files)  # they were written past the page cache
    for _ in range(bed.rounds):
        for cold in ("", "cold "):
            for file in files * bool(cold):
                forget(file)
            rate[cold + "cat"].append(cat_rate(bed, files))
            for file in files * bool(cold):
                forget(file)
            rate[cold + "replay"].append(replay_rate(bed, session))
        rate["cfitsio"].append(cfitsio_rate(bed, files))
    section.line("cat FILES > /dev/null, files in memory", rate["cat"], "GB/s")
    section.line("daorec replay --asap of them", rate["replay"], "GB/s", against=rate["cat"])
    section.line("a bare cfitsio loop over them", rate["cfitsio"], "GB/s")
    section.line("daorec replay --asap of them", rate["replay"], "GB/s", against=rate["cfitsio"])
    section.line("cat FILES > /dev/null, files not in memory", rate["cold cat"], "GB/s")
    section.line("daorec replay --asap of them", rate["cold replay"], "GB/s",
                 against=rate["cold cat"])


def run(bed, section):
    intervals(bed, section)
    rates(bed, section)
    bed.clear()
