"""disturbance.py - does a recorder on the other core disturb the loop?

A writer of 800x800 uint16 at 1 kHz, pinned to the first core, ordinary priority, measures the
intervals between its publications: alone, with a recorder whose draining thread is kept on the last
core (--cpu) while the others run where there is room, and with all of it there (--cpu-writer, too).
Single late wake-ups decide p99.9 and the maximum of some seconds, in either: so many short turns.
"""
import os

import turns as t
from table import at_most

TITLE = "publication intervals of 800x800 uint16 at 1 kHz, with a recorder against without"
SECONDS = 3.0
TURNS_A_ROUND = 3
QUANTITIES = ("p50", "p99.9", "max")
WAYS = {"alone": "writer alone", "drain": "with daorec record --cpu N",
        "all": "with daorec record --cpu N --cpu-writer N"}


def frames(bed):
    return 50 if bed.is_quick else round(1000 * SECONDS)


def need_bytes(bed):
    return 2 * frames(bed) * t.CAMERA.frame_bytes


def measure(bed, way, writer_cpu, recorder_cpu):
    options = ("--cpu", writer_cpu, "--intervals")
    if way == "alone":
        return t.publish(bed, t.CAMERA, 1000, frames(bed), *options)["interval_us"]
    places = ("--cpu", recorder_cpu, "--cpu-writer", recorder_cpu)
    turn = t.record(bed, t.CAMERA, 1000, frames(bed), *places[:4 if way == "all" else 2],
                    source_options=options)
    return turn.source["interval_us"]


def run(bed, section):
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        section.skip("there is one core only")
        return
    found = {way: {q: [] for q in QUANTITIES} for way in WAYS}
    for _ in range(1 if bed.is_quick else TURNS_A_ROUND * bed.rounds):
        for way in WAYS:
            intervals = measure(bed, way, cpus[0], cpus[-1])
            for quantity in QUANTITIES:
                found[way][quantity].append(intervals[quantity])
    for quantity in QUANTITIES:
        alone = found["alone"][quantity]
        for way, what in WAYS.items():
            with_goal = way == "drain" and quantity != "p50"
            section.line(f"{what}: {quantity}", found[way][quantity], "us",
                         against=None if way == "alone" else alone,
                         goal=at_most(1.1) if with_goal else None)
