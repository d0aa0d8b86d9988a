#!/usr/bin/env python3
"""Whoever can write a segment gets no more than an error message: names and keywords made to harm,
and garbage written over all of it while it is recorded."""
import atexit
import os
import re
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from at_rest import snapshot  # noqa: E402
from source import MD_BYTES, Source, check_files, files_of, recording  # noqa: E402

h.DAOREC = os.path.abspath(h.DAOREC)  # it is run in another directory
# Beside the output folder lies what names lead to from there, from a session and from a stream.
AROUND = h.output
atexit.register(setattr, h, "output", AROUND)  # all of it is removed
h.output = os.path.join(AROUND, "root")

NASTY = [b"../b/p", b"../../b/p", b"../../../b/p", b"../../../b/new", os.fsencode(AROUND + "/b/p"),
         os.fsencode(AROUND + "/b/x"), b"a/b", b"\x1b[31mred\x07", b"n" * 80,
         b"\xff\xfe\x00x", b"'; rm -rf ~ #", b"%s%n%s%n", b"END", b"[1:2](x)+"]
KEYWORDS = [
    (b"../../../b/p", b"S", b"../../../b/new", b"../../../b/y"), (b"../b/p", b"S", b"../../b/p"),
    (b"SIMPLE", b"L", 0), (b"NAXIS1", b"L", 10**9),
    (b"BITPIX", b"D", 3.5), (b"END", b"S", b"END"), (b"CONTINUE", b"S", b"'a'&"),
    (b"HISTORY", b"S", b"x"), (b"XTENSION", b"S", b"IMAGE"), (b"CHECKSUM", b"S", b"0" * 16),
    (b"DATASUM", b"L", 0), (b"FRAME0", b"L", 99), (b"ATIME", b"L", 5),
    (b"RECSTAT", b"S", b"CLOSED"), (b"nan", b"D", float("nan")), (b"inf", b"D", float("-inf")),
    (b"tiny", b"D", 5e-324),
    (b"min", b"L", -2**63), (b"max", b"L", 2**63 - 1), (b"X" * 16, b"S", b"Y" * 16, b"Z" * 80),
    (b"quote", b"S", b"'" * 16, b"'" * 80), (b"ctrl", b"S", bytes(range(16)), bytes(range(80))),
    (b"high\xff\xfe", b"S", b"\xc3\xa9\xff" * 5, b"\xf0" * 80), (b"", b"L", 1), (b" ", b"L", 1),
    (b"A B", b"L", 1), (b"A=B", b"L", 1), (b"A/B", b"S", b"/ comment"),
    (b"HIERARCH", b"S", b"x = y"), (b"GAIN", b"L", 1), (b"GAIN", b"L", 2), (b"gain", b"L", 3),
    (b"TTYPE1", b"S", b"x"),
    (b"ok", b"\x00", b"unknown"), (b"ok", b"Q", b"unknown"), (b"PCOUNT", b"L", -1), (b"-", b"L", 1)]


class Outside:
    """What lies around the output folder, to be the same afterwards."""

    def __init__(self):
        self.cwd = os.path.join(AROUND, "cwd")
        for folder in (self.cwd, os.path.join(AROUND, "b"), h.output):
            os.makedirs(folder, exist_ok=True)
        with open(os.path.join(AROUND, "b", "p"), "w", encoding="ascii") as f:
            f.write("precious")
        self.before = self.look()

    def look(self):
        return {path: what for path, what in snapshot(AROUND).items()
                if not path.startswith(h.output + "/")}

    def check(self, session, paths):
        assert self.look() == self.before
        names = [h.stream_name(path) for path in paths]
        for folder, folders, files in os.walk(session.folder):
            assert set(folders) <= set(names), folders
            for name in files:
                stream = os.path.basename(folder)
                assert name == "session.json" or re.fullmatch(stream + r"_\d{6}\.fits", name), name
        for name in os.listdir(h.output):
            assert re.fullmatch(r"[0-9-]{10}_[0-9-]{8}", name), name
        assert not set(session.errors) & {chr(c) for c in range(32) if c != 10}


def names_and_keywords_made_to_harm_end_up_as_plain_text():
    path, outside = h.segment("nasty"), Outside()
    source = Source(path, keywords=KEYWORDS)
    recorder = recording(path, cwd=outside.cwd)
    for name in NASTY:
        for slot in range(source.depth):
            source.map[slot * MD_BYTES:slot * MD_BYTES + 80] = name.ljust(80, b"\0")
        source.publish_many(3)
    h.wait_for(lambda: files_of(path), what="the first file")
    time.sleep(0.05)
    source = Source(path, (7, 7), keywords=KEYWORDS * 4)
    source.publish_many(5)
    h.wait_for(lambda: len(files_of(path)) == 2, what="the second file")
    recorder.terminate()
    session = h.finish(recorder)
    found = check_files(session, path)
    assert session.stream(path)["recorded"] == 3 * len(NASTY) + 5 and len(found) == 2
    assert found[0][0]["NAXIS1"] == 5 and found[0][0]["RECSTAT"] == "CLOSED"
    outside.check(session, [path])


def scribble(path, seconds, seed, kind):
    """A process of its own: garbage over a segment for some seconds. keep: the fields that say how
    large it is are put back each time. size: the length of the file changes too."""
    random, end = np.random.default_rng(seed), time.monotonic() + seconds
    ruling = ((80, 48), (178, 2), (4296, 4))
    while time.monotonic() < end:
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        size = os.fstat(file).st_size
        for _ in range(200):
            count = int(random.choice([1, 4, 8, 64, 4000]))
            at = int(random.integers(0, max(1, size - count)))
            if random.random() < 0.5:
                at %= MD_BYTES  # slot 0: there is what rules
            before = [(os.pread(file, n, off), off) for off, n in ruling]
            os.pwrite(file, random.bytes(count) if random.random() < 0.8 else b"\xff" * count, at)
            if kind == "keep":
                for field in before:
                    os.pwrite(file, *field)
                time.sleep(0.0002)
        if kind == "size":
            os.truncate(file, int(random.integers(0, 2 * size + 5000)))
            time.sleep(0.002)
            os.truncate(file, size)
        os.close(file)


def shift(path, scribblers):
    """A segment made anew again and again, of any shape, while others scribble over it."""
    random, made = np.random.default_rng(5), 0
    while any(s.poll() is None for s in scribblers):
        shape = tuple(int(n) for n in random.integers(1, 40, int(random.integers(1, 4))))
        try:
            source = Source(path, shape, str(random.choice(["u1", "f4", "c16", "i8"])),
                            int(random.integers(1, 20)), KEYWORDS[:int(random.integers(0, 30))],
                            in_place=random.random() < 0.5)
            source.publish_many(int(random.integers(0, 8)), pause=0.001)
            made += 1
        except (OSError, ValueError, IndexError):
            pass
        time.sleep(random.random() * 0.04)
    return made


def garbage_written_while_it_is_recorded_harms_nobody():
    kinds, outside = ("keep", "any", "size", "shift"), Outside()
    paths = {kind: h.segment(f"garbage{kind}") for kind in kinds}
    good = h.segment("good")
    arguments = ("--size", "24x32", "--type", "uint16", "--pattern", "ramp", "-d", "60s")
    writers = [h.sim(path, "--rate", 2000, "--depth", 32, *arguments) for path in paths.values()]
    steady = h.sim(good, "--rate", 500, "--depth", 1024, *arguments)
    recorder = recording("--buffer", "16MiB", "--roll-frames", 2000, good, *paths.values(),
                         cwd=outside.cwd)
    script = os.path.abspath(__file__)
    scribblers = [h.start(sys.executable, script, "--scribble", path, 1.5, number, kind)
                  for number, (kind, path) in enumerate(paths.items())]
    made = shift(paths["shift"], scribblers)
    for scribbler in scribblers:
        out, errors = scribbler.communicate()
        assert scribbler.returncode == 0, errors
    assert recorder.poll() is None, recorder.communicate()
    recorder.terminate()
    for writer in writers + [steady]:
        writer.kill()
    session = h.finish(recorder)
    files = [file for stream in session.summary["streams"] for file in stream["files"]]
    h.judge(*files)
    mine = session.stream(good)
    assert mine["lost"] == 0 and mine["torn"] == 0, mine
    h.check_stream(session, good, (24, 32), "uint16", judged=False)
    outside.check(session, [good, *paths.values()])
    told = [line for line in session.errors.splitlines() if ".fits:" not in line]
    assert len(told) < 30, session.errors
    for kind, path in paths.items():
        stream, ledger = session.stream(path), session.ledger_of(path)
        print(f"        {kind}: {stream['recorded']} recorded, {stream['lost']} lost, "
              f"{ledger['restarts']} restarts, {len(ledger['geometries'])} shapes, "
              f"{len(stream['files'])} files")
    print(f"        {made} segments made, {len(told)} lines told")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--scribble"]:
        scribble(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
        sys.exit(0)
    h.main([names_and_keywords_made_to_harm_end_up_as_plain_text,
            garbage_written_while_it_is_recorded_harms_nobody])
