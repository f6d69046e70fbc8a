"""The backend without a GPU: engines are really built, and ONNX Runtime computes what they would."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

pytest.importorskip("silk_ros.backends.tensorrt.library", exc_type=ImportError)

from silk_ros import Extractor, Features, match
from silk_ros.backends import BackendUnavailable, EngineOptions, MatchingBackend
from silk_ros.backends import model as model_module
from silk_ros.backends.model import Model, int8_path, sha256
from silk_ros.backends.onnxruntime import OnnxRuntimeBackend
from silk_ros.backends.parity import Parity
from silk_ros.backends.tensorrt import backend as tensorrt
from silk_ros.backends.tensorrt import engine_maker
from silk_ros.backends.tensorrt.backend import TensorRtBackend
from silk_ros.backends.tensorrt.build import BuildCancelled, Built
from silk_ros.backends.tensorrt.cuda import Gpu
from silk_ros.backends.tensorrt.runner import EngineRunner
from silk_ros.front_end_options import FrontEndOptions
from silk_ros.frontend import FrontEnd
from silk_ros.paths import default_model

COUNT = 300
TINY = 13  # pixels wide; such an engine only tells whether this GPU will do


class CpuRunner:
    """Replaces `EngineRunner`: the engine is its graph, which ONNX Runtime computes."""

    extracted, matched = EngineRunner.extracted, EngineRunner.matched

    def __init__(self, engine: bytes, use_graph: bool = True) -> None:
        if engine == b"foreign":
            raise ValueError("TensorRT does not take the engine")
        self._session = onnxruntime.InferenceSession(engine, providers=["CPUExecutionProvider"])
        shapes = {given.name: given.shape for given in self._session.get_inputs()}
        self._previous = np.zeros(shapes["previous_descriptors"], np.float32)
        self.outputs = {output.name: np.empty(0) for output in self._session.get_outputs()}

    def run(self, image: NDArray[np.uint8]) -> None:
        found = self._session.run(None, {"image": image[None, None], "previous_descriptors": self._previous})
        self.outputs.update(zip(self.outputs, found))
        self._previous = self.outputs["descriptors"][0]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[onnx.ModelProto]:
    """A GPU that is none, an empty cache, and the graphs that are built."""
    graphs: list[onnx.ModelProto] = []
    original = tensorrt.build

    def build(
        graph: onnx.ModelProto, options: EngineOptions, *rest: object, for_this_gpu: bool, **named: object
    ) -> Built:
        assert for_this_gpu
        if graph.graph.input[0].type.tensor_type.shape.dim[3].dim_value > TINY:
            graphs.append(graph)
        return dataclasses.replace(original(graph, options, *rest, **named), engine=graph.SerializeToString())

    for module in (tensorrt, engine_maker):
        monkeypatch.setattr(module, "build", build)
        monkeypatch.setattr(module, "EngineRunner", CpuRunner)
    monkeypatch.setattr(tensorrt, "gpu", lambda: Gpu("Test GPU", "8.7"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return graphs


@pytest.fixture
def image(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return photo[:72, :96].copy()


def loaded(precision: str = "auto", model: Path | None = None, **options: object) -> TensorRtBackend:
    return TensorRtBackend(Model(model or default_model()), COUNT, precision, **options)


def test_it_says_what_it_is(builds: list) -> None:
    backend = loaded()
    assert (backend.name, backend.device, backend.precision) == ("tensorrt", "Test GPU", "fp16")
    assert (backend.border, backend.descriptor_dim, backend.max_keypoints) == (3, 32, COUNT)
    assert isinstance(backend, MatchingBackend)
    assert loaded("int8").precision == "int8" and loaded(model=int8_path(default_model())).precision == "int8"


def test_a_gpu_that_the_library_does_not_run_on_is_no_backend(builds: list, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(engine: bytes) -> None:
        raise ValueError("tensorrt_rtx 1.7 does not take the engine: of other hardware")

    monkeypatch.setattr(tensorrt, "IS_RTX", True)
    monkeypatch.setattr(tensorrt, "EngineRunner", refuse)
    with pytest.raises(BackendUnavailable, match=r"not run on Test GPU, compute capability 8.7 \(.*other hardware"):
        loaded()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_features_are_those_of_onnx_runtime(builds: list, image: NDArray[np.uint8], precision: str) -> None:
    keypoints, scores, descriptors = loaded(precision).extract(image)
    expected = OnnxRuntimeBackend(Model(default_model()), COUNT).extract(image)[0]
    same = {tuple(point) for point in keypoints.tolist()} & {tuple(point) for point in expected.tolist()}
    assert len(same) >= {"fp32": 0.99, "fp16": 0.97, "int8": 0.85}[precision] * COUNT
    assert scores.shape == (COUNT,) and (np.diff(scores) <= 0).all() and descriptors.shape == (COUNT, 32)


def test_features_are_not_overwritten_by_the_next_image(builds: list, image: NDArray[np.uint8]) -> None:
    backend = loaded()
    first = backend.extract(image)
    kept = [values.copy() for values in first]
    backend.extract(255 - image)
    for values, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(values, copy)


# --- matching ---------------------------------------------------------------------------------------------------------


def test_matches_are_those_with_the_image_before(builds: list, photo: NDArray[np.uint8]) -> None:
    backend = loaded("fp32")
    images = [photo[y : y + 72, 2 * y : 2 * y + 96].copy() for y in range(4)]
    before = backend.extract(images[0])
    for image in images[1:]:
        now, found = backend.extract_and_match(image, before[2])
        assert found is not None
        expected = match(Features(*now), Features(*before))
        np.testing.assert_array_equal(found[0], expected.indices)
        np.testing.assert_allclose(found[1], expected.similarity, atol=1e-5)
        before = now


def test_only_descriptors_of_the_last_image_are_matched(builds: list, image: NDArray[np.uint8]) -> None:
    backend = loaded()
    first = backend.extract(image)[2]
    (*_, second), found = backend.extract_and_match(image, None)
    assert found is None
    assert backend.extract_and_match(image, first)[1] is None, "they are older"
    (*_, third), found = backend.extract_and_match(image, second)
    assert found is None, "an image came in between"
    assert backend.extract_and_match(image, third.copy())[1] is None, "another array"
    (*_, last), _ = backend.extract_and_match(image, None)
    assert backend.extract_and_match(image, last)[1] is not None


def test_another_size_is_not_matched(builds: list, photo: NDArray[np.uint8]) -> None:
    backend, previous, matched = loaded(), None, []
    large, small = photo[:72, :96].copy(), photo[:64, :80].copy()
    for image in (large, small, small, large):  # the first large one's descriptors are older than the last image
        (*_, previous), found = backend.extract_and_match(image, previous)
        matched.append(found is not None)
    assert matched == [False, False, True, False]


def test_a_frame_that_failed_is_not_matched_with(
    builds: list, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded()
    previous = backend.extract(image)[2]

    def fail(self: object, images: object) -> None:
        raise RuntimeError("cudaGraphLaunch: out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(CpuRunner, "run", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            backend.extract(image)
    assert backend.extract_and_match(image, previous)[1] is None


def test_the_front_end_takes_the_matches_of_the_gpu(
    builds: list, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [photo[y : y + 144, y : y + 192].copy() for y in range(0, 8, 2)]
    options = FrontEndOptions(min_similarity=0.9, radius=0)
    expected = FrontEnd(Extractor(OnnxRuntimeBackend(Model(default_model()), COUNT), scale=0.5), options)
    steps = [expected.process(frame, index) for index, frame in enumerate(frames)]
    monkeypatch.setattr("silk_ros.frontend.match", lambda *_, **__: pytest.fail("the GPU has matched"))
    front_end = FrontEnd(Extractor(loaded("fp32"), scale=0.5), options)
    for index, (frame, step) in enumerate(zip(frames, steps, strict=True)):
        found = front_end.process(frame, index)
        np.testing.assert_array_equal(found.matches.indices, step.matches.indices)
        np.testing.assert_array_equal(found.frame.tracks.ids, step.frame.tracks.ids)
    assert len(step.matches) > 100


# --- the cache --------------------------------------------------------------------------------------------------------


def test_an_engine_is_built_once_for_each_size_and_said(
    builds: list, photo: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    backend = loaded()
    for _ in range(2):
        backend.extract(photo[:72, :96].copy())
    assert len(builds) == 1
    assert "building the TensorRT engine for images of 96x72 in fp16, which takes" in caplog.text
    assert "build_engine --size 96x72" in caplog.text
    backend.extract(photo[:64, :80].copy())
    assert len(builds) == 2


def test_the_next_start_finds_it_made(builds: list, image: NDArray[np.uint8], caplog: pytest.LogCaptureFixture) -> None:
    first = loaded().extract(image)
    caplog.clear()
    second = loaded()
    prepared = second.prepare(*image.shape)
    assert prepared.was_cached and len(builds) == 1 and not caplog.messages
    assert prepared.parity.within("fp16")
    np.testing.assert_array_equal(second.extract(image)[0], first[0])


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp32"},
        {"options": EngineOptions(optimization_level=1)},
        {"options": EngineOptions(workspace_mb=512)},
    ],
)
def test_what_is_built_differently_is_another_engine(builds: list, image: NDArray[np.uint8], change: dict) -> None:
    loaded().prepare(*image.shape)
    loaded(**change).prepare(*image.shape)
    assert len(builds) == 2


def test_another_gpu_library_or_model_is_another_engine(
    builds: list, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loaded().prepare(*image.shape)
    monkeypatch.setattr(tensorrt, "gpu", lambda: Gpu("Test GPU", "8.9"))
    loaded().prepare(*image.shape)
    monkeypatch.setattr(engine_maker, "VERSION", "tensorrt 99")
    loaded().prepare(*image.shape)
    network = onnx.load(default_model())
    network.doc_string = "another one"
    onnx.save(network, tmp_path / "model.onnx")
    loaded(model=tmp_path / "model.onnx").prepare(*image.shape)
    assert len(builds) == 4


@pytest.mark.parametrize("damage", [b"", b"truncated"])
def test_a_damaged_engine_is_built_again(
    builds: list, image: NDArray[np.uint8], caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    path = loaded().prepare(*image.shape).path
    assert path is not None
    path.write_bytes(path.read_bytes()[:-50] if damage else damage)
    loaded().prepare(*image.shape)
    assert len(builds) == 2 and "building it again" in caplog.text
    assert loaded().prepare(*image.shape).was_cached


def test_an_engine_that_tensorrt_does_not_take_is_built_again(
    builds: list, image: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    backend = loaded()
    key = backend._maker._key(image.shape, "fp16")
    backend._maker._cache.save(key, b"foreign", {})
    assert not backend.prepare(*image.shape).was_cached
    assert "does not take the engine: building it again" in caplog.text


def test_key_and_network_are_of_the_bytes_that_were_read_first(
    builds: list, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    """The file is swapped between loading the backend and building its engines."""
    path = tmp_path / "model.onnx"
    path.write_bytes(default_model().read_bytes())
    int8_path(path).write_bytes(int8_path(default_model()).read_bytes())
    backend = loaded("int8", path)
    path.write_bytes(b"swapped")
    int8_path(path).write_bytes(default_model().read_bytes())
    made = backend.prepare(*image.shape)
    assert any(node.op_type == "QuantizeLinear" for node in builds[0].graph.node) and made.parity.within("int8")
    assert backend._maker._key(image.shape, "int8")["model_sha256"] == sha256(int8_path(default_model()))
    assert backend._maker._key(image.shape, "fp16")["model_sha256"] == sha256(default_model())
    assert loaded("int8").prepare(*image.shape).was_cached, "it is the shipped network's engine"
    np.testing.assert_array_equal(backend.extract(image)[0], loaded("int8").extract(image)[0])


@pytest.mark.parametrize("precision", ["auto", "fp32", "int8"])
def test_each_file_is_read_at_most_once(
    builds: list, figures: list[Parity], photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Through loading, two engines, and a wider precision."""
    figures += [GOOD, GOOD] if precision == "fp32" else [GOOD, GOOD, BAD]
    original, read = model_module._read_regular, []
    monkeypatch.setattr(model_module, "_read_regular", lambda path: [read.append(path), original(path)][1])
    backend = loaded(precision)
    for image in (photo[:72, :96].copy(), photo[:64, :80].copy()):
        backend.extract(image)
    assert sorted(read) == sorted(set(read)) and default_model() in read and not figures


def test_a_size_that_failed_is_not_tried_for_every_image(
    builds: list, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, tried = loaded("fp32"), []

    def refuse(*_: object, **__: object) -> None:
        tried.append(1)
        raise ValueError("tensorrt cannot build the engine: no reason")

    monkeypatch.setattr(engine_maker, "build", refuse)
    for _ in range(3):
        with pytest.raises(ValueError, match="cannot build the engine"):
            backend.extract(image)
    assert len(tried) == 1


def test_a_build_that_is_not_wanted_any_more_is_given_up(builds: list, image: NDArray[np.uint8]) -> None:
    backend = loaded("fp32")
    backend.close()
    with pytest.raises(BuildCancelled):
        backend.extract(image)


def test_few_sizes_are_kept_in_memory(builds: list, photo: NDArray[np.uint8]) -> None:
    backend = loaded()
    for width in range(40, 40 + tensorrt.SIZES_KEPT + 2):
        backend.extract(photo[:40, :width].copy())
    assert len(backend._prepared) == tensorrt.SIZES_KEPT


# --- parity -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Parity]:
    """What judging gives, from the end of the list; a test sets it."""
    given: list[Parity] = []
    monkeypatch.setattr(engine_maker.parity, "compare", lambda *_: given.pop())
    return given


GOOD, BAD = Parity(1.0, 1.0, 0.0), Parity(0.5, 0.9, 3.0)


def test_a_precision_that_loses_too_much_gives_way_loudly(
    builds: list, figures: list[Parity], image: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    figures += [GOOD, BAD, BAD]
    backend = loaded("int8")
    backend.extract(image)
    assert backend.precision == "fp32" and len(builds) == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any(
        "int8 engine" in text and "50.0% of the keypoints" in text and "fp16 instead" in text for text in warnings
    )
    assert any("fp16 engine" in text and "fp32 instead" in text for text in warnings)


def test_a_refused_precision_is_not_built_again(
    builds: list, figures: list[Parity], image: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    figures += [GOOD, BAD]
    loaded("fp16").extract(image)
    caplog.clear()
    again = loaded("fp16")
    again.extract(image)
    assert again.precision == "fp32" and len(builds) == 2
    assert "lost too much" in caplog.text


def test_the_precision_is_that_of_the_image_at_hand(
    builds: list, figures: list[Parity], photo: NDArray[np.uint8]
) -> None:
    figures += [GOOD, BAD, GOOD]
    backend, large, small = loaded("fp16"), photo[:72, :96].copy(), photo[:64, :80].copy()
    found = []
    for image in (large, small, large):
        backend.extract(image)
        found.append(backend.precision)
    assert found == ["fp16", "fp32", "fp16"]


def test_without_a_wider_precision_it_fails(builds: list, figures: list[Parity], image: NDArray[np.uint8]) -> None:
    figures += [BAD]
    with pytest.raises(ValueError, match=r"fp32 engine .* lost too much: 50.0%.*use backend onnxruntime_cuda"):
        loaded("fp32").extract(image)


def test_a_quantised_file_by_itself_has_no_wider_precision(
    builds: list, figures: list[Parity], image: NDArray[np.uint8]
) -> None:
    figures += [BAD]
    with pytest.raises(ValueError, match=r"int8 engine .* lost too much"):
        loaded(model=int8_path(default_model())).extract(image)


def test_a_network_that_is_really_off_is_refused(
    builds: list, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = engine_maker.specialise

    def off(network: onnx.ModelProto, *rest: object, **named: object) -> onnx.ModelProto:
        for tensor in network.graph.initializer:
            if tensor.name == "backbone.1.0.bias":
                tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor) + 0.3, tensor.name))
        return original(network, *rest, **named)

    monkeypatch.setattr(engine_maker, "specialise", off)
    with pytest.raises(ValueError, match="lost too much"):
        loaded("fp32").extract(image)


# --- input ------------------------------------------------------------------------------------------------------------


def test_a_dla_is_refused_at_once_where_it_cannot_be(builds: list) -> None:
    with pytest.raises(ValueError, match=r"a DLA computes this network in fp16, not int8"):
        loaded("int8", options=EngineOptions(dla_core=0))
    with pytest.raises(ValueError, match=r"no DLA core 0"):
        loaded("fp16", options=EngineOptions(dla_core=0))


@pytest.mark.parametrize("precision", ["bf16", "FP16", ""])
def test_an_unknown_precision_lists_the_choices(precision: str) -> None:
    with pytest.raises(ValueError, match=f"unknown precision '{precision}' .*: use one of auto, fp32, fp16, int8"):
        loaded(precision)


def test_a_quantised_file_is_not_computed_in_float(builds: list) -> None:
    with pytest.raises(ValueError, match=r"is quantised, not fp16: use precision auto or int8"):
        loaded("fp16", int8_path(default_model()))


def test_files_are_refused_as_by_the_other_backends(builds: list, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(default_model().read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"damaged.onnx' is not a usable ONNX file"):
        loaded(model=damaged)
    network = onnx.load(default_model())
    network.graph.input[0].name = "picture"
    onnx.save(network, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="not of a SiLK network"):
        loaded(model=tmp_path / "other.onnx")
