"""What the roofline estimate counts, against counts by hand."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.gpu.roofline import DEVICES, Device, Layer, count_layers, main, rate
from silk_ros.backends.model import int8_path
from silk_ros.paths import default_model

K = 5000
# Channels, height and width of the shipped network's maps at 640x480.
MAPS = [(1, 480, 640), (40, 478, 638), (64, 476, 636), (32, 474, 634), (1, 474, 634)]
IMAGE, FIRST, FEATURES, HIDDEN, LOGITS = (channels * height * width for channels, height, width in MAPS)


def tiny_network() -> onnx.ModelProto:
    """Image -> convolution 3x3 to 2 channels -> 1x1 to 1 channel -> best K logits -> times a 1x4 matrix."""
    weights: dict[str, NDArray[Any]] = {
        "wide": np.zeros((2, 1, 3, 3), np.float32),
        "narrow": np.zeros((1, 2, 1, 1), np.float32),
        "row": np.zeros((1, 4), np.float32),
        "flat_shape": np.array([-1], np.int64),
        "column_shape": np.array([-1, 1], np.int64),
        "max_keypoints": np.array([7], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "wide"], ["map"], "first"),
        helper.make_node("Relu", ["map"], ["positive"]),
        helper.make_node("Conv", ["positive", "narrow"], ["logits"], "second"),
        helper.make_node("Reshape", ["logits", "flat_shape"], ["flat"]),
        helper.make_node("TopK", ["flat", "max_keypoints"], ["best", "position"], axis=0),
        helper.make_node("Reshape", ["best", "column_shape"], ["column"]),
        helper.make_node("MatMul", ["column", "row"], ["described"], "third"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, "H", "W"])
    output = helper.make_tensor_value_info("described", TensorProto.FLOAT, ["K", 4])
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "tiny", [image], [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("element", [4, 2])
def test_flops_and_bytes_of_a_tiny_network(element: int) -> None:
    # The image of 10x8 leaves a map of 8x6, and 5 of its 48 positions are chosen.
    assert count_layers(tiny_network(), 10, 8, 5, element) == [
        Layer("first", 2 * 9 * (2 * 48), 80 + (2 * 9 + 2 * 48) * element, False),  # the image in bytes
        Layer("second", 2 * 2 * 48, (2 * 48 + 2 + 48) * element, False),
        Layer("third", 2 * 1 * (5 * 4), (5 + 4 + 5 * 4) * element, False),
    ]


def test_there_are_no_more_keypoints_than_positions() -> None:
    assert count_layers(tiny_network(), 4, 5, 100)[2].flops == 2 * 1 * (6 * 4)


def test_the_network_given_stays_as_it_was() -> None:
    network = tiny_network()
    count_layers(network, 10, 8, 5)
    assert network == tiny_network()


def test_an_image_that_is_too_small_is_told() -> None:
    with pytest.raises(ValueError, match="2x2 is too small"):
        count_layers(tiny_network(), 2, 2, 5)


def test_the_shipped_network_at_640x480() -> None:
    layers = count_layers(onnx.load(default_model()), 640, 480, K)
    assert [layer.flops for layer in layers] == [
        2 * 9 * 1 * FIRST,
        2 * 9 * 40 * FEATURES,
        2 * 9 * 64 * HIDDEN,
        2 * 32 * LOGITS,
        2 * K * (9 * 64) * 32,
        2 * K * 32 * 32,
    ]
    assert sum(layer.flops for layer in layers) == 25_461_663_808
    halves = [
        40 * 9 + FIRST,
        FIRST + 64 * 40 * 9 + FEATURES,
        FEATURES + 32 * 64 * 9 + HIDDEN,
        HIDDEN + 32 + LOGITS,
        K * 576 + 576 * 32 + K * 32,
        K * 32 + 32 * 32 + K * 32,
    ]
    assert [layer.bytes for layer in layers] == [IMAGE + 2 * halves[0], *(2 * half for half in halves[1:])]
    assert not any(layer.int8 for layer in layers)


def test_the_quantised_network_moves_bytes_between_its_convolutions() -> None:
    layers = count_layers(onnx.load(int8_path(default_model())), 640, 480, K)
    assert [layer.int8 for layer in layers] == [False, True, True, False, False, False]
    assert [layer.bytes for layer in layers[:4]] == [
        IMAGE + 2 * 40 * 9 + FIRST,
        FIRST + 64 * 40 * 9 + FEATURES,
        FEATURES + 32 * 64 * 9 + HIDDEN,
        HIDDEN + 2 * (32 + LOGITS),
    ]
    floats = count_layers(onnx.load(default_model()), 640, 480, K)
    assert [layer.flops for layer in layers] == [layer.flops for layer in floats]


def test_each_layer_takes_the_longer_of_arithmetic_and_memory() -> None:
    device = Device("any", "mode", fp16=1.0, bandwidth=1.0)  # 1 TFLOP/s, 1 GB/s
    arithmetic = Layer("arithmetic", flops=10**12, bytes=1, int8=False)
    memory = Layer("memory", flops=1, bytes=3 * 10**9, int8=False)
    assert rate([arithmetic], device) == pytest.approx(1)
    assert rate([arithmetic, memory], device) == pytest.approx(1 / (1 + 3))
    assert rate([arithmetic._replace(int8=True)], device) == pytest.approx(2)
    assert isnan(rate([arithmetic._replace(int8=True)], device._replace(int8_gain=0)))


def test_the_peaks_are_those_that_are_published() -> None:
    peaks = {(device.name, device.mode): device for device in DEVICES}
    nano, agx = peaks["Orin Nano 8GB", "MAXN_SUPER"], peaks["AGX Orin 64GB", "MAXN"]
    assert nano.fp16 == pytest.approx(17, rel=0.03)
    assert nano.fp16 * nano.int8_gain == pytest.approx(33, rel=0.03)
    assert agx.fp16 * agx.int8_gain == pytest.approx(85, rel=0.03)


def test_the_table_says_that_it_is_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--size", "64x48", "--max-keypoints", "100"]) == 0
    printed = capsys.readouterr().out
    assert "ESTIMATE, not measured" in printed and "| Jetson | mode | 64x48 fp16 | 64x48 int8 |" in printed
    assert all(f"| {device.name} | {device.mode} |" in printed for device in DEVICES)


def test_layers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--layers", "--size", "640x480"]) == 0
    printed = capsys.readouterr().out
    assert "25.46 GFLOP" in printed and printed.count(" int8\n") == 2 and "Jetson" not in printed


def test_a_file_that_is_no_network_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    for path in (broken, tmp_path / "missing.onnx"):
        assert main([str(path)]) == 1
        assert path.name in capsys.readouterr().err
