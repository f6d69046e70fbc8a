"""Whether this machine has an NVIDIA GPU, as its driver says; no package for GPUs is needed to know."""

from __future__ import annotations

import ctypes
from functools import cache

DRIVER = "libcuda.so.1"


@cache
def has_gpu() -> bool:
    """Whether the driver is installed and offers a GPU to this process."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
