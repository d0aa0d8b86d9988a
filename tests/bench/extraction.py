"""extraction.py - daorec extract against astropy: extract.py, which is a program of its own since
it shares what it needs with the tests."""
import importlib.util
import json
import os
import subprocess
import sys

TITLE = "extracting against astropy"


def need_bytes(_):
    return 1 << 30


def run(bed, section):
    missing = [name for name in ("numpy", "astropy") if not importlib.util.find_spec(name)]
    if missing:
        section.skip(f"{' and '.join(missing)} not installed")
        return
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "extract.py")
    environment = dict(os.environ, BENCH_DIR=bed.output, BENCH_ROUNDS=str(bed.rounds))
    out, _ = bed.wait(bed.start(sys.executable, program, "--json", *["--quick"] * bed.is_quick,
                                stdout=subprocess.PIPE, env=environment))
    for figure in json.loads(out):
        section.line(figure["what"], figure["seconds"], "s")
        section.more.setdefault("bytes_read", {})[figure["what"]] = figure["bytes_read"]
    bed.clear()
