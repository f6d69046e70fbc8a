from pathlib import Path

import pytest

from silk_ros.front_end_options import FrontEndOptions
from silk_ros.parameters.given import preset_file, read_parameter_file
from silk_ros.parameters.settings import settings_with


def test_defaults_load_the_shipped_model_and_keep_every_match() -> None:
    settings = settings_with({})
    assert settings.network.path is None and settings.network.max_keypoints == 5000
    assert settings.front_end == FrontEndOptions()


def test_given_values_reach_the_settings() -> None:
    settings = settings_with({"model_path": "~/x.onnx", "matcher.ratio": 0.8, "matcher.double_softmax": 0.0})
    assert settings.network.path == Path.home() / "x.onnx"
    assert (settings.front_end.ratio, settings.front_end.double_softmax) == (0.8, None)


@pytest.mark.parametrize(
    ("sync", "nanoseconds"), [("none", None), ("exact", 0), ("approximate", 20_000_000)], ids=lambda value: str(value)
)
def test_pairs_are_of_equal_or_of_close_stamps(sync: str, nanoseconds: int | None) -> None:
    assert settings_with({"stereo.sync": sync, "stereo.max_interval": 0.02}).input.max_interval == nanoseconds


@pytest.mark.parametrize("given", [{"backend": "cuda"}, {"image_reliability": "sometimes"}])
def test_unknown_choice_is_refused_with_the_choices(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="choose one of"):
        settings_with(given)


def test_settings_of_a_preset_have_its_values_and_the_defaults_of_the_others() -> None:
    preset, default = settings_with(read_parameter_file(preset_file("vins"))), settings_with({})
    assert preset.front_end.verification.method == "essential" and preset.tracks.min_distance == 10.0
    assert (preset.network.max_keypoints, preset.input) == (default.network.max_keypoints, default.input)


def test_parameters_that_are_none_are_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"did you mean tracks\.min_distance"):
        settings_with({"tracks.distance": 10.0})
