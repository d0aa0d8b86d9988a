#!/usr/bin/env python3
"""Writers and readers in C, C++ and Python, each with each.

The programs are tests/support/mixed_writer.* and mixed_reader.*; mixed.h has their commands. The
test tells each what to do next, so that nothing depends on time; only in the last test do they run
freely, and there the FIFO is as deep as there are frames, so that nothing can be lost.
"""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import compiled  # noqa: E402
import harness as h  # noqa: E402
import python_face as p  # noqa: E402

LANGUAGES = ["c", "cpp", "python"]
OVERWRITE, NOTREADY = "-2", "-3"
SUPPORT = os.path.join(compiled.ROOT, "tests", "support")
KEYWORDS = ("GAIN:L:-42:a whole number;EXPOSURE:D:0.125:seconds;"
            "FILTER:S:sixteen letters!:no NUL at its end")


class Program:
    """A writer or a reader, which does what it is told."""

    def __init__(self, role, language):
        command = {"c": [os.path.join(h.BUILD, "tests", "support", f"mixed_{role}")],
                   "cpp": [os.path.join(h.output, f"mixed_{role}")],
                   "python": [sys.executable, os.path.join(SUPPORT, f"mixed_{role}.py")]}[language]
        environment = dict(os.environ, PYTHONPATH=p.LIB, PYTHONUNBUFFERED="1")
        self.name = f"the {role} in {language}"
        self.process = h.start(*command, env=environment, stdin=h.subprocess.PIPE)

    def begin(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def end(self):
        """Its answer to the command begun."""
        answer = h.read_line(self.process)
        assert answer, f"{self.name} has ended: {self.process.stderr.read()}"
        return answer.rstrip("\n")

    def do(self, command, wanted=None):
        self.begin(command)
        answer = self.end()
        assert wanted is None or answer == wanted, (self.name, command, answer, wanted)
        return answer


writers, readers = {}, {}


def start_programs():
    jobs = [compiled.start_compiler(os.path.join(SUPPORT, f"mixed_{role}.cpp"),
                                    os.path.join(h.output, f"mixed_{role}"))
            for role in ("writer", "reader")]
    for programs, role in ((writers, "writer"), (readers, "reader")):
        for language in ("c", "python"):
            programs[language] = Program(role, language)
    for job in jobs:
        compiled.finish_compiler(job)
    writers["cpp"], readers["cpp"] = Program("writer", "cpp"), Program("reader", "cpp")


def all_read(command, wanted=None):
    """Every reader does the same, at once, with the same answer."""
    for language in LANGUAGES:
        readers[language].begin(command)
    answers = {language: readers[language].end() for language in LANGUAGES}
    expected = answers["c"] if wanted is None else wanted
    assert all(answer == expected for answer in answers.values()), (command, answers, wanted)
    return expected


def taken(first, last, status="0"):
    return " ".join(f"{status}:{count}:ok" for count in range(first, last + 1))


def remove(path):
    os.unlink(path)
    for name in glob.glob(f"/dev/shm/sem.{h.stream_name(path)}_sem*"):
        os.unlink(name)


def check_metadata(depth, dtype, rows, columns, keywords, count, frame_id):
    """The frame that came in parts, in the next slot."""
    slot = (count - 1) % depth
    line = all_read(f"meta {slot}")
    md = dict(item.split("=", 1) for item in line.split())
    assert md["cnt0"] == str(count) and md["cnt2"] == str(frame_id) and md["write"] == "0", line
    assert md["naxis"] == "2" and md["size"] == f"{rows},{columns},0", line
    assert md["nelement"] == str(rows * columns), line
    assert md["atype"] == str(p.TYPES.index(dtype) + 1) and md["NBkw"] == str(keywords), line
    assert md["packetTotal"] == "2" and md["packets"] == f"{frame_id},{frame_id}", line
    assert md["fifo_size"] == str(depth) and md["fifo_last_written"] == str(slot), line
    assert abs(int(md["atime"]) / 1e9 - h.time.time()) < 60, line


def check_segment(language, depth, dtype, rows, columns, keywords):
    """One segment of this writer, and every reader on it at once."""
    writer, path = writers[language], p.path()
    writer.do(f"create {path} {dtype} {depth} {keywords} {rows} {columns}", "ok")
    all_read(f"open {path}", f"{dtype} {depth} {rows} {columns}")
    all_read("newest", "1:ok")
    all_read("ready", NOTREADY)
    count = depth + 1
    writer.do(f"write {depth}", f"at {count}")
    all_read(f"next {depth}", taken(2, count))
    all_read("check", "0")
    all_read(f"history {count} {depth}", "ok")
    for slot in range(depth):
        all_read(f"slot {slot} {count - (count - 1 - slot) % depth}", "ok")
    count += depth + 1
    writer.do(f"write {depth + 1}", f"at {count}")
    all_read("check", OVERWRITE)
    all_read("ready", taken(count, count, OVERWRITE))
    all_read("ready", NOTREADY)
    count += 1
    writer.do("parts 987654321012", f"at {count}")
    all_read("next 1", taken(count, count))
    check_metadata(depth, dtype, rows, columns, keywords, count, 987654321012)
    if keywords:
        all_read("keywords", KEYWORDS)
    all_read("close", "ok")
    writer.do("close", "ok")
    remove(path)


def check_writer(language):
    shapes = [(5, 7), (3, 4), (2, 1)]  # after an odd number of bytes keywords are misaligned
    for number, dtype in enumerate(p.TYPES):
        for depth in (1, 2, 8):
            rows, columns = shapes[0 if dtype.endswith("int8") else number % 3]
            check_segment(language, depth, dtype, rows, columns, 0 if depth == 2 else 3)


def every_reader_gets_what_c_writes():
    check_writer("c")


def every_reader_gets_what_cpp_writes():
    check_writer("cpp")


def every_reader_gets_what_python_writes():
    check_writer("python")


def every_reader_has_its_own_tail_whoever_writes():
    for language in LANGUAGES:
        writer, path = writers[language], p.path()
        writer.do(f"create {path} int16 8 0 3 4", "ok")
        all_read(f"open {path}")
        writer.do("write 6", "at 7")
        readers["c"].do("next 2", taken(2, 3))
        readers["cpp"].do("next 4", taken(2, 5))
        readers["python"].do("newest", "7:ok")
        writer.do("write 4", "at 11")
        readers["python"].do("next 3", taken(8, 10))
        readers["c"].do("ready", taken(4, 4))
        readers["cpp"].do("history 11 5", "ok")
        writer.do("write 2", "at 13")
        readers["c"].do("ready", taken(13, 13, OVERWRITE))
        readers["python"].do("next 3", taken(11, 13))
        all_read("newest", "13:ok")
        all_read("close", "ok")
        writer.do("close", "ok")
        remove(path)


def three_readers_beside_a_running_writer_get_every_frame_once_and_in_order():
    frames = 1200
    for language in LANGUAGES:
        writer, path = writers[language], p.path()
        writer.do(f"create {path} uint16 2048 0 32 48", "ok")
        all_read(f"open {path}")  # the writer begins when all are attached
        for reader in readers.values():
            reader.begin(f"follow {frames}")
        writer.do(f"run {frames} 100", f"at {frames + 1}")
        for reader in readers.values():
            answer = reader.end()
            assert answer == f"2 {frames + 1} {frames} 0 0", (reader.name, answer)
        all_read("close", "ok")
        writer.do("close", "ok")
        remove(path)


if __name__ == "__main__":
    start_programs()
    h.main([every_reader_gets_what_c_writes, every_reader_gets_what_cpp_writes,
            every_reader_gets_what_python_writes, every_reader_has_its_own_tail_whoever_writes,
            three_readers_beside_a_running_writer_get_every_frame_once_and_in_order])
