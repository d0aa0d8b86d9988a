#!/usr/bin/env python3
"""The Python module daorec: what it reads is what astropy reads and what the source published;
search, bounds, the lines of README.md, and the module itself."""
import datetime
import functools
import glob
import os
import re
import resource
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
from astropy.io import fits
from astropy.time import Time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from daorec_face import (  # noqa: E402
    LIB, ROOT, BytesRead, begun, check_against_source, daorec, end, fails, is_ramp, python,
    recorded, root, source)
import daorec_file  # noqa: E402
from test_layouts import Segment  # noqa: E402

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
         "float32", "float64", "complex64", "complex128"]
SHAPES = [(97,), (6, 5), (3, 4, 5)]
MAPPED = ("uint8", "int16", "int32", "int64", "float32", "float64", "complex64", "complex128")


# ---- what is read ----

SLICES = [slice(None), slice(3, 4), slice(190, 210), slice(-30, None), slice(None, None, 7),
          slice(250, 10, -3), slice(None, None, -1), slice(5, 5), slice(299, None, -299),
          slice(10, 290, 140), slice(1000, 2000)]


def check_like_astropy(stream, files, dtype, shape):
    cube, rows = h.load(files)
    assert stream.shape == shape and stream.dtype == np.dtype(dtype) and len(stream) == len(cube)
    whole = stream.array()
    assert whole.dtype == cube.dtype == np.dtype(dtype) and whole.dtype.isnative
    assert whole.flags.writeable and np.array_equal(whole, cube)
    for piece in SLICES:
        got = stream[piece]
        assert got.dtype.isnative and np.array_equal(got, cube[piece]), (dtype, piece)
        indices = range(len(cube))[piece]
        frames = list(stream.frames(piece.start, piece.stop, piece.step))
        assert [frame.index for frame in frames] == list(indices), piece
        assert [frame.cnt0 for frame in frames] == rows["CNT0"][piece].tolist(), piece
        for frame in frames:
            assert np.array_equal(frame.pixels, cube[frame.index]), (dtype, frame)
    for i in (0, 199, 200, -1, np.int64(-300), np.uint8(7)):
        assert np.array_equal(stream[i], cube[i]) and stream[i].shape == shape
    for name in daorec_file.ROW.names:
        if name != "TIME":
            wanted = rows[name] if name != "DSUM" else rows[name].astype(np.int64) + 2**31
            assert np.array_equal(stream.rows[name], wanted), name
    assert stream.rows["DSUM"].dtype == np.uint32
    seconds = (rows["ATIME"] - stream.reference_ns) * 1e-9
    assert np.allclose(stream.rows["TIME"], seconds, rtol=0, atol=1e-9)
    assert stream.times.dtype == np.int64 and np.array_equal(stream.times, rows["ATIME"])
    assert np.array_equal(stream.read_rows(range(250, 100, -7)), stream.rows[250:100:-7])
    for part in (slice(10, 150), slice(100, 300)):
        view = stream.mapped(part.start, part.stop)
        assert view.dtype.newbyteorder("=") == dtype and np.array_equal(view, cube[part])
        is_view = dtype in MAPPED and part.stop <= 200
        assert view.flags.writeable is not is_view and view.flags.owndata is not is_view
        assert view.dtype.isnative is not is_view or view.dtype.itemsize == 1


def every_type_is_what_astropy_reads():
    kinds = {(t, SHAPES[i % 3]) for i, t in enumerate(TYPES)}
    kinds |= {(t, s) for t in ("uint16", "complex64") for s in SHAPES}
    sources = {(t, s): source("-n", 320, shape=s, dtype=t, rate=0) for t, s in kinds}
    for _, process in sources.values():  # all frames are in the FIFO, and stay there
        assert process.wait(timeout=60) == 0
    session = h.finish(h.record("--backlog", "-n", 300, "--roll-frames", 200,
                                *(path for path, _ in sources.values())))
    opened = daorec.open(session.folder)
    assert len(opened) == len(sources) and opened.ledger == session.ledger
    for (dtype, shape), (path, _) in sources.items():
        stream, files = opened[h.stream_name(path)], session.stream(path)["files"]
        assert [file.path for file in stream.files] == files and len(files) == 2
        check_like_astropy(stream, files, dtype, shape)
        check_against_source(stream, shape, dtype)
        assert stream.header["SHMNAME"] == path and stream.gaps == [] and len(stream.parts) == 1


def frames_have_their_rows_and_belong_to_the_caller():
    session, path = recorded()
    stream = daorec.open(session.folder)[h.stream_name(path)]
    rows, frame = stream.rows, next(stream.frames(150))
    assert frame.index == 150 and is_ramp(frame, frame.cnt0)
    assert (frame.time, frame.rtime) == (rows["ATIME"][150], rows["RTIME"][150])
    assert (frame.cnt1, frame.cnt2) == (rows["CNT1"][150], rows["CNT2"][150])
    assert (frame.lost, frame.slot) == (rows["LOST"][150], rows["SLOT"][150])
    assert str(daorec.to_datetime64(frame.time)) in repr(frame)
    assert daorec.to_datetime64(stream.times).dtype == "M8[ns]"
    flagged = [frame for frame in stream.frames() if frame.flags]
    assert [frame.flags for frame in flagged] == [daorec.Flag.GAP] and flagged[0].lost == 7
    kept = list(stream.frames(0, 20))
    kept[3].pixels[:] = 0
    assert is_ramp(kept[4], kept[4].cnt0) and kept[4].pixels.base is None
    assert not np.shares_memory(kept[4].row, kept[5].row) and not rows.flags.writeable
    assert np.array_equal(np.asarray(stream), stream[:]) and np.asarray(stream, "f8").dtype == "f8"
    assert sum(pixels.shape == (6, 5) for pixels in stream) == 500


def a_recording_is_opened_by_session_folder_file_and_list():
    session, path = recorded()
    name, files = h.stream_name(path), session.stream(path)["files"]
    whole = daorec.open(session.folder)
    assert list(whole) == [name] and whole.stream is whole[name] and name in whole
    assert whole.ledger["uuid"] == whole.stream.header["RECUUID"]
    assert whole.stream.ledger["recorded"] == 500
    for place in (os.path.join(session.folder, name), session.folder + "/", files[::-1],
                  (open_path for open_path in files)):
        with daorec.open(place) as opened:
            assert np.array_equal(opened.stream[:], whole.stream[:]), place
            assert len(opened.stream.gaps) == 1
    assert daorec.open(os.path.join(session.folder, name)).stream.ledger == whole.stream.ledger
    second = daorec.open(files[1])
    assert second.ledger is None and second.stream.gaps == []
    assert np.array_equal(second.stream[:], whole.stream[200:400])
    assert session.folder in daorec.sessions(h.output)


def frames_are_joined_into_an_array_of_the_caller():
    session, path = recorded()
    stream = daorec.open(session.folder).stream
    target = np.lib.format.open_memmap(os.path.join(root(), "all.npy"), "w+", "u2", (500, 6, 5))
    assert stream.array(out=target) is target and np.array_equal(target, stream[:])
    doubles = np.empty((50, 6, 5))
    assert np.array_equal(stream.array(400, 300, -2, out=doubles), stream[400:300:-2])
    with fails(ValueError, "(500, 6, 5) is needed"):
        stream.array(out=doubles)
    with fails(TypeError, "safe"):
        stream.array(0, 50, out=np.empty((50, 6, 5), np.uint8))


def what_does_not_fit_into_memory_is_refused():
    stream = daorec.open(recorded()[0].folder).stream
    free, small = daorec._free_bytes, daorec._SMALL
    assert free() > 1 << 20
    daorec._free_bytes, daorec._SMALL = (lambda: 50000), 0
    try:
        for read in (stream.array, stream.__array__, lambda: stream[:], stream.mapped,
                     lambda: stream.rows):
            with fails(MemoryError, "GB of memory are free"):
                read()
        assert len(stream[:400]) == 400 and sum(1 for _ in stream.frames()) == 500
        with fails(MemoryError, "out="):
            stream.array()
    finally:
        daorec._free_bytes, daorec._SMALL = free, small


def keywords_are_those_of_the_segment():
    path = h.segment("pykeys")
    segment = Segment(path, 4304, 16, 4296)
    recorder = h.record("--wait=20s", "-n", 20, path)
    begun(recorder)
    while recorder.poll() is None:
        segment.publish(atime=0)
        time.sleep(0.004)
    session = h.finish(recorder)
    stream = daorec.open(session.folder).stream
    assert stream.keywords == {"GAIN": 42, "band": "K'"} == stream.files[0].keywords
    assert stream.header["GAIN"] == 42 and stream.header["FIFOSIZE"] == 16
    # No time of the source: BADTIME throughout, and the search goes by the recorder's clock.
    assert np.isnan(stream.rows["TIME"]).all() and not stream.times.any()
    assert all(frame.flags & daorec.Flag.BADTIME for frame in stream.frames())
    rtimes = stream.rows["RTIME"]
    assert [stream.at_time(int(t)) for t in rtimes] == np.searchsorted(rtimes, rtimes).tolist()


# ---- search ----

def times_and_counts_are_found_without_reading_all_rows():
    session, path = recorded()
    stream = daorec.open(session.folder).stream
    times = daorec.open(session.folder).stream.times
    with BytesRead() as read:
        for i in (0, 1, 199, 200, 377, 499):
            t = int(times[i])
            assert stream.at_time(t) == i and stream.at_time(t + 1) == i + 1, i
    assert 0 < read.bytes < 12 * 12 * 64, read.bytes
    text = str(daorec.to_datetime64(times[300]))
    for when in (text, text + "Z", np.datetime64(text), daorec.to_datetime64(times[300])):
        assert stream.at_time(when) == 300, when
    whole = datetime.datetime.fromtimestamp(int(times[0]) // 10**9 + 1, datetime.timezone.utc)
    wanted = int(np.searchsorted(times, (int(times[0]) // 10**9 + 1) * 10**9))
    zone = datetime.timezone(datetime.timedelta(hours=-5))
    for when in (whole, whole.replace(tzinfo=None), whole.astimezone(zone), Time(whole)):
        assert stream.at_time(when) == wanted, when
    assert stream.at_time(0) == 0 and stream.at_time(2**62) == len(stream)
    with fails(TypeError, "nanoseconds"):
        stream.at_time(1.5e9)
    for when in ("2262-04-11T23:47:17", "1677-09-21T00:12:43", np.datetime64("2400-01-01"),
                 datetime.datetime(9999, 1, 1), "NaT"):
        with fails(ValueError, "in 64 bits"):
            stream.at_time(when)
    for when in ("2400-01-01", "1600-01-01"):
        with warnings.catch_warnings(), fails(ValueError, "in 64 bits"):
            warnings.simplefilter("ignore")  # erfa: "dubious year"
            stream.at_time(Time(when))
    assert stream.at_time("2262-04-11T23:47:16.8") == len(stream)
    assert stream.at_time("1677-09-22") == 0
    counts = stream.rows["CNT0"]
    again = daorec.open(session.folder).stream
    with BytesRead() as read:
        for i in (0, 148, 149, 200, 499):
            assert again.at_count(int(counts[i])) == i
    assert 0 < read.bytes < 5 * 12 * 64, read.bytes
    missing = int(counts[np.flatnonzero(np.diff(counts) > 1)[0]]) + 1
    for count in range(missing, missing + 8):
        assert counts[again.at_count(count)] == missing + 7
    assert again.at_count(-5) == 0 and again.at_count(10**9) == len(again)


def a_source_that_restarts_has_runs():
    path, first = source("-d", "60s")
    recorder = h.record("--wait=20s", "--roll-frames", 250, path)
    begun(recorder)
    h.wait_for(lambda: glob.glob(os.path.join(h.output, "*", h.stream_name(path), "*2.fits.part")),
               what="the second file")
    end(first)
    time.sleep(0.2)  # so that all of the first run is taken
    _, second = source("-n", 120, name=path)
    second.communicate(timeout=60)
    h.wait_until_open(recorder, path)
    recorder.terminate()
    session = h.finish(recorder)
    stream = daorec.open(session.folder)[h.stream_name(path)]
    check_against_source(stream)
    counts = stream.rows["CNT0"]
    restart = int(np.flatnonzero(np.diff(counts) < 0)[0]) + 1
    assert counts[restart] == 1 and counts[-1] == 120
    for places in ([restart - 1, 0, restart // 2], [restart, len(stream) - 1]):
        for i in places:
            wanted = np.flatnonzero(counts == counts[i])[0]
            assert stream.at_count(int(counts[i])) == wanted, i
    assert stream.at_count(int(counts[:restart].max()) + 1) == len(stream)
    assert sum(gap.count for gap in stream.gaps) == session.stream(path)["lost"]


# ---- bounds ----

def enlarged(file, frames, target):
    """A sparse file of the same stream with so many frames (pixels and rows are zeros)."""
    with open(file, "rb") as source_file:
        whole = source_file.read()
    with fits.open(file) as hdus:
        cube, rows = hdus[0].header, hdus["FRAMES"].header
        at = [hdus[i].fileinfo() for i in range(3)]
    frame_bytes = abs(cube["BITPIX"]) // 8 * int(np.prod(
        [cube[f"NAXIS{i}"] for i in range(1, cube["NAXIS"])]))

    def with_axis(part, key, old):
        card = f"{key:8s}= {old:20d}".encode()
        assert card in part
        return part.replace(card, f"{key:8s}= {frames:20d}".encode())

    def up(length):
        return -(-length // 2880) * 2880
    with open(target, "wb") as made:
        made.write(with_axis(whole[:at[0]["datLoc"]], f"NAXIS{cube['NAXIS']}", rows["NAXIS2"]))
        made.seek(up(made.tell() + frames * frame_bytes))
        made.write(with_axis(whole[at[1]["hdrLoc"]:at[1]["datLoc"]], "NAXIS2", rows["NAXIS2"]))
        made.seek(up(made.tell() + 64 * frames))
        made.write(whole[at[2]["hdrLoc"]:])


def a_large_file_is_read_in_little_memory():
    path, process = source("-d", "60s", shape=(512, 256), dtype="uint32", rate=50, depth=8)
    session = h.finish(h.record("--wait=20s", "-n", 3, path))
    end(process)
    large = os.path.join(root(), "large.fits")
    enlarged(session.stream(path)["files"][0], 1500, large)  # 0.8 GB
    out = python("""
        import resource, sys, tracemalloc
        import numpy as np
        import daorec

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        stream = daorec.open(sys.argv[1]).stream
        stream[0], list(stream.frames(0, 3))
        before = peak()
        assert all(frame.pixels[0, 0] == 1 << 31 for frame in stream.frames())
        assert stream[1000:1400:100].shape == (4, 512, 256)
        stream.at_time(5), stream.at_count(5), stream.gaps
        print(peak() - before)
        tracemalloc.start()
        for frame in stream.frames(None, None, 30):
            pass
        print(tracemalloc.get_traced_memory()[1] >> 20)
    """, large).split()
    size = os.path.getsize(large) >> 20
    assert size > 700 and int(out[0]) < size / 8 and int(out[1]) < 16, (out, size)


def thousands_of_files_take_no_descriptors():
    session, path = recorded()
    with open(session.stream(path)["files"][1], "rb") as file:
        whole = file.read()
    place, count = root(), 1000
    for number in range(1, count + 1):
        with open(os.path.join(place, f"x_{number:06d}.fits"), "wb") as file:
            file.write(whole.replace(f"FILESEQ = {2:20d}".encode(),
                                     f"FILESEQ = {number:20d}".encode()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 8, hard))
    try:
        stream = daorec.open(place).stream
        assert len(stream) == 200 * count and [f.number for f in stream.files] == list(
            range(1, count + 1))
        assert np.array_equal(stream[100::200][:, 0, 0], [stream[100][0, 0]] * count)
        assert len(stream.rows) == len(stream) and stream.at_count(10**9) == len(stream)
        assert len(os.listdir("/proc/self/fd")) == opened
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- the module itself ----

def the_lines_of_the_readme_run_as_they_stand():
    """Under the names that stand there: wfs, and the session's."""
    session, path = recorded()
    place, name = root(), h.stream_name(path)
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"```python\n(.*?)```", file.read(), re.S)
    blocks = [block for block in blocks if "telemetry/" in block]
    assert len(blocks) == 2 and "import daorec" in blocks[0] and "astropy" in blocks[1], blocks
    folder = re.search(r'"(telemetry/[^/"]+)', blocks[0]).group(1)
    os.makedirs(os.path.join(place, folder, "wfs"))
    for number, file in enumerate(session.stream(path)["files"], 1):
        with open(file, "rb") as old, open(os.path.join(
                place, folder, "wfs", f"wfs_{number:06d}.fits"), "wb") as new:
            new.write(old.read().replace(name.encode(), b"wfs".ljust(len(name))))
    with open(os.path.join(session.folder, "session.json"), encoding="utf-8") as old, open(
            os.path.join(place, folder, "session.json"), "w", encoding="utf-8") as new:
        new.write(old.read().replace(name, "wfs"))
    for block in blocks:
        run = subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=place, text=True,
                             env=dict(os.environ, PYTHONPATH=LIB), capture_output=True, check=False)
        assert run.returncode == 0 and not run.stderr, run.stdout + run.stderr
        if block is blocks[0]:
            assert "(6, 5) uint16 500" in run.stdout and "7 source 20" in run.stdout, run.stdout
    with open(os.path.join(LIB, "daorec.py"), encoding="utf-8") as file:
        example = re.search(r"\n\n(    import daorec\n.*?)\n\n[A-Z]", file.read(), re.S).group(1)
    example = textwrap.dedent(example).replace(
        re.search(r'"(telemetry/[^"]+)"', example).group(1), os.path.join(place, folder))
    assert "Gap(first_cnt0=" in python(example.replace("1000:2000:10", "100:200:10"))


def it_is_installed_beside_the_other_module():
    place = os.path.join(root(), "installed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    make = functools.partial(subprocess.run, check=True, capture_output=True,
                             env=dict(environment, PYTHON=sys.executable))
    make(["make", "-C", ROOT, "install", f"DESTDIR={place}", "prefix=/opt/dao"])
    (module,) = glob.glob(f"{place}/opt/dao/lib/python3*/*/daorec.py")
    folder = os.path.dirname(module)
    assert os.path.exists(os.path.join(folder, "daoShm.py"))
    code = "import daorec, sys; print(daorec.__file__, len(daorec.open(sys.argv[1]).stream))"
    run = subprocess.run([sys.executable, "-c", code, recorded()[0].folder], cwd="/", text=True,
                         env=dict(os.environ, PYTHONPATH=folder), capture_output=True, check=True)
    assert run.stdout.split() == [module, "500"], run.stdout + run.stderr
    make(["make", "-C", ROOT, "uninstall", f"DESTDIR={place}", "prefix=/opt/dao"])
    assert not glob.glob(os.path.join(folder, "dao*"))


def it_needs_numpy_and_astropy_and_nothing_else():
    python("""
        import sys
        import numpy
        import astropy.io.fits
        before = set(sys.modules)
        import daorec
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        assert new <= set(sys.stdlib_module_names) | {"daorec", "daorec_file", "daorec_cut"}, new
        """)


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)  # of processes that were killed
    h.main([every_type_is_what_astropy_reads, frames_have_their_rows_and_belong_to_the_caller,
            a_recording_is_opened_by_session_folder_file_and_list,
            frames_are_joined_into_an_array_of_the_caller, what_does_not_fit_into_memory_is_refused,
            keywords_are_those_of_the_segment, times_and_counts_are_found_without_reading_all_rows,
            a_source_that_restarts_has_runs, a_large_file_is_read_in_little_memory,
            thousands_of_files_take_no_descriptors, the_lines_of_the_readme_run_as_they_stand,
            it_is_installed_beside_the_other_module, it_needs_numpy_and_astropy_and_nothing_else])
