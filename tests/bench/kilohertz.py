"""kilohertz.py - what a recorder costs that has all the time in the world: streams at 1 kHz.

97 float32, depth 1024. User and system time of the process between the source's first frame and its
last one; the sources are another process.
"""
import turns as t
from table import at_most

TITLE = "CPU of a recorder of 97 float32 at 1 kHz"
SECONDS = 5.0
ROOM = "64MiB"  # for a file, which is taken at once; none gets that large
CASES = ((1, 1.0), (32, 10.0))  # streams, goal in % of a core


def need_bytes(_):
    return 5 << 30  # 32 files being written, and as many ready


def run(bed, section):
    used, lost = {count: [] for count, _ in CASES}, 0
    frames = 50 if bed.is_quick else round(1000 * SECONDS)
    for _ in range(bed.rounds):
        for count, _ in CASES:
            turn = t.record(bed, t.SLOPES, 1000, frames, "--roll-size", ROOM, count=count)
            used[count].append(100 * turn.running_cpu_s / turn.source["seconds"])
            lost += turn.lost
    for count, goal in CASES:
        what = "one stream" if count == 1 else f"{count} streams in one process"
        section.line(what, used[count], "% of a core", goal=at_most(goal))
    section.note(f"frames lost: {lost}")
