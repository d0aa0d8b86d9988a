"""losses - what was lost: as the ledger of a session tells it, and as rows tell it one by one.

What can go wrong: a ledger that is damaged, older than the files or not of them: none of it is
believed before it is looked through, and what does not fit together is told in notes.
"""
import dataclasses
import heapq
import operator

import numpy as np

from daorec import Error, Gap
from daorec_file import to_ns

LEDGER_CAUSES = ("lapped", "disk", "source", "restart")
CAUSES = LEDGER_CAUSES + ("absent",)  # in files that are not here, between some that are
GAPS_MAX = 100  # in the table; the largest ones


# ---- what the ledger tells ----

@dataclasses.dataclass
class Told:
    """A stream's entry in the ledger, looked through: none of it is believed."""
    recorded: int
    lost_by: dict
    restarts: int
    gaps: list
    geometry: str
    depth: int
    removed_files: int
    removed_frames: int

    def forget_before(self, row):
        """What was noticed before this row, the first that is left (None: none is), was lost among
        frames that were removed, but for what is missing just before it."""
        if row is None:
            self.gaps = []
            return
        just_before = range(int(row["CNT0"]) - int(row["LOST"]), int(row["CNT0"]))
        self.gaps = [gap for gap in self.gaps
                     if gap.time >= row["RTIME"] or gap.first_cnt0 in just_before]


def told_of(stream, first_row, notes):
    """What the ledger tells of a stream; None, and a note where it is damaged.
    first_row: of what is left, None: nothing is."""
    try:
        entry = stream.ledger
        if entry is None:
            return None
        gaps = [Gap(operator.index(gap["first_cnt0"]), operator.index(gap["count"]),
                    str(gap["cause"]), to_ns(gap["time"] or 0), None) for gap in entry["gaps"]]
        if any(not 0 <= gap.count < 2**48 or max(abs(gap.first_cnt0), abs(gap.time)) >= 2**63
               for gap in gaps):
            raise ValueError("a gap of no possible size or time")
        lost_by = {cause: operator.index(entry["lost_by"][cause]) for cause in LEDGER_CAUSES}
        removed = entry.get("removed", {"files": 0, "frames": 0})
        told = Told(operator.index(entry["recorded"]), {**lost_by, "absent": 0},
                    operator.index(entry["restarts"]), gaps,
                    " × ".join(map(str, entry["geometry"]["size"])) + " "
                    + str(entry["geometry"]["type"]), operator.index(entry["geometry"]["depth"]),
                    operator.index(removed["files"]), operator.index(removed["frames"]))
        if (entry["lost"] != sum(told.lost_by.values())
                or entry["expected"] != told.recorded + entry["lost"]):
            raise ValueError("expected is not recorded + lost")
        if min(told.lost_by.values()) < 0:
            raise ValueError("less than nothing was lost")
        if not 0 <= told.removed_frames <= told.recorded or told.removed_files < 0:
            raise ValueError("more was removed than recorded, or less than nothing")
        if told.removed_files and told.recorded != len(stream):
            told.forget_before(first_row)
        return told
    except Error as error:
        notes.append(f"The ledger is not used: {error}.")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        notes.append("Its entry in the ledger is damaged and not used "
                     f"({type(error).__name__}: {error}).")
    return None


# ---- what the rows tell ----

class Losses:
    """What was lost, as it comes: by cause and part of the night, and the largest gaps."""

    def __init__(self, bins):
        self._bins = bins
        self.by_cause = dict.fromkeys(CAUSES, 0)
        self.by_time = {cause: np.zeros(bins.count, np.int64) for cause in CAUSES}
        self.gap_count = 0
        self._largest = []

    def add(self, gap):
        """A Gap. A cause that is not known here counts as the source's: nobody else's fault."""
        cause = gap.cause if gap.cause in CAUSES else "source"
        self.by_cause[cause] += gap.count
        where = self._bins.index(gap.time) if gap.time else self._bins.count - 1
        self.by_time[cause][where] += gap.count
        self.gap_count += 1
        # Of equal ones the first stays.
        entry = (gap.count, -self.gap_count, gap)
        if len(self._largest) < GAPS_MAX:
            heapq.heappush(self._largest, entry)
        else:
            heapq.heappushpop(self._largest, entry)

    @property
    def total(self):
        return sum(self.by_cause.values())

    @property
    def largest(self):
        """At most GAPS_MAX Gaps, in the order in which they were told."""
        return [gap for _, _, gap in sorted(self._largest, key=lambda entry: -entry[1])]
