"""Engines at work, on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("silk_ros.backends.tensorrt.library", exc_type=ImportError)

from silk_ros import Features, match
from silk_ros.backends.base import EngineOptions
from silk_ros.backends.model import Model, ModelFile
from silk_ros.backends.onnx_graph import read_network
from silk_ros.backends.tensorrt.backend import TensorRtBackend
from silk_ros.backends.tensorrt.build import build
from silk_ros.backends.tensorrt.graph import specialise
from silk_ros.backends.tensorrt.runner import EngineRunner
from silk_ros.paths import default_model

pytestmark = pytest.mark.gpu

COUNT = 1000
Image = NDArray[np.uint8]


def runner(half: bool = False, use_graph: bool = True, count: int = COUNT) -> EngineRunner:
    graph = specialise(read_network(ModelFile.read(default_model())), 120, 160, count, half)
    return EngineRunner(build(graph, EngineOptions()).engine, use_graph)


def features(running: EngineRunner) -> Features:
    return Features(*(values.copy() for values in running.extracted()))


@pytest.fixture
def frames(photo: Image) -> list[Image]:
    return [photo[y : y + 120, 2 * y : 2 * y + 160].copy() for y in range(5)]


@pytest.mark.parametrize("use_graph", [False, True])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("count", [COUNT, 6000])
def test_matches_are_the_mutual_nearest_neighbours_of_the_last_run(
    frames: list[Image], half: bool, use_graph: bool, count: int
) -> None:
    running = runner(half, use_graph, count)
    running.run(frames[0])
    before = features(running)
    for frame in frames[1:]:
        running.run(frame)
        now = features(running)
        found = set(map(tuple, running.matched()[0].tolist()))
        expected = set(map(tuple, match(now, before).indices.tolist()))
        # Cosines that differ in the last bit may change a partner.
        assert len(found & expected) >= 0.995 * len(expected) and len(found - expected) <= 0.005 * len(found)
        before = now


def test_a_graph_gives_what_single_launches_give(frames: list[Image]) -> None:
    recorded, single = runner(use_graph=True), runner(use_graph=False)
    assert recorded.uses_graph
    for frame in frames:
        recorded.run(frame)
        single.run(frame)
        np.testing.assert_allclose(features(recorded).keypoints, features(single).keypoints)


def test_an_engine_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not take the engine"):
        EngineRunner(b"no engine" * 1000)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_backend_builds_checks_and_keeps(precision: str, frames: list[Image]) -> None:
    first = TensorRtBackend(Model(default_model()), COUNT, precision)
    made = first.prepare(120, 160)
    assert made.precision == precision and made.parity.within(precision)
    again = TensorRtBackend(Model(default_model()), COUNT, precision).prepare(120, 160)
    assert again.was_cached
