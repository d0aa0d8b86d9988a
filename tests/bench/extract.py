#!/usr/bin/env python3
"""One second out of a long session, and files with one HDU a frame: daorec extract against astropy.

    extract.py [--large]   a session of 2 GB and 2000 HDUs; --large: of 26 GB and 50 000
    --json, --quick        what bench.py asks for; next to no data
    BENCH_DIR=DIR          where to write (default: $TMPDIR): 300 MB, the session is holes
    BENCH_ROUNDS=3         medians of so many

Bytes are those asked for by reads (/proc/self/io: rchar), so that they do not depend on what is in
memory. Takes some 15 s, --large minutes, most of them astropy's.
"""
import glob
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("BUILD", os.path.join(ROOT, "build", "release"))
if "BENCH_DIR" in os.environ:
    os.environ["TMPDIR"] = os.environ["BENCH_DIR"]
for part in ("support", "integration"):
    sys.path.insert(0, os.path.join(ROOT, "tests", part))
import harness as h  # noqa: E402
import test_extract as large  # noqa: E402
import test_extract_others as others  # noqa: E402
import numpy as np  # noqa: E402
from astropy.io import fits  # noqa: E402

IS_LARGE, IS_JSON, IS_QUICK = (name in sys.argv[1:] for name in ("--large", "--json", "--quick"))
FILES, FRAMES, UNITS = (24, 8192, 50_000) if IS_LARGE else (8, 2048, 2000)
SHAPE = (256, 256)
if IS_QUICK:
    FILES, FRAMES, UNITS, SHAPE = 2, 2000, 500, (32, 32)
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
figures = []


def say(text):
    if not IS_JSON:
        print(text, flush=True)


def measure(what, job, rounds=ROUNDS):
    seconds, read = [], []
    for _ in range(rounds):
        before, begin = large.io_counters()["rchar"], time.monotonic()
        job()
        seconds.append(time.monotonic() - begin)
        read.append(large.io_counters()["rchar"] - before)
    figures.append({"what": what, "seconds": seconds, "bytes_read": read})
    say(f"{what:<66} {statistics.median(seconds):8.3f} s  {statistics.median(read) / 1e6:9.1f} MB")


def extract(*arguments):
    subprocess.run([h.DAOREC, "extract", "-q", "--force", *map(str, arguments)], check=True)


def second_of_a_session():
    shape, rate = SHAPE, 1000
    session, rows, total = large.make_large("bench", FILES, FRAMES, rate, shape)
    begin, out = rows["ATIME"][FRAMES * FILES * 2 // 3], large.folder("bench-out")
    end = begin + 10**9
    frames = shape[0] * shape[1] * 2 * rate
    say(f"one second ({frames / 1e6:.0f} MB) out of {total / 1e9:.1f} GB in {FILES} files")

    def with_tables():
        for file in sorted(glob.glob(f"{session}/wfs/*.fits")):
            with fits.open(file, memmap=False) as hdus:
                times = hdus["FRAMES"].data["ATIME"]
                first, last = np.searchsorted(times, [begin, end])
                if first < last:
                    yield hdus[0].section[first:last], hdus["FRAMES"].data[first:last]

    def write(parts):
        cubes, tables = zip(*parts)
        fits.HDUList([fits.PrimaryHDU(np.concatenate(cubes)),
                      fits.BinTableHDU(np.concatenate(tables), name="FRAMES")]
                     ).writeto(f"{out}/a.fits", overwrite=True, checksum=True)

    def one_file():
        for file in sorted(glob.glob(f"{session}/wfs/*.fits")):
            times = fits.getdata(file, "FRAMES")["ATIME"]
            first, last = np.searchsorted(times, [begin, end])
            if first < last:
                yield fits.getdata(file)[first:last], fits.getdata(file, "FRAMES")[first:last]

    arguments = ["--from", large.utc(begin), "--until", large.utc(end)]
    measure("daorec extract to FITS, with checksums", lambda: extract(
        session, "-o", f"{out}/x.fits", *arguments))
    measure("daorec extract to .npy", lambda: extract(session, "-o", f"{out}/x.npy", *arguments))
    measure("astropy, tables searched and .section read, to FITS", lambda: write(with_tables()))
    measure("astropy, getdata() of that file (mapped: not counted), to FITS",
            lambda: write(one_file()), 1)


def many_units():
    place = large.folder("bench-units")
    path = f"{place}/wfs_1.fits"
    others.write_units(path, UNITS)
    say(f"{UNITS} HDUs of 6 x 5 uint16")

    def stack(hdus):
        return np.stack([hdu.data for hdu in hdus[1:]])

    def all_of_them():
        with fits.open(path, memmap=False) as hdus:
            np.save(f"{place}/a.npy", stack(hdus))

    def only_open():
        with fits.open(path, memmap=False) as hdus:
            assert len(hdus) == UNITS + 1
    measure("daorec extract of one frame by its count (opens all)", lambda: extract(
        path, "-o", f"{place}/one.npy", "--from", f"cnt0:{100 + UNITS // 2}",
        "--until", f"cnt0:{101 + UNITS // 2}"))
    measure("astropy open and count", only_open, 1)
    measure("daorec extract of all to .npy", lambda: extract(path, "-o", f"{place}/x.npy"))
    measure("astropy all to .npy", all_of_them, 1)
    measure("daorec extract of all to one HDU a frame again", lambda: extract(
        path, "-o", f"{place}/x.fits", "--format", "hdus"))


if __name__ == "__main__":
    second_of_a_session()
    many_units()
    if IS_JSON:
        print(json.dumps(figures))
