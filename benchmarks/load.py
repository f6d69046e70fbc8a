"""Extraction by OpenVINO and ONNX Runtime beside programs that never rest.

python -m benchmarks.load                                  # a few minutes; leave the machine alone meanwhile
ONEDNN_MAX_CPU_ISA=AVX2 python -m benchmarks.load          # as on a processor with AVX2 and nothing newer

`precision: auto` and `backend: auto` are chosen by times on a free processor. Here they are compared on a busy one, and
OpenVINO with the settings of its threads that could help there. All runs take turns, image by image.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.common import interleaved, parser, save, table
from silk_ros import Extractor
from silk_ros.backends.model import Model
from silk_ros.backends.openvino import OpenVinoBackend
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from silk_ros.images.flight import SyntheticFlight
from silk_ros.paths import default_model

BUSY_LOOPS = 2
ROUNDS = 40
SETTINGS: dict[str, dict[str, Any]] = {
    "openvino": {},
    "openvino, pinned": {"ENABLE_CPU_PINNING": True},
    "openvino, not pinned": {"ENABLE_CPU_PINNING": False},
    "openvino, one thread": {"INFERENCE_NUM_THREADS": 1},
}


class _WithSettings(OpenVinoBackend):
    """OpenVINO with further settings."""

    def __init__(self, further: dict[str, Any]) -> None:
        self._further = further
        super().__init__(Model(default_model()), CAMERA_MAX_KEYPOINTS, "fp32")

    def _settings(self, precision: str) -> dict[str, object]:
        return super()._settings(precision) | self._further


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Processes that use the processor all the time."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    parser(__doc__).parse_args()
    image = SyntheticFlight().render(0)
    load = partial(Extractor.load, None, CAMERA_MAX_KEYPOINTS, scale=CAMERA_SCALE)
    extractors = {name: Extractor(_WithSettings(further), CAMERA_SCALE) for name, further in SETTINGS.items()}
    extractors["openvino, int8"] = load(backend="openvino", precision="int8")
    extractors["onnxruntime"] = load(backend="onnxruntime", precision="fp32")
    candidates = {name: partial(extractor, image) for name, extractor in extractors.items()}
    results = {}
    for count in (0, BUSY_LOOPS):
        with busy_loops(count):
            times = interleaved(candidates, ROUNDS, f"beside {count} busy loops")
        base = times["onnxruntime"]["median"]
        rows = [(name, f"{each['median']:.1f}", f"{each['median'] / base:.2f}") for name, each in times.items()]
        print(table((f"beside {count} busy loops, float32 unless named", "ms", "to ONNX Runtime's"), rows, 1))
        results[f"{count} busy loops"] = times
    save("load", {"keypoints": CAMERA_MAX_KEYPOINTS, "scale": CAMERA_SCALE, "milliseconds": results}, per_machine=True)


if __name__ == "__main__":
    main()
