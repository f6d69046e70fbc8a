"""The speed of int8 on this processor: measured once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..paths import PRIVATE, cache_directory, write_atomically
from . import processor

log = logging.getLogger(__name__)

SIZE = 120, 160  # height and width of the test image
KEYPOINTS = 1000
BUDGET = 0.3  # seconds that the timing takes, at least
LEAST_ROUNDS = 3
WORTHWHILE = 1.2  # least speed relative to fp32; a smaller gain does not pay for the keypoints that int8 loses

Run = Callable[[], object]


def gain_of_int8(what: str, load_fp32: Callable[[], Run], load_int8: Callable[[], Run]) -> float:
    """The speed of int8 relative to fp32, from the user's cache if this processor was measured before.

    what:                 the key of the measurement: the library's version, its threads, and the digests of both files.
    load_fp32, load_int8: load a network and return a function that runs it once on an image of SIZE.
    """
    limit = os.environ.get(processor.LIMIT, "")
    known = processor.name(), processor.instruction_sets(), processor.cores(), limit, what
    folder = cache_directory("speed")
    file = folder / f"{hashlib.sha256(repr(known).encode()).hexdigest()[:32]}.json" if folder is not None else None
    milliseconds = None if file is None else _read(file)
    if milliseconds is None:
        milliseconds = measure({"fp32": load_fp32(), "int8": load_int8()})
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in milliseconds.items())
        log.debug("measured on this processor, once: %s for an image of %dx%d", times, *reversed(SIZE))
        if file is not None:
            try:
                write_atomically(file, json.dumps(milliseconds).encode(), PRIVATE)
            except OSError as error:
                log.warning("cannot store the speed of int8 (%s): the next start measures it again", error)
    return milliseconds["fp32"] / milliseconds["int8"]


def measure(runs: Mapping[str, Run]) -> dict[str, float]:
    """The least milliseconds of each run, interleaved so that all see the same load; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.monotonic() + BUDGET
    while min(map(len, times.values())) <= LEAST_ROUNDS or time.monotonic() < end:
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - started))
    return {name: min(values[1:]) for name, values in times.items()}


def _read(file: Path) -> dict[str, float] | None:
    """The measurement in a file; None if it is missing or damaged."""
    try:
        milliseconds = {name: float(json.loads(file.read_text(encoding="utf-8"))[name]) for name in ("fp32", "int8")}
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return milliseconds if min(milliseconds.values()) > 0 else None
