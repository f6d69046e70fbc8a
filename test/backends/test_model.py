from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from silk_ros.backends import BACKENDS, select_backend
from silk_ros.backends import model as model_module
from silk_ros.backends.model import Model, ModelFile, check_gate, few_steps, int8_path
from silk_ros.backends.onnx_graph import read_network
from silk_ros.backends.onnxruntime import PROVIDERS
from silk_ros.backends.quantization import quantize_network
from silk_ros.binary import binary_code
from silk_ros.paths import default_model

NETWORK = {"architecture": "vggnp-mu", "border": "3", "descriptor_dim": "32"}
GOOD = {"topk_overlap": "0.93", "match_precision": "0.352", "float_match_precision": "0.356"}


def onnx_metadata() -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(default_model()).metadata_props}


def write(path: Path, metadata: dict[str, str]) -> Path:
    """An ONNX file that holds only metadata."""
    network = helper.make_model(helper.make_graph([], "empty", [], []))
    helper.set_model_props(network, metadata)
    onnx.save_model(network, path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "own.onnx", NETWORK)


def write_int8(path: Path, **changes: str) -> Path:
    """The int8 version of a float file."""
    made_from = {"precision": "int8", "float_sha256": ModelFile.read(path).digest}
    return write(int8_path(path), NETWORK | GOOD | made_from | changes)


def test_a_file_is_its_content_digest_and_metadata() -> None:
    file = ModelFile.read(default_model())
    assert file.content == default_model().read_bytes()
    assert file.digest == model_module.sha256(default_model())
    assert file.metadata == onnx_metadata()
    assert len(repr(file)) < 100_000, "without the content"


def test_int8_is_the_sibling_of_a_float_file(path: Path) -> None:
    model = Model(path)
    assert model.file("auto") is model.file("int8") and model.file("int8").path == path
    write_int8(path)
    assert model.file("int8").path == path, "a version that appears later is not taken"
    model = Model(path)
    assert model.file("int8").path == path.with_name("own_int8.onnx")
    assert model.file("fp32").path == path


def test_a_quantised_file_has_no_sibling(path: Path) -> None:
    quantised = write_int8(path)
    int8_path(quantised).write_bytes(b"other")
    model = Model(quantised)
    assert model.file("int8") is model.file("auto") and model.file("int8").path == quantised


def test_a_float_file_is_not_taken_for_a_quantised_one(path: Path) -> None:
    model = Model(path)
    assert model.info(model.file("fp32"), "fp32", True).precision == "fp32"
    with pytest.raises(ValueError, match=r"own.onnx' is not quantised, and there is no int8 .*own_int8.onnx"):
        model.info(model.file("int8"), "int8", True)


def test_a_quantised_file_that_kept_enough_passes(path: Path) -> None:
    model = Model(write_int8(path))
    info = model.info(model.file("auto"), "auto", True)
    assert (info.border, info.descriptor_dim, info.precision) == (3, 32, "int8")
    with pytest.raises(ValueError, match="is quantised, not fp32: use precision auto or int8"):
        model.info(model.file("fp32"), "fp32", True)


@pytest.mark.parametrize(
    "figures",
    [{"topk_overlap": "0.89"}, {"match_precision": "0.345"}, {"topk_overlap": "nan"}, {"match_precision": "nan"}],
)
def test_one_that_lost_too_much_is_refused_with_the_figures(figures: dict[str, str]) -> None:
    with pytest.raises(
        ValueError, match=r"lost too much by quantisation: .* of the best keypoints .* instead of 0.356"
    ):
        check_gate(Path("own_int8.onnx"), GOOD | figures)


@pytest.mark.parametrize(
    "figures", [{}, {"topk_overlap": "high", "match_precision": "1", "float_match_precision": "1"}]
)
def test_one_that_does_not_say_is_refused(figures: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="does not say what its quantisation lost"):
        check_gate(Path("own_int8.onnx"), figures)


@pytest.mark.parametrize(
    ("steps", "note"),
    [("1", "trained for 1 step"), ("999", "trained for 999 steps"), ("1000", ""), ("0", ""), ("tuned", ""), (None, "")],
)
def test_a_network_of_few_steps_is_called_so(steps: str | None, note: str) -> None:
    assert few_steps({} if steps is None else {"training_steps": steps}) == note


def test_the_sibling_must_be_of_this_very_file(path: Path) -> None:
    write_int8(path)
    model = Model(path)
    assert model.info(model.file("int8"), "int8", True).precision == "int8"
    write(path, NETWORK | {"training_steps": "tuned since"})
    assert model.info(model.file("int8"), "int8", True).precision == "int8", "both files are those read before"
    model = Model(path)
    with pytest.raises(ValueError, match=r"own_int8.onnx' was not made from '.*own.onnx' as it is now: quantize"):
        model.info(model.file("int8"), "int8", True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, one entry for each time."""
    original, paths = model_module._read_regular, []
    monkeypatch.setattr(model_module, "_read_regular", lambda path: [paths.append(path), original(path)][1])
    return paths


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "tensorrt"])  # see tensorrt/test_backend.py
@pytest.mark.parametrize("precision", ["auto", "fp32", "int8"])
def test_a_backend_reads_each_file_at_most_once(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch, read: list[Path]
) -> None:
    """ONNX Runtime's providers for GPUs are set up as on a GPU, but the session runs on the CPU."""
    original, cpu = onnxruntime.InferenceSession, ["CPUExecutionProvider"]
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda content, options, **_: original(content, options, providers=cpu)
    )
    for provider in PROVIDERS:
        monkeypatch.setitem(PROVIDERS, provider, tuple(cpu))
    backend = select_backend(name, precision, default_model(), 50)
    assert backend.metadata == onnx_metadata()
    assert sorted(read) == sorted(set(read)) and default_model() in read


READERS: dict[str, Callable[[Path], object]] = {
    "onnxruntime": lambda file: select_backend("onnxruntime", "auto", file, 50),
    "openvino": lambda file: select_backend("openvino", "auto", file, 50),
    "tensorrt": lambda file: read_network(Model(file).file("fp32")),
    "binary code": binary_code,
    "quantize": lambda file: quantize_network(file, [], iter(())),
}


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """The shipped network with its weights in a file beside it, as every runtime would take it."""
    path = tmp_path / "external.onnx"
    onnx.save_model(onnx.load(default_model()), path, save_as_external_data=True, location="weights", size_threshold=0)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_weights_in_another_file_are_refused_by_all_that_read_models(reader: str, external: Path) -> None:
    """Where that file is not even there: the refusal comes before a runtime looks for it."""
    (external.parent / "weights").unlink()
    with pytest.raises(ValueError, match=r"external.onnx' is .*other files: .*save_as_external_data=False"):
        READERS[reader](external)


@pytest.mark.parametrize("reader", READERS)
def test_huge_files_are_refused_by_all_that_read_models(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = default_model().stat().st_size
    monkeypatch.setattr(model_module, "MAX_MODEL_BYTES", size)
    assert len(ModelFile.read(default_model()).content) == size
    monkeypatch.setattr(model_module, "MAX_MODEL_BYTES", size - 1)
    with pytest.raises(ValueError, match=r"silk_vggnp_mu.onnx' is larger than"):
        READERS[reader](default_model())


def test_the_float_file_of_a_quantised_one_is_not_read_if_it_is_huge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "own.onnx"
    int8_path(model).write_bytes(int8_path(default_model()).read_bytes())
    model.write_bytes(bytes(1 << 20))
    monkeypatch.setattr(model_module, "MAX_MODEL_BYTES", 1 << 19)
    with pytest.raises(ValueError, match=r"own.onnx' is larger than"):
        select_backend("onnxruntime", "int8", model, 50)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.onnx")
    with pytest.raises(ValueError, match=r"pipe.onnx' is not a regular file"):
        ModelFile.read(pipe)
    with pytest.raises(FileNotFoundError, match=r"no model file at '.*pipe.onnx'"):
        select_backend("auto", "auto", pipe, 50)


@pytest.mark.parametrize("path", ["/dev/zero", "/"])
def test_devices_and_folders_are_refused(path: str) -> None:
    with pytest.raises((ValueError, IsADirectoryError), match=r"not a regular file|Is a directory"):
        ModelFile.read(Path(path))
    with pytest.raises(FileNotFoundError, match="no model file at"):
        select_backend("auto", "auto", Path(path), 50)


def external_tensor() -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    return tensor


def nested(graph: onnx.GraphProto) -> onnx.GraphProto:
    return helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)], "g", [], [])


def initialised(*tensors: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "g", [], [], list(tensors))


def sparse() -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=TensorProto(), indices=external_tensor())


def with_function() -> onnx.ModelProto:
    constant = helper.make_node("Constant", [], ["y"], value=external_tensor())
    function = helper.make_function("local", "f", [], ["y"], [constant], [])
    return helper.make_model(initialised(), functions=[function])


def with_training() -> onnx.ModelProto:
    model = helper.make_model(initialised())
    model.training_info.add(algorithm=initialised(external_tensor()))
    return model


PLACES: dict[str, Callable[[], onnx.ModelProto]] = {
    "initializer": lambda: helper.make_model(initialised(TensorProto(), external_tensor())),
    "sparse initializer": lambda: helper.make_model(helper.make_graph([], "g", [], [], sparse_initializer=[sparse()])),
    "attribute": lambda: helper.make_model(
        helper.make_graph([helper.make_node("Constant", [], ["y"], value=external_tensor())], "g", [], [])
    ),
    "list of tensors": lambda: helper.make_model(
        helper.make_graph([helper.make_node("Constant", [], ["y"], values=[external_tensor()])], "g", [], [])
    ),
    "sparse attribute": lambda: helper.make_model(
        helper.make_graph([helper.make_node("Constant", [], ["y"], sparse_value=sparse())], "g", [], [])
    ),
    "graph in a graph in a graph": lambda: helper.make_model(nested(nested(initialised(external_tensor())))),
    "function": with_function,
    "training": with_training,
}


@pytest.mark.parametrize("place", PLACES)
def test_external_data_are_found_wherever_a_tensor_may_be(place: str, tmp_path: Path) -> None:
    onnx.save_model(PLACES[place](), file := tmp_path / "made.onnx")
    with pytest.raises(ValueError, match="keeps tensors in other files"):
        ModelFile.read(file)
