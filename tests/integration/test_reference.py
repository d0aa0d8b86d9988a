#!/usr/bin/env python3
"""What the reference page promises: its snippets compile, run and get the right frames, and the
Python class does what its tables say. tests/README.md says which sentence each test stands for.

tests/reference/page/ has the snippets of C, C++ and Python: create, sequential (all), newest (C)
and history (Python) as they stand on the page; the other ones are the calls that its text names.
"""
import os
import re
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import compiled  # noqa: E402
import harness as h  # noqa: E402
import python_face as p  # noqa: E402
from python_face import raises, shm  # noqa: E402

REFERENCE = os.path.join(compiled.ROOT, "tests", "reference")
SHAPE = (256, 256)

# What the tests put in the place of the page's path and of what it leaves to the reader.
EDITS = {
    "c": [('"/tmp/mydata.im.shm"', "SHM_PATH"),
          ("while (1) {", "report_attached();\nwhile (1) {"),
          ("// process data …", "if (!report_more(data, wanted))\nbreak;")],
    "cpp": [('"/tmp/mydata.im.shm"', "SHM_PATH"),
            ("while (true) {", "report_attached();\nwhile (true) {"),
            ("// process data …", "if (!report_more(data, wanted))\nbreak;")],
    "python": [('"/tmp/mydata.im.shm"', "SHM_PATH"),
               ("while True:", "attached()\nwhile True:"),
               ("# process data (NumPy array) …", "if not report_more(data): break")],
}


def copy_snippets():
    """The page's snippets, edited, where the programs around them find them."""
    made = {language: set() for language in EDITS}
    for name in sorted(os.listdir(os.path.join(REFERENCE, "page"))):
        language = name.split("_")[0]
        with open(os.path.join(REFERENCE, "page", name), encoding="utf-8") as f:
            text = f.read()
        for old, new in EDITS[language]:
            if old in text:
                made[language].add(old)
                text = text.replace(old, new)
        with open(os.path.join(h.output, name), "w", encoding="utf-8") as f:
            f.write(text)
    assert all(len(made[language]) == len(edits) for language, edits in EDITS.items()), made


def the_snippets_compile_without_warnings():
    jobs = [compiled.start_compiler(os.path.join(REFERENCE, f"program.{end}"),
                                    os.path.join(h.output, f"program_{end}"), f"-I{h.output}")
            for end in ("c", "cpp")]
    for job in jobs:
        compiled.finish_compiler(job)


class Program:
    """A running snippet."""

    def __init__(self, language, what, wanted, path):
        command = {"c": [os.path.join(h.output, "program_c")],
                   "cpp": [os.path.join(h.output, "program_cpp")],
                   "python": [sys.executable, os.path.join(REFERENCE, "program.py"), h.output]}
        environment = dict(os.environ, SHM_PATH=path, PYTHONPATH=p.LIB, PYTHONUNBUFFERED="1")
        self.process = h.start(*command[language], what, wanted, env=environment,
                               stdin=h.subprocess.PIPE)

    def line(self):
        """Its next line but warnings."""
        while True:
            line = h.read_line(self.process).strip()
            assert line, "the program has ended: " + self.process.stderr.read()
            if not line.startswith("Warning"):
                return line

    def frames(self, number):
        lines = [self.line() for _ in range(number)]
        assert all(line.startswith("frame ") for line in lines), lines
        return [int(line.split()[1]) for line in lines]

    def finish(self):
        """(stdout, stderr) up to its end."""
        out, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, (self.process.returncode, out, errors)
        return out, errors


def frame(count, shape=SHAPE, dtype="float32"):
    return h.ramp([count], shape, dtype)[0]


def raw_slots(path, depth, shape=SHAPE):
    """The bytes of a float segment, without the library: [(cnt0, write, pixels)], N, head."""
    raw = np.fromfile(path, np.uint8)
    frame_bytes = int(np.prod(shape)) * 4
    assert len(raw) == depth * (4304 + frame_bytes), len(raw)
    slots = []
    for slot in range(depth):
        md = raw[slot * 4304:(slot + 1) * 4304]
        at = depth * 4304 + slot * frame_bytes
        slots.append((int(md[152:160].view("<u8")[0]), int(md[176]),
                      raw[at:at + frame_bytes].view("<f4").reshape(shape)))
    size, head = raw[4296:4304].view("<u4")
    return slots, int(size), int(head)


# ---- the snippets ----

def check_create_and_write(language):
    path = p.path()
    Program(language, "create", 11, path).finish()
    slots, size, head = raw_slots(path, 8)
    assert size == 8 and head == (11 - 1) % 8
    for slot, (count, write, pixels) in enumerate(slots):
        assert count == (slot + 9 if slot <= head else slot + 1) and not write
        assert np.array_equal(pixels, frame(count)), (slot, count)


def the_c_snippets_create_and_write():
    check_create_and_write("c")


def the_cpp_snippets_create_and_write():
    check_create_and_write("cpp")


def the_python_snippets_create_and_write():
    check_create_and_write("python")


def check_sequential(language):
    """Bursts that fit into the FIFO: nothing may be lost. Then the reader is stopped for more than
    a cycle."""
    path = p.path()
    with shm(path, data=frame(1), depth=8) as writer:
        reader = Program(language, "sequential", 23, path)
        assert reader.line() == "attached"
        count = 1
        for burst in (1, 2, 8, 3, 8):
            for _ in range(burst):
                count += 1
                writer.set_data(frame(count))
            assert reader.frames(burst) == list(range(count - burst + 1, count + 1))
        h.freeze(reader.process)
        for count in range(count + 1, count + 10):
            writer.set_data(frame(count))
        os.kill(reader.process.pid, h.signal.SIGCONT)
        out, errors = reader.finish()
        assert out.splitlines()[-1] == f"frame {count}", (out, errors)
        warnings = [line for line in (out + errors).splitlines() if line.startswith("Warning")]
        assert len(warnings) == 1 and "overwritten" in warnings[0], (out, errors)


def the_c_sequential_snippet_gets_every_frame_and_is_told_of_a_lap():
    check_sequential("c")


def the_cpp_sequential_snippet_gets_every_frame_and_is_told_of_a_lap():
    check_sequential("cpp")


def the_python_sequential_snippet_gets_every_frame_and_is_told_of_a_lap():
    check_sequential("python")


def check_newest(language):
    path = p.path()
    with shm(path, data=frame(1), depth=8) as writer:
        reader = Program(language, "newest", 4, path)
        for count in (1, 5, 6, 23):  # frames in between are no concern of it
            for value in range(writer.get_counter() + 1, count + 1):
                writer.set_data(frame(value))
            reader.process.stdin.write("\n")
            reader.process.stdin.flush()
            assert reader.frames(1) == [count]
        out, errors = reader.finish()
        assert not out and not errors, (out, errors)


def the_c_newest_snippet_gets_the_newest():
    check_newest("c")


def the_cpp_newest_snippet_gets_the_newest():
    check_newest("cpp")


def the_python_newest_snippet_gets_the_newest():
    check_newest("python")


def check_history(language, wanted, counts):
    path = p.path()
    with shm(path, data=frame(1), depth=8) as writer:
        for count in range(2, 12):
            writer.set_data(frame(count))
        reader = Program(language, "history", wanted, path)
        out, errors = reader.finish()
        assert [int(line.split()[1]) for line in out.splitlines()] == counts, out
        assert not errors, errors


def the_c_history_snippet_gets_past_frames():
    check_history("c", 16, 2 * [9, 10, 11, 4, 5, 6, 7, 8])  # by slot, modulo the depth


def the_cpp_history_snippet_gets_past_frames():
    check_history("cpp", 16, 2 * [9, 10, 11, 4, 5, 6, 7, 8])


def the_python_history_snippet_gets_the_last_frames_stacked():
    check_history("python", 4, [8, 9, 10, 11])


# ---- what the page says of the Python class ----

SMALL = (3, 4)


def small(count):
    return frame(count, SMALL)


def pair(depth=4, frames=0, first=1):
    """(writer, reader) of a segment with the frame `first`, then so many more."""
    writer = shm(p.path(), data=small(first), depth=depth)
    reader = shm(writer.fname)
    put(writer, first + 1, first + frames)
    return writer, reader


def put(writer, first, last):
    for count in range(first, last + 1):
        writer.set_data(small(count))


def is_frame(data, count):
    return isinstance(data, np.ndarray) and np.array_equal(data, small(count))


def python_the_depth_is_an_optional_keyword():
    assert shm(p.path(), data=small(1)).get_meta_data(0)["fifo_size"] == 1
    assert shm(p.path(), data=small(1), depth=8).get_meta_data(0)["fifo_size"] == 8


def python_set_data_advances_the_fifo_by_itself():
    for depth in (1, 2, 3, 8):
        writer, reader = pair(depth)
        for count in range(2, 3 * depth + 2):
            put(writer, count, count)
            slots, size, head = raw_slots(writer.fname, depth, SMALL)
            assert size == depth and head == (count - 1) % depth
            assert slots[head][0] == count and is_frame(slots[head][2], count)


def python_get_data_gives_the_newest_as_an_array():
    for depth in (1, 4):
        writer, reader = pair(depth, frames=10)
        assert is_frame(reader.get_data(), 11)
        put(writer, 12, 12)
        assert is_frame(reader.get_data(check=True, timeout=60), 12)


def python_get_data_next_moves_the_tail_by_one():
    for depth in (1, 2, 8):
        writer, reader = pair(depth)
        assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
        put(writer, 2, depth + 1)
        for count in range(2, depth + 2):
            status, data = reader.get_data_next()
            assert status == shm.DAO_SUCCESS and is_frame(data, count)
        assert reader.get_data_next() == (shm.DAO_NOTREADY, None)


def python_get_data_next_waits_if_asked_to():
    writer, reader = pair(4)
    got = p.in_thread(lambda: reader.get_data_next(wait=True))
    time.sleep(0.05)
    assert got.is_alive()
    put(writer, 2, 2)
    status, data = got()
    assert status == shm.DAO_SUCCESS and is_frame(data, 2)


def python_each_object_has_a_tail_of_its_own():
    writer, reader = pair(8, frames=3)
    other = shm(writer.fname)
    put(writer, 5, 6)
    assert [is_frame(reader.get_data_next()[1], count) for count in (2, 3, 4)] == [True] * 3
    assert is_frame(other.get_data_next()[1], 5)
    assert is_frame(reader.get_data_next()[1], 5)
    assert is_frame(other.get_data_next()[1], 6)


def python_get_data_arbitrary_gives_any_slot():
    writer, reader = pair(4, frames=5)
    for index in range(8):
        assert is_frame(reader.get_data_arbitrary(index), (5, 6, 3, 4)[index % 4])


def python_get_history_stacks_the_last_frames_along_axis_0():
    writer, reader = pair(8, frames=20)
    for number in (1, 3, 7, 8):
        history = reader.get_history(num_items=number)
        assert history.shape == (number,) + SMALL and history.dtype == np.float32
        assert [is_frame(f, 21 - number + 1 + i) for i, f in enumerate(history)] == [True] * number


def python_history_is_a_rolling_window_at_any_time():
    writer, _ = pair(8)
    for newest in range(1, 30):
        if newest > 1:
            put(writer, newest, newest)
        with shm(writer.fname) as reader:  # one that has kept nothing
            history = reader.get_history(num_items=8)
        counts = list(range(max(1, newest - 7), newest + 1))
        assert len(history) == len(counts)
        assert all(is_frame(f, count) for f, count in zip(history, counts)), newest


def python_get_meta_data_is_of_the_newest_or_of_a_slot():
    writer, reader = pair(4, frames=5)
    assert reader.get_meta_data()["cnt0"] == 6
    assert [reader.get_meta_data(slot)["cnt0"] for slot in range(4)] == [5, 6, 3, 4]
    times = [reader.get_meta_data(slot)["atime"]["tsfixed"]["secondlong"] for slot in (2, 3, 0, 1)]
    assert times == sorted(times)
    md = reader.get_meta_data()
    assert md["fifo_size"] == 4 and md["fifo_last_written"] == 1 and md["write"] == 0


def python_more_than_one_cycle_behind_is_an_overwrite_with_the_newest_frame():
    for depth in (1, 2, 8):
        writer, reader = pair(depth)
        put(writer, 2, depth + 2)
        status, data = reader.get_data_next()
        assert status == shm.DAO_OVERWRITE and is_frame(data, depth + 2)
        assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
        put(writer, depth + 3, 2 * depth + 2)  # a cycle: none is lost
        for count in range(depth + 3, 2 * depth + 3):
            status, data = reader.get_data_next()
            assert status == shm.DAO_SUCCESS and is_frame(data, count)


def python_readers_never_modify_shared_memory():
    writer, _ = pair(4, frames=5)
    with open(writer.fname, "rb") as f:
        before = f.read()
    with shm(writer.fname) as reader:
        reader.image.fifo_last_read, reader.image.fifo_last_read_cnt0 = 2, 3
        assert is_frame(reader.get_data_next()[1], 4)
        assert is_frame(reader.get_data_next(wait=True)[1], 5)
        assert is_frame(reader.get_data_arbitrary(2), 3)
        assert is_frame(reader.get_data(check=True, timeout=60), 6)
        assert is_frame(reader.get_data(), 6) and len(reader.get_history(4)) == 4
        assert reader.get_counter() == 6 and reader.get_meta_data(2)["cnt0"] == 3
        reader.reset_tail()
        assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
    with open(writer.fname, "rb") as f:
        assert f.read() == before


def python_opening_takes_the_depth_from_the_segment():
    for depth in (1, 2, 8, 100):
        writer, reader = pair(depth)
        put(writer, 2, depth + 1)
        assert reader.get_meta_data()["fifo_size"] == depth
        for count in range(2, depth + 2):
            status, data = reader.get_data_next()
            assert status == shm.DAO_SUCCESS and is_frame(data, count)


def python_a_segment_of_an_old_library_is_refused():
    writer, _ = pair(1)
    path = p.path()
    with open(writer.fname, "rb") as f:
        raw = f.read()
    with open(path, "wb") as f:
        f.write(raw[:4296] + raw[4304:])  # its metadata are 8 bytes shorter
    with raises(RuntimeError, path):
        shm(path)
    code = """
        import sys
        from daoShm import shm
        try:
            shm(sys.argv[1])
        except RuntimeError:
            pass
    """
    _, errors = p.child(code, path).communicate(timeout=60)
    assert re.search("delete and recreate it", errors), errors
    os.unlink(path)
    assert is_frame(shm(path, data=small(1)).get_data(), 1)


if __name__ == "__main__":
    copy_snippets()
    h.main([test for name, test in list(globals().items())
            if callable(test) and re.match("the_|python_", name)])
