#!/usr/bin/env python3
"""Frames taken out of recordings: every type, every way to say which, every format, and nothing
half-made whatever goes wrong."""
import contextlib
import datetime
import glob
import os
import shutil
import signal
import stat
import subprocess
import sys
import warnings

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults  # noqa: E402
import harness as h  # noqa: E402
import sparse  # noqa: E402

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
         "float32", "float64", "complex64", "complex128"]
SHAPE = (5, 3, 4)
COLUMNS = ["ATIME", "CNT0", "CNT1", "CNT2", "RTIME", "LOST", "FLAGS", "SLOT", "DSUM"]


def extract(*arguments, status=0, **options):
    """Run daorec extract; (stdout, stderr)."""
    run = subprocess.run([h.DAOREC, "extract", *map(str, arguments)], capture_output=True,
                         text=True, timeout=100, **options)
    assert run.returncode == status, (arguments, run.returncode, run.stdout, run.stderr)
    return run.stdout, run.stderr


def folder(name):
    """An empty folder for outputs."""
    path = os.path.join(h.output, "out-" + name)
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    return path


def names(path):
    return sorted(os.listdir(path))


_sessions = {}


def record(name, shape, dtype, *options, frames=300, roll=120):
    """A session of one ramp from the source's first frames on, rolled within; made once."""
    if name not in _sessions:
        path = h.segment(name)
        source = h.sim(path, "--size", "x".join(map(str, shape)), "--type", dtype, "--rate", 1000,
                       "--depth", 4096, "--pattern", "ramp", "-d", "60s", *options)
        session = h.finish(h.record("--wait=20s", "--backlog", "-n", frames, "--roll-frames", roll,
                                    path))
        source.terminate()
        source.communicate()
        cube, rows = h.load(session.stream(path)["files"])
        _sessions[name] = session, h.stream_name(path), cube, rows
    return _sessions[name]


def same_rows(got, rows, region=False):
    for column in COLUMNS:
        if column != "DSUM" or not region:
            assert (got[column] == rows[column]).all(), column


def check_cube(path, cube, rows, region=False, judged=True):
    """One FITS cube: judged, and the same frames and rows."""
    if judged:
        h.judge(path)
    got, got_rows = h.load([path])
    assert got.dtype == cube.dtype and got.shape == cube.shape, (got.dtype, got.shape, cube.shape)
    assert (got == cube).all()
    same_rows(got_rows, rows, region)
    with fits.open(path, memmap=False) as hdus:
        header, table = hdus[0].header, hdus["FRAMES"].header
        begin = np.datetime64(table["DATEREF"]).astype("datetime64[ns]").astype(np.int64)
        assert np.allclose(got_rows["TIME"], (rows["ATIME"] - begin) / 1e9, rtol=0, atol=1e-9)
        assert [hdu.name for hdu in hdus[1:]] == ["FRAMES", "SHMKW"]
        assert header["NFRAMES"] == len(rows) and "RECSTAT" not in header
        assert header["CNT0BEG"] == rows["CNT0"][0] and header["CNT0END"] == rows["CNT0"][-1]
        assert header["NLOST"] == rows["LOST"].sum()
        assert "ATIME" not in header
        first = np.datetime64(header["DATE-BEG"]).astype("datetime64[ns]").astype(np.int64)
        assert first == rows["ATIME"][0]
        assert "daorec" in str(header["HISTORY"])
    return header


# ---- types and formats ----

def every_type_comes_out_in_every_format_and_goes_in_again():
    paths = {t: h.segment(f"all_{t}") for t in TYPES}
    sims = [h.sim(p, "--size", "x".join(map(str, SHAPE)), "--type", t, "--rate", 200, "--depth",
                  64, "--pattern", "ramp", "-d", "60s") for t, p in paths.items()]
    session = h.finish(h.record("--wait=20s", "-n", 60, "--roll-frames", 25, *paths.values()))
    for process in sims:
        process.terminate()
        process.communicate()
    out = folder("types")
    extract(session.folder, "-o", f"{out}/c.fits", "--from", 20, "--until", 55)
    extract(session.folder, "-o", f"{out}/a.npy", "--from", 20, "--until", 55)
    extract(session.folder, "-o", f"{out}/u.fits", "--from", 30, "--until", 40, "--format", "hdus")
    assert len(names(out)) == 4 * len(TYPES)
    h.judge(*glob.glob(f"{out}/c_*.fits"), *glob.glob(f"{out}/u_*64_*.fits"))
    for path in (f"{out}/c_{h.stream_name(paths['uint16'])}.fits",
                 f"{out}/u_{h.stream_name(paths['uint16'])}.fits"):
        told = subprocess.run([h.DAOREC, "info", path], capture_output=True, text=True, check=True)
        assert told.stdout.splitlines()[0] == (
            f"{path}: FITS file, frames that daorec extract took out of a recording"), told.stdout
    units = []
    for dtype, path in paths.items():
        name = h.stream_name(path)
        cube, rows = h.load(session.stream(path)["files"])
        cube, rows = cube[20:55], rows[20:55]
        assert (cube == h.ramp(rows["CNT0"], SHAPE, dtype)).all()
        check_cube(f"{out}/c_{name}.fits", cube, rows, judged=False)
        array = np.load(f"{out}/a_{name}.npy")
        assert array.dtype == np.dtype(dtype) and array.shape == cube.shape
        assert (array == cube).all()
        assert (np.load(f"{out}/a_{name}.npy", mmap_mode="r")[7] == cube[7]).all()
        beside = np.load(f"{out}/a_{name}.frames.npy")
        same_rows(beside, rows, region=True)
        assert (beside["DSUM"].astype(np.int64) == rows["DSUM"].astype(np.int64) + 2**31).all()
        units.append(f"{out}/u_{name}.fits")
        check_units(units[-1], cube[10:20], rows[10:20])
    # And back again: units and cubes are read as series.
    extract(*units, "-o", f"{out}/back.fits")
    extract(*glob.glob(f"{out}/c_*.fits"), "-o", f"{out}/again.fits")
    for dtype, path in paths.items():
        name = h.stream_name(path)
        cube, rows = h.load(session.stream(path)["files"])
        for kind, part in (("back", slice(30, 40)), ("again", slice(20, 55))):
            got, got_rows = h.load([f"{out}/{kind}_{name}.fits"])
            assert got.dtype == cube.dtype and (got == cube[part]).all(), (kind, dtype)
            same_rows(got_rows, rows[part])


def check_units(path, cube, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, memmap=False) as hdus:
            assert len(hdus) == len(rows) + 1 and hdus[0].data is None
            assert "ATIME" not in hdus[0].header
            for i in (0, 1, 7, len(rows) - 1):
                header, data = hdus[i + 1].header, hdus[i + 1].data
                for key in ("ATIME", "CNT0", "CNT1", "CNT2"):
                    assert header[key] == rows[key][i]
                if header.get("CTYPE1") == "COMPLEX":
                    data = data[..., 0] + 1j * data[..., 1]
                assert (data == cube[i]).all() and data.shape == cube[i].shape


# ---- which frames ----

def utc(ns):
    return f"{np.datetime64(int(ns), 'ns')}"


def every_way_to_say_which_frames():
    session, _, cube, rows = record("ranges", (7, 11), "uint16")
    out, at = folder("ranges"), rows["ATIME"]
    begin = datetime.datetime.fromtimestamp(int(at[0]) // 10**9, datetime.timezone.utc)
    clock = utc(at[130]).split("T")[1]
    ranges = [
        ([], 0, 300),
        (["--from", 0, "--until", 1], 0, 1),
        (["--from", 90, "--until", 271], 90, 271),
        (["--until", 100000], 0, 300),
        (["--from", f"cnt0:{rows['CNT0'][119]}", "--until", f"cnt0:{rows['CNT0'][120]}"], 119, 120),
        (["--from", utc(at[118]), "--until", utc(at[122])], 118, 122),
        (["--from", utc(at[118] + 1), "--until", utc(at[122] + 1) + "Z"], 119, 123),
        (["--from", "2001-01-01T00:00:00", "--until", utc(at[3])], 0, 3),
        (["--from", "+0s", "--until", f"+{int(at[41] - at[0])}ns"], 0, 41),
        (["--from", utc(at[100]), "--until", f"cnt0:{rows['CNT0'][200]}"], 100, 200),
    ]
    if begin.hour < 23:  # a recording over midnight has that time on two days
        ranges.append((["--from", clock, "--until", clock], 130, 130))
        ranges.append((["--from", clock], 130, 300))
    for number, (options, first, end) in enumerate(ranges):
        path = f"{out}/{number}.fits"
        if first == end:
            _, errors = extract(session.folder, "-o", path, *options, status=1)
            assert "no frames there" in errors and not os.path.exists(path)
            continue
        said, _ = extract(session.folder, "-o", path, *options)
        assert f"{end - first} frame" in said, (options, said)
        got, got_rows = h.load([path])
        assert (got == cube[first:end]).all(), options
        same_rows(got_rows, rows[first:end])
    check_cube(f"{out}/2.fits", cube[90:271], rows[90:271])
    # Files instead of the folder, in any order; only some of them.
    files = sorted(glob.glob(f"{session.folder}/*/*.fits"))
    extract(*reversed(files), "-o", f"{out}/files.fits")
    assert (h.load([f"{out}/files.fits"])[0] == cube).all()
    extract(files[1], "-o", f"{out}/one.fits", "--from", 5, "--until", 9)
    assert (h.load([f"{out}/one.fits"])[0] == cube[125:129]).all()


def a_part_of_each_frame_and_every_nth():
    session, _, cube, rows = record("ranges", (7, 11), "uint16")
    out = folder("parts")
    regions = [("2:5,3:4", np.s_[:, 2:5, 3:4]), (":,4:", np.s_[:, :, 4:]),
               ("6,:3", np.s_[:, 6:7, :3]), ("0:7,0:11", np.s_[:, :, :])]
    for number, (region, part) in enumerate(regions):
        every = (7, 299, 1, 1000)[number]
        path = f"{out}/{number}.fits"
        extract(session.folder, "-o", path, "--region", region, "--every", every)
        expected = cube[part][::every]
        if every == 7:
            header = check_cube(path, expected, rows[::every], region=True)
            assert header["SHMSIZ1"] == expected.shape[1]
        assert (h.load([path])[0] == expected).all()
        path = f"{out}/{number}.npy"
        extract(session.folder, "-o", path, "--region", region, "--from", 119, "--until", 130)
        assert (np.load(path) == cube[part][119:130]).all()
    session, _, cube, rows = record("complex", (4, 3, 5), "complex64", frames=50, roll=20)
    extract(session.folder, "-o", f"{out}/c.fits", "--region", "1:3,2,1:4", "--every", 3)
    check_cube(f"{out}/c.fits", cube[::3, 1:3, 2:3, 1:4], rows[::3], region=True)


def around_a_gap():
    session, _, cube, rows = record("gap", (97,), "float32", "--jump-at", 100, "--jump-by", 17)
    out = folder("gap")
    gaps = np.flatnonzero(rows["LOST"])
    assert len(gaps) >= 1
    for number, gap in enumerate(gaps, 1):
        extract(session.folder, "-o", f"{out}/{number}.fits", "--around-gap", number,
                "--context", 5)
        got, got_rows = h.load([f"{out}/{number}.fits"])
        same_rows(got_rows, rows[max(gap - 5, 0):gap + 5])
        assert (got == cube[max(gap - 5, 0):gap + 5]).all()
    extract(session.folder, "-o", f"{out}/100.fits", "--around-gap", 1)
    same_rows(h.load([f"{out}/100.fits"])[1], rows[max(gaps[0] - 100, 0):gaps[0] + 100])
    _, errors = extract(session.folder, "-o", f"{out}/no.fits", "--around-gap", len(gaps) + 1,
                        status=1)
    assert f"no gap {len(gaps) + 1}" in errors and not os.path.exists(f"{out}/no.fits")


# ---- files that are not finished, or damaged ----

def a_file_that_is_being_written_and_one_that_a_crash_left():
    path, out = h.segment("open"), folder("open")
    h.sim(path, "--size", "8x8", "--type", "uint16", "--rate", 500, "--pattern", "ramp", "-d",
          "60s")
    recorder = h.record("--wait=20s", "--roll-frames", 100000, path)
    h.wait_for(lambda: glob.glob(f"{h.output}/*/{h.stream_name(path)}/*.part"), what="a file")
    session = os.path.dirname(glob.glob(f"{h.output}/*/{h.stream_name(path)}")[0])

    def try_it():
        run = subprocess.run([h.DAOREC, "extract", session, "-o", f"{out}/live.fits", "--force"],
                             capture_output=True, text=True)
        return run.returncode == 0 and os.path.getsize(f"{out}/live.fits") > 200 * 128
    h.wait_for(try_it, what="rows on the disk")
    assert "is being written" in extract(session, "-o", f"{out}/live.fits", "--force")[1]
    said_while_written = list(extract(session, "-q", "-o", f"{out}/live.fits", "--force"))
    recorder.kill()
    recorder.wait()
    _, errors = extract(session, "-o", f"{out}/dead.fits")
    assert "daorec repair" in errors
    assert said_while_written == ["", ""]
    for name in ("live", "dead"):
        h.judge(f"{out}/{name}.fits")
        cube, rows = h.load([f"{out}/{name}.fits"])
        assert (cube == h.ramp(rows["CNT0"], (8, 8), "uint16")).all()
        assert (rows["RTIME"] > 0).all() and (np.diff(rows["CNT0"]) == 1 + rows["LOST"][1:]).all()


def a_damaged_frame_is_taken_flagged_and_told():
    session, stream, cube, rows = record("ranges", (7, 11), "uint16")
    out = folder("damage")
    copy = f"{out}/copy.fits"
    shutil.copy(sorted(glob.glob(f"{session.folder}/{stream}/*.fits"))[0], copy)
    with fits.open(copy) as hdus:
        offset = hdus[0].fileinfo()["datLoc"] + 20 * 7 * 11 * 2 + 2
    with open(copy, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 0x40]))
    _, errors = extract(copy, "-o", f"{out}/x.fits", "--from", 10, "--until", 30, status=3)
    assert "1 frame" in errors and "frame 20" in errors, errors
    h.judge(f"{out}/x.fits")
    got, got_rows = h.load([f"{out}/x.fits"])
    assert np.count_nonzero(got != cube[10:30]) == 1
    flags = h.FLAG["TORN"] | h.FLAG["RECOVERED"]
    assert (np.flatnonzero(got_rows["FLAGS"] & flags == flags) == [10]).all()
    assert fits.getheader(f"{out}/x.fits")["NTORN"] == 1


# ---- nothing half-made ----

def what_is_there_is_not_replaced_unless_by_force():
    session, _, cube, _ = record("ranges", (7, 11), "uint16")
    out = folder("force")
    for name in ("x.fits", "y.npy", "z.frames.npy"):
        with open(f"{out}/{name}", "w", encoding="ascii") as f:
            f.write("precious")
    os.symlink("x.fits", f"{out}/link.fits")
    before = names(out)
    for name in ("x.fits", "y.npy", "z.npy", "link.fits"):
        _, errors = extract(session.folder, "-o", f"{out}/{name}", status=1)
        assert "--force" in errors, errors
    assert names(out) == before
    for name in before:
        with open(f"{out}/{name}", encoding="ascii") as f:
            assert f.read() == "precious"
    for name in ("x.fits", "y.npy", "z.npy", "link.fits"):
        extract(session.folder, "-o", f"{out}/{name}", "--force")
    assert names(out) == sorted(before + ["y.frames.npy", "z.npy"])
    assert not os.path.islink(f"{out}/link.fits")
    assert (h.load([f"{out}/x.fits"])[0] == cube).all() and (np.load(f"{out}/y.npy") == cube).all()
    # Not what it reads from, by whatever name.
    file = sorted(glob.glob(f"{session.folder}/*/*.fits"))[0]
    os.symlink(file, f"{out}/source.fits")
    for target in (file, f"{out}/source.fits"):
        _, errors = extract(session.folder, "-o", target, "--force", status=1)
        assert "read from" in errors
    copied = shutil.copytree(session.folder, f"{out}/copy")  # nor a stream that is left out
    other = f"{copied}/other/other_000001.fits"
    os.mkdir(os.path.dirname(other))
    h.fits.PrimaryHDU(np.zeros((5, 4, 3), "i2")).writeto(other)
    with open(other, "rb") as f:
        content = f.read()
    _, errors = extract(copied, "--stream", os.path.basename(os.path.dirname(file)), "-o", other,
                        "--force", status=1)
    with open(other, "rb") as f:
        assert "read from" in errors and f.read() == content, errors
    os.mkfifo(f"{out}/pipe.fits")  # a device would be lost as well
    _, errors = extract(session.folder, "-o", f"{out}/pipe.fits", "--force", status=1)
    assert "no file" in errors and stat.S_ISFIFO(os.lstat(f"{out}/pipe.fits").st_mode), errors
    h.verified(session.folder)


def bad_input_is_one_line_and_leaves_nothing():
    session, stream, _, _ = record("ranges", (7, 11), "uint16")
    out = folder("bad")
    empty = folder("empty")
    with open(f"{h.output}/junk.txt", "w", encoding="ascii") as f:
        f.write("no FITS" * 1000)
    source, target = session.folder, f"{out}/x.fits"
    table = [  # status, what the line names, arguments
        (2, "give a recording", ["-o", target]),
        (2, "-o", [source]),
        (2, "x.dat", [source, "-o", f"{out}/x.dat"]),
        (2, "jpg", [source, "-o", target, "--format", "jpg"]),
        (2, "--from soon", [source, "-o", target, "--from", "soon"]),
        (2, "--until -5", [source, "-o", target, "--until=-5"]),
        (2, "cnt0:x", [source, "-o", target, "--from", "cnt0:x"]),
        (1, "no frames there", [source, "-o", target, "--from", clock_elsewhere(source, 1)]),
        (1, "no frames there", [source, "-o", target, "--until", clock_elsewhere(source, -1)]),
        (2, "--stream ''", [source, "-o", target, "--stream", ""]),
        (2, "--stream 'a,,b'", [source, "-o", target, "--stream", "a,,b"]),
        (2, "--region 1:2:3", [source, "-o", target, "--region", "1:2:3"]),
        (2, "--region 5:5", [source, "-o", target, "--region", "5:5,:"]),
        (2, "--region", [source, "-o", target, "--region", ""]),
        (2, "--region", [source, "-o", target, "--region", "1,2,3,4"]),
        (2, "not both", [source, "-o", target, "--around-gap", 1, "--from", 5]),
        (2, "--context goes with", [source, "-o", target, "--context", 5]),
        (2, "--every", [source, "-o", target, "--every", 0]),
        (2, "did you mean '--until'", [source, "-o", target, "--untill", 5]),
        (1, "1 range,", [source, "-o", target, "--region", "1:2"]),
        (1, "0:12", [source, "-o", target, "--region", "0:7,0:12"]),
        (1, "no frames there", [source, "-o", target, "--from", 300]),
        (1, "no frames there", [source, "-o", target, "--from", 20, "--until", 10]),
        (1, "no frames there", [source, "-o", target, "--from", "2100-01-01T00:00:00"]),
        (1, stream, [source, "-o", target, "--stream", "nonesuch"]),
        (1, "no gap 9", [source, "-o", target, "--around-gap", 9]),
        (1, "nowhere", [f"{h.output}/nowhere", "-o", target]),
        (1, "no frames there", [empty, "-o", target]),
        (1, "is no FITS file", [f"{h.output}/junk.txt", "-o", target]),
        (1, "is no FITS file", ["/dev/null", "-o", target]),
        (1, "is a folder", [source, "-o", out, "--format", "fits"]),
        (1, "names a folder", [source, "-o", f"{out}/", "--format", "fits"]),
        (1, "No such file", [source, "-o", f"{out}/deeper/x.fits"]),
    ]
    for status, word, arguments in table:
        said, errors = extract(*arguments, status=status)
        assert word in errors, (arguments, word, errors)
        assert errors.startswith("daorec: ") and errors.count("\n") == 1, (arguments, errors)
        assert not said and not names(out), (arguments, names(out))


def clock_elsewhere(session, hours):
    """A time of day, that much after the recording."""
    begin = datetime.datetime.strptime(os.path.basename(session), "%Y-%m-%d_%H-%M-%S")
    return (begin + datetime.timedelta(hours=hours)).strftime("%H:%M:%S")


def a_disk_that_fails_leaves_nothing():
    session, _, cube, _ = record("ranges", (7, 11), "uint16")
    out = folder("faults")
    nameless = {"ops": ["nameless"], "error": "EOPNOTSUPP"}
    disk, met = faults.Faults(out), set()
    for format_name, suffix in (("fits", "fits"), ("npy", "npy"), ("hdus", "fits")):
        options = [session.folder, "-o", f"{out}/x.{suffix}", "--format", format_name]
        for fault in ({"ops": ["pwrite"], "error": "ENOSPC"},
                      {"ops": ["pwrite"], "first": 2, "error": "EIO"},
                      {"ops": ["allocate"], "error": "ENOSPC"}, {"ops": ["sync"], "error": "EIO"},
                      {"ops": ["name"], "error": "EIO"}, {"ops": ["create"], "error": "EACCES"},
                      {"ops": ["name"], "first": 2, "error": "EIO"}):
            disk.set(**fault)
            run = subprocess.run([h.DAOREC, "extract", *options], capture_output=True, text=True,
                                 env=disk.environment())
            if disk.get("hits") == 0:  # there was no second one
                assert fault.get("first") == 2 and run.returncode == 0, (fault, run.stderr)
                for name in names(out):
                    os.unlink(f"{out}/{name}")
                continue
            assert run.returncode == 1 and run.stderr.count("\n") == 1, (fault, run.stderr)
            assert f"{out}/x" in run.stderr and not names(out), (fault, run.stderr, names(out))
            met.add((*fault["ops"], fault.get("first", 1)))
    assert {("pwrite", 2), ("name", 2)} <= met, met
    # Where a file cannot be without a name, or claim its room.
    for fault in (nameless, {"ops": ["allocate"], "error": "EOPNOTSUPP"},
                  {"ops": ["pwrite"], "short_to": 777}):
        disk.set(**fault)
        for force in ([], ["--force"]):
            extract(session.folder, "-o", f"{out}/x.fits", *force, env=disk.environment())
            assert disk.get("hits") > 0 and names(out) == ["x.fits"], (fault, names(out))
            assert (h.load([f"{out}/x.fits"])[0] == cube).all()
        extract(session.folder, "-o", f"{out}/x.fits", status=1, env=disk.environment())
        os.unlink(f"{out}/x.fits")


# ---- far too much to read ----

def make_large(name, files, frames, rate, shape=(400, 400)):
    """A session of `files` x `frames` frames of uint16 at `rate` that takes no room; its folder."""
    template_session, stream, _, _ = record("template", shape, "uint16", "--depth", "4", frames=3,
                                            roll=1000)
    template = glob.glob(f"{template_session.folder}/{stream}/*.fits")[0]
    place = os.path.join(folder(name), "wfs")
    os.mkdir(place)
    rows, total = sparse.plain_rows(files * frames, rate), 0
    for number in range(files):
        part = rows[number * frames:(number + 1) * frames]
        total += sparse.make(f"{place}/wfs_{number + 1:06}.fits", template, part, number + 1,
                             number * frames)
    return os.path.dirname(place), rows, total


def io_counters():
    with open("/proc/self/io", encoding="ascii") as f:
        return {key: int(value) for key, value in (line.split(":") for line in f)}


def a_second_out_of_100_gigabytes_reads_little_more_than_its_frames():
    session, rows, total = make_large("large", 80, 4000, 100)
    assert total > 100e9
    out, frame = folder("second"), 400 * 400 * 2
    for options, count in ((["--from", utc(rows["ATIME"][123456]), "--until",
                             utc(rows["ATIME"][123556])], 100),
                           (["--from", f"cnt0:{rows['CNT0'][200000]}", "--until",
                             f"cnt0:{rows['CNT0'][200100]}"], 100),
                           (["--from", 11950, "--until", 12050], 100),  # over a border of files
                           (["--from", 1000, "--until", 301000, "--every", 10000], 30)):
        before = io_counters()
        extract(session, "-o", f"{out}/x.fits", "--force", *options)
        after = io_counters()
        read = after["rchar"] - before["rchar"]
        print(f"    {' '.join(map(str, options[:2]))}: {read / 1e6:.1f} MB read for "
              f"{count * frame / 1e6:.1f}")
        assert read < count * frame + 2.5e6, (options, read)
        assert len(h.load([f"{out}/x.fits"])[1]) == count


def a_gap_in_a_long_night_is_found_without_reading_all_rows():
    session, rows, _ = make_large("gaps", 1, 1, 100)
    template = glob.glob(f"{session}/wfs/*.fits")[0]
    rows = sparse.plain_rows(400_000, 1000)
    gaps = [5, 6, 70_000, 200_000, 399_999]
    for gap in gaps:
        rows["CNT0"][gap:] += 3
        rows["LOST"][gap], rows["FLAGS"][gap] = 3, h.FLAG["GAP"]
    rows["CNT0"][250_000:] -= 200_000  # a restart
    rows["FLAGS"][250_000] = h.FLAG["RESET"]
    place = folder("gaps2")
    sparse.make(f"{place}/wfs_000001.fits", template, rows)
    for number, gap in enumerate(gaps, 1):
        before = io_counters()["rchar"]
        extract(place, "-o", f"{place}/x.npy", "--force", "--around-gap", number, "--context", 2,
                "--region", "0:1,0:1")
        read = io_counters()["rchar"] - before
        assert read < 4 * 320_000 + 2e6, read
        got = np.load(f"{place}/x.frames.npy")
        assert (got["CNT0"] == rows["CNT0"][gap - 2:gap + 2]).all(), number
    # A count that jumps and falls back again hides its gap from the sums: rows are read then.
    rows = sparse.plain_rows(10_000, 1000)
    rows["CNT0"][3000:3001] += 500
    rows["LOST"][3000], rows["FLAGS"][3000] = 500, h.FLAG["GAP"]
    rows["FLAGS"][3001] = h.FLAG["RESET"]
    sparse.make(f"{place}/wfs_000001.fits", template, rows)
    extract(f"{place}/wfs_000001.fits", "-o", f"{place}/x.npy", "--force", "--around-gap", 1,
            "--context", 1, "--region", "0:1,0:1")
    assert (np.load(f"{place}/x.frames.npy")["CNT0"] == rows["CNT0"][2999:3001]).all()


def ctrl_c_leaves_nothing():
    session, _, total = make_large("stop", 20, 4000, 100)
    assert total > 20e9
    for number in (signal.SIGINT, signal.SIGTERM):
        for fault in (None, {"ops": ["nameless"], "error": "EOPNOTSUPP"}):
            out = folder("stopped")
            disk = faults.Faults(out, **fault) if fault else None
            process = h.start(h.DAOREC, "extract", session, "-o", f"{out}/x.fits", "--region",
                              "0,0", env=disk.environment() if disk else None)

            def at_work():
                files = []
                for link in glob.glob(f"/proc/{process.pid}/fd/*"):
                    with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                        files.append(os.readlink(link))
                assert process.poll() is None, "it was too fast"
                return any(out + "/" in name for name in files)
            h.wait_for(at_work, what="the output")
            process.send_signal(number)
            said, errors = process.communicate(timeout=60)
            assert process.returncode == 1 and "stopped" in errors and not said, errors
            assert not names(out), names(out)


if __name__ == "__main__":
    h.main([every_type_comes_out_in_every_format_and_goes_in_again, every_way_to_say_which_frames,
            a_part_of_each_frame_and_every_nth, around_a_gap,
            a_file_that_is_being_written_and_one_that_a_crash_left,
            a_damaged_frame_is_taken_flagged_and_told,
            what_is_there_is_not_replaced_unless_by_force,
            bad_input_is_one_line_and_leaves_nothing, a_disk_that_fails_leaves_nothing,
            a_second_out_of_100_gigabytes_reads_little_more_than_its_frames,
            a_gap_in_a_long_night_is_found_without_reading_all_rows, ctrl_c_leaves_nothing])
