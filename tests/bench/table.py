"""table.py - what was measured, as a table for people and as JSON for programs.

A Section has lines and notes; a Line has the values of all rounds, their ratios to another line's
values of the same rounds, and perhaps a goal, which is of the ratio where there is one, else of the
value. A goal is judged by the median.
"""
import math
import statistics
import time

COLUMNS = "  {:<56} {:>7} {:<11} {:<18} {:>7}  {:<18} {}"
HEADING = COLUMNS.format("", "median", "", "lowest .. highest", "ratio", "lowest .. highest",
                         "goal")


class Spread:
    """Median, lowest and highest of some values."""

    def __init__(self, values):
        self.values = [float(v) for v in values]
        self.median = statistics.median(self.values)
        self.lowest, self.highest = min(self.values), max(self.values)

    def as_dict(self):
        return {"median": finite(self.median), "lowest": finite(self.lowest),
                "highest": finite(self.highest), "values": [finite(v) for v in self.values]}


def finite(value):
    return value if math.isfinite(value) else None


def digits(value):
    """Three significant ones, as people write them."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 6)}f}"


def span(spread):
    return f"{digits(spread.lowest)} .. {digits(spread.highest)}"


class Goal:
    """`limit` and whether it is at least that (else at most)."""

    def __init__(self, limit, is_least=False):
        self.limit, self.is_least = limit, is_least

    def is_met(self, value):
        return value >= self.limit if self.is_least else value <= self.limit

    def __str__(self):
        return f"{'>=' if self.is_least else '<='} {digits(self.limit)}"


def at_least(limit):
    return Goal(limit, True)


def at_most(limit):
    return Goal(limit)


class Line:
    def __init__(self, what, values, unit="", against=None, goal=None):
        self.what, self.unit, self.goal = what, unit, goal
        self.spread = Spread(values)
        self.ratio = against and Spread(ratio(values, against))

    @property
    def is_met(self):
        return self.goal and self.goal.is_met((self.ratio or self.spread).median)

    def as_text(self):
        cells = [span(self.spread), span(self.ratio) if self.ratio else ""]
        ratio = digits(self.ratio.median) if self.ratio else ""
        goal = f"{self.goal}, {'met' if self.is_met else 'NOT MET'}" if self.goal else ""
        return COLUMNS.format(self.what, digits(self.spread.median), self.unit, cells[0], ratio,
                              cells[1], goal).rstrip()

    def as_dict(self):
        line = {"what": self.what, "unit": self.unit, **self.spread.as_dict()}
        if self.ratio:
            line["ratio"] = self.ratio.as_dict()
        if self.goal:
            line["goal"] = {"of": "ratio" if self.ratio else "value",
                            "at_least" if self.goal.is_least else "at_most": self.goal.limit}
            line["met"] = self.is_met
        return line


def ratio(values, against):
    return [a / b if b else math.inf if a else math.nan for a, b in zip(values, against)]


class Section:
    """One comparison. Lines appear as they are added; `more` is for programs only."""

    def __init__(self, name, title, out):
        self.name, self.title, self.out = name, title, out
        self.lines, self.notes, self.more = [], [], {}
        self.skipped, self.begin = None, time.monotonic()
        self._say(f"\n{title}")

    def _say(self, text):
        self.out(text)

    def line(self, what, values, unit="", against=None, goal=None):
        if not self.lines:
            self._say(HEADING)
        self.lines.append(Line(what, values, unit, against, goal))
        self._say(self.lines[-1].as_text())

    def note(self, text):
        self.notes.append(text)
        self._say(f"  {text}")

    def skip(self, why):
        self.skipped = why
        self._say(f"  skipped: {why}")

    def as_dict(self):
        return {"name": self.name, "title": self.title,
                "seconds": round(time.monotonic() - self.begin, 1), "skipped": self.skipped,
                "lines": [line.as_dict() for line in self.lines], "notes": self.notes, **self.more}
