"""vectors.py - the highest lossless rate of small frames, against a loop that only copies them.

97 float32 in a FIFO 4096 deep. Both readers are tried with the source as fast as it goes first, and
if that loses frames, the rate is searched below. The recorder's is counted until all is on disk.
The FIFO lasts for four milliseconds at a million a second, so whatever else the machine does can
lap either reader: a rate counts where nothing is lost in two turns of three.
"""
import turns as t
from table import at_least

TITLE = "highest lossless rate of 97 float32, depth 4096, against a loop of get next, copy, check"
STREAM = t.Stream("97x1", "float32", 4096)
FRAMES_MOST = 3_500_000
SECONDS = 2.5  # of a turn at a given rate: what ending costs is little beside it
STEPS = 4
LOW = 0.2  # of the unthrottled source's rate


def frames(bed, rate):
    """Of a turn at this rate, 0: as fast as it goes."""
    if bed.is_quick:
        return 20_000
    return min(FRAMES_MOST, round(rate * SECONDS)) or FRAMES_MOST


def need_bytes(_):
    return 4 * FRAMES_MOST * STREAM.frame_bytes


def majority(bed, attempt, rate):
    """Of up to three turns at this rate one that says what two of them say."""
    lossless, lossy = [], []
    while len(lossless) < 2 and len(lossy) < 2:
        turn = attempt(rate)
        (lossy if turn.lost else lossless).append(turn)
        if bed.is_quick:
            return turn
    return min(lossless if len(lossless) == 2 else lossy, key=lambda turn: turn.rate)


def search(bed, attempt):
    """Frames a second."""
    turn = majority(bed, attempt, 0)
    if turn.lost == 0:
        return turn.rate
    unthrottled = turn.frames / turn.source["seconds"]
    return t.highest_lossless(lambda rate: majority(bed, attempt, round(rate)), LOW * unthrottled,
                              unthrottled, 1 if bed.is_quick else STEPS)[0]


def run(bed, section):
    copied, recorded = [], []
    for _ in range(bed.rounds):
        copied.append(search(bed, lambda rate: t.read(
            bed, STREAM, rate, frames(bed, rate), "bare_reader", "SHM", "FRAMES")) / 1e6)
        recorded.append(search(bed, lambda rate: t.record(
            bed, STREAM, rate, frames(bed, rate))) / 1e6)
    section.line("a loop of get next, copy, check", copied, "Mframes/s")
    section.line("daorec record", recorded, "Mframes/s", against=copied, goal=at_least(0.7))
    section.line("daorec record, in itself", recorded, "Mframes/s", goal=at_least(1.0))
