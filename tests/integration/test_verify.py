#!/usr/bin/env python3
"""verify has no doubt about what record wrote (every test here and elsewhere ends with it), and
doubts whatever was changed afterwards, by name."""
import collections
import glob
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from at_rest import wait_for_locks  # noqa: E402


FLIPS = int(os.environ.get("FLIPS", "40"))


def verify(*paths, status):
    """Its exit status and what it prints, a JSON object a line."""
    result = subprocess.run([h.DAOREC, "verify", "--json", *paths], capture_output=True, text=True,
                            timeout=60)
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    return [json.loads(line) for line in result.stdout.splitlines()]


def doubts(*paths):
    return [d for found in verify(*paths, status=1) for d in found["doubts"]]


def recording(name, size, dtype, *more, frames=60):
    """A finished session of one stream; its folder and files."""
    path = h.segment(name)
    source = h.sim(path, "--size", size, "--type", dtype, "--rate", 1000, "--depth", 64,
                   "--pattern", "ramp", "-d", "60s")
    session = h.finish(h.record("--wait=20s", "-n", frames, *more, path))
    source.kill()
    return session.folder, session.stream(path)["files"]


def flip(path, offset, bit):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ (1 << bit)]))


def places_of(file):
    """Where what lies in it: the bytes of its pixels, rows, headers and paddings."""
    places = {"pixels": [], "rows": [], "headers": [], "paddings": []}
    with fits.open(file) as hdus:
        for hdu in hdus:
            info, data = hdu.fileinfo(), None
            if hdu.name == "FRAMES":
                data, bytes_used = "rows", hdu.header["NAXIS1"] * hdu.header["NAXIS2"]
            elif hdu.name == "SHMKW":
                data, bytes_used = None, hdu.header["NAXIS1"] * hdu.header["NAXIS2"]
            else:
                frame_bytes = abs(hdu.header["BITPIX"]) // 8 * int(np.prod(hdu.shape[1:]))
                data, bytes_used = "pixels", frame_bytes * hdu.shape[0]
            end = info["datLoc"] + bytes_used
            places["headers"].append(range(info["hdrLoc"], info["datLoc"]))
            places["paddings"].append(range(end, info["datLoc"] + info["datSpan"]))
            if data:
                places[data].append(range(info["datLoc"], end))
    return {name: [r for r in ranges if len(r)] for name, ranges in places.items()}, frame_bytes


def a_flipped_bit_is_named_whatever_the_type():
    """Anywhere in the file, and in each kind of place; FLIPS of them in each of four files."""
    random.seed(1)
    tried, named = collections.Counter(), collections.Counter()
    for name, size, dtype in (("u8", "7x5x3", "uint8"), ("u16", "33x9", "uint16"),
                              ("f8", "11", "float64"), ("c8", "5x4x3", "complex64")):
        folder, (file,) = recording(name, size, dtype)
        places, frame_bytes = places_of(file)
        for flips in range(FLIPS):
            wanted = random.choice(places[list(places)[flips % 4]] if flips % 8 < 4 else
                                   [range(os.path.getsize(file))])
            offset, bit = random.choice(wanted), random.randrange(8)
            flip(file, offset, bit)
            found = doubts(file)
            assert found, (file, offset, bit)
            place = next((p for p in places if any(offset in r for r in places[p])), "keywords")
            tried[place] += 1
            about = {d["frame"] for d in found} | {d.get("last_frame") for d in found}
            if place == "pixels":
                frame = (offset - places[place][0][0]) // frame_bytes
                assert about == {frame, None}, (frame, found)
                assert f"frame {frame} " in found[0]["text"] and "DSUM" in found[0]["text"]
                named[place] += 1
            elif place == "rows":
                named[place] += (offset - places[place][0][0]) // 64 in about
            else:
                assert about == {None} and len(found) <= 4, found
            flip(file, offset, bit)
        offset = places["rows"][0][0] + 17 * 64 + 16 + 5  # CNT0 of row 17
        flip(file, offset, 2)
        assert 17 in [d["frame"] for d in doubts(file)]
        flip(file, offset, 2)
        verify(folder, status=0)
    # The low bits of RTIME, TORN and PARTIAL: nobody can know.
    assert named["rows"] >= 0.8 * tried["rows"], (named, tried)
    print(f"  {sum(tried.values())} flips in files of four types, all found: {dict(tried)}; named "
          f"to the frame: {dict(named)}")


def what_is_cut_off_lengthened_or_renamed_is_doubted():
    folder, (file,) = recording("cut", "16x16", "uint16")
    with open(file, "rb") as f:
        whole = f.read()
    copy = os.path.join(folder, "copy.fits")
    for content in (whole[:100], whole[:2880], whole[:-1], whole[:-2880], whole + b"\0",
                    whole + bytes(2880), b"", os.urandom(5000),
                    whole[:2880] + whole[5760:]):
        with open(copy, "wb") as f:
            f.write(content)
        assert doubts(copy)
    os.unlink(copy)
    os.rename(file, file.replace("_000001", "_000002"))
    assert any("calls itself" in d["text"] for d in doubts(folder))


def a_session_is_more_than_its_files():
    folder, files = recording("chain", "16x16", "uint16", "--roll-frames", 20)
    assert len(files) == 3
    ledger = os.path.join(folder, "session.json")
    with open(ledger, encoding="utf-8") as f:
        text = f.read()

    def says(word):
        texts = [d["text"] for d in doubts(folder)]
        assert any(word in t for t in texts), (word, texts)
    for right, wrong, word in (('"recorded": 60', '"recorded": 59', "expected, but"),
                               ('"end": "', '"end": null, "x": "', "unfinished"),
                               ("{", "", "no JSON"),
                               ('"cnt0_end": ', '"cnt0_end": 9', "cnt0_end 9")):
        with open(ledger, "w", encoding="utf-8") as f:
            f.write(text.replace(right, wrong, 1))
        says(word)
    os.unlink(ledger)
    says("missing")
    with open(ledger, "w", encoding="utf-8") as f:
        f.write(text)
    verify(folder, os.path.dirname(files[0]), *files, status=0)
    os.chdir(os.path.dirname(files[0]))
    verify(".", status=0)
    os.chdir("/")


def one_is_one():
    """Of a recording of one frame, and one that a crash left."""
    path = h.segment("one")
    source = h.sim(path, "--size", "5", "--rate", 500, "--depth", 1, "-d", "60s")
    said = []

    def run(*arguments, status=(0,)):
        result = subprocess.run([h.DAOREC, *map(str, arguments)], capture_output=True, text=True,
                                timeout=60)
        assert result.returncode in status, result
        said.append(result.stdout + result.stderr)
    root = os.path.join(h.output, "one")
    h.wait_for(lambda: os.path.exists(path), what="the source")
    run("record", "-n", 1, "-o", root, path, status=(0, 3))  # at depth 1 frames are soon lapped
    (file,) = glob.glob(root + "/*/*/*.fits")
    run("verify", root)
    run("info", file, path)
    with open(file, "ab") as f:
        f.write(b"x")
    run("verify", root, status=(1,))
    recorder = h.start(h.DAOREC, "record", "-q", "-o", root + "2", path)
    h.wait_for(lambda: glob.glob(root + "2/*/*/*.part"), what="a file")
    recorder.kill()
    recorder.wait()
    source.kill()
    wait_for_locks(root + "2")
    run("repair", "--apply", root + "2")
    for text in said:
        assert re.search(r"\b1 [a-z]+", text), text
        assert not re.search(r"(?<![\d.-])1 (frames|files|streams|gaps|slots|bytes)", text), text


def a_segment_may_have_any_name():
    """Bytes that are no UTF-8, blanks, quotes, more than fits on a card."""
    for name in (b"odd\xff\xfe", b"w\xc3\xa4s", b"two  words 'quoted' ",
                 b"x" * 50 + b"/" + b"y" * 50):
        path = h.segment(os.fsdecode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        source = h.sim(path, "--size", "5", "--rate", 500, "--depth", 64, "-d", "60s")
        recorder = h.record("--wait=20s", "-n", 5, path, errors="surrogateescape")
        session = h.finish(recorder)  # which asks verify
        source.kill()
        assert len(session.summary["streams"][0]["files"]) == 1
        shutil.rmtree(session.folder)


def files_of_others_are_judged_by_their_checksums():
    path = os.path.join(h.output, "foreign.fits")
    hdus = fits.HDUList([fits.PrimaryHDU(np.arange(100)), fits.ImageHDU(np.ones(10))])
    hdus.writeto(path, checksum=True)
    assert verify(path, status=0)[0]["state"] == "foreign"
    flip(path, os.path.getsize(path) - 2000, 3)
    assert any("unit 2" in d["text"] for d in doubts(path))
    hdus.writeto(path, overwrite=True)  # none at all: no doubt either
    verify(path, status=0)


def nothing_it_is_given_does_more_than_raise_a_doubt():
    bomb = os.path.join(h.output, "bomb.fits")
    with gzip.open(bomb, "wb") as f:
        for _ in range(64):
            f.write(bytes(1 << 20))
    fifo = os.path.join(h.output, "fifo.fits")
    os.mkfifo(fifo)
    for path in (bomb, fifo, "/dev/zero", os.path.join(h.output, "none.fits")):
        assert doubts(path)
    os.unlink(fifo)
    loop = os.path.join(h.output, "loop")
    os.mkdir(loop)
    os.symlink(loop, os.path.join(loop, "self"))
    os.symlink("/", os.path.join(loop, "everything"))
    assert "no recording is there" in doubts(loop)[0]["text"]
    shutil.rmtree(loop)


if __name__ == "__main__":
    h.main([a_flipped_bit_is_named_whatever_the_type,
            what_is_cut_off_lengthened_or_renamed_is_doubted, a_session_is_more_than_its_files,
            one_is_one, a_segment_may_have_any_name, files_of_others_are_judged_by_their_checksums,
            nothing_it_is_given_does_more_than_raise_a_doubt])
