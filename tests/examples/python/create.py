#!/usr/bin/env python3
"""Create a segment of 64 x 64 float32 that holds the last 8 frames.

    python3 create.py /dev/shm/example.im.shm
"""
import sys

import numpy as np
from daoShm import shm

# Shape and type are those of `data`, which is also the first frame.
first = np.zeros((64, 64), dtype=np.float32)

# Over a segment of the same shape this begins a new run; readers go on. The file stays after
# close(); remove it (and /dev/shm/sem.example_sem*) when nobody needs it any more.
with shm(sys.argv[1], data=first, depth=8) as source:
    metadata = source.get_meta_data()
    print(metadata["size"][:metadata["naxis"]], "depth", metadata["fifo_size"])
