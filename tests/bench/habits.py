"""habits.py - CPU of recording a GB, against two plain loops that people write with cfitsio.

All take the same source at the same rate, one after the other in every round. Counted is user and
system time of all threads of the process, from the source's first frame to its last one; what
starting and ending cost beside that is in the JSON (whole_cpu_s), since a night has thousands of
GB. io_uring's kernel workers are threads of the process and counted. The page cache's write-back,
which the cfitsio loops leave to the kernel, is not. A GB is of pixels that were stored: a loop that
cannot keep up loses frames, and is not charged for them.
"""
import disk
import turns as t
from table import at_most

TITLE = "CPU of recording, against cfitsio loops with the same source"
CASES = (  # stream, rate, seconds, goal against the better loop, in itself (s/GB)
    (t.SLOPES, 1000, 8.0, 1 / 50, None),  # long enough for what the beginning costs to be little
    (t.SLOPES, 10000, 2.0, None, None),
    (t.SENSOR, 1000, 2.5, 1 / 15, None),
    (t.CAMERA, 1000, 1.5, 1 / 5, 0.15),
)
SWAP_MEGABYTES = 2000
LOOPS = {"cube": "a cfitsio loop, planes of a cube", "hdus": "a cfitsio loop, an HDU a frame"}


def need_bytes(_):
    return int(3 * 1000 * 1.5 * t.CAMERA.frame_bytes)


def measure(bed, stream, rate, seconds):
    """One round: {who: (CPU s/GB, share lost, whole CPU s)}."""
    frames = round(rate * (0.05 if bed.is_quick else seconds))
    turns = {"daorec": t.record(bed, stream, rate, frames)}
    for how in LOOPS:
        turns[how] = t.read(bed, stream, rate, frames, "bare_cfitsio_write", how, "SHM",
                            bed.file("loop.fits"), "FRAMES")
    return {who: cost(turn, stream) for who, turn in turns.items()}


def cost(turn, stream):
    stored = max(turn.frames - turn.lost, 1) * stream.frame_bytes / 1e9
    return turn.running_cpu_s / stored, turn.lost / turn.frames, turn.whole_cpu_s


def report(section, name, rounds, goal, goal_itself):
    found = {who: list(zip(*(r[who] for r in rounds))) for who in rounds[0]}
    better = [min(values) for values in zip(*(found[how][0] for how in LOOPS))]
    for how, what in LOOPS.items():
        section.line(f"{name}: {what}", found[how][0], "s/GB")
    section.line(f"{name}: daorec record", found["daorec"][0], "s/GB", against=better,
                 goal=goal and at_most(goal))
    if goal_itself:
        section.line(f"{name}: daorec record, in itself", found["daorec"][0], "s/GB",
                     goal=at_most(goal_itself))
    for who, (_, lost, whole) in found.items():
        section.more.setdefault("turns", []).append(
            {"case": name, "who": who, "lost": list(lost), "whole_cpu_s": list(whole)})
        if any(lost):
            section.note(f"{name}: {LOOPS.get(who, 'daorec')} lost up to {100 * max(lost):.2g} % "
                         "of the frames")


def run(bed, section):
    rounds, swapped = [[] for _ in CASES], []
    for _ in range(bed.rounds):
        swapped.append(disk.write_bare(bed, SWAP_MEGABYTES, "swap")[1])
        for found, (stream, rate, seconds, _, _) in zip(rounds, CASES):
            found.append(measure(bed, stream, rate, seconds))
    for found, (stream, rate, _, goal, goal_itself) in zip(rounds, CASES):
        report(section, f"{stream}, {rate // 1000} kHz", found, goal, goal_itself)
    section.line("a bare loop that swaps 16-bit words and writes", swapped, "s/GB")
