"""mixed_writer.py - writes frames as it is told to; mixed.h has the commands. One thread."""
import sys
import time

import numpy as np

from daoShm import shm
from ramp import ramp

KEYWORDS = [(b"GAIN", b"L", "numl", -42, b"a whole number"),
            (b"EXPOSURE", b"D", "numf", 0.125, b"seconds"),
            (b"FILTER", b"S", "valstr", b"sixteen letters!", b"no NUL at its end")]

target = None


def frame():
    """The next one."""
    return ramp([target.get_counter() + 1], target.shape, target.dtype)[0]


def create(path, dtype, depth, keywords, rows, columns):
    global target
    first = ramp([1], (int(rows), int(columns)), dtype)[0]
    target = shm(path, data=first, nbkw=int(keywords), depth=int(depth))
    for i in range(int(keywords)):
        keyword = target.image.kw[i]
        keyword.name, keyword.type, member, value, keyword.comment = KEYWORDS[i]
        setattr(keyword.value, member, value)
    return "ok"


def run(frames, pause_us=0):
    for _ in range(int(frames)):
        target.set_data(frame())
        if pause_us:
            time.sleep(int(pause_us) / 1e6)
    return f"at {target.get_counter()}"


def parts(frame_id):
    pixels = np.ascontiguousarray(frame())
    half = pixels.size // 2
    for number, at, size in ((0, 0, half), (1, half, pixels.size - half)):
        part = pixels.ctypes.data + at * pixels.itemsize
        assert target.daoShmImagePart2Shm(part, size, target.image, at, number, 2,
                                          int(frame_id)) == shm.DAO_SUCCESS
    assert target.daoShmImagePart2ShmFinalize(target.image) == shm.DAO_SUCCESS
    return f"at {target.get_counter()}"


def close():
    target.close()
    return "ok"


COMMANDS = {"create": create, "write": run, "run": run, "parts": parts, "close": close}
for line in sys.stdin:
    word, *words = line.split()
    print(COMMANDS[word](*words), flush=True)
