"""compiled.py - programs that a test compiles as a user would: against lib/ and this build's
libdao.so, with plain flags and no warning allowed."""
import os
import subprocess

import harness as h

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
C_WARNINGS = ["-Wstrict-prototypes", "-Wmissing-prototypes", "-Wvla"]


def start_compiler(source, program, *options, compiler=None):
    """A compiler at work on one source file, for finish_compiler()."""
    is_c = source.endswith(".c")
    compiler = compiler or ("gcc" if is_c else "g++")
    flags = C_WARNINGS if is_c else ["-std=c++17"]
    build = os.path.realpath(h.BUILD)
    return h.start(compiler, *WARNINGS, *flags, "-O1", *options, f"-I{ROOT}", f"-I{ROOT}/lib",
                   "-o", program, source, f"-L{build}", f"-Wl,-rpath,{build}", "-ldao", "-pthread")


def finish_compiler(compiler):
    try:
        _, errors = compiler.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        compiler.kill()
        raise
    assert compiler.returncode == 0 and not errors, errors
