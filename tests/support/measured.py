"""measured.py - running daorec drops, and what its numbers must be, by numpy's own reckoning."""
import json
import subprocess
import time

import numpy as np

import harness as h

SHARES = {"min": 0.0, "p1": 0.01, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999,
          "p99_99": 0.9999, "max": 1.0}
ERROR = 1 / 64  # of a quantile, as stated
CAUSES = ("lapped", "disk", "source", "restart", "unknown")


def drops(*arguments, status=0):
    """Run it to its end; (stdout, stderr). Its status must be that, or one of those."""
    run = subprocess.run([h.DAOREC, "drops", *[str(a) for a in arguments]], capture_output=True,
                         text=True, timeout=120)
    accepted = status if isinstance(status, tuple) else (status,)
    assert run.returncode in accepted, (run.returncode, run.stdout[:500], run.stderr[:500])
    return run.stdout, run.stderr


def measure(*arguments, status=0):
    """The JSON that it prints."""
    return json.loads(drops("--json", *arguments, status=status)[0])


def stream_of(result, name):
    found, = [s for s in result["streams"] if s["name"] == name]
    balanced(found)
    return found


def balanced(stream):
    """What must hold of every stream, whatever happened."""
    assert stream["expected"] == stream["seen"] + stream["lost"], stream
    assert set(stream["lost_by"]) == set(CAUSES)
    assert stream["lost"] == sum(stream["lost_by"].values()), stream
    assert np.isclose(stream["loss_rate"], stream["lost"] / max(stream["expected"], 1))
    if "gaps" in stream and not stream["gaps_left_out"]:
        assert stream["lost"] == sum(gap["count"] for gap in stream["gaps"]), stream
    if "runs" in stream and not stream["runs_left_out"]:
        assert stream["expected"] == sum(run["expected"] for run in stream["runs"]), stream


def exact(values, share):
    """The value that this share of all do not exceed."""
    values = np.sort(values)
    rank = max(1, int(np.ceil(share * len(values) - 1e-9)))
    return int(values[min(rank, len(values)) - 1])


def same_distribution(told, values, reference=0):
    """Quantiles as stated: off by less than a 64th of their distance from the reference, away from
    it. The ends, the mean and the deviation are exact."""
    values = np.asarray(values, dtype=np.int64)
    assert told["count"] == len(values), (told["count"], len(values))
    if len(values) == 0:
        return
    for name, share in SHARES.items():
        distance = exact(values, share) - reference
        off = told[name] - reference - distance
        assert 0 <= off * (1 if distance >= 0 else -1) <= abs(distance) * ERROR, (
            name, told[name], distance + reference, reference)
    assert told["min"] == values.min() and told["max"] == values.max()
    assert np.isclose(told["mean"], values.mean(), rtol=1e-9, atol=1e-3)
    if "deviation" in told:
        assert np.isclose(told["deviation"], values.std(), rtol=1e-6, atol=1e-3)
    if "histogram" in told:
        same_histogram(told["histogram"], values)


def same_histogram(buckets, values):
    assert sum(count for _, _, count in buckets) == len(values)
    last = None
    for low, high, count in buckets:
        assert low <= high and (last is None or low > last)
        assert np.count_nonzero((values >= low) & (values <= high)) == count, (low, high, count)
        last = high


def reference_of(intervals):
    """What quantiles of intervals are reckoned from: the median of the first 63."""
    return int(np.sort(intervals[:63])[min(63, len(intervals)) // 2])


def intervals_of(rows):
    """Between frames that follow each other in one run and have good times."""
    good = (rows["FLAGS"] & h.FLAG["BADTIME"]) == 0
    follows = ((np.diff(rows["CNT0"]) == 1) & good[1:] & good[:-1]
               & ((rows["FLAGS"][1:] & h.FLAG["RESET"]) == 0))
    return np.diff(rows["ATIME"])[follows]


def same_rows(stream, rows):
    """Intervals and latencies are those of these rows."""
    rows = {name: rows[name].astype(np.int64) for name in ("ATIME", "RTIME", "CNT0", "FLAGS")}
    intervals = intervals_of(rows)
    same_distribution(stream["interval_ns"], intervals, reference_of(intervals))
    good = (rows["FLAGS"] & h.FLAG["BADTIME"]) == 0
    latencies = (rows["RTIME"] - rows["ATIME"])[good]
    same_distribution(stream["latency_ns"], latencies[latencies >= 0])
    assert stream["taken_before_atime"] == np.count_nonzero(latencies < 0)
    assert stream["bad_times"] == np.count_nonzero(~good)
    assert stream["seen"] == len(good)


class Watching:
    """daorec drops on living segments, with a line of JSON now and then."""

    def __init__(self, *arguments, program=(h.DAOREC,)):
        self.process = h.start(*program, "drops", "--json", "--every", "50ms", *arguments)
        self.now = None

    def wait_for(self, condition, what="numbers"):
        """Until this holds of a line."""
        end = time.monotonic() + 90
        while self.now is None or not condition(self.now):
            assert time.monotonic() < end, f"waited 90 s for {what}: {self.now}"
            line = h.read_line(self.process)
            assert line, f"it ended while it was waited for {what}: {self.process.stderr.read()}"
            self.now = json.loads(line)
            for stream in self.now["streams"]:
                balanced(stream)
        return self.now

    def attached(self):
        return self.wait_for(lambda now: True, "the first line")

    def seen(self, count):
        """Until so many frames are accounted for in all."""
        return self.wait_for(lambda now: sum(s["expected"] for s in now["streams"]) >= count,
                             f"{count} frames")

    def end(self, status, number=h.signal.SIGINT):
        """Stop it; what it says last."""
        self.process.send_signal(number)
        out, self.errors = self.process.communicate(timeout=60)
        assert self.process.returncode == status, (self.process.returncode, self.errors)
        last = json.loads(out.splitlines()[-1])
        assert last["final"]
        for stream in last["streams"]:
            balanced(stream)
        return last
