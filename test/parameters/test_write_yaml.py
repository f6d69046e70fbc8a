from pathlib import Path
from typing import Any

import yaml

from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.parameters.write_yaml import parameter_file

CONFIG = Path(__file__).resolve().parents[2] / "config" / "silk.yaml"


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def test_yaml_equals_the_declarations() -> None:
    values = flatten(yaml.safe_load(CONFIG.read_text())["/**"]["ros__parameters"])
    assert values == {declaration.name: declaration.default for declaration in DECLARATIONS}
    assert all(type(values[declaration.name]) is type(declaration.default) for declaration in DECLARATIONS)


def test_yaml_is_written_from_the_declarations() -> None:
    written = CONFIG.read_text(encoding="utf-8")
    assert written == parameter_file(), "run python -m silk_ros.parameters.write_yaml"
