"""ramp.py - frames that a test can check, as ramp.h makes them; light enough for any program."""
import numpy as np


def ramp(counts, shape, dtype):
    """The pixels that the ramp pattern has in the frames of these counts, stacked along axis 0."""
    dtype = np.dtype(dtype)
    index = np.arange(int(np.prod(shape)), dtype=np.uint64)
    value = np.asarray(counts).astype(np.int64).astype(np.uint64)[:, None] + index[None, :]
    if dtype.kind in "ui":
        value = value.astype(np.dtype(f"u{dtype.itemsize}")).view(dtype)
    else:
        value = (value & np.uint64(0xFFFFF)).astype(np.float64)
        value = (value - 1j * value if dtype.kind == "c" else value).astype(dtype)
    return value.reshape((len(counts),) + tuple(shape))
