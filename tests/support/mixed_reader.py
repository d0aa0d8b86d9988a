"""mixed_reader.py - reads frames as it is told to; mixed.h has the commands. One thread."""
import sys

import numpy as np

from daoShm import shm
from ramp import ramp

source = None


def verdict(is_right):
    return "ok" if is_right else "wrong"


def is_right(data, *counts):
    """One frame, or a history of them."""
    wanted = ramp(counts, source.shape, source.dtype)
    return data is not None and data.dtype == wanted.dtype and \
        np.array_equal(data.reshape(wanted.shape), wanted)


def open_segment(path):
    global source
    source = shm(path)
    rows, columns = source.shape
    return f"{source.dtype} {source.depth} {rows} {columns}"


def get_next(wait):
    """(status, count, pixels): the count is the tail's."""
    status, data = source.get_data_next(wait=wait)
    return status, source.image.fifo_last_read_cnt0, data


def next_frames(frames):
    answers = []
    for _ in range(int(frames)):
        status, count, data = get_next(True)
        answers.append(f"{status}:{count}:{verdict(is_right(data, count))}")
    return " ".join(answers)


def ready():
    status, count, data = get_next(False)
    return str(status) if data is None else f"{status}:{count}:{verdict(is_right(data, count))}"


def newest():
    data = source.get_data()
    count = source.image.fifo_last_read_cnt0
    return f"{count}:{verdict(is_right(data, count))}"


def history(last, frames):
    counts = range(int(last) - int(frames) + 1, int(last) + 1)
    data = source.get_history(num_items=int(frames))
    return verdict(len(data) == len(counts) and is_right(data, *counts))


def slot(index, count):
    data = source.get_data_arbitrary(int(index))
    return verdict(source.get_counter(int(index)) == int(count) and is_right(data, int(count)))


def check():
    return str(source.daoShmCheckSegmentOverwrite(source.image))


def meta(index):
    md = source.get_meta_data(int(index))
    size, packets = md["size"], md["lastNbArray"]
    return " ".join([f"{name}={md[name]}" for name in ("cnt0", "cnt1", "cnt2", "write", "naxis")] +
                    [f"size={size[0]},{size[1]},{size[2]}"] +
                    [f"{name}={md[name]}" for name in ("nelement", "atype", "NBkw")] +
                    [f"packetTotal={md['packetTotal']}"] +
                    [f"packets={packets[0]},{packets[1]}",
                     f"atime={md['atime']['tsfixed']['secondlong']}"] +
                    [f"{name}={md[name]}" for name in ("fifo_size", "fifo_last_written", "sem")] +
                    [f"name={md['name'].decode()}"])


def keywords():
    answers = []
    for i in range(source.image.md[0].NBkw):
        keyword = source.image.kw[i]
        value = {b"L": lambda v: str(v.numl), b"D": lambda v: f"{v.numf:.3f}",
                 b"S": lambda v: v.valstr.decode()}[keyword.type](keyword.value)
        answers.append(":".join([keyword.name.decode(), keyword.type.decode(), value,
                                 keyword.comment.decode()]))
    return ";".join(answers)


def follow(frames):
    counts, wrong, overwritten = [], 0, 0
    for _ in range(int(frames)):
        status, count, data = get_next(True)
        overwritten += status == shm.DAO_OVERWRITE
        wrong += not is_right(data, count)
        counts.append(count)
    in_order = 1 + sum(after == before + 1 for before, after in zip(counts, counts[1:]))
    return f"{counts[0]} {counts[-1]} {in_order} {wrong} {overwritten}"


def close():
    source.close()
    return "ok"


COMMANDS = {"open": open_segment, "next": next_frames, "ready": ready, "newest": newest,
            "history": history, "slot": slot, "check": check, "meta": meta, "keywords": keywords,
            "follow": follow, "close": close}
for line in sys.stdin:
    word, *words = line.split()
    print(COMMANDS[word](*words), flush=True)
