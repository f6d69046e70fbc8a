"""Upper bounds of the network's frame rate on Jetsons: an ESTIMATE, computed and not measured.

    python -m benchmarks.gpu.roofline               # the shipped network on each Jetson and power mode listed
    python -m benchmarks.gpu.roofline --layers      # the FLOPs and bytes of its layers instead
    python -m benchmarks.gpu.roofline my_model.onnx --size 752x480 --max-keypoints 2000

The roofline: a layer takes as long as its arithmetic at the peak rate or its memory traffic at the full bandwidth,
whichever is longer, and layers run one after another:

    time = sum over layers of max(FLOPs / peak FLOP/s, bytes / bandwidth),    rate = 1 / time

Layers are the file's convolutions and matrix products; a multiplication and an addition count as two FLOPs. Each layer
reads its input and weights once and writes its output once; element-wise operators are fused into it. A float takes
two bytes. The int8 columns are for the int8 version of the file (NAME_int8.onnx): a quantised value takes a byte, and
layers with quantised input and weights run at the int8 peak, the others at the fp16 peak.

Not counted: top-k, gathering patches, biases, matching, kernel launches, copies, and the node around the network. Real
rates are 30 to 50 % of the bound as a rule of thumb, and less for small images. Needs onnx.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper, shape_inference

from silk_ros.backends.model import int8_path
from silk_ros.commands.arguments import image_size
from silk_ros.paths import default_model

from ..common import parser, table

SIZES = ((640, 480), (320, 240), (1280, 720))  # of the network's input, after the node's `scale`
FUSED = {"Cast", "Div", "Relu", "Add", "QuantizeLinear", "DequantizeLinear"}  # computed where a layer reads or writes


class Device(NamedTuple):
    """A Jetson in one power mode: dense fp16 TFLOPS of its tensor cores, GB/s, and the gain of int8 over fp16."""

    name: str
    mode: str
    fp16: float
    bandwidth: float
    int8_gain: float = 2  # 0: unknown


class Layer(NamedTuple):
    """A convolution or matrix product: its FLOPs, the bytes that it moves, and whether it runs in int8."""

    name: str
    flops: int
    bytes: int
    int8: bool


# NVIDIA advertises sparse int8 TOPS; dense is half, and dense fp16 half of that [1]. For modes without published TOPS:
# multiprocessors x GHz x 2.048, which agrees with the published ones (8 x 1.020: 17, 16 x 1.301: 43). Multiprocessors
# (two for each TPC left on), GPU and memory clocks (128 bits, AGX 256, two transfers a clock) are those of NVIDIA's
# nvpmodel_p3767_0003.conf (Nano, 7W), p3767_0003_super.conf (Nano), p3767_0000_super.conf (NX) and, for the memory,
# p3701_0000.conf (AGX).
# [1] developer.nvidia.com/blog/nvidia-jetson-orin-nano-developer-kit-gets-a-super-boost: 67 sparse, 33, 17; 102 GB/s
# [2] github.com/NVIDIA/Deep-Learning-Accelerator-SW: sparse int8 TOPS of the GPU in each mode
# [3] nvidia.com/en-us/autonomous-machines/embedded-systems/jetson-thor: 2070 sparse TFLOPS in FP4, half that in FP8
DEVICES = (
    Device("Orin Nano 8GB", "7W", 4 * 0.408 * 2.048, 68.3),
    Device("Orin Nano 8GB", "15W", 8 * 0.612 * 2.048, 68.3),
    Device("Orin Nano 8GB", "25W", 8 * 0.918 * 2.048, 102.4),
    Device("Orin Nano 8GB", "MAXN_SUPER", 8 * 1.020 * 2.048, 102.4),  # [1]
    Device("Orin NX 16GB", "10W", 4 * 0.612 * 2.048, 68.3),
    Device("Orin NX 16GB", "15W", 4 * 0.612 * 2.048, 102.4),
    Device("Orin NX 16GB", "25W", 8 * 0.408 * 2.048, 102.4),
    Device("Orin NX 16GB", "40W", 8 * 1.173 * 2.048, 102.4),
    Device("AGX Orin 64GB", "15W", 14 / 4, 136.5),  # [2]
    Device("AGX Orin 64GB", "30W", 41 / 4, 204.8),  # [2]
    Device("AGX Orin 64GB", "50W", 109 / 4, 204.8),  # [2]
    Device("AGX Orin 64GB", "MAXN", 171 / 4, 204.8),  # [2]
    Device("Thor T5000", "MAXN", 2070 / 8, 273.0, int8_gain=0),  # [3]; no source was found for int8
)


def fixed_shapes(model: onnx.ModelProto, width: int, height: int, max_keypoints: int) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors; fixes the model to an image size and a number of keypoints in place."""
    graph = model.graph
    for dimension, length in zip(graph.input[0].type.tensor_type.shape.dim, (1, 1, height, width)):
        dimension.dim_value = length
    del graph.output[:], graph.value_info[:]  # their sizes are dynamic
    while True:
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
        values = (*inferred.input, *inferred.value_info)
        shapes = {value.name: tuple(part.dim_value for part in value.type.tensor_type.shape.dim) for value in values}
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        top = next((node for node in graph.node if node.op_type == "TopK" and node.input[1] != "fixed_count"), None)
        if top is None:
            return shapes
        count = min(max_keypoints, prod(shapes.get(top.input[0], ())))
        graph.initializer.append(numpy_helper.from_array(np.array([count], np.int64), "fixed_count"))
        top.input[1] = "fixed_count"


def count_layers(network: onnx.ModelProto, width: int, height: int, keypoints: int, element: int = 2) -> list[Layer]:
    """The layers for one image size. element: bytes of a float. Raises ValueError for a size that is too small."""
    model = onnx.ModelProto()
    model.CopyFrom(network)
    shapes = fixed_shapes(model, width, height, keypoints)
    makers = {output: node for node in model.graph.node for output in node.output}
    images = {given.name for given in model.graph.input if given.type.tensor_type.elem_type == onnx.TensorProto.UINT8}

    def read(name: str) -> int:  # bytes of an element that a layer reads, before the operators fused into reading
        while (maker := makers.get(name)) is not None and maker.op_type in FUSED:
            if maker.op_type == "DequantizeLinear":
                return 1
            name = maker.input[0]
        return 1 if name in images else element

    def written(name: str) -> int:  # bytes of an element that it writes, after the operators fused into writing
        users = [node for node in model.graph.node if name in node.input and node.op_type in FUSED]
        return min((1 if u.op_type == "QuantizeLinear" else written(u.output[0]) for u in users), default=element)

    layers = []
    for node in (node for node in model.graph.node if node.op_type in ("Conv", "MatMul")):
        sources, output = list(node.input[:2]), node.output[0]
        if min(shapes.get(output, ()), default=0) < 1:
            raise ValueError(f"{width}x{height} is too small for the network, or '{output}' has no known shape")
        terms = prod(shapes[sources[1]][1:]) if node.op_type == "Conv" else shapes[sources[0]][-1]
        moved = sum(prod(shapes[name]) * read(name) for name in sources) + prod(shapes[output]) * written(output)
        int8 = all(name in makers and makers[name].op_type == "DequantizeLinear" for name in sources)
        layers.append(Layer(node.name or output, 2 * terms * prod(shapes[output]), moved, int8))
    return layers


def rate(layers: Sequence[Layer], device: Device) -> float:
    """Images a second by the roofline; NaN where the device's int8 peak is needed and unknown."""
    peaks = [device.fp16 * 1e12 * (device.int8_gain if layer.int8 else 1) for layer in layers]
    if not all(peaks):
        return float("nan")
    return 1 / sum(max(x.flops / peak, x.bytes / (device.bandwidth * 1e9)) for x, peak in zip(layers, peaks))


def main(arguments: Sequence[str] | None = None) -> int:
    command_line = parser(__doc__)
    add, sizes = command_line.add_argument, " ".join(f"{width}x{height}" for width, height in SIZES)
    add("model", nargs="?", type=Path, default=default_model(), help="the float ONNX file (the shipped one)")
    add("--size", nargs="+", type=image_size, default=SIZES, metavar="WxH", help=f"the network's input ({sizes})")
    add("--max-keypoints", type=int, default=5000, metavar="K", help="keypoints of an image, at most (%(default)s)")
    add("--layers", action="store_true", help="FLOPs and bytes of each layer instead of rates")
    options = command_line.parse_args(arguments)
    files = {"fp16": options.model, "int8": int8_path(options.model)}
    columns: dict[str, list[Layer]] = {}
    try:
        models = {name: onnx.load(file) for name, file in files.items() if name == "fp16" or file.is_file()}
        for width, height in options.size:
            for name, model in models.items():
                columns[f"{width}x{height} {name}"] = count_layers(model, width, height, options.max_keypoints)
    except (OSError, ValueError, DecodeError) as error:
        print(f"roofline: '{options.model}': {error}", file=sys.stderr)
        return 1
    for column, layers in columns.items():
        print(f"{column}: {sum(x.flops for x in layers) / 1e9:.2f} GFLOP, {sum(x.bytes for x in layers) / 1e6:.1f} MB")
        for x in layers if options.layers else ():
            print(f"    {x.name:26} {x.flops / 1e9:7.3f} GFLOP {x.bytes / 1e6:7.2f} MB  {'int8' if x.int8 else 'fp16'}")
    if not options.layers:
        print("\nESTIMATE, not measured: upper bounds, images a second. Rule of thumb: 30 to 50 % of them.\n")
        rows = [
            [device.name, device.mode]
            + [f"{rate(layers, device):.0f}".replace("nan", "-") for layers in columns.values()]
            for device in DEVICES
        ]
        print(table(["Jetson", "mode", *columns], rows, 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
