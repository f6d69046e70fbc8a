import json
import math
import re
from pathlib import Path

import pytest
import yaml

from training.config import CONFIGS, DEFAULT_CONFIG, TrainConfig, from_dict, load_config, parse_override
from training.data import HomographyPairs
from training.model import SiLK
from training.photos import Photos

EVERY = sorted(CONFIGS.glob("*.yaml"), key=lambda path: path.stem)
own_configs = pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)


def values() -> dict:
    return yaml.safe_load(DEFAULT_CONFIG.read_text(encoding="utf-8"))


def written(folder: Path, **changes: object) -> Path:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(values() | changes), encoding="utf-8")
    return path


# --- the project's own files ------------------------------------------------------------------------------------------


def test_every_experiment_has_its_file() -> None:
    names = {path.stem for path in EVERY}
    assert {"vggnp_mu", "vggnp_1", "vggnp_4", "paper_homography", "paper_pose", "finetune"} <= names


@own_configs
def test_a_file_of_the_project_can_be_trained(path: Path, photos: Path) -> None:
    config = load_config(path).changed(map_size=16)
    model = SiLK(config.architecture)
    pairs = HomographyPairs(Photos.from_sources({str(photos): 1}), config, model.border, model.stride, 1, 16, 0)
    assert len(pairs[0][1]) > 1


@own_configs
def test_every_value_is_commented_where_it_stands_and_the_top_says_how_to_run_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    assert len(settings) == len(TrainConfig.model_fields)
    for line in settings:
        assert re.match(r"\w+: .*\S +# \w", line), line
    top = "\n".join(lines[: lines.index("")])
    assert "python -m training." in top


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_bare_name_is_one_of_the_projects_and_a_file_of_ones_own_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("vggnp_4")) == load_config(CONFIGS / "vggnp_4.yaml")
    (tmp_path / "vggnp_4").mkdir()  # such as the output of a training
    assert load_config(Path("vggnp_4")).architecture == "vggnp-4"
    written(tmp_path, steps=3).rename("vggnp_1")
    assert load_config(Path("vggnp_1")).steps == 3


def test_a_missing_file_is_named_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.yaml.*paper_pose.*vggnp_mu"):
        load_config(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rte": 1e-3}, "unknown setting 'learning_rte'.*learning_rate"),
        ({"steps": 2.5}, "steps must be a valid integer, not 2.5"),
        ({"steps": "many"}, "steps must be a valid integer, not 'many'"),
        ({"steps": True}, "steps must be a valid integer, not True"),
        ({"zoom": "wide"}, "zoom must be a valid number, not 'wide'"),
        ({"zoom": None}, "zoom must be a valid number, not None"),
        ({"zoom": True}, "zoom must be a valid number, not True"),
        ({"bf16": 1}, "bf16 must be true, false or auto, not 1"),
        ({"bf16": "Auto"}, "bf16 must be true, false or auto, not 'Auto'"),
        ({"bf16": None}, "bf16 must be true, false or auto, not None"),
        ({"architecture": 4}, "architecture must be a valid string, not 4"),
        ({"scale": 0.6}, "scale must be .*, not 0.6"),
        ({"scale": [0.6]}, r"scale\.1 is missing"),
        ({"scale": [0.6, None]}, r"scale\.1 must be a valid number, not None"),
        ({"scale": "ab"}, "scale must be"),
        ({"data": "photos"}, "data must be"),
        ({"data": {"photos": "often"}}, r"data\.photos must be a valid number, not 'often'"),
        ({"data": {"photos": None}}, r"data\.photos must be a valid number, not None"),
        ({"data": {"photos": -1}}, r"data\.photos must be greater than or equal to 0, not -1"),
        ({"steps": 0}, "steps must be greater than or equal to 1, not 0"),
        ({"map_size": 1}, "map_size must be greater than or equal to 8, not 1"),
        ({"validation_every": 0}, "validation_every must be greater than or equal to 1, not 0"),
        ({"queries": -1}, "queries must be greater than or equal to 0, not -1"),
        ({"learning_rate": 0}, "learning_rate must be greater than 0, not 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be greater than 0, not nan"),
        ({"zoom": 0}, "zoom must be greater than 0, not 0"),
        ({"zoom": -1}, "zoom must be greater than 0, not -1"),
        ({"zoom": 1.5}, "zoom must be less than or equal to 1, not 1.5"),
        ({"scale": [0.0, 0.9]}, "scale must be .low, high. with 0 < low <= high <= 1"),
        ({"scale": [0.9, 0.6]}, "scale must be .low, high. with 0 < low <= high <= 1"),
        ({"scale": [0.6, 1.1]}, "scale must be .low, high. with 0 < low <= high <= 1"),
        ({"tilt": -0.1}, "tilt must be greater than or equal to 0, not -0.1"),
        ({"tilt": math.pi / 2}, "tilt must be less than"),
        ({"tilt": math.nan}, "tilt must be .*not nan"),
        ({"roll": -0.1}, "roll must be greater than or equal to 0, not -0.1"),
        ({"roll": 22.5}, r"roll must be less than or equal to 3\.14.*not 22.5.*in radians"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_the_file(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=rf"own\.yaml.*{message}"):
        load_config(written(tmp_path, **change))


def test_missing_values_are_named_with_the_file_and_an_example() -> None:
    given = values()
    del given["steps"], given["zoom"]
    with pytest.raises(ValueError, match="missing") as refusal:
        from_dict(given, "my.yaml")
    for name, line in zip(("zoom", "steps"), str(refusal.value).splitlines(), strict=True):
        assert re.match(rf"'my\.yaml': {name} is missing.*vggnp_mu\.yaml", line)


def test_every_problem_has_its_line_and_says_what_the_setting_means() -> None:
    with pytest.raises(ValueError) as refusal:
        from_dict(values() | {"steps": 0, "zoom": "wide", "stepps": 3}, "my.yaml")
    lines = str(refusal.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("'my.yaml': ") for line in lines)
    assert "optimisation steps" in str(refusal.value)


def test_every_setting_is_described_and_no_setting_can_be_assigned(config: TrainConfig) -> None:
    assert all(field.description for field in TrainConfig.model_fields.values())
    with pytest.raises(ValueError, match="frozen"):
        config.steps = 3  # type: ignore[misc]


@pytest.mark.parametrize("content", [b"steps: [1", b"steps", b"", b"\xff\xfe\x00"])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.yaml"):
        load_config(tmp_path / "odd.yaml")


def test_numbers_may_be_written_as_people_do(tmp_path: Path) -> None:
    text = written(tmp_path).read_text(encoding="utf-8")
    text = re.sub("learning_rate: 0.001", "learning_rate: 1e-3", text)
    text = re.sub("tilt: .*", "tilt: 1", text)
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "own.yaml")
    assert config.learning_rate == 1e-3
    assert config.tilt == 1.0 and isinstance(config.tilt, float)


# --- changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("steps=2000", 2000),
        ("learning_rate=1e-3", 1e-3),
        ("zoom=1", 1.0),
        ("bf16=false", False),
        ("bf16=true", True),
        ("bf16=auto", "auto"),
        ("architecture=vggnp-1", "vggnp-1"),
        ("scale=[0.7, 1]", (0.7, 1.0)),
        ("data={photos/sky: 0.1, drive.mcap: 1}", {"photos/sky": 0.1, "drive.mcap": 1.0}),
    ],
)
def test_a_setting_is_changed_by_name_and_value(text: str, value: object) -> None:
    before = load_config(DEFAULT_CONFIG)
    name, parsed = parse_override(text)
    after = before.changed(**{name: parsed})
    assert getattr(after, name) == value
    assert type(getattr(after, name)) is type(value)
    assert after.changed(**{name: getattr(before, name)}) == before, "the other values stay"


@pytest.mark.parametrize("text", ["steps", "2000", "steps=[", "steps: 3"])
def test_a_change_that_cannot_be_read_is_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"'{text}'")):
        parse_override(text)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("stepps", 3, "unknown setting 'stepps'.*steps"),
        ("steps", "x", "steps must be a valid integer"),
        ("steps", -1, "steps must be greater"),
    ],
)
def test_a_change_that_cannot_be_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(DEFAULT_CONFIG).changed(**{name: value})


def test_a_configuration_survives_json() -> None:
    config = load_config(DEFAULT_CONFIG).changed(data={"a": 1, "b": 0.5})
    stored = json.loads(json.dumps(config.as_dict()))
    assert stored == config.as_dict()
    assert from_dict(stored, "checkpoint") == config
