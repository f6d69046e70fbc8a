from pathlib import Path

from silk_ros.parameters.front_end import DECLARATIONS
from silk_ros.parameters.given import read_parameter_file
from silk_ros.parameters.write_yaml import parameter_file

CONFIG = Path(__file__).resolve().parents[2] / "config" / "silk.yaml"


def test_yaml_equals_the_declarations() -> None:
    values = read_parameter_file(CONFIG)
    assert values == {declaration.name: declaration.default for declaration in DECLARATIONS}
    assert all(type(values[declaration.name]) is type(declaration.default) for declaration in DECLARATIONS)


def test_yaml_is_written_from_the_declarations() -> None:
    written = CONFIG.read_text(encoding="utf-8")
    assert written == parameter_file(), "run python -m silk_ros.parameters.write_yaml"
