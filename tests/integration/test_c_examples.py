#!/usr/bin/env python3
"""The examples in tests/examples/c compile without a warning, run, and say what they should."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import compiled  # noqa: E402
import harness as h  # noqa: E402

EXAMPLES = os.path.join(compiled.ROOT, "tests", "examples", "c")
NAMES = ["create", "write", "sequential", "newest", "history"]


def they_compile_without_warnings():
    for compiler in ("clang", "gcc"):  # the programs of the second one are run
        jobs = [compiled.start_compiler(os.path.join(EXAMPLES, f"{name}.c"),
                                        os.path.join(h.output, name), compiler=compiler)
                for name in NAMES]
        for job in jobs:
            compiled.finish_compiler(job)


def example(name, *arguments):
    return h.start(os.path.join(h.output, name), *arguments)


def ended(process, status=0):
    out, errors = process.communicate(timeout=60)
    assert process.returncode == status, (process.returncode, out, errors)
    return out, errors


def create(name):
    path = h.segment(name)
    out, errors = ended(example("create", path))
    size = os.stat(path).st_size
    assert size == 8 * (4304 + 256 * 256 * 4)
    assert out == f"{path}: 256 x 256 float, 8 frames deep, {size} bytes\n" and not errors
    return path


def is_mapped(process, path):
    with open(f"/proc/{process.pid}/maps", encoding="utf-8", errors="replace") as maps:
        return path in maps.read()


def check_sequence(out):
    """Every line of sequential, and no frame but those it said it lost."""
    lines = out.splitlines()[1:]
    frames, last = 0, 0
    for line in lines:
        slow = re.fullmatch(r"too slow, or .*: from frame (\d+) to (\d+)", line)
        frame = re.fullmatch(r"frame (\d+): (mean (\d+)\.0|overwritten .*)", line)
        assert slow or frame, line
        if slow:
            assert int(slow[1]) == last < int(slow[2])
            last = int(slow[2]) - 1
            continue
        assert int(frame[1]) == last + 1 and (not frame[3] or frame[3] == frame[1]), lines
        last, frames = last + 1, frames + 1
    return frames


def they_run_together():
    path = create("together")
    sequential = example("sequential", path, 30)
    history = example("history", path, 30)
    newest = example("newest", path, 3)
    assert sequential.stdout.readline() == f"reading {path}\n"
    h.wait_for(lambda: is_mapped(history, path), what="history to open")
    writer = example("write", path)  # until it is killed
    out, errors = ended(sequential)
    assert check_sequence("\n" + out) == 30 and not errors, (out, errors)
    out, errors = ended(newest)
    looks = [re.fullmatch(r"frame (\d+): first pixel (\d+)\.0, last (\d+)\.0", line)
             for line in out.splitlines()]
    assert len(looks) == 3 and all(m and m[1] == m[2] == m[3] for m in looks) and not errors, out
    out, errors = ended(history)
    lines = [line.replace(":", "").split() for line in out.splitlines()]
    assert len(lines) == 30 and not errors, (out, errors)
    for _, count, *values in lines:
        past = [int(count) - back for back in range(7) if int(count) > back]
        # A machine that is busy may show some of them too late, never wrong.
        assert {float(value) for value in values} <= set(past) and len(values) <= len(past), lines
    assert any(len(values) == 7 for _, _, *values in lines), lines
    writer.terminate()
    writer.communicate()


def they_end_by_themselves_after_so_many_frames():
    path = create("counted")
    ended(example("write", path, 3))
    out, _ = ended(example("newest", path, 1))
    assert out == "frame 3: first pixel 3.0, last 3.0\n", out


def they_say_what_is_wrong():
    missing = h.segment("missing")
    for name in NAMES:
        _, errors = ended(example(name), 2)
        assert errors.startswith(f"usage: {name} PATH"), errors
        path = h.segments if name == "create" else missing
        _, errors = ended(example(name, path), 1)
        assert path in errors, errors


if __name__ == "__main__":
    assert sorted(os.listdir(EXAMPLES)) == sorted(f"{name}.c" for name in NAMES)
    h.main([they_compile_without_warnings, they_run_together,
            they_end_by_themselves_after_so_many_frames, they_say_what_is_wrong])
