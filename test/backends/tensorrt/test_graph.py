"""The rewritten graph is plain ONNX: ONNX Runtime tells whether it still computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from silk_ros import Features, match
from silk_ros.backends.model import Model, ModelFile, int8_path
from silk_ros.backends.onnx_graph import read_network
from silk_ros.backends.onnxruntime import OnnxRuntimeBackend
from silk_ros.backends.parity import TOLERANCES, Parity, common_keypoints
from silk_ros.backends.rules import SelectionRules
from silk_ros.backends.tensorrt.graph import PARTNER, TOP_K_LIMIT, specialise
from silk_ros.paths import default_model

HEIGHT, WIDTH = 96, 120
POSITIONS = (HEIGHT - 6) * (WIDTH - 6)

Outputs = dict[str, NDArray[np.generic]]


def run(network: onnx.ModelProto, images: NDArray[np.uint8], previous: NDArray[np.float32]) -> Outputs:
    onnx.checker.check_model(network, full_check=True)
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": images, "previous_descriptors": previous})))


@pytest.fixture
def images(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two views of one scene (2, 1, H, W), three pixels apart."""
    return np.stack([photo[:HEIGHT, :WIDTH], photo[2 : HEIGHT + 2, 3 : WIDTH + 3]])[:, None]


def features(outputs: Outputs, index: int = 0) -> Features:
    return Features(*(outputs[name][index] for name in ("keypoints", "scores", "descriptors")))


@pytest.mark.parametrize("count", [1, 500, TOP_K_LIMIT, TOP_K_LIMIT + 1, 10_000, 30_000])
def test_any_number_of_keypoints_is_exactly_the_best(images: NDArray[np.uint8], count: int) -> None:
    network = specialise(read_network(ModelFile.read(default_model())), HEIGHT, WIDTH, count, half=False)
    kept = min(count, POSITIONS)
    rounds = [node for node in network.graph.node if node.op_type == "TopK" and node.name.startswith("select/")]
    sizes = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in network.graph.initializer}
    assert max(int(sizes[node.input[1]][0]) for node in rounds) <= TOP_K_LIMIT
    found = run(network, images[:1], np.zeros((kept, 32), np.float32))
    expected = OnnxRuntimeBackend(Model(default_model()), count).extract(images[0, 0])
    for name, values in zip(("keypoints", "scores", "descriptors"), expected, strict=True):
        assert found[name].shape == (1, *values.shape) and len(values) == kept
        np.testing.assert_allclose(found[name][0], values, atol=1e-5)


RULES = SelectionRules(border=8, nms_radius=1, cell_size=16, max_per_cell=5)


@pytest.mark.parametrize("rules", [SelectionRules(border=8), SelectionRules(0, 0, 16, 5), RULES])
@pytest.mark.parametrize("count", [500, TOP_K_LIMIT + 1, 30_000])
def test_selection_rules_stay_in_the_graph(images: NDArray[np.uint8], rules: SelectionRules, count: int) -> None:
    model = Model(default_model(), rules)
    network = specialise(read_network(model.file("fp32")), HEIGHT, WIDTH, count, half=False)
    found = run(network, images[:1], np.zeros((min(count, POSITIONS), 32), np.float32))
    expected = OnnxRuntimeBackend(model, count).extract(images[0, 0])
    given = rules.kept(tuple(found[name][0] for name in ("keypoints", "scores", "descriptors")))  # type: ignore[arg-type]
    for values, wanted in zip(given, expected, strict=True):
        np.testing.assert_allclose(values, wanted, atol=1e-5)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("count", [300, 6000])
def test_partners_are_the_mutual_nearest_neighbours(images: NDArray[np.uint8], half: bool, count: int) -> None:
    network = specialise(read_network(ModelFile.read(default_model())), HEIGHT, WIDTH, count, half)
    first = run(network, images[:1], np.zeros((count, 32), np.float32))
    second = run(network, images[1:], first["descriptors"][0])
    expected = match(features(second), features(first))
    rows = np.flatnonzero(second[PARTNER] >= 0)
    assert len(expected) > count / 3
    np.testing.assert_array_equal(np.stack([rows, second[PARTNER][rows]], axis=1), expected.indices)
    np.testing.assert_allclose(second["similarity"][rows], expected.similarity, atol=1e-5)


@pytest.mark.parametrize(("precision", "model"), [("fp16", default_model()), ("int8", int8_path(default_model()))])
def test_half_precision_stays_within_its_tolerance(images: NDArray[np.uint8], precision: str, model: Path) -> None:
    network = specialise(read_network(ModelFile.read(model)), HEIGHT, WIDTH, 2000, half=True)
    types = {tensor.name: tensor.data_type for tensor in network.graph.initializer}
    convolutions = [node for node in network.graph.node if node.op_type == "Conv"]
    assert all(types[node.input[2]] == TensorProto.FLOAT16 for node in convolutions[:-1])  # their biases
    assert types[convolutions[-1].input[2]] == TensorProto.FLOAT  # equal logits would be a matter of chance
    found = features(run(network, images[:1], np.zeros((2000, 32), np.float32)))
    keypoints, _, descriptors = OnnxRuntimeBackend(Model(default_model()), 2000).extract(images[0, 0])
    here, there = common_keypoints(keypoints, found.keypoints)
    cosine = float(np.mean(np.sum(descriptors[here] * found.descriptors[there], axis=1)))
    assert Parity(len(here) / 2000, cosine, 0.0).within(precision), (len(here) / 2000, cosine)
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-5)
    assert (found.keypoints == found.keypoints.round()).all(), "coordinates are exact"


def test_half_precision_is_not_float_by_mistake(images: NDArray[np.uint8]) -> None:
    scores = [
        run(
            specialise(read_network(ModelFile.read(default_model())), HEIGHT, WIDTH, 500, half),
            images[:1],
            np.zeros((500, 32), "f"),
        )["scores"]
        for half in (False, True)
    ]
    assert 0 < np.abs(scores[0] - scores[1]).max() < 0.01


def test_the_network_given_is_left_as_it_is() -> None:
    network = read_network(ModelFile.read(default_model()))
    before = network.SerializeToString()
    specialise(network, HEIGHT, WIDTH, 100, half=True)
    assert network.SerializeToString() == before


def test_other_graphs_are_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["image"], ["keypoints"])],
        "other",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, [1, 1, 4, 4])],
    )
    with pytest.raises(ValueError, match=r"not one that training.export writes: export the network again"):
        specialise(helper.make_model(graph), 4, 4, 10, half=False)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(default_model().read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"damaged.onnx' is not a usable ONNX file .*: export it again"):
        read_network(ModelFile.read(damaged))


def test_bounds_are_wider_for_narrower_types() -> None:
    assert TOLERANCES["fp32"].overlap > TOLERANCES["fp16"].overlap > TOLERANCES["int8"].overlap
