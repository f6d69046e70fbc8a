"""Whether this machine has an NVIDIA GPU that works; no package for GPUs is needed to know."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

DRIVER = "libcuda.so.1"
DEVICES = Path("/dev")
DEVICE_FILES = ("nvidia*", "nvhost-gpu", "nvgpu")  # the last two are those of a Jetson
NO_GPU = "no NVIDIA GPU"


@cache
def gpu_problem() -> str:
    """Why this process has no GPU to use, with the remedy where it has one whose driver fails; empty where it has."""
    if not any(any(DEVICES.glob(pattern)) for pattern in DEVICE_FILES):
        return NO_GPU
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"an NVIDIA GPU without {DRIVER}: install NVIDIA's driver"
    if error := driver.cuInit(0):
        return f"an NVIDIA GPU whose driver does not answer (cuInit error {error}): install the driver again, or reboot"
    count = ctypes.c_int()
    return "" if driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0 else NO_GPU
