#!/usr/bin/env python3
"""make bench, with next to no data: every line is there, nothing stays behind, however it ends."""
import glob
import json
import os
import shutil
import signal
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import harness as h  # noqa: E402
import bed as b  # noqa: E402
import table  # noqa: E402

BENCH = os.path.join(os.path.dirname(os.path.abspath(b.__file__)), "bench.py")
NUMBERED = ("disk", "habits", "vectors", "kilohertz", "disturbance", "rolling", "losses")
OTHERS = ("ring", "library", "replay", "extraction")
GOALS = {"disk": 1, "habits": 4, "vectors": 2, "kilohertz": 2, "disturbance": 2, "rolling": 1,
         "losses": 0, "ring": 0, "library": 0, "replay": 0, "extraction": 0}


LONG_TURN = """
import sys
sys.path.insert(0, sys.argv[1])
import bed, turns
turns.record(bed.Bed(sys.argv[2], 1, True, None), turns.SLOPES, 100, 10000)
"""


class Place:
    """A folder to measure in and one for results."""

    def __init__(self, name):
        self.work, self.results = (os.path.join(h.output, f"{name}-{part}") for part in "wr")
        os.mkdir(self.work)

    def start(self, *options):
        return h.start(sys.executable, BENCH, "--quick", "--work", self.work, "-o", self.results,
                       *options, start_new_session=True,
                       env=dict(os.environ, MPLCONFIGDIR=h.output))  # not every user has a home

    def nothing_is_left_of(self, process):
        """Neither of the bench itself, whose names have its number, nor of what it started."""
        assert os.listdir(self.work) == [], os.listdir(self.work)
        for place in ("/dev/shm", "/dev/shm/*"):  # semaphores, segments
            assert glob.glob(f"{place}/*bench{process.pid}x*") == []
        assert not started_by(process.pid), started_by(process.pid)


def started_by(pid):
    """Numbers of processes that were started by that one, or have its segments as arguments."""
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        number = stat.split("/")[2]
        try:
            with open(stat, encoding="ascii", errors="replace") as file:
                parent = file.read().rpartition(")")[2].split()[1]
            with open(f"/proc/{number}/cmdline", encoding="utf-8", errors="replace") as file:
                arguments = file.read()
        except OSError:
            continue
        if parent == str(pid) or f"/bench{pid}x" in arguments:
            found.append(int(number))
    return found


def results_of(place):
    with open(os.path.join(place.results, "bench.json"), encoding="utf-8") as file:
        return json.load(file)


def check_line(line, name, rounds):
    values = line["values"]
    assert len(values) >= rounds and all(v is None or v >= 0 for v in values), line
    assert line["lowest"] == min(values) <= line["median"] <= max(values) == line["highest"], line
    if "ratio" in line:
        assert len(line["ratio"]["values"]) == len(values), line
    if "goal" in line:
        of = line["ratio"] if line["goal"]["of"] == "ratio" else line
        limit = line["goal"].get("at_least", line["goal"].get("at_most"))
        if of["median"] is None:  # against 0: of one turn, which lost frames on a busy machine
            is_met = "at_least" in line["goal"] and line["median"] > 0
        else:
            is_met = of["median"] >= limit if "at_least" in line["goal"] else of["median"] <= limit
        assert line["met"] == is_met, (name, line)


def every_comparison_is_there_with_its_goals():
    place = Place("all")
    extra = os.path.join(place.results, "x.json")
    process = place.start("--json", extra)
    out, errors = process.communicate(timeout=110)
    assert process.returncode == 0 and errors == "", (process.returncode, errors)
    result = results_of(place)
    assert result["complete"] and result["quick"] and result["rounds"] == 1
    for key in ("processor", "cores", "memory_bytes", "kernel", "file_system", "device"):
        assert result["machine"][key], key
    assert [s["name"] for s in result["sections"]] == [*NUMBERED, *OTHERS]
    for section in result["sections"]:
        assert section["title"] in out
        if section["skipped"]:
            continue
        for line in section["lines"]:
            check_line(line, section["name"], 1)
            assert line["what"] in out
        assert sum("goal" in line for line in section["lines"]) == GOALS[section["name"]], section
    curve = next(s for s in result["sections"] if s["name"] == "losses")["curve"]
    assert len({(p["size"], p["depth"]) for p in curve}) == 6
    assert all(0 <= p["lost"] <= p["frames"] for p in curve)
    with open(extra, encoding="utf-8") as file:
        assert json.load(file) == result
    with open(os.path.join(place.results, "bench.txt"), encoding="utf-8") as file:
        assert file.read() == out
    place.nothing_is_left_of(process)


def nothing_is_left_when_it_is_ended():
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        place = Place(f"ended-{number}")
        process = place.start("--only", "kilohertz", "--rounds", "9")
        h.wait_for(lambda: len(started_by(process.pid)) >= 2, what="a source and a recorder")
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == status and errors == "", (process.returncode, errors)
        place.nothing_is_left_of(process)


def published(pid):
    """The count of the newest frame in the segment of that bench."""
    paths = glob.glob(f"/dev/shm/*/bench{pid}x1.im.shm")
    if not paths or os.path.getsize(paths[0]) < 4304:
        return 0
    with open(paths[0], "rb") as file:
        slots, newest = np.frombuffer(file.read(4304), dtype="<u4")[-2:]
        file.seek(4304 * int(newest % max(slots, 1)) + 152)
        return int.from_bytes(file.read(8), "little")


def is_recording(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return "\0record\0" in file.read() and len(os.listdir(f"/proc/{pid}/task")) >= 5
    except OSError:
        return False


def no_process_and_no_segment_outlives_a_bench_that_is_killed():
    place = Place("killed")
    process = h.start(sys.executable, "-c", LONG_TURN, os.path.dirname(BENCH), place.work)
    h.wait_for(lambda: any(is_recording(p) for p in started_by(process.pid)), what="a recorder")
    h.wait_for(lambda: published(process.pid) > 10, what="frames")
    process.kill()
    process.wait()
    h.wait_for(lambda: not started_by(process.pid), what="what it had started to end")
    assert glob.glob(f"/dev/shm/*/bench{process.pid}x*") == []
    assert glob.glob(f"/dev/shm/sem.bench{process.pid}x*") == []
    for folder in os.listdir(place.work):
        shutil.rmtree(os.path.join(place.work, folder))


def refused(*options, status):
    place = Place(f"refused-{abs(hash(options))}")
    process = place.start(*options)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == status and out == "", (process.returncode, out, errors)
    assert os.listdir(place.work) == []
    return errors


def what_cannot_be_measured_is_said_in_one_line():
    errors = refused("--work", "/nonexistent", status=1)
    assert errors.count("\n") == 1 and "/nonexistent" in errors and "--work" in errors, errors
    assert "there are disk, habits" in refused("--only", "disk,disc", status=2)
    assert "at least 1" in refused("--rounds", "0", status=2)


def too_little_room_is_found_before_anything_is_written():
    bed = b.Bed(h.output, 1, True, h.output)
    try:
        bed.check_room(1 << 20)
        free = shutil.disk_usage(h.output).free
        try:
            bed.check_room(free)
        except b.Failure as failure:
            assert "GB free" in str(failure) and "\n" not in str(failure), failure
        else:
            raise AssertionError("no refusal")
    finally:
        bed.close()


def a_goal_is_judged_by_the_median_of_the_ratios():
    line = table.Line("x", [1.0, 9.0, 2.0], "s", against=[2.0, 2.0, 2.0], goal=table.at_most(1.0))
    assert line.ratio.median == 1.0 and line.is_met and line.ratio.highest == 4.5
    assert not table.Line("x", [1.0, 9.0, 2.0], goal=table.at_most(1.0)).is_met
    assert not table.Line("x", [0.9], against=[1.0], goal=table.at_least(0.95)).is_met
    assert table.Line("x", [0.95], against=[1.0], goal=table.at_least(0.95)).as_dict()["met"]
    none = table.Line("x", [1.0, 0.0], against=[0.0, 0.0], goal=table.at_most(1.0)).as_dict()
    assert none["ratio"]["values"] == [None, None] and json.dumps(none, allow_nan=False)


def the_search_finds_the_highest_rate_without_losses():
    import turns as t

    def attempt(rate):
        tried.append(rate)
        return t.Turn(1000, 5 if rate > limit else 0, 1000 / rate, {"seconds": 1.0})
    for limit in (880.0, 1200.0, 300.0, 100.0):
        tried = []
        best, _, turns = t.highest_lossless(attempt, 600.0, 1200.0, 5)
        below = [rate for rate in tried if rate <= limit]
        assert turns == len(tried) and abs(best - max(below, default=0.0)) < 1e-9, (limit, tried)
        assert limit < 600 or limit - best < 1e-9 + 600 / 2**5 or limit == 1200.0, (limit, best)


if __name__ == "__main__":
    h.main([every_comparison_is_there_with_its_goals, nothing_is_left_when_it_is_ended,
            no_process_and_no_segment_outlives_a_bench_that_is_killed,
            what_cannot_be_measured_is_said_in_one_line,
            too_little_room_is_found_before_anything_is_written,
            a_goal_is_judged_by_the_median_of_the_ratios,
            the_search_finds_the_highest_rate_without_losses])
