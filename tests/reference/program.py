"""program.py - the Python snippets of the reference page; see program.c.

    program.py DIR create N | sequential N | newest N | history N

DIR: where the test has put its copies of page/python_*.inc.
"""
import os
import sys

import numpy as np

FOLDER, WHAT, WANTED = sys.argv[1], sys.argv[2], int(sys.argv[3])
SHM_PATH = os.environ["SHM_PATH"]  # in the place of the page's
RAMP = np.arange(256 * 256).reshape(256, 256)
reported = 0


def frame_of(count):
    """As ramp.h has it for floats."""
    return ((count + RAMP) & 0xFFFFF).astype(np.float32)


def attached():
    print("attached", flush=True)


def report_frame(data):
    whole = data.shape == (256, 256) and np.array_equal(data, frame_of(int(data[0, 0])))
    print(f"frame {int(data[0, 0])}" if whole else "torn", flush=True)


def report_more(data):
    """In an endless loop: are more frames to come?"""
    global reported
    report_frame(data)
    reported += 1
    return reported < WANTED


def snippet(name):
    with open(os.path.join(FOLDER, f"python_{name}.inc"), encoding="utf-8") as f:
        return compile(f.read(), f.name, "exec")


def open_segment():
    from daoShm import shm
    return shm(SHM_PATH)


def main():
    space = {"SHM_PATH": SHM_PATH, "attached": attached, "report_more": report_more}
    if WHAT == "create":
        exec(snippet("create"), space)  # publishes its data as the first frame
        for count in range(2, WANTED + 1):
            space["frame"] = frame_of(count)
            exec(snippet("write"), space)
    elif WHAT == "sequential":
        exec(snippet("sequential"), space)
    elif WHAT == "newest":
        space["shm_obj"] = open_segment()
        for _ in range(WANTED):
            sys.stdin.readline()
            exec(snippet("newest"), space)
            report_frame(space["data"])
    elif WHAT == "history":
        space["shm_obj"] = open_segment()
        exec(snippet("history"), space)
        assert space["history"].shape == (WANTED, 256, 256)
        for frame in space["history"]:
            report_frame(frame)


main()
