"""Interleaved timing and results files, shared by the benchmarks."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """The processor and its number of usable cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        name = models[0] if models else name
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def interleaved(
    candidates: Mapping[str, Callable[[], object]], repeats: int, description: str
) -> dict[str, dict[str, float]]:
    """Milliseconds of each candidate, run in turn so that all see the same machine; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in tqdm(range(repeats + 1), desc=description):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if repeat:
                times[name].append(1e3 * (time.perf_counter() - start))
    quartiles = {name: np.percentile(values, [25, 50, 75]) for name, values in times.items()}
    return {
        name: dict(zip(("p25", "median", "p75"), map(float, values.round(3)))) for name, values in quartiles.items()
    }


def save(name: str, results: Mapping[str, object]) -> None:
    """Write benchmarks/results/NAME.json, with the machine's name."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **results}, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def verdict(what: str, value: float, bound: float, at_least: bool) -> dict[str, object]:
    """Print and return one ratio beside what it should be."""
    met = value >= bound if at_least else value <= bound
    print(f"{what}: {value:.2f} (should be {'>=' if at_least else '<='} {bound:g}): {'met' if met else 'MISSED'}")
    return {"what": what, "value": round(value, 3), "bound": bound, "met": bool(met)}
