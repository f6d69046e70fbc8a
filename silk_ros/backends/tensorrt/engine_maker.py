"""Engines for image sizes: from the cache or built now, judged, and in a wider precision where one loses too much."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import parity
from ..base import EngineOptions, Extracted
from ..model import OUTPUTS, model_file, sha256
from ..onnx_graph import read_network
from ..onnxruntime import OnnxRuntimeBackend
from .build import build
from .cuda import Gpu
from .engine_cache import EngineCache, Key
from .graph import specialise
from .library import VERSION
from .runner import Pipeline

log = logging.getLogger(__name__)

WIDER = {"int8": "fp16", "fp16": "fp32"}  # what is tried when a precision loses too much
GRAPH_VERSION = 1  # of tensorrt_graph: engines of other graphs are built again


class LostTooMuch(ValueError):
    """A built engine does not find what the float32 network finds."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An engine ready to run. `path` is where it is kept, `facts` how it was built and what it lost."""

    pipeline: Pipeline
    precision: str
    path: Path | None
    facts: dict[str, Any]
    was_cached: bool

    @property
    def parity(self) -> parity.Parity:
        """How it compares with float32."""
        return parity.Parity(*(self.facts[field.name] for field in fields(parity.Parity)))


class EngineMaker:
    """Makes the engines of one model on one GPU."""

    def __init__(
        self,
        model: Path,
        max_keypoints: int,
        gpu: Gpu,
        options: EngineOptions,
        batch: int = 1,
        threads: int = 0,
        progress: bool = False,
    ) -> None:
        """threads: of ONNX Runtime, which engines are judged by. progress: draw a bar while building."""
        self.model, self.max_keypoints, self.batch = model, max_keypoints, batch
        self._gpu, self._options, self._threads, self._progress = gpu, options, threads, progress
        self._cache = EngineCache()
        self._cancel = threading.Event()

    def close(self) -> None:
        """End a build that is going on in another thread, and begin none."""
        self._cancel.set()

    def make(self, size: tuple[int, int], precision: str, may_widen: bool) -> Prepared:
        """The engine for a size (height, width), in the first precision from this one on that keeps what float32 finds.

        Raises ValueError if TensorRT refuses the graph, or there is no such precision, and BuildCancelled.
        """
        while True:
            try:
                return self._engine(size, precision)
            except LostTooMuch as error:
                wider = WIDER.get(precision) if may_widen else None
                if wider is None:
                    raise ValueError(f"{error}; there is no wider precision: use backend onnxruntime_cuda") from error
                log.warning("%s: computing in %s instead", error, wider)
                precision = wider

    def _key(self, size: tuple[int, int], precision: str, file: Path) -> Key:
        return {
            **self._machine(),
            "model_sha256": sha256(file),
            "graph": GRAPH_VERSION,
            "precision": precision,
            "tolerance": str(parity.TOLERANCES[precision]),
            "height": size[0],
            "width": size[1],
            "max_keypoints": self.max_keypoints,
            "batch": self.batch,
            **asdict(self._options),
        }

    def _machine(self) -> dict[str, str]:
        return {"library": VERSION, "gpu": self._gpu.name, "compute_capability": self._gpu.compute_capability}

    def _engine(self, size: tuple[int, int], precision: str) -> Prepared:
        file = model_file(self.model, precision)
        key = self._key(size, precision, file)
        if (prepared := self._load(key, precision)) is not None:
            return prepared
        with self._cache.building(key):
            # Another process may have made it meanwhile.
            return self._load(key, precision) or self._make(key, precision, file, size)

    def _load(self, key: Key, precision: str) -> Prepared | None:
        cached = self._cache.load(key)
        if cached is None:
            return None
        if not cached.engine:
            raise LostTooMuch(cached.facts.get("refused", f"an {precision} engine was refused"))
        try:
            pipeline = Pipeline(cached.engine)
        except ValueError as error:
            log.warning("%s: building it again", error)
            return None
        return Prepared(pipeline, precision, self._cache.path(key), cached.facts, was_cached=True)

    def _make(self, key: Key, precision: str, file: Path, size: tuple[int, int]) -> Prepared:
        before = self._cache.last_build_seconds()
        log.warning(
            "building the TensorRT engine for images of %dx%d in %s, which takes %s; the next start finds it made "
            "(ahead of time: build_engine --size %dx%d)",
            size[1],
            size[0],
            precision,
            f"about {before:.0f} s" if before else "seconds on a large GPU and some minutes on a Jetson",
            size[1],
            size[0],
        )
        graph = specialise(read_network(file), *size, self.max_keypoints, precision != "fp32", self.batch)
        timings: Key = {**self._machine(), "kind": "timing"}
        known = self._cache.load(timings)
        timing = known.engine if known else b""
        built = build(graph, self._options, timing, self._progress, for_this_gpu=True, cancel=self._cancel)
        pipeline = Pipeline(built.engine)
        kept = self._judge(pipeline, size)
        facts = {"build_seconds": round(built.seconds, 2), **asdict(kept)}
        if built.timing:
            self._cache.save(timings, built.timing, {})
        if not kept.within(precision):
            refused = f"the {precision} engine of '{file}' lost too much: {kept}"
            self._cache.save(key, b"", {**facts, "refused": refused})
            raise LostTooMuch(refused)
        self._cache.save(key, built.engine, facts)
        log.info("built in %.1f s: %s", built.seconds, kept)
        return Prepared(pipeline, precision, self._cache.path(key), facts, was_cached=False)

    def _judge(self, pipeline: Pipeline, size: tuple[int, int]) -> parity.Parity:
        """The worst of the images of a batch."""
        # A quantised file that was given by itself is its own measure.
        reference = OnnxRuntimeBackend(self.model, self.max_keypoints, threads=self._threads)

        def compiled(image: NDArray[np.uint8], index: int) -> Extracted:
            pipeline.run(image)
            keypoints, scores, descriptors = (pipeline.outputs[name][index] for name in OUTPUTS)
            return keypoints, scores, descriptors

        images = parity.photographs(*size)
        found = [
            parity.compare(reference.extract, partial(compiled, index=index), images) for index in range(self.batch)
        ]
        return min(found, key=lambda each: each.overlap)
