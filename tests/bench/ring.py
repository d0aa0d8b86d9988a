"""ring.py - what the disk takes where a ring of files is kept: blocks that were written before.

The bare loop writes a file of as many bytes, whose blocks are allocated, and then writes it again;
the recorder keeps two files of 256 MiB, so that all but its first files are such blocks. Searched
as in disk.py, between what the disk takes into fresh blocks and into those.
"""
import disk

TITLE = "a ring of files: highest lossless rate of 800x800 uint16 into blocks that were written before"
MEGABYTES = 3000
RING = ("--keep-files", 2, "--roll-size", "256MiB")


def need_bytes(_):
    return 5 << 30


def write_twice(bed):
    """(first, second) time: bytes a second."""
    megabytes = disk.megabytes(bed, MEGABYTES)
    rates = [float(bed.run("bare_write", bed.file("bare"), megabytes, how).split()[0]) / 1e9
             for how in ("keep", "again")]
    bed.clear()
    return rates


def run(bed, section):
    fresh, again, ring = [], [], []
    for _ in range(bed.rounds):
        first, second = write_twice(bed)
        fresh.append(first)
        again.append(second)
        ring.append(disk.record_lossless(bed, first * 1e9, *RING, most=MEGABYTES,
                                         high=second * 1e9) / 1e9)
    section.line("bare write into blocks that are allocated", fresh, "GB/s")
    section.line("bare write into blocks that were written", again, "GB/s", against=fresh)
    section.line("daorec record " + " ".join(map(str, RING)), ring, "GB/s", against=fresh)
