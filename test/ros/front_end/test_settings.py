from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import InvalidParameterValueException
from rclpy.parameter import Parameter

from silk_ros.frontend import FrontEndOptions
from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.parameters.settings import Settings, settings_from
from silk_ros.ros.node.declarations import declare


def settings_with(context: Context, **overrides: object) -> Settings:
    parameters = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    node = rclpy.create_node("parameters", context=context, parameter_overrides=parameters)
    try:
        return settings_from(declare(node, DECLARATIONS))
    finally:
        node.destroy_node()


def test_defaults_load_the_shipped_model_and_keep_every_match(context: Context) -> None:
    settings = settings_with(context)
    assert settings.network.path is None and settings.network.max_keypoints == 5000
    assert settings.front_end == FrontEndOptions()


def test_given_values_reach_the_settings(context: Context) -> None:
    settings = settings_with(context, model_path="~/x.onnx", matcher__ratio=0.8, matcher__double_softmax=0.0)
    assert settings.network.path == Path.home() / "x.onnx"
    assert (settings.front_end.ratio, settings.front_end.double_softmax) == (0.8, None)


@pytest.mark.parametrize(
    "override", [{"max_keypoints": 0}, {"max_keypoints": 30001}, {"scale": 0.0}, {"matcher__ratio": 1.5}]
)
def test_number_out_of_range_is_refused(context: Context, override: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterValueException):
        settings_with(context, **override)


@pytest.mark.parametrize("override", [{"backend": "cuda"}, {"image_reliability": "sometimes"}])
def test_unknown_choice_is_refused_with_the_choices(context: Context, override: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="choose one of"):
        settings_with(context, **override)
