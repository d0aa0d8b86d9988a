#!/usr/bin/env python3
"""Write frames into an existing segment, 100 a second.

    python3 write.py /dev/shm/example.im.shm [FRAMES]
"""
import sys
import time

import numpy as np
from daoShm import shm

frames = int(sys.argv[2]) if len(sys.argv) > 2 else 1000

with shm(sys.argv[1]) as source:
    frame = np.empty(source.shape, source.dtype)
    for i in range(frames):
        frame[:] = i
        source.set_data(frame)  # one writer at a time; shape and type must be the segment's
        time.sleep(0.01)
    print("last count", source.get_counter(), "at", source.get_timestamp())
