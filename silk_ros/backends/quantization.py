"""int8 from a float network and some images: ranges of its activations, equalised channels, QDQ nodes.

Quantised are the convolutions, which are nearly all the work. The first one, which reads the image, and the last, which
gives the logits, stay float, and so do the descriptors of the keypoints.
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

from .model import read_model

try:
    import onnx
    import onnxruntime
    from onnx import numpy_helper
    from onnxruntime import quantization
except ImportError as error:
    raise ImportError("quantising needs the onnx package: pip install 'silk_ros[quantize]'") from error

PERCENTILE = 99.99  # of the activations that a range covers: a few outliers would cost all others their precision
EQUALISATION = 0.5  # power of a channel's range that is moved from the activations into the next weights
DESCRIBE = "describe.weight"  # of the descriptors' 3x3 product, as training.export writes it
LEAST_RANGE = 0.02  # of a channel, as a share of the widest one's

Image = NDArray[np.uint8]


def quantize_network(model: Path, images: Sequence[Image], progress: Iterator[Image]) -> onnx.ModelProto:
    """The int8 network of an exported float file; images (H, W) are of one size, `progress` yields them once more."""
    network = onnx.load_model_from_string(read_model(model))
    _equalise(network, images)
    convolutions = [node for node in network.graph.node if node.op_type == "Conv"]
    last = [node.name for node in convolutions if "logits" in node.output]
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # advice to preprocess, which the exported graph does not need
    try:
        return _quantize(network, progress, [convolutions[0].name, *last])
    finally:
        logging.disable(before)


def save(network: onnx.ModelProto, path: Path) -> None:
    onnx.save(network, path)


def set_metadata(network: onnx.ModelProto, values: Mapping[str, object]) -> None:
    """Add entries to the file's metadata."""
    old = {entry.key: entry.value for entry in network.metadata_props}
    onnx.helper.set_model_props(network, old | {name: str(value) for name, value in values.items()})


class _Reader(quantization.CalibrationDataReader):
    def __init__(self, images: Iterator[Image]) -> None:
        self._images = images

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image[None, None]}


def _quantize(network: onnx.ModelProto, images: Iterator[Image], float_nodes: list[str]) -> onnx.ModelProto:
    # The quantiser prints what it does.
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
            # Symmetric and signed: the only kind that TensorRT takes.
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"ActivationSymmetric": True, "CalibPercentile": PERCENTILE, "QuantizeBias": False},
        )
        return onnx.load(target)


def _equalise(network: onnx.ModelProto, images: Sequence[Image]) -> None:
    """Scale channels between layers, exactly, so that they have more similar ranges (Nagel et al., ICCV 2019).

    One range serves all channels of an activation, and a narrow channel would get few of its 256 steps. Convolution and
    ReLU are homogeneous: what a channel is divided by, the weights that read it are multiplied by.
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
            if name == DESCRIBE:  # (9 C, D), channels within neighbours
                scaled = tensor.reshape(9, len(factors), -1) * factors[:, None]
            else:  # (D, C, 3, 3)
                scaled = tensor * factors[:, None, None]
            _replace(weights[name], scaled.reshape(tensor.shape))


def _scalable(network: onnx.ModelProto) -> Iterator[tuple[str, list[str], list[str]]]:
    """ReLU outputs with the parameters of the convolution before, and the weights of all that read them."""
    nodes = network.graph.node
    producer = {output: node for node in nodes for output in node.output}
    for relu in (node for node in nodes if node.op_type == "Relu"):
        before = producer.get(relu.input[0])
        users = [node for node in nodes if relu.output[0] in node.input and node.op_type != "Shape"]
        # The descriptors' 3x3 product reads the features transposed and gathered to patches.
        readers = [DESCRIBE if node.op_type == "Transpose" else node.input[1] for node in users]
        if (
            before is not None
            and before.op_type == "Conv"
            and all(node.op_type in ("Conv", "Transpose") for node in users)
        ):
            yield relu.output[0], list(before.input[1:]), readers


def _channel_ranges(network: onnx.ModelProto, activation: str, images: Sequence[Image]) -> NDArray[np.float64]:
    probe = onnx.ModelProto()
    probe.CopyFrom(network)
    del probe.graph.output[:]
    probe.graph.output.append(onnx.helper.make_tensor_value_info(activation, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    found = [session.run(None, {"image": image[None, None]})[0][0] for image in images]
    return np.percentile(
        np.concatenate([values.reshape(len(values), -1) for values in found], axis=1), PERCENTILE, axis=1
    )


def _replace(tensor: onnx.TensorProto, values: NDArray[np.floating]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), tensor.name))
