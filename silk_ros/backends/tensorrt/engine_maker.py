"""Engines for image sizes: loaded from the cache or built, compared with float32, widened in precision if needed."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import parity
from ..base import EngineOptions, Extracted
from ..model import Model
from ..onnx_graph import read_network
from ..onnxruntime import OnnxRuntimeBackend
from .build import build
from .cuda import Gpu
from .engine_cache import EngineCache, Key
from .graph import specialise
from .library import VERSION
from .runner import EngineRunner

log = logging.getLogger(__name__)

WIDER = {"int8": "fp16", "fp16": "fp32"}  # the precision to try when one loses too much
GRAPH_VERSION = 2  # version of `graph.specialise`; engines of other versions are built again


class LostTooMuch(ValueError):
    """A built engine does not agree with the float32 network."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An engine ready to run.

    path:  the engine's file in the cache; None without a usable cache folder.
    facts: the build time and the agreement with float32.
    """

    runner: EngineRunner
    precision: str
    path: Path | None
    facts: dict[str, Any]
    was_cached: bool

    @property
    def parity(self) -> parity.Parity:
        """The engine's agreement with float32."""
        return parity.Parity(*(self.facts[field.name] for field in fields(parity.Parity)))


class EngineMaker:
    """Makes the engines of one model on one GPU."""

    def __init__(
        self, model: Model, max_keypoints: int, gpu: Gpu, options: EngineOptions, threads: int, progress: bool
    ) -> None:
        """threads: for ONNX Runtime, the float32 reference. progress: whether to draw a bar while building."""
        self._model, self._max_keypoints, self._gpu = model, max_keypoints, gpu
        self._options, self._threads, self._progress = options, threads, progress
        self._cache = EngineCache()
        self._cancel = threading.Event()

    def close(self) -> None:
        """Cancel a build in another thread, and all later builds."""
        self._cancel.set()

    def make(self, size: tuple[int, int], precision: str, may_widen: bool) -> Prepared:
        """The engine for images (height, width), in the precision or the next wider one that agrees with float32.

        Raises ValueError if TensorRT refuses the graph or no precision agrees, and BuildCancelled.
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

    def _key(self, size: tuple[int, int], precision: str) -> Key:
        return {
            **self._machine(),
            "model_sha256": self._model.file(precision).digest,
            "graph": GRAPH_VERSION,
            "precision": precision,
            "tolerance": str(parity.TOLERANCES[precision]),
            "height": size[0],
            "width": size[1],
            "max_keypoints": self._max_keypoints,
            "rules": str(self._model.rules),
            **asdict(self._options),
        }

    def _machine(self) -> dict[str, str]:
        return {"library": VERSION, "gpu": self._gpu.name, "compute_capability": self._gpu.compute_capability}

    def _engine(self, size: tuple[int, int], precision: str) -> Prepared:
        key = self._key(size, precision)
        if (prepared := self._load(key, precision)) is not None:
            return prepared
        with self._cache.building(key):
            # Another process may have built the engine while this one waited for the lock.
            return self._load(key, precision) or self._make(key, precision, size)

    def _load(self, key: Key, precision: str) -> Prepared | None:
        cached = self._cache.load(key)
        if cached is None:
            return None
        if not cached.engine:
            raise LostTooMuch(cached.facts.get("refused", f"an {precision} engine was refused"))
        try:
            runner = EngineRunner(cached.engine)
        except ValueError as error:
            log.warning("%s: building it again", error)
            return None
        return Prepared(runner, precision, self._cache.path(key), cached.facts, was_cached=True)

    def _make(self, key: Key, precision: str, size: tuple[int, int]) -> Prepared:
        height, width = size
        file = self._model.file(precision)
        before = self._cache.last_build_seconds()
        log.warning(
            "building the TensorRT engine for images of %dx%d in %s, which takes %s; the next start loads it from the "
            "cache (to build ahead of time: build_engine --size %dx%d)",
            *(width, height, precision),
            f"about {before:.0f} s" if before else "seconds on a large GPU and some minutes on a Jetson",
            *(width, height),
        )
        graph = specialise(read_network(file), height, width, self._max_keypoints, precision != "fp32")
        timings: Key = {**self._machine(), "kind": "timing"}
        known = self._cache.load(timings)
        timing = known.engine if known else b""
        built = build(graph, self._options, timing, self._progress, for_this_gpu=True, cancel=self._cancel)
        runner = EngineRunner(built.engine)
        found = self._compare(runner, size)
        facts = {"build_seconds": round(built.seconds, 2), **asdict(found)}
        if built.timing:
            self._cache.save(timings, built.timing, {})
        if not found.within(precision, selected=bool(self._model.rules)):
            refused = f"the {precision} engine of '{file.path}' lost too much: {found}"
            self._cache.save(key, b"", {**facts, "refused": refused})
            raise LostTooMuch(refused)
        self._cache.save(key, built.engine, facts)
        log.info("built in %.1f s: %s", built.seconds, found)
        return Prepared(runner, precision, self._cache.path(key), facts, was_cached=False)

    def _compare(self, runner: EngineRunner, size: tuple[int, int]) -> parity.Parity:
        """The agreement with float32; a quantised file that was opened by itself is its own reference."""
        reference = OnnxRuntimeBackend(self._model, self._max_keypoints, threads=self._threads)

        def compiled(image: NDArray[np.uint8]) -> Extracted:
            runner.run(image)
            return self._model.rules.kept(runner.extracted())

        return parity.compare(reference.extract, compiled, parity.photographs(*size))
