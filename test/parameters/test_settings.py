from pathlib import Path

import pytest

from silk_ros.front_end_options import FrontEndOptions
from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.parameters.settings import Settings, settings_from


def settings_with(**given: object) -> Settings:
    values = {declaration.name: declaration.default for declaration in DECLARATIONS}
    return settings_from(values | {name.replace("__", "."): value for name, value in given.items()})


def test_defaults_load_the_shipped_model_and_keep_every_match() -> None:
    settings = settings_with()
    assert settings.network.path is None and settings.network.max_keypoints == 5000
    assert settings.front_end == FrontEndOptions()


def test_given_values_reach_the_settings() -> None:
    settings = settings_with(model_path="~/x.onnx", matcher__ratio=0.8, matcher__double_softmax=0.0)
    assert settings.network.path == Path.home() / "x.onnx"
    assert (settings.front_end.ratio, settings.front_end.double_softmax) == (0.8, None)


@pytest.mark.parametrize(
    ("sync", "nanoseconds"), [("none", None), ("exact", 0), ("approximate", 20_000_000)], ids=lambda value: str(value)
)
def test_pairs_are_of_equal_or_of_close_stamps(sync: str, nanoseconds: int | None) -> None:
    assert settings_with(stereo__sync=sync, stereo__max_interval=0.02).input.max_interval == nanoseconds


@pytest.mark.parametrize("given", [{"backend": "cuda"}, {"image_reliability": "sometimes"}])
def test_unknown_choice_is_refused_with_the_choices(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="choose one of"):
        settings_with(**given)
