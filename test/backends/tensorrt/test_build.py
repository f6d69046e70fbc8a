"""Real engines: TensorRT for RTX parses and builds without a GPU."""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest

pytest.importorskip("silk_ros.backends.tensorrt.library", exc_type=ImportError)

from silk_ros.backends.base import EngineOptions
from silk_ros.backends.model import Model, ModelFile, int8_path
from silk_ros.backends.onnx_graph import read_network
from silk_ros.backends.rules import SelectionRules
from silk_ros.backends.tensorrt.build import BuildCancelled, Built, Tensor, build
from silk_ros.backends.tensorrt.graph import specialise
from silk_ros.backends.tensorrt.library import trt
from silk_ros.paths import default_model

# Every precision of every shipped model.
CASES = [
    pytest.param(default_model(), False, id="fp32"),
    pytest.param(default_model(), True, id="fp16"),
    pytest.param(int8_path(default_model()), False, id="int8 in fp32"),
    pytest.param(int8_path(default_model()), True, id="int8"),
]


def built(model: Path, half: bool, count: int = 1000, options: EngineOptions | None = None) -> Built:
    return build(specialise(read_network(ModelFile.read(model)), 480, 640, count, half), options or EngineOptions())


@pytest.mark.parametrize("count", [1000, 5000, 10_000])
@pytest.mark.parametrize(("model", "half"), CASES)
def test_every_shipped_network_builds(model: Path, half: bool, count: int) -> None:
    result = built(model, half, count)
    assert len(result.engine) > 100_000 and result.seconds > 0
    assert result.tensors == (
        Tensor("image", (1, 1, 480, 640), "UINT8", is_input=True),
        Tensor("previous_descriptors", (count, 32), "FLOAT", is_input=True),
        Tensor("keypoints", (1, count, 2), "FLOAT", is_input=False),
        Tensor("scores", (1, count), "FLOAT", is_input=False),
        Tensor("descriptors", (1, count, 32), "FLOAT", is_input=False),
        Tensor("partner", (count,), "INT32", is_input=False),
        Tensor("similarity", (count,), "FLOAT", is_input=False),
    )


@pytest.mark.parametrize(("precision", "half"), [("fp32", False), ("fp32", True), ("int8", True)])
@pytest.mark.parametrize("count", [1000, 5000])
def test_selection_rules_build(precision: str, half: bool, count: int) -> None:
    network = read_network(Model(default_model(), SelectionRules(10, 2, 16, 4)).file(precision))
    result = build(specialise(network, 240, 320, count, half), EngineOptions())
    assert result.tensors[2] == Tensor("keypoints", (1, count, 2), "FLOAT", is_input=False)


def test_precisions_give_different_engines() -> None:
    engines = {built(*case.values).engine for case in CASES}
    assert len(engines) == len(CASES)


def test_a_graph_that_is_not_valid_is_refused_in_the_librarys_words() -> None:
    graph = specialise(read_network(ModelFile.read(default_model())), 96, 120, 100, half=False)
    del graph.graph.node[4]
    with pytest.raises(ValueError, match=r"tensorrt\w* [\d.]+ cannot read the graph \(.+\): export the network again"):
        build(graph, EngineOptions())


def test_the_error_of_a_build_keeps_no_builder() -> None:
    """A builder freed in a callback of the next one would wait for a lock that this one holds: a deadlock."""
    graph = specialise(read_network(ModelFile.read(default_model())), 96, 120, 100, half=False)
    del graph.graph.node[4]
    with pytest.raises(ValueError, match="cannot read the graph") as caught:
        build(graph, EngineOptions())
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert "_build" in [frame.f_code.co_name for frame in frames]
    kept = [name for frame in frames for name, value in frame.f_locals.items() if isinstance(value, trt.Builder)]
    assert not kept


def test_a_graph_beyond_the_librarys_limits_is_refused() -> None:
    graph = specialise(read_network(ModelFile.read(default_model())), 96, 120, 100, half=False)
    for tensor in graph.graph.initializer:
        if tensor.name == "keypoint_count":
            tensor.int64_data[:] = []
            tensor.raw_data = (4000).to_bytes(8, "little")  # one TopK gives 3840 at most
    with pytest.raises(ValueError, match=r"cannot (read the graph|build the engine)"):
        build(graph, EngineOptions())


def test_options_are_accepted() -> None:
    assert built(default_model(), True, options=EngineOptions(optimization_level=0, workspace_mb=256)).engine


def test_too_little_memory_is_said() -> None:
    with pytest.raises(ValueError, match=r"cannot build the engine: .*workspace"):
        built(default_model(), True, options=EngineOptions(workspace_mb=1))


def test_a_dla_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"no DLA core 0, this machine has 0: use dla_core -1, the GPU"):
        built(default_model(), True, options=EngineOptions(dla_core=0))


def test_a_build_can_be_cancelled() -> None:
    cancel = threading.Event()
    cancel.set()
    graph = specialise(read_network(ModelFile.read(default_model())), 96, 120, 100, half=False)
    with pytest.raises(BuildCancelled):
        build(graph, EngineOptions(), cancel=cancel)


def test_an_interrupt_ends_a_build() -> None:
    program = """
import os, signal, sys, threading
from silk_ros.backends.tensorrt import build as tensorrt_engine
from silk_ros.backends.base import EngineOptions
from silk_ros.backends.model import ModelFile
from silk_ros.backends.onnx_graph import read_network
from silk_ros.backends.rules import SelectionRules
from silk_ros.backends.tensorrt.graph import specialise
from silk_ros.backends.tensorrt.library import trt
from silk_ros.paths import default_model
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
graph = specialise(read_network(ModelFile.read(default_model())), 480, 640, 5000, half=True)
original = tensorrt_engine._Monitor.step_complete
def interrupt(self, name, step):
    if not self._cancel.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        self._cancel.wait(10)
    return original(self, name, step)
tensorrt_engine._Monitor.step_complete = interrupt
try:
    tensorrt_engine.build(graph, EngineOptions())
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_progress_is_drawn_where_it_is_wanted(capsys: pytest.CaptureFixture) -> None:
    graph = specialise(read_network(ModelFile.read(default_model())), 96, 120, 100, half=False)
    build(graph, EngineOptions())
    assert capsys.readouterr().err == ""
    build(graph, EngineOptions(), progress=True)
    assert "building" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimization_level": 6}, "from 0 to 5, not 6"),
        ({"workspace_mb": -1}, "must be 0 .* or more, not -1"),
        ({"dla_core": -2}, "must be -1 .* or the number of a core, not -2"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineOptions(**options)
