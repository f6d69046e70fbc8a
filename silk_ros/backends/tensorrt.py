"""TensorRT on an NVIDIA GPU: an engine for each size of image, built once, checked, and kept on disk."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import parity
from .base import BackendUnavailable, EngineOptions, Extracted, Matched, check_precision
from .cuda import gpu
from .engine_cache import EngineCache, Key
from .model_file import OUTPUTS, model_file, read_info, sha256
from .onnx_graph import onnx, read_network
from .onnxruntime import OnnxRuntimeBackend
from .tensorrt_engine import build, check_dla
from .tensorrt_graph import IMAGE, PARTNER, SIMILARITY, specialise
from .tensorrt_library import IS_RTX, VERSION
from .tensorrt_pipeline import Pipeline

log = logging.getLogger(__name__)

WIDER = {"int8": "fp16", "fp16": "fp32"}  # what is tried when a precision loses too much
GRAPH_VERSION = 1  # of tensorrt_graph: engines of other graphs are built again
SIZES_KEPT = 4  # engines in memory, of the image sizes used last


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


class TensorRtBackend:
    """An exported SiLK file in TensorRT: network, selection, descriptors and matching in one engine.

    The engine of an image size is made when the first one comes, if it is not in the user's cache. It is kept if it
    finds what float32 finds (`parity`); else the next wider precision is taken, and `precision` says so.
    """

    name = "tensorrt"

    def __init__(
        self,
        model: Path,
        max_keypoints: int,
        precision: str = "auto",
        threads: int = 0,
        options: EngineOptions | None = None,
        batch: int = 1,
        progress: bool = False,
    ) -> None:
        """batch: images a run, as `extract_batch` takes them. progress: draw a bar while building.

        Raises BackendUnavailable, naming the package, without TensorRT, cuda-python or a GPU; and ValueError or
        FileNotFoundError as the other backends.
        """
        check_precision(self.name, precision)
        self._gpu = gpu()
        self.device = self._gpu.name
        self.model, self.max_keypoints, self.batch = model, max_keypoints, batch
        self.options = options or EngineOptions()
        self._progress = progress
        file = model_file(model, precision)
        network = read_network(file)
        metadata = {entry.key: entry.value for entry in network.metadata_props}
        inputs, outputs = ([tensor.name for tensor in given] for given in (network.graph.input, network.graph.output))
        info = read_info(file, model, inputs == [IMAGE] and outputs == list(OUTPUTS), metadata)
        if info.checked_precision(precision, file) == "int8":
            self.precision = "int8"
        else:
            self.precision = "fp16" if precision == "auto" else precision
        check_dla(self.options, self.precision)
        self.border, self.descriptor_dim = info.border, info.descriptor_dim
        self._wanted = self.precision
        self._can_widen = file != model or self.precision != "int8"
        self._threads = threads
        self._check_gpu(network)
        self._cache = EngineCache()
        self._prepared: OrderedDict[tuple[int, int], Prepared] = OrderedDict()
        self._failed: dict[tuple[int, int], ValueError] = {}
        self._last: Pipeline | None = None  # whose GPU memory has the image before
        self._cancel = threading.Event()

    def close(self) -> None:
        """End a build that is going on in another thread."""
        self._cancel.set()

    def _check_gpu(self, network: onnx.ModelProto) -> None:
        """Raise BackendUnavailable where TensorRT for RTX does not run on this GPU: it tells when an engine is used."""
        if IS_RTX:
            side = 4 * self.border + 1
            try:
                tiny = build(specialise(network, side, side, 1, half=True), EngineOptions(), for_this_gpu=True)
                Pipeline(tiny.engine)
            except (ValueError, RuntimeError) as error:
                raise BackendUnavailable(
                    f"{VERSION} does not run on {self._gpu.name}, compute capability {self._gpu.compute_capability} "
                    f"({error}): install TensorRT itself, or use another backend"
                ) from error

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        return self._run(image, image.shape)[0]

    def extract_and_match(self, image: NDArray[np.uint8]) -> tuple[Extracted, Matched | None]:
        before = self._last
        found = self._run(image, image.shape)[0]
        pipeline = self._last
        if pipeline is None or pipeline is not before:
            return found, None
        partner = pipeline.outputs[PARTNER]
        rows = np.flatnonzero(partner >= 0)
        indices = np.stack([rows, partner[rows]], axis=1).astype(np.int32)
        return found, (indices, pipeline.outputs[SIMILARITY][rows])

    def extract_batch(self, images: NDArray[np.uint8]) -> list[Extracted]:
        """Features of images (batch, H, W) that are computed together, as of a stereo pair."""
        if len(images) != self.batch:
            raise ValueError(
                f"{len(images)} images for a batch of {self.batch}: load the backend with batch={len(images)}"
            )
        return self._run(images[:, None], images.shape[1:])

    def _run(self, images: NDArray[np.uint8], size: tuple[int, ...]) -> list[Extracted]:
        prepared = self.prepare(*size)
        outputs = prepared.pipeline.outputs
        self._last = None  # should it fail half way
        prepared.pipeline.run(images)
        self._last, self.precision = prepared.pipeline, prepared.precision
        # Copies: the next image is computed in the same memory.
        keypoints, scores, descriptors = (outputs[name].copy() for name in OUTPUTS)
        return list(zip(keypoints, scores, descriptors, strict=True))

    def prepare(self, height: int, width: int) -> Prepared:
        """The engine for a size, from memory, from the cache or built now.

        Raises ValueError if TensorRT refuses the graph, or no precision keeps what float32 finds.
        """
        size = height, width
        if size in self._prepared:
            self._prepared.move_to_end(size)
            return self._prepared[size]
        if size in self._failed:
            raise self._failed[size]
        try:
            prepared = self._within_tolerance(size)
        except ValueError as error:
            self._failed[size] = error  # it would fail again for every image
            raise
        self._prepared[size] = prepared
        if len(self._prepared) > SIZES_KEPT:
            self._prepared.popitem(last=False)
        return prepared

    def _within_tolerance(self, size: tuple[int, int]) -> Prepared:
        """The engine in the first precision, from the wanted one on, that keeps what float32 finds."""
        precision = self._wanted
        while True:
            try:
                return self._engine(size, precision)
            except LostTooMuch as error:
                wider = WIDER.get(precision) if self._can_widen else None
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
            **asdict(self.options),
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
        built = build(graph, self.options, timing, self._progress, for_this_gpu=True, cancel=self._cancel)
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
