"""The TensorRT backend: an engine for each image size on an NVIDIA GPU, built once, checked, and kept on disk."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from ..base import BackendUnavailable, EngineOptions, Extracted, Matched, check_precision
from ..model import OUTPUTS, Model
from ..onnx_graph import onnx, read_network
from .build import build, check_dla
from .cuda import gpu
from .engine_maker import EngineMaker, Prepared
from .graph import IMAGE, specialise
from .library import IS_RTX, VERSION
from .runner import EngineRunner

SIZES_KEPT = 4  # engines in memory, for the image sizes used last


class TensorRtBackend:
    """An exported SiLK file in TensorRT: network, selection, descriptors and matching in one engine.

    The engine of an image size is loaded from the user's cache or built when the first image of that size comes. It is
    used if it agrees with float32 (`parity`); else the next wider precision is tried, and `precision` tells which ran.
    """

    name = "tensorrt"

    def __init__(
        self,
        model: Model,
        max_keypoints: int,
        precision: str = "auto",
        threads: int = 0,
        options: EngineOptions | None = None,
        progress: bool = False,
    ) -> None:
        """progress: whether to draw a bar while building.

        Raises BackendUnavailable, naming the package, without TensorRT, cuda-python or a GPU; and ValueError or
        OSError as the other backends do.
        """
        check_precision(self.name, precision)
        self._gpu = gpu()
        self.device, self.max_keypoints = self._gpu.name, max_keypoints
        file = model.file(precision)
        network = read_network(file)
        inputs, outputs = ([tensor.name for tensor in given] for given in (network.graph.input, network.graph.output))
        info = model.info(file, precision, inputs == [IMAGE] and outputs == list(OUTPUTS))
        self.border, self.descriptor_dim = info.border, info.descriptor_dim
        self.model, given, self._rules = model.path, model.file("fp32"), model.rules
        self.digest, self.metadata = given.digest, given.metadata
        if info.precision == "int8":
            self.precision = "int8"
        else:
            self.precision = "fp16" if precision == "auto" else precision
        self.reason = "a GPU computes fastest in it" if precision == "auto" and self.precision == "fp16" else ""
        options = options or EngineOptions()
        check_dla(options, self.precision)
        self._wanted = self.precision
        self._may_widen = self.precision != "int8" or file is not model.file("fp32")
        if IS_RTX:
            self._check_gpu(network)
        self._maker = EngineMaker(model, max_keypoints, self._gpu, options, threads, progress)
        self._prepared: OrderedDict[tuple[int, ...], Prepared] = OrderedDict()
        self._failed: dict[tuple[int, ...], ValueError] = {}
        # The descriptors that were returned last, and the runner that holds them on the GPU.
        self._held: tuple[NDArray[np.float32], EngineRunner] | None = None

    def close(self) -> None:
        """Cancel a build in another thread."""
        self._maker.close()

    def _check_gpu(self, network: onnx.ModelProto) -> None:
        """Raise BackendUnavailable if TensorRT for RTX does not run on this GPU, which only a loaded engine shows."""
        side = 2 * self._rules.least_side(self.border) - 1
        try:
            tiny = build(specialise(network, side, side, 1, half=True), EngineOptions(), for_this_gpu=True)
            EngineRunner(tiny.engine)
        except (ValueError, RuntimeError) as error:
            raise BackendUnavailable(
                f"{VERSION} does not run on {self._gpu.name}, compute capability {self._gpu.compute_capability} "
                f"({error}): install TensorRT itself, or use another backend"
            ) from error

    def extract(self, image: NDArray[np.uint8]) -> Extracted:
        return self.extract_and_match(image, None)[0]

    def extract_and_match(
        self, image: NDArray[np.uint8], previous: NDArray[np.float32] | None
    ) -> tuple[Extracted, Matched | None]:
        prepared = self.prepare(*image.shape)
        runner, held = prepared.runner, self._held
        self._held = None  # a run that fails leaves no usable descriptors
        runner.run(image)
        self.precision = prepared.precision
        found = runner.extracted()
        # Copies, because the next image overwrites the runner's arrays.
        keypoints, scores, descriptors = (values.copy() for values in self._rules.kept(found))
        if len(scores) < len(found[1]):  # the GPU has matched, and holds, rows that the rules exclude
            return (keypoints, scores, descriptors), None
        self._held = descriptors, runner
        continues = held is not None and held[0] is previous and held[1] is runner
        return (keypoints, scores, descriptors), runner.matched() if continues else None

    def prepare(self, height: int, width: int) -> Prepared:
        """The engine for an image size, from memory, from the cache or built now.

        Raises ValueError if TensorRT refuses the graph, or no precision agrees with float32.
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
            self._failed[size] = error  # another attempt would fail too
            raise
        self._prepared[size] = prepared
        if len(self._prepared) > SIZES_KEPT:
            self._prepared.popitem(last=False)
        return prepared
