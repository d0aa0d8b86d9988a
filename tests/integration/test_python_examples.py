#!/usr/bin/env python3
"""The examples in tests/examples/python run as they stand, and say what they should."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import python_face as p  # noqa: E402

EXAMPLES = os.path.join(p.ROOT, "tests", "examples", "python")


def example(name, *arguments):
    environment = dict(os.environ, PYTHONPATH=p.LIB, PYTHONUNBUFFERED="1")
    return h.start(sys.executable, os.path.join(EXAMPLES, name), *arguments, env=environment)


def ended(process, code=0):
    out, errors = process.communicate(timeout=60)
    assert process.returncode == code, (process.returncode, out, errors)
    return out, errors


def they_run_together():
    path = p.path()
    assert ended(example("create.py", path)) == ("[64, 64] depth 8\n", "")
    with p.shm(path) as reader:
        sequential = example("read_sequential.py", path, 40)
        newest = example("read_newest.py", path, 5)
        newest_begins = newest.stdout.readline()
        assert newest_begins == "now 1 0.0\n", newest_begins
        h.wait_until_open(sequential, path)
        writer = example("write.py", path, 100000)
        out, errors = ended(sequential)
        lines = [line.split() for line in out.splitlines()]
        assert [int(line[0]) for line in lines] == list(range(1, 41))
        values = [float(line[1]) for line in lines]
        assert values == sorted(set(values))
        assert values == list(range(int(values[0]), int(values[0]) + 40)) or "lost" in errors
        out, errors = newest.communicate(timeout=60)
        while "no frame for 2 seconds" in errors:  # a busy machine began to write later
            out, errors = example("read_newest.py", path, 5).communicate(timeout=60)
            out = out.partition("\n")[2]
        assert len(out.splitlines()) == 5 and not errors, (out, errors)
        out, errors = ended(example("history.py", path, 0.3))
        assert not errors and out.startswith("(4, 64, 64) ["), (out, errors)
        writer.kill()
        writer.communicate()
        count = reader.get_counter() + 10
        out, errors = ended(example("write.py", path, 10))
        assert out.startswith(f"last count {count} at 2"), out


def they_say_when_there_is_nothing():
    out, errors = ended(example("read_newest.py", p.path()), 1)
    assert "FileNotFoundError" in errors


def every_example_is_run_here():
    with open(os.path.abspath(__file__), encoding="utf-8") as f:
        text = f.read()
    for name in os.listdir(EXAMPLES):
        assert not name.endswith(".py") or f'"{name}"' in text, name


if __name__ == "__main__":
    h.main([they_run_together, they_say_when_there_is_nothing, every_example_is_run_here])
