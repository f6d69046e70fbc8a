from harness import ROOT, parameters_in

from silk_ros.ros.front_end.parameters import DECLARATIONS
from silk_ros.ros.front_end.write_yaml import parameter_file

CONFIG = ROOT / "config" / "silk.yaml"


def test_yaml_equals_the_declarations() -> None:
    values = parameters_in(CONFIG)
    assert values == {declaration.name: declaration.default for declaration in DECLARATIONS}
    assert all(type(values[declaration.name]) is type(declaration.default) for declaration in DECLARATIONS)


def test_yaml_is_written_from_the_declarations() -> None:
    written = CONFIG.read_text(encoding="utf-8")
    assert written == parameter_file(), "run python -m silk_ros.ros.front_end.write_yaml"
