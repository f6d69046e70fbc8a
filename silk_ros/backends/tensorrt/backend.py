"""TensorRT on an NVIDIA GPU: an engine for each size of image, built once, checked, and kept on disk."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base import BackendUnavailable, EngineOptions, Extracted, Matched, check_precision
from ..model import OUTPUTS, model_file, read_info
from ..onnx_graph import onnx, read_network
from .build import build, check_dla
from .cuda import gpu
from .engine_maker import EngineMaker, Prepared
from .graph import IMAGE, PARTNER, SIMILARITY, specialise
from .library import IS_RTX, VERSION
from .runner import Pipeline

SIZES_KEPT = 4  # engines in memory, of the image sizes used last


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
        file = model_file(model, precision)
        network = read_network(file)
        metadata = {entry.key: entry.value for entry in network.metadata_props}
        inputs, outputs = ([tensor.name for tensor in given] for given in (network.graph.input, network.graph.output))
        info = read_info(file, model, inputs == [IMAGE] and outputs == list(OUTPUTS), metadata)
        if info.checked_precision(precision, file) == "int8":
            self.precision = "int8"
        else:
            self.precision = "fp16" if precision == "auto" else precision
        self.reason = "a GPU computes fastest in it" if precision == "auto" and self.precision == "fp16" else ""
        check_dla(self.options, self.precision)
        self.border, self.descriptor_dim = info.border, info.descriptor_dim
        self._wanted = self.precision
        self._may_widen = file != model or self.precision != "int8"
        self._check_gpu(network)
        self._maker = EngineMaker(model, max_keypoints, self._gpu, self.options, batch, threads, progress)
        self._prepared: OrderedDict[tuple[int, int], Prepared] = OrderedDict()
        self._failed: dict[tuple[int, int], ValueError] = {}
        self._last: Pipeline | None = None  # whose GPU memory has the image before

    def close(self) -> None:
        """End a build that is going on in another thread."""
        self._maker.close()

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
            prepared = self._maker.make(size, self._wanted, self._may_widen)
        except ValueError as error:
            self._failed[size] = error  # it would fail again for every image
            raise
        self._prepared[size] = prepared
        if len(self._prepared) > SIZES_KEPT:
            self._prepared.popitem(last=False)
        return prepared
