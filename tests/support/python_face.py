"""python_face.py - what the tests of lib/daoShm.py share: the module over this build's library,
names for segments, and children that run a piece of Python."""
import itertools
import os
import subprocess
import sys
import textwrap
import threading

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
LIB = os.path.realpath(os.path.join(ROOT, "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, LIB)

import harness as h  # noqa: E402

LIBRARY = os.path.realpath(os.path.join(h.BUILD, "libdao.so"))
os.environ["DAO_LIBRARY"] = LIBRARY

import daoShm  # noqa: E402
from daoShm import shm  # noqa: E402,F401

TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
         "float32", "float64", "complex64", "complex128"]

raises = h.Raises

_numbers = itertools.count(1)


def path():
    """A new path for a segment."""
    return h.segment(f"python{next(_numbers)}")


def in_thread(function):
    """Run it in a thread; the call of what is returned joins and gives the result, or raises."""
    result = {}

    def run():
        try:
            result["value"] = function()
        except BaseException as error:  # noqa: BLE001 - handed on
            result["error"] = error
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join(seconds=60):
        thread.join(seconds)
        assert not thread.is_alive(), "the thread still waits"
        if "error" in result:
            raise result["error"]
        return result["value"]
    join.is_alive = thread.is_alive
    return join


def child(code, *arguments, env=None, cwd=None):
    """Start an interpreter on a piece of code, which finds `arguments` in sys.argv[1:]."""
    environment = dict(os.environ, PYTHONPATH=LIB, PYTHONUNBUFFERED="1")
    environment.update(env or {})
    return h.start(sys.executable, "-c", textwrap.dedent(code), *arguments,
                   env={k: v for k, v in environment.items() if v is not None}, cwd=cwd)


def run(code, *arguments, env=None, cwd=None):
    """Run it to its end, which must be a success without a word on stderr; its output."""
    process = child(code, *arguments, env=env, cwd=cwd)
    try:
        out, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0 and not errors, (process.returncode, errors)
    return out


assert daoShm._lib._name == LIBRARY
