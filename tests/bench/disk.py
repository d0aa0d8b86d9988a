"""disk.py - the highest lossless rate of a camera against what the disk takes bare.

A rate is lossless if not one of as many bytes as the bare loop writes was lost; it is counted until
all of them were synced and the ledger was written, so that staging memory is no help. Rolling is
the default, a file a GiB. The bare loop and fio write one file that was preallocated, and sync it.
"""
import json
import shutil
import subprocess

import turns as t
from table import at_least

TITLE = "highest lossless rate of 800x800 uint16, against a bare sequential write of as many bytes"
STEPS = 4
LOW, HIGH = 0.8, 1.12  # of the bare rate


MEGABYTES = 5000  # so many that beginning and ending, some 30 ms, are little of it


def megabytes(bed, most=MEGABYTES):
    return 64 if bed.is_quick else most


def need_bytes(bed):
    return (megabytes(bed) << 20) + (3 << 30)


def write_bare(bed, most, *swap):
    """(bytes a second, CPU seconds a GB) of writing, without recording anything."""
    rate, cpu = bed.run("bare_write", bed.file("bare"), megabytes(bed, most), *swap).split()
    bed.clear()
    return float(rate), float(cpu)


def bare(bed, most=MEGABYTES):
    """Bytes a second."""
    return write_bare(bed, most)[0]


def fio(bed):
    """Bytes a second, of what others use to measure disks; None where it is not installed."""
    if not shutil.which("fio"):
        return None
    process = bed.start(
        "fio", "--name=bare", f"--filename={bed.file('fio')}", "--rw=write", "--bs=4M",
        "--iodepth=16", "--ioengine=io_uring", "--direct=1", "--fallocate=posix", "--end_fsync=1",
        f"--size={megabytes(bed)}M", "--output-format=json", stdout=subprocess.PIPE)
    job = json.loads(bed.wait(process)[0])["jobs"][0]
    bed.clear()
    return float(job["write"]["bw_bytes"])


def record_lossless(bed, bare_rate, *options, most=MEGABYTES, high=None):
    """The highest lossless rate in bytes a second, around the bare one, or up to `high`."""
    frame_bytes = t.CAMERA.frame_bytes
    frames = (megabytes(bed, most) << 20) // frame_bytes
    bare_hz = bare_rate / frame_bytes
    best, _, _ = t.highest_lossless(
        lambda rate: t.record(bed, t.CAMERA, round(rate, 3), frames, *options),
        LOW * bare_hz, high / frame_bytes if high else HIGH * bare_hz,
        1 if bed.is_quick else STEPS)
    return best * frame_bytes


def run(bed, section):
    rates = {"bare": [], "fio": [], "daorec": []}
    for _ in range(bed.rounds):
        before, other = bare(bed), fio(bed)
        rates["daorec"].append(record_lossless(bed, before) / 1e9)
        rates["bare"].append((before + bare(bed)) / 2e9)
        if other:
            rates["fio"].append(other / 1e9)
    section.line("bare O_DIRECT write through io_uring", rates["bare"], "GB/s")
    if rates["fio"]:
        section.line("fio, the same", rates["fio"], "GB/s", against=rates["bare"])
    else:
        section.note("fio is not installed")
    section.line("daorec record, lossless", rates["daorec"], "GB/s", against=rates["bare"],
                 goal=at_least(0.95))
