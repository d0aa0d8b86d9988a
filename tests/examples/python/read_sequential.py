#!/usr/bin/env python3
"""Read every frame, one after the other, as they are published. Ctrl-C ends it.

    python3 read_sequential.py /dev/shm/example.im.shm [FRAMES]
"""
import sys

from daoShm import shm

frames = int(sys.argv[2]) if len(sys.argv) > 2 else None
taken = 0

with shm(sys.argv[1]) as reader:
    while taken != frames:
        status, data = reader.get_data_next(wait=True)  # sleeps until there is one
        if status == shm.DAO_ERROR:
            sys.exit("the segment was removed or replaced")
        if status == shm.DAO_OVERWRITE:
            # Too slow, or the source restarted: `data` is the newest frame, some are lost.
            print("frames were lost", file=sys.stderr)
        taken += 1
        print(taken, data.mean())  # data is a copy, it is yours
