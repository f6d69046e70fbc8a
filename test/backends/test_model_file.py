from __future__ import annotations

from pathlib import Path

import pytest

from silk_ros.backends.model_file import check_gate, int8_path, model_file, read_info, sha256

NETWORK = {"architecture": "vggnp-mu", "border": "3", "descriptor_dim": "32"}
GOOD = {"topk_overlap": "0.93", "match_precision": "0.352", "float_match_precision": "0.356"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"float")
    return path


def test_int8_is_the_sibling_of_a_float_file(model: Path) -> None:
    assert model_file(model, "auto") == model_file(model, "int8") == model
    int8_path(model).write_bytes(b"int8")
    assert model_file(model, "int8") == model.with_name("own_int8.onnx")
    assert model_file(model, "fp32") == model


def test_a_float_file_is_not_taken_for_a_quantised_one(model: Path) -> None:
    info = read_info(model, model, True, NETWORK)
    assert info.checked_precision("fp32", model) == "fp32"
    with pytest.raises(ValueError, match=r"own.onnx' is not quantised, and there is no int8 .*own_int8.onnx"):
        info.checked_precision("int8", model)


def test_a_quantised_file_that_kept_enough_passes(model: Path) -> None:
    info = read_info(model, model, True, NETWORK | GOOD | {"precision": "int8"})
    assert (info.border, info.descriptor_dim, info.precision) == (3, 32, "int8")
    with pytest.raises(ValueError, match="is quantised, not fp32: use precision auto or int8"):
        info.checked_precision("fp32", model)


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


def test_the_sibling_must_be_of_this_very_file(model: Path) -> None:
    metadata = NETWORK | GOOD | {"precision": "int8", "float_sha256": sha256(model)}
    assert read_info(int8_path(model), model, True, metadata).precision == "int8"
    model.write_bytes(b"tuned since")
    with pytest.raises(ValueError, match=r"own_int8.onnx' was not made from '.*own.onnx' as it is now: quantize"):
        read_info(int8_path(model), model, True, metadata)
