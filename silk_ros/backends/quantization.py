"""Quantisation of a float network to int8 with calibration images: channel equalisation, then QDQ nodes.

Only convolutions are quantised, which do nearly all the work. The first one, which reads the image, and the last one,
which gives the logits, stay in float, and so do the descriptors of the keypoints.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..paths import write_atomically
from .model import ModelFile

try:
    import onnx
    import onnxruntime
    from onnx import numpy_helper
    from onnxruntime import quantization
except ImportError as error:
    raise ImportError("quantising needs the onnx package: pip install 'silk_ros[quantize]'") from error

PERCENTILE = 99.99  # percentage of the activations in a range; a few outliers would coarsen all other values
EQUALISATION = 0.5  # exponent of a channel's range that moves from the activations into the next weights
DESCRIBE = "describe.weight"  # name of the descriptors' 3x3 weights in files of training.export
LEAST_RANGE = 0.02  # least range of a channel, relative to the widest channel

Image = NDArray[np.uint8]


def quantize_network(model: Path, images: Sequence[Image], progress: Iterator[Image]) -> onnx.ModelProto:
    """The int8 network of an exported float file, with the float file's digest in its metadata (`float_sha256`).

    images (H, W) are of one size; `progress` yields the same images once.
    """
    file = ModelFile.read(model)
    network = onnx.load_model_from_string(file.content)
    set_metadata(network, {"float_sha256": file.digest})
    _equalise(network, images)
    convolutions = [node for node in network.graph.node if node.op_type == "Conv"]
    last = [node.name for node in convolutions if "logits" in node.output]
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises preprocessing, which the exported graph does not need
    try:
        return _quantize(network, progress, [convolutions[0].name, *last])
    finally:
        logging.disable(before)


def save(network: onnx.ModelProto, path: Path) -> None:
    """Write a network to an ONNX file, atomically."""
    write_atomically(path, network.SerializeToString())


def set_metadata(network: onnx.ModelProto, values: Mapping[str, object]) -> None:
    """Add entries to a network's metadata; an entry of the same name is replaced."""
    old = {entry.key: entry.value for entry in network.metadata_props}
    onnx.helper.set_model_props(network, old | {name: str(value) for name, value in values.items()})


class _Reader(quantization.CalibrationDataReader):
    def __init__(self, images: Iterator[Image]) -> None:
        self._images = images

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None, None]}


def _quantize(network: onnx.ModelProto, images: Iterator[Image], float_nodes: list[str]) -> onnx.ModelProto:
    # The quantiser reads and writes files, and prints to stdout.
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(network, source)
        quantization.quantize_static(
            source,
            target,
            _Reader(images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=float_nodes,
            per_channel=True,
            # Symmetric and signed, the only kind that TensorRT accepts.
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"ActivationSymmetric": True, "CalibPercentile": PERCENTILE, "QuantizeBias": False},
        )
        return onnx.load(target)


def _equalise(network: onnx.ModelProto, images: Sequence[Image]) -> None:
    """Scale channels between layers so that their ranges are more similar (Nagel et al., ICCV 2019).

    All channels of an activation share one range, and a narrow channel would use few of its 256 steps. The network's
    output does not change: convolution and ReLU are homogeneous, so the weights that read a channel are multiplied by
    the factor that the channel is divided by.
    """
    weights = {tensor.name: tensor for tensor in network.graph.initializer}
    for relu, convolution, readers in _scalable(network):
        ranges = _channel_ranges(network, relu, images)
        ranges = np.maximum(ranges, LEAST_RANGE * ranges.max())
        factors = (ranges / np.exp(np.log(ranges).mean())) ** EQUALISATION
        for name in convolution:
            tensor = numpy_helper.to_array(weights[name])
            _replace(weights[name], tensor / factors.reshape(-1, *[1] * (tensor.ndim - 1)))
        for name in readers:
            tensor = numpy_helper.to_array(weights[name])
            # (9 C, D), channels within neighbours; or (D, C, 3, 3)
            by_channel = tensor.reshape(9, len(factors), -1, 1) if name == DESCRIBE else tensor
            _replace(weights[name], (by_channel * factors[:, None, None]).reshape(tensor.shape))


def _scalable(network: onnx.ModelProto) -> Iterator[tuple[str, list[str], list[str]]]:
    """(ReLU output, parameters of the convolution before it, weights of all nodes that read it), by name."""
    nodes = network.graph.node
    convolutions = {node.output[0]: node for node in nodes if node.op_type == "Conv"}
    for relu in (node for node in nodes if node.op_type == "Relu"):
        convolution = convolutions.get(relu.input[0])
        users = [node for node in nodes if relu.output[0] in node.input and node.op_type != "Shape"]
        # The descriptors' 3x3 weights read the features after a transposition and a gather of patches.
        readers = [DESCRIBE if node.op_type == "Transpose" else node.input[1] for node in users]
        if convolution is not None and all(node.op_type in ("Conv", "Transpose") for node in users):
            yield relu.output[0], list(convolution.input[1:]), readers


def _channel_ranges(network: onnx.ModelProto, activation: str, images: Sequence[Image]) -> NDArray[np.float64]:
    probe = onnx.ModelProto()
    probe.CopyFrom(network)
    del probe.graph.output[:]
    probe.graph.output.append(onnx.helper.make_tensor_value_info(activation, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [session.run(None, {"image": image[None, None]})[0][0] for image in images]
    return np.percentile(np.concatenate(found, axis=1), PERCENTILE, axis=(1, 2))


def _replace(tensor: onnx.TensorProto, values: NDArray[np.floating]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), tensor.name))
