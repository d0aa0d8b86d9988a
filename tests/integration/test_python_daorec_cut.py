#!/usr/bin/env python3
"""The Python module daorec opens what daorec extract wrote: each form holds the frames and rows
that the recording has; and what is missing since its file is not here is told so."""
import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from daorec_face import (  # noqa: E402
    BytesRead, daorec, end, fails, is_ramp, recorded, root, source)
import daorec_file  # noqa: E402

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
         "float32", "float64", "complex64", "complex128"]
SLICES = [slice(None), slice(3, 4), slice(40, 10, -3), slice(None, None, -1), slice(5, 5),
          slice(None, None, 7), slice(-1, None, -40)]
FORMS = (("cube.fits", "fits"), ("units.fits", "hdus"), ("array.npy", "npy"))


def extract(source_path, target, *options):
    run = subprocess.run([h.DAOREC, "extract", "-q", source_path, "-o", target,
                          *map(str, options)], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and not run.stderr, run.stderr


def same_rows(got, rows, but=()):
    for name in daorec_file.ROW.names:
        if name not in ("TIME",) + tuple(but):
            assert (got[name] == rows[name]).all(), (name, got[name], rows[name])


def every_form_of_every_type_holds_what_the_recording_has():
    place, paths, sims = root(), [], []
    for dtype in TYPES:
        path, sim = source("-d", "60s", dtype=dtype, shape=(3, 4, 5))
        paths.append(path)
        sims.append(sim)
    session = h.finish(h.record("--wait=30s", "-n", 70, "--roll-frames", 30, *paths))
    end(*sims)
    opened = daorec.open(session.folder)
    for name, kind in FORMS:
        extract(session.folder, f"{place}/{name}", "--from", 10, "--until", 60, "--format", kind)
    for path, dtype in zip(paths, TYPES):
        stream = opened[h.stream_name(path)]
        for name, kind in FORMS:
            file = f"{place}/{name.replace('.', '_' + stream.name + '.')}"
            cut = daorec.open(file).stream
            if kind != "npy":
                assert cut.name == stream.name and cut.header["EXTNAME"] == stream.name
                assert cut.files[0].session == opened.ledger["uuid"]
            assert cut.shape == (3, 4, 5) and cut.dtype == np.dtype(dtype) and len(cut) == 50
            for key in SLICES:
                got = cut[key]
                assert np.array_equal(got, stream[10:60][key]) and got.dtype == np.dtype(dtype)
                assert got.dtype.isnative and got.flags.c_contiguous
            same_rows(cut.rows, stream.rows[10:60])
            when = cut.reference_ns + cut.rows["TIME"] * 1e9
            assert np.abs(when - cut.rows["ATIME"]).max() < 1000
            middle = cut.rows[20]
            assert cut.at_time(int(middle["ATIME"])) == 20
            assert cut.at_count(int(middle["CNT0"])) == 20
            assert [f.cnt0 for f in cut.frames(7, 9)] == cut.rows["CNT0"][7:9].tolist()
            assert np.array_equal(cut.mapped(5, 9), cut[5:9])
            assert cut.keywords == (stream.keywords if kind == "fits" else {})
            assert [f.marks() for f in cut.files] == [[]] * len(cut.files)
            assert cut.ledger is None and "cut" not in repr(cut) and len(cut.parts) == 1
    both = daorec.open([f"{place}/cube_{h.stream_name(paths[0])}.fits",
                        f"{place}/units_{h.stream_name(paths[1])}.fits"])
    assert sorted(both) == sorted(map(h.stream_name, paths[:2]))


def frames_left_out_are_not_lost_and_losses_are_told():
    session, path = recorded()
    whole = daorec.open(session.folder)[h.stream_name(path)]
    (gap,) = whole.gaps
    place = root()
    for name, kind in FORMS:
        extract(session.folder, f"{place}/{name}", "--from", 20, "--until", 480, "--format", kind)
        cut = daorec.open(f"{place}/{name}").stream
        assert cut.gaps == [gap._replace(index=gap.index - 20)], cut.gaps
        extract(session.folder, f"{place}/every_{name}", "--every", 7, "--format", kind)
        cut = daorec.open(f"{place}/every_{name}").stream
        assert np.array_equal(cut[:], whole[::7])
        same_rows(cut.rows, whole.rows[::7], but=("LOST", "FLAGS"))
        assert [(g.count, g.cause) for g in cut.gaps] == [(7, "source")], cut.gaps
        assert cut.at_count(int(whole.rows["CNT0"][100])) == 15
        extract(session.folder, f"{place}/part_{name}", "--region", "2:5,1:3", "--format", kind)
        cut = daorec.open(f"{place}/part_{name}").stream
        assert np.array_equal(cut[:], whole[:][:, 2:5, 1:3]) and cut.shape == (3, 2)


def what_is_cut_is_opened_by_its_name():
    session, path = recorded()
    files, name, place = session.stream(path)["files"], h.stream_name(path), root()
    extract(session.folder, f"{place}/cube.fits")
    with fails(daorec.Error, place, "no recording", "by its file's name"):
        daorec.open(place)
    for file in files:
        shutil.copy(file, place)
    assert len(daorec.open(place).stream) == 500  # what is cut out of them is no more of them
    extract(session.folder, f"{place}/again.fits", "--until", 5)
    for pair in ([f"{place}/cube.fits", f"{place}/again.fits"], [f"{place}/cube.fits", files[0]]):
        with fails(daorec.Error, "cube.fits", "open each by itself"):
            daorec.open(pair)
    # Cut out once more, which is what another program may have read.
    extract(f"{place}/cube.fits", f"{place}/twice.npy", "--from", 100, "--until", 110)
    twice = daorec.open(f"{place}/twice.npy").stream
    assert is_ramp(twice[:], twice.rows["CNT0"]) and len(twice) == 10 and twice.name == "twice"
    assert name != "twice"


def frames_of_others_are_opened_too():
    place, cube = root(), np.arange(120, dtype="f4").reshape(10, 3, 4)
    fits.writeto(f"{place}/night.fits", cube)
    for name, kind in FORMS:
        extract(f"{place}/night.fits", f"{place}/{name}", "--from", 2, "--format", kind)
        cut = daorec.open(f"{place}/{name}").stream
        assert np.array_equal(cut[:], cube[2:]) and cut.gaps == []
        assert np.isnan(cut.rows["TIME"]).all() and (cut.rows["CNT0"] == np.arange(3, 11)).all()
    # A vector a frame.
    fits.writeto(f"{place}/vectors.fits", cube[:, 0])
    extract(f"{place}/vectors.fits", f"{place}/v.fits", "--format", "hdus")
    assert np.array_equal(daorec.open(f"{place}/v.fits").stream[:], cube[:, 0])


def little_is_read():
    session, _ = recorded()
    place = root()
    for name, kind in FORMS:
        extract(session.folder, f"{place}/{name}", "--format", kind)
        size = os.path.getsize(f"{place}/{name}") if kind != "npy" else 45_000  # rows have counts
        with BytesRead() as read:
            stream = daorec.open(f"{place}/{name}").stream
            stream[250]
            stream.at_count(1100)
            assert read.bytes < 200_000 and read.bytes < size, (kind, read.bytes, size)


def bad_ones_are_refused_in_one_line():
    session, _ = recorded()
    place = root()
    for name, kind in FORMS:
        extract(session.folder, f"{place}/{name}", "--until", 40, "--format", kind)

    def bytes_of(name):
        with open(f"{place}/{name}", "rb") as file:
            return file.read()

    def put(name, content):
        with open(f"{place}/{name}", "wb") as file:
            file.write(content)
        return f"{place}/{name}"
    units, array = bytes_of("units.fits"), bytes_of("array.npy")
    rows = bytes_of("array.frames.npy")
    for cut in (len(units) - 2880, len(units) // 2):
        with fails(daorec.Error, "x.fits", "cut short"):
            daorec.open(put("x.fits", units[:cut]))
    at = units.index(b"CNT2    =", 20 * 5760)
    changed = daorec.open(put("x.fits", units[:at] + b"CNTX" + units[at + 4:])).stream
    assert len(changed[:]) == 40
    with fails(daorec.Error, "x.fits", "CNT2", "changed"):
        changed.rows
    with fails(daorec.Error, "array.frames.npy", "open that"):
        daorec.open(f"{place}/array.frames.npy")
    with fails(daorec.Error, "alone.frames.npy", "numpy.load"):
        daorec.open(put("alone.npy", array))
    put("short.frames.npy", rows)
    with fails(daorec.Error, "short.npy", "cut short"):
        daorec.open(put("short.npy", array[:-1]))
    put("short.frames.npy", rows[:-1])
    with fails(daorec.Error, "short.frames.npy", "cut short"):
        daorec.open(put("short.npy", array))
    np.save(f"{place}/short.frames.npy", np.load(f"{place}/array.frames.npy")[:-1])
    with fails(daorec.Error, "short.frames.npy", "40 frames"):
        daorec.open(f"{place}/short.npy")
    np.save(f"{place}/text.npy", np.array(["a", "b"]))
    with fails(daorec.Error, "text.npy", "numpy.load"):
        daorec.open(f"{place}/text.npy")
    with fails(daorec.Error, "magic.npy", "no array"):
        daorec.open(put("magic.npy", b"\x93NUMPY\x09\x09" + bytes(100)))
    stream = daorec.open(f"{place}/array.npy").stream
    os.replace(put("other", rows), f"{place}/array.frames.npy")
    with fails(daorec.Error, "array.frames.npy", "another file"):
        stream.rows
    # A header card or byte changed: read or refused, nothing else.
    random = np.random.default_rng(7)
    for whole, name in ((units, "y.fits"), (array, "y.npy")):
        put("y.frames.npy", rows)
        for at in random.integers(0, 128 if name == "y.npy" else 2880 * 4, 60):
            damaged = bytearray(whole)
            damaged[at] = random.integers(0, 256)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    stream = daorec.open(put(name, damaged)).stream
                    stream.gaps, stream.at_count(1010), len(stream[:3])
            except daorec.Error as error:
                assert "\n" not in str(error) and name in str(error), error
            except MemoryError as error:
                assert "GB" in str(error)


def what_is_in_a_file_that_is_not_here_is_absent():
    path, sim = source("--jump-at", 250, "--jump-by", 9, "--start-count", 1000, depth=8192)
    session = h.finish(h.record("--wait=30s", "--backlog", "-n", 500, "--roll-frames", 100, path))
    end(sim)
    name, files = h.stream_name(path), session.stream(path)["files"]
    whole = daorec.open(session.folder)[name]
    counts = whole.rows["CNT0"]
    (gap,) = whole.gaps
    assert gap.count == 9 and len(files) == 5
    place = os.path.join(root(), "copy")
    shutil.copytree(session.folder, place)
    third = os.path.join(place, name, os.path.basename(files[2]))
    os.unlink(third)  # which has the gap in it
    # By the rows alone: all of it; by the ledger: but for what was lost.
    here = [file for file in files if os.path.basename(file) != os.path.basename(third)]
    alone = daorec.open(here).stream
    assert [g[:3] for g in alone.gaps] == [(counts[200], 109, "absent")], alone.gaps
    assert alone.gaps[0].index == 200
    both = daorec.open(place)[name].gaps
    assert [g[:3] for g in both] == [
        (counts[200], gap.first_cnt0 - counts[200], "absent"), gap[:3],
        (gap.first_cnt0 + 9, counts[299] - gap.first_cnt0 - 8, "absent")], both
    assert sum(g.count for g in both) == 109 and {g.index for g in both} == {200}
    # Neighbours are here: what a row does not know of was swallowed by the disk.
    first = daorec.open(files[:2]).stream
    assert first.gaps == []


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)  # of processes that were killed
    h.main([every_form_of_every_type_holds_what_the_recording_has,
            frames_left_out_are_not_lost_and_losses_are_told, what_is_cut_is_opened_by_its_name,
            frames_of_others_are_opened_too, little_is_read, bad_ones_are_refused_in_one_line,
            what_is_in_a_file_that_is_not_here_is_absent])
