#!/usr/bin/env python3
"""Show the newest frame, at the reader's own pace: what is published in between is skipped.

    python3 read_newest.py /dev/shm/example.im.shm [TIMES]
"""
import sys
import time

from daoShm import shm

times = int(sys.argv[2]) if len(sys.argv) > 2 else 10

with shm(sys.argv[1]) as reader:
    print("now", reader.get_counter(), reader.get_data().mean())
    for _ in range(times):
        # check=True waits for one that was not read yet; None when 2 seconds are over.
        data = reader.get_data(check=True, timeout=2)
        if data is None:
            sys.exit("no frame for 2 seconds")
        print(reader.get_timestamp(), data.mean())
        time.sleep(0.1)
