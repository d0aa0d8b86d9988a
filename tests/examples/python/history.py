#!/usr/bin/env python3
"""Take the last 4 frames at once; then keep more than the FIFO holds.

    python3 history.py /dev/shm/example.im.shm [SECONDS]
"""
import sys
import time

from daoShm import shm

seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2

with shm(sys.argv[1]) as reader:
    last = reader.get_history(num_items=4)  # oldest first; fewer where there are not yet 4
    print(last.shape, last.mean(axis=tuple(range(1, last.ndim))))

    # With buffer=True the object keeps the frames. Call it before the FIFO has gone round.
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        long = reader.get_history(num_items=100, buffer=True)
        time.sleep(0.02)
    print(long.shape)
