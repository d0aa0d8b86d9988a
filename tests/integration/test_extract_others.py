#!/usr/bin/env python3
"""Frames taken out of FITS files that are no recordings: cubes of every kind, compressed ones, and
files with one image HDU a frame."""
import gzip
import os
import subprocess
import sys
import warnings

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import sparse  # noqa: E402
from test_extract import extract, folder, names  # noqa: E402

rng = np.random.default_rng(5)
BEGIN = 1_764_000_000_123_456_789


def take(source, *options, status=0, name="x"):
    """What extract makes of a file, as numpy sees it: (array, rows)."""
    sources = source if isinstance(source, list) else [source]
    place = os.path.dirname(sources[0])
    _, errors = extract(*sources, "-o", f"{place}/{name}.npy", "--force", *options, status=status)
    if status:
        return errors
    return np.load(f"{place}/{name}.npy"), np.load(f"{place}/{name}.frames.npy")


def same(got, expected):
    """Equal in type, shape and every value, NaN included."""
    assert got.dtype == np.dtype(expected.dtype.newbyteorder("=")), (got.dtype, expected.dtype)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    assert np.array_equal(got, expected, equal_nan=expected.dtype.kind in "fc")


def any_values(dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        values = rng.normal(size=shape).astype(dtype)
        values.flat[3], values.flat[4] = np.nan, np.inf
        return values
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    values.flat[0], values.flat[1] = info.min, info.max
    return values


# ---- cubes ----

def every_bitpix_and_offset():
    place, judged = folder("bitpix"), []
    for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
        cube = any_values(dtype, (20, 4, 7))
        path = f"{place}/{dtype}.fits"
        fits.writeto(path, cube)
        got, rows = take(path, "--from", 3, "--until", 18)
        same(got, cube[3:18])
        assert (rows["CNT0"] == np.arange(4, 19)).all() and (rows["ATIME"] == 0).all()
        assert (rows["RTIME"] != 0).all() and (rows["SLOT"] == -1).all()
        assert (rows["FLAGS"] == h.FLAG["BADTIME"]).all()
        judged.append(f"{place}/{dtype}-out.fits")
        extract(path, "-o", judged[-1])
        same(h.load([judged[-1]])[0], cube)
    h.judge(*judged)


def scaled_values_become_doubles():
    place = folder("scaled")
    for bitpix, dtype in ((8, "u1"), (16, "i2"), (32, "i4"), (64, "i8"), (-32, "f4"), (-64, "f8")):
        stored = any_values(dtype, (9, 5, 3))
        for bscale, bzero, blank in ((0.25, 0, None), (1, 7, None), (-2.5, 1e4, 5),
                                     (1, 32768.5, 5)):
            hdu = fits.PrimaryHDU(stored)
            hdu.header["BSCALE"], hdu.header["BZERO"] = bscale, bzero
            if blank is not None and bitpix > 0:
                stored.flat[10] = blank
                hdu.header["BLANK"] = blank
            path = f"{place}/{bitpix}.fits"
            hdu.writeto(path, overwrite=True)
            expected = stored.astype("f8")
            if blank is not None and bitpix > 0:
                expected[stored == blank] = np.nan
            same(take(path)[0], expected * bscale + bzero)
    # An offset that makes unsigned integers, with a BLANK: integers they stay.
    hdu = fits.PrimaryHDU(any_values("u2", (4, 4, 4)))
    hdu.header["BLANK"] = 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdu.writeto(f"{place}/blank.fits")
    assert take(f"{place}/blank.fits")[0].dtype == np.uint16
    # What is no value stays none where FITS can say so.
    stored = any_values("i2", (4, 4, 5))
    stored.flat[7] = -999
    hdu = fits.PrimaryHDU(stored)
    hdu.header["BLANK"] = -999
    hdu.writeto(f"{place}/none.fits")
    for options in ([], ["--format", "hdus"]):
        extract(f"{place}/none.fits", "-o", f"{place}/none-out.fits", "--force", *options)
        h.judge(f"{place}/none-out.fits")
        with fits.open(f"{place}/none-out.fits") as hdus:
            got = hdus[1 if options else 0].data.reshape(-1, 4, 5)[0]
        assert np.isnan(got.flat[7]) and np.isnan(got).sum() == (stored[0] == -999).sum()


def any_axis_may_count_frames():
    place = folder("axes")
    cube = any_values("i2", (6, 5, 4, 3))
    fits.writeto(f"{place}/four.fits", cube)
    same(take(f"{place}/four.fits")[0], cube)
    for axis in (1, 2, 3, 4):  # FITS counts from the other end
        frames = np.moveaxis(cube, 4 - axis, 0)
        same(take(f"{place}/four.fits", "--frame-axis", axis)[0], frames)
        same(take(f"{place}/four.fits", "--frame-axis", axis, "--from", 1, "--every", 2,
                  "--region", "1,1:3,2:3")[0], frames[1::2, 1:2, 1:3, 2:3])
    for shape in ((11,), (11, 6), (3, 2, 300)):
        cube = any_values("f4", shape)
        fits.writeto(f"{place}/flat.fits", cube, overwrite=True)
        expected = cube.reshape(11, 1) if len(shape) == 1 else cube
        same(take(f"{place}/flat.fits")[0], expected)
        if len(shape) > 1:
            same(take(f"{place}/flat.fits", "--frame-axis", 1)[0], np.moveaxis(cube, -1, 0))
    # A large one, that goes through memory in bands.
    cube = rng.integers(0, 60000, (40, 1500, 700), dtype="u2")
    fits.writeto(f"{place}/large.fits", cube)
    got = take(f"{place}/large.fits", "--frame-axis", 1, "--every", 50)[0]
    same(got, np.moveaxis(cube, -1, 0)[::50])
    got = take(f"{place}/large.fits", "--frame-axis", 2, "--from", 20, "--until", 60)[0]
    same(got, np.moveaxis(cube, 1, 0)[20:60])
    # Axes of length 1 do not count.
    cube = any_values("i4", (5, 1, 4, 3, 1, 2))
    fits.writeto(f"{place}/ones.fits", cube)
    same(take(f"{place}/ones.fits")[0], cube.reshape(5, 4, 3, 2))


def complex_numbers_by_ctype1():
    place = folder("complex")
    for dtype, pair in (("c8", "f4"), ("c16", "f8")):
        cube = (rng.normal(size=(9, 4, 3)) + 1j * rng.normal(size=(9, 4, 3))).astype(dtype)
        hdu = fits.PrimaryHDU(cube.view(pair).reshape(9, 4, 3, 2))
        hdu.header["CTYPE1"] = "COMPLEX"
        hdu.writeto(f"{place}/{dtype}.fits")
        same(take(f"{place}/{dtype}.fits")[0], cube)
        same(take(f"{place}/{dtype}.fits", "--frame-axis", 3)[0], np.moveaxis(cube, 1, 0))
        assert "axis 1" in take(f"{place}/{dtype}.fits", "--frame-axis", 1, status=1)
    hdu = fits.PrimaryHDU(np.arange(24, dtype="i2").reshape(3, 4, 2))  # integers: as doubles
    hdu.header["CTYPE1"] = "COMPLEX"
    hdu.writeto(f"{place}/integer.fits")
    got = take(f"{place}/integer.fits")[0]
    assert got.dtype == np.complex128 and got[1, 2] == 12 + 13j


def the_first_image_with_pixels_counts():
    place = folder("first")
    cube = any_values("i2", (5, 3, 2))
    table = fits.BinTableHDU.from_columns([fits.Column("A", "1J", array=np.arange(3))])
    fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(cube, name="science"),
                  fits.ImageHDU(cube + 1)]).writeto(f"{place}/x.fits")
    same(take(f"{place}/x.fits", "--stream", "SCIENCE")[0], cube)  # and it is told, see below
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(f"{place}/none.fits")
    assert "no image" in take(f"{place}/none.fits", status=1)


def compressed_cubes():
    place = folder("tiles")
    ints = rng.integers(0, 3000, (12, 30, 40)).astype("i2")
    cases = [("RICE_1", ints), ("GZIP_1", ints), ("HCOMPRESS_1", ints), ("PLIO_1", ints),
             ("RICE_1", ints.astype("u2") + 40000), ("RICE_1", ints.astype("i4") * 1000),
             ("RICE_1", (ints % 256).astype("u1"))]
    for number, (how, cube) in enumerate(cases):
        path, options = f"{place}/{number}.fits", {}
        if how == "HCOMPRESS_1":
            options = {"tile_size": (40, 30, 1), "hcomp_scale": 0}
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(cube, compression_type=how, **options)]
                     ).writeto(path)
        same(take(path, "--from", 2)[0], cube[2:])
        same(take(path, "--frame-axis", 1, "--from", 30)[0], np.moveaxis(cube, -1, 0)[30:])
    floats = rng.normal(size=(6, 20, 30)).astype("f4")
    floats[2, 3, 4] = np.nan
    exact = fits.CompImageHDU(floats, compression_type="GZIP_2", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), exact]).writeto(f"{place}/f.fits")
    same(take(f"{place}/f.fits")[0], floats)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(floats, quantize_level=16)]
                 ).writeto(f"{place}/q.fits")
    with fits.open(f"{place}/q.fits") as hdus:
        same(take(f"{place}/q.fits")[0], hdus[1].data)
    # A recording that was compressed has its table still.
    rows = sparse.plain_rows(12, 1000)
    table = fits.BinTableHDU(rows, name="FRAMES")
    table.header["TZERO10"], table.header["TSCAL10"] = 2**31, 1
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(ints, name="wfs"), table]
                 ).writeto(f"{place}/wfs_000001.fits.fz")
    got, got_rows = take(f"{place}/wfs_000001.fits.fz", "--from", "cnt0:1005", "--until", "+9ms")
    same(got, ints[5:9])
    for column in ("ATIME", "SLOT", "RTIME"):
        assert (got_rows[column] == rows[column][5:9]).all()
    # Out of a compressed one comes a plain cube without what was said of its tiles.
    extract(f"{place}/0.fits", "-o", f"{place}/plain.fits")
    h.judge(f"{place}/plain.fits")
    header = fits.getheader(f"{place}/plain.fits")
    assert not [key for key in header if key.startswith(("Z", "T")) and key[:4] != "TIME"], header


# ---- what is said of them ----

def folders_hold_files_by_all_their_names():
    place, out = folder("names"), folder("names-out")
    cubes = {name: any_values("i2", (6, 3, 4)) for name in ("a", "b", "c", "d")}
    for name, tail in zip(cubes, (".fits", ".fit", ".fts", ".fits.fz")):
        image = fits.CompImageHDU if tail == ".fits.fz" else fits.ImageHDU
        fits.HDUList([fits.PrimaryHDU(), image(cubes[name])]).writeto(place + "/" + name + tail)
    with open(f"{place}/e.txt", "w", encoding="ascii") as f:
        f.write("no FITS")
    _, errors = extract(place, "-o", f"{out}/x.npy")
    assert errors == "", errors
    for name, cube in cubes.items():
        same(np.load(f"{out}/x_{name}.npy"), cube)
    assert len(os.listdir(out)) == 2 * len(cubes)


def cards_are_kept_where_they_are_true():
    place = folder("cards")
    cube = any_values("f4", (10, 8, 6))
    hdu = fits.PrimaryHDU(cube)
    hdu.header.update({"OBJECT": "Sirius", "BUNIT": "ADU", "GAIN": (2.5, "[e-/ADU] of the camera"),
                       "DATE-OBS": "2020-02-03", "DATAMIN": -4.0, "CTYPE1": "X", "CTYPE2": "Y",
                       "CTYPE3": "T", "CRPIX1": 3.0, "CRPIX2": 4.0, "CRPIX3": 1.0, "CDELT3": 0.5,
                       "CRVAL1": 0.0, "CRVAL2": 0.0, "CRVAL3": 100.0})
    hdu.header["LONG"] = "x" * 100
    hdu.header.add_history("made by hand")
    hdu.add_checksum()
    hdu.writeto(f"{place}/x.fits")
    extract(f"{place}/x.fits", "-o", f"{place}/y.fits", "--region", "2:6,1:5", "--from", 3,
            "--every", 2)
    h.judge(f"{place}/y.fits")
    header = fits.getheader(f"{place}/y.fits")
    assert header["OBJECT"] == "Sirius" and header["BUNIT"] == "ADU" and header["GAIN"] == 2.5
    assert header.comments["GAIN"] == "[e-/ADU] of the camera" and header["LONG"] == "x" * 100
    assert header["DATE-OBS"] == "2020-02-03" and "DATAMIN" not in header
    assert (header["CRPIX1"], header["CRPIX2"]) == (2.0, 2.0) and header["CTYPE2"] == "Y"
    # Frame 3 was at 101.5 and is the first now; two frames are 1.0 apart.
    assert header["CRVAL3"] + (1 - header["CRPIX3"]) * header["CDELT3"] == 101.5
    assert header["CDELT3"] == 1.0
    assert "made by hand" in str(header["HISTORY"]) and "daorec" in str(header["HISTORY"])
    with fits.open(f"{place}/y.fits") as hdus:  # a segment made of it gets them as keywords
        keywords = hdus["SHMKW"].data["NAME"]
        assert "GAIN" in keywords and "OBJECT" not in keywords
    extract(f"{place}/x.fits", "-o", f"{place}/z.fits", "--frame-axis", 1)
    h.judge(f"{place}/z.fits")
    assert "CRPIX1" not in fits.getheader(f"{place}/z.fits")
    extract(f"{place}/x.fits", "-o", f"{place}/u.fits", "--format", "hdus")
    h.judge(f"{place}/u.fits")
    with fits.open(f"{place}/u.fits") as hdus:
        assert hdus[0].header["OBJECT"] == "Sirius" and len(hdus) == 11
        assert np.array_equal(hdus[7].data, cube[6], equal_nan=True)


# ---- one HDU a frame ----

def cards(*lines):
    return "".join(f"{line:80}" for line in (*lines, "END")).encode().ljust(2880)


def write_units(path, frames, number=lambda i: str(100 + i),
                time=lambda i: str(BEGIN + i * 1_000_000)):
    """By hand, since astropy takes minutes for tens of thousands: 6 x 5 uint16 each."""
    with open(path, "wb") as f:
        f.write(cards("SIMPLE  =                    T", "BITPIX  =                    8",
                      "NAXIS   =                    0", "EXTEND  =                    T"))
        for i in range(frames):
            f.write(cards("XTENSION= 'IMAGE   '", "BITPIX  =                   16",
                          "NAXIS   =                    2", "NAXIS1  =                    5",
                          "NAXIS2  =                    6", "PCOUNT  =                    0",
                          "GCOUNT  =                    1", "BSCALE  =                    1",
                          "BZERO   =                32768", f"CNT0    = {number(i):>20}",
                          f"CNT1    = {i % 7:>20}", f"CNT2    = {i + 5000:>20}",
                          f"ATIME   = {time(i):>20}", "MODE    = 'closed'", "NMODES  =  97"))
            f.write(unit_pixels(i).astype(">u2").tobytes().ljust(2880, b"\0"))


def unit_pixels(i):
    """As stored, so that the top bit is flipped by BZERO."""
    return (np.arange(30) * 31 + i * 7).astype("u2").reshape(6, 5)


def unit_frames(indices):
    return np.array([unit_pixels(i) ^ np.uint16(0x8000) for i in indices])


def fifty_thousand_units():
    place = folder("units")
    write_units(f"{place}/wfs_0001.fits", 50_000)
    got, rows = take(f"{place}/wfs_0001.fits", "--from", "cnt0:30000", "--until",
                     f"{np.datetime64(BEGIN + 49_000 * 10**6, 'ns')}")
    same(got, unit_frames(range(29_900, 49_000)))
    assert (rows["CNT0"] == np.arange(30_000, 49_100)).all()
    assert (rows["ATIME"] == BEGIN + np.arange(29_900, 49_000) * 1_000_000).all()
    assert (rows["CNT1"] == np.arange(29_900, 49_000) % 7).all() and rows["CNT2"][0] == 34_900
    extract(f"{place}/wfs_0001.fits", "-o", f"{place}/cube.fits", "--every", 1000)
    h.judge(f"{place}/cube.fits")
    with fits.open(f"{place}/cube.fits") as hdus:
        assert (hdus[0].data == unit_frames(range(0, 50_000, 1000))).all()
        assert hdus[0].header["EXTNAME"] == "wfs_0001" and hdus[0].header["MODE"] == "closed"
        assert sorted(hdus["SHMKW"].data["NAME"]) == ["MODE", "NMODES"]
    # And so many written, and read once more.
    extract(f"{place}/wfs_0001.fits", "-o", f"{place}/again.fits", "--format", "hdus")
    got, again = take(f"{place}/again.fits")
    same(got, unit_frames(range(50_000)))
    assert (again["CNT0"] == np.arange(100, 50_100)).all()
    with open(f"{place}/again.fits", "r+b") as f:  # the last ones are cut off
        f.truncate(os.path.getsize(f"{place}/again.fits") - 3 * 5760 - 100)
    assert len(take(f"{place}/again.fits")[0]) == 49_996


def files_of_units_are_sorted_by_number():
    place = folder("order")
    for number in (9, 10, 2, 100):  # by alphabet: 10, 100, 2, 9
        write_units(f"{place}/wfs_{number}.fits", 5, lambda i, n=number: str(n * 10 + i),
                    lambda i, n=number: str(BEGIN + n * 10**9 + i * 10**6))
    write_units(f"{place}/dm_1.fits", 3)
    extract(place, "-o", f"{place}/x.npy", "--stream", "wfs")
    got, rows = np.load(f"{place}/x.npy"), np.load(f"{place}/x.frames.npy")
    same(got, unit_frames(list(range(5)) * 4))
    assert (rows["CNT0"][::5] == [20, 90, 100, 1000]).all()
    # As are units within a file, by their times: 0, 1, 10, 11, 2, ... as names sort.
    names_order = sorted(range(13), key=str)
    write_units(f"{place}/one.fits", 13, lambda i: str(names_order[i]),
                lambda i: str(BEGIN + names_order[i] * 10**6))
    got, rows = take(f"{place}/one.fits")[:2]
    assert (rows["CNT0"] == np.arange(13)).all()
    same(got, unit_frames([names_order.index(i) for i in range(13)]))
    # Not where counts rise: then the clock was set back.
    write_units(f"{place}/back.fits", 8, time=lambda i: str(BEGIN + (i - 5 * (i > 3)) * 10**6))
    got, rows = take(f"{place}/back.fits")
    assert (rows["CNT0"] == np.arange(100, 108)).all()
    same(got, unit_frames(range(8)))
    # Without counts (the texts are none) they are the index in all files, and 1.
    none = folder("none")
    for number in (1, 2):
        write_units(f"{none}/dm_{number}.fits", 4, lambda i: "'none'",
                    lambda i, n=number: str(BEGIN + n * 10**9 + i * 10**6))
    assert (take([f"{none}/dm_1.fits", f"{none}/dm_2.fits"])[1]["CNT0"] == np.arange(1, 9)).all()
    # Two mirrors at the same time are no series, whatever their names.
    other = folder("order2")
    for number in (1, 2):
        write_units(f"{other}/dm{number}.fits", 4)
    extract(other, "-o", f"{place}/m.npy")
    assert {"m_dm1.npy", "m_dm2.npy"} <= set(names(place)), names(place)


def times_in_every_form():
    place = folder("times")
    forms = {
        "ns": (lambda i: str(BEGIN + i * 10**6), 0),
        "us": (lambda i: str((BEGIN + i * 10**6) // 1000), 1000),
        "s": (lambda i: f"{(BEGIN + i * 10**6) / 1e9:.9f}", 500),
        "date": (lambda i: f"'{np.datetime64(BEGIN + i * 10**6, 'ns')}'", 0),
        "text": (lambda i: f"'{BEGIN + i * 10**6}'", 0),
    }
    for name, (form, off_by) in forms.items():
        write_units(f"{place}/{name}.fits", 4, time=form)
        rows = take(f"{place}/{name}.fits")[1]
        assert (abs(rows["ATIME"] - (BEGIN + np.arange(4) * 10**6)) <= off_by).all(), name
    write_units(f"{place}/text.fits", 4, number=lambda i: f"'{i + 7}'", time=lambda i: "'never'")
    rows = take(f"{place}/text.fits")[1]
    assert (rows["CNT0"] == np.arange(7, 11)).all() and (rows["ATIME"] == 0).all()
    write_units(f"{place}/gap.fits", 8, number=lambda i: str(i + 10 * (i > 4)))
    assert (take(f"{place}/gap.fits", "--around-gap", 1, "--context", 2)[1]["CNT0"]
            == [3, 4, 15, 16]).all()


def a_gap_between_two_files_is_one():
    place = folder("border")
    for number, first in ((1, 100), (2, 110), (3, 115), (4, 90)):  # a gap, none, a restart
        write_units(f"{place}/wfs_{number}.fits", 5, lambda i, f=first: str(f + i + 3 * (i == 4)),
                    lambda i, n=number: str(BEGIN + n * 10**9 + i * 10**6))
    files = [f"{place}/wfs_{number}.fits" for number in (1, 2, 3, 4)]
    for gap, counts in enumerate(([103, 107], [107, 110], [113, 117], [118, 122], [93, 97]), 1):
        rows = take(files, "--around-gap", gap, "--context", 1)[1]
        assert (rows["CNT0"] == counts).all(), (gap, rows["CNT0"])
    assert "no gap 6" in take(files, "--around-gap", 6, status=1)


# ---- units of which some are odd ----

def write_odd(path, frames):
    """A unit for each of the dictionaries: its cards, its shape, whether it is compressed."""
    units = [fits.PrimaryHDU()]
    for i, frame in enumerate(frames, 1):
        frame = dict(frame)
        pixels = np.full(frame.pop("shape", (4, 5)), i, "i2")
        units.append((fits.CompImageHDU if frame.pop("packed", False) else fits.ImageHDU)(pixels))
        units[-1].header.update(frame)
    fits.HDUList(units).writeto(path, overwrite=True)


def usual(i):
    return {"CNT0": 1000 + i, "ATIME": BEGIN + i * 10**7}


def images_that_are_left_out_are_told():
    place = folder("left-out")
    for name, odd, at, said in (("none", {}, 5, "1, compressed"), ("first", {}, 1, "1, compressed"),
                                ("packed", {**usual(5), "packed": True}, 5, "1, compressed")):
        write_odd(f"{place}/{name}.fits", [odd if i == at else usual(i) for i in range(1, 11)])
        run = subprocess.run([h.DAOREC, "extract", f"{place}/{name}.fits", "-o",
                              f"{place}/{name}.npy"], capture_output=True, text=True)
        assert run.returncode == 0 and said in run.stderr and "10 images" in run.stderr, run
        assert (np.load(f"{place}/{name}.npy")[:, 0, 0]
                == [i for i in range(1, 11) if i != at]).all(), name
    write_odd(f"{place}/three.fits", [{}, {}, {}])
    run = subprocess.run([h.DAOREC, "extract", f"{place}/three.fits", "-o", f"{place}/three.npy"],
                         capture_output=True, text=True)
    assert run.returncode == 0 and "of its 3 images the first one is taken" in run.stderr, run
    write_odd(f"{place}/all.fits", [{**usual(i), "packed": True} for i in range(3)])
    assert "funpack" in take(f"{place}/all.fits", status=1)


def what_some_frames_do_not_tell_comes_from_their_neighbours():
    place = folder("neighbours")
    for first in (1, 3):  # a time is missing at the end, or at the beginning, too
        write_odd(f"{place}/x.fits", [{k: v for k, v in usual(i).items()
                                       if k == "CNT0" or i % 3 != first % 3}
                                      for i in range(first, 31)])
        for i in range(first, 31):
            if i % 3 == first % 3:
                continue
            when = str(np.datetime64(BEGIN + i * 10**7, "ns"))
            rows = take(f"{place}/x.fits", "--from", when)[1]
            assert rows["CNT0"][0] == 1000 + i, (i, rows["CNT0"][0])
    assert rows["ATIME"][-1] == 0 or 30 % 3 != first % 3
    write_odd(f"{place}/y.fits", [{k: v for k, v in usual(i).items()
                                   if k == "ATIME" or i not in (1, 2, 7, 8, 30)}
                                  for i in range(1, 31)])
    assert (take(f"{place}/y.fits")[1]["CNT0"] == np.arange(1001, 1031)).all()
    assert (take(f"{place}/y.fits", "--from", "cnt0:1007", "--until", "cnt0:1009")[0][:, 0, 0]
            == [7, 8]).all()
    # A whole file without times between two that have them.
    for number in (1, 2, 3):
        write_odd(f"{place}/z_{number}.fits",
                  [{k: v for k, v in usual(10 * number + i).items() if k == "CNT0" or number != 2}
                   for i in range(10)])
    files = [f"{place}/z_{number}.fits" for number in (1, 2, 3)]
    for i in (*range(10, 20), *range(30, 40)):
        when = str(np.datetime64(BEGIN + i * 10**7, "ns"))
        assert take(files, "--from", when)[1]["CNT0"][0] == 1000 + i, i


def shapes_in_one_file_are_streams_of_their_own():
    place, out = folder("shapes"), folder("shapes-out")
    write_odd(f"{place}/x.fits", [{**usual(i), "shape": (4, 5 + i % 2)} for i in range(6)])
    extract(f"{place}/x.fits", "-o", f"{out}/o.npy")
    for width, counts in ((5, [1000, 1002, 1004]), (6, [1001, 1003, 1005])):
        stream = f"x_4x{width}_int16"
        assert (np.load(f"{out}/o_{stream}.frames.npy")["CNT0"] == counts).all()
        got, rows = take(f"{place}/x.fits", "--stream", stream)
        assert got.shape == (3, 4, width) and (rows["CNT0"] == counts).all()


def an_axis_that_is_asked_for_makes_a_lone_image_a_cube():
    place = folder("lone")
    cube = any_values("i2", (6, 4, 5))
    hdu = fits.PrimaryHDU(cube)
    hdu.header.update(usual(1))
    hdu.writeto(f"{place}/x.fits")
    same(take(f"{place}/x.fits")[0], cube[None])
    same(take(f"{place}/x.fits", "--frame-axis", 3)[0], cube)


# ---- what cannot be ----

def what_cannot_be_read_is_refused_by_name():
    place = folder("refused")
    cube = any_values("i2", (5, 4, 3))
    fits.writeto(f"{place}/x.fits", cube)
    with open(f"{place}/x.fits", "rb") as f:
        whole = f.read()
    with gzip.open(f"{place}/x.fits.gz", "wb") as f:
        f.write(whole)
    fits.writeto(f"{place}/five.fits", any_values("u1", (2, 2, 2, 2, 2)))
    with open(f"{place}/nothing.fits", "wb") as f:
        f.write(whole[:2890])
    with open(f"{place}/header.fits", "wb") as f:
        f.write(whole[:1000])
    with open(f"{place}/nan.fits", "wb") as f:
        f.write(whole.replace(b"NAXIS2  =                    4", b"NAXIS2  = 99999999999999999999"))
    for name, word, options in (
            ("x.fits.gz", "gunzip", []), ("five.fits", "three axes", []),
            ("x.fits", "axis 4", ["--frame-axis", 4]), ("nothing.fits", "no whole frame", []),
            ("header.fits", "header", []), ("nan.fits", "lacks a size", []),
            ("x.fits", "no times", ["--from", "+1s"]),
            ("x.fits", "no times", ["--until", "2026-01-01T00:00:00"])):
        errors = take(f"{place}/{name}", *options, status=1)
        assert word in errors and errors.count("\n") == 1, (name, word, errors)
        assert word == "no times" or f"{place}/{name}" in errors
    errors = take(f"{place}/x.fits", "--from", "01:02:03", status=2)
    assert "the frames have none" in errors
    # Cut off in the middle: what is whole.
    with open(f"{place}/cut.fits", "wb") as f:
        f.write(whole[:2880 + 3 * 24 + 5])
    run = subprocess.run([h.DAOREC, "extract", f"{place}/cut.fits", "-o", f"{place}/y.npy"],
                         capture_output=True, text=True)
    assert run.returncode == 0 and "first 3 are there" in run.stderr
    same(np.load(f"{place}/y.npy"), cube[:3])
    # In a folder the others are taken.
    extract(place, "-o", f"{place}/z.npy", "--stream", "cut")
    same(np.load(f"{place}/z.npy"), cube[:3])


if __name__ == "__main__":
    h.main([every_bitpix_and_offset, scaled_values_become_doubles, any_axis_may_count_frames,
            complex_numbers_by_ctype1, the_first_image_with_pixels_counts, compressed_cubes,
            folders_hold_files_by_all_their_names,
            cards_are_kept_where_they_are_true, fifty_thousand_units,
            files_of_units_are_sorted_by_number, times_in_every_form,
            a_gap_between_two_files_is_one, images_that_are_left_out_are_told,
            what_some_frames_do_not_tell_comes_from_their_neighbours,
            shapes_in_one_file_are_streams_of_their_own,
            an_axis_that_is_asked_for_makes_a_lone_image_a_cube,
            what_cannot_be_read_is_refused_by_name])
