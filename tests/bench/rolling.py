"""rolling.py - does beginning a file every 0.2 s cost anything, against one file?

The highest lossless rate of 800x800 uint16 is searched for both, alternating, as in disk.py with
fewer bytes: at that rate nothing is lost, by definition.
"""
import disk
from table import at_least

TITLE = "a new file every 0.2 s against one file: highest lossless rate of 800x800 uint16"
MEGABYTES = 3000
ONE_FILE = ("--roll-size", "4GiB", "--roll-time", "1h")  # room is taken for all of it
ROLLING = ("--roll-size", "1GiB", "--roll-time", "200ms")


def need_bytes(bed):
    return 8 << 30


def run(bed, section):
    one, rolling = [], []
    for _ in range(bed.rounds):
        bare = disk.bare(bed, MEGABYTES)
        one.append(disk.record_lossless(bed, bare, *ONE_FILE, most=MEGABYTES) / 1e9)
        rolling.append(disk.record_lossless(bed, bare, *ROLLING, most=MEGABYTES) / 1e9)
    section.line("one file", one, "GB/s")
    section.line("a file every 0.2 s", rolling, "GB/s", against=one, goal=at_least(0.97))
