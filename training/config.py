"""The settings of a training: one commented YAML file for each experiment in training/configs/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parent / "configs"
DEFAULT_CONFIG = CONFIGS / "vggnp_mu.yaml"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training; stored in each checkpoint. What the values mean: configs/vggnp_mu.yaml."""

    data: dict[str, float]
    architecture: str
    augmentation: str
    map_size: int
    zoom: float
    min_texture: float
    scale: tuple[float, float]
    tilt: float
    roll: float
    mixed_strength: bool
    steps: int
    learning_rate: float
    final_learning_rate: float
    warmup: int
    queries: int
    bf16: bool
    seed: int
    validation_photos: int
    validation_every: int

    def __post_init__(self) -> None:
        if self.steps < 1 or self.map_size < 8:
            raise ValueError(f"steps ({self.steps}) must be at least 1 and map_size ({self.map_size}) at least 8")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate ({self.learning_rate}) must be positive")

    def as_dict(self) -> dict[str, Any]:
        """As plain values, equal to what JSON gives back."""
        return asdict(self) | {"scale": list(self.scale)}

    def changed(self, **values: Any) -> TrainConfig:
        """A copy with other values; values as YAML gives them. Raises ValueError for unknown names and wrong types."""
        known = {field.name: field.type for field in fields(self)}
        return replace(self, **{name: _checked(name, value, known) for name, value in values.items()})


def from_dict(values: Mapping[str, Any], source: str) -> TrainConfig:
    """A configuration from all of its values. Raises ValueError naming `source` and what is wrong with it."""
    known = {field.name: field.type for field in fields(TrainConfig)}
    if missing := [name for name in known if name not in values]:
        raise ValueError(f"'{source}' lacks {', '.join(missing)}: see {DEFAULT_CONFIG.name} for every value")
    try:
        return TrainConfig(**{name: _checked(name, value, known) for name, value in values.items()})
    except ValueError as error:
        raise ValueError(f"'{source}': {error}") from error


def load_config(path: Path) -> TrainConfig:
    """Read a YAML file; a bare name such as `vggnp_4` is looked up among the project's own.

    Raises FileNotFoundError, or ValueError naming the file and the value at fault.
    """
    if not path.exists() and (CONFIGS / f"{path}.yaml").exists():
        path = CONFIGS / f"{path}.yaml"
    if not path.exists():
        own = ", ".join(sorted(config.stem for config in CONFIGS.glob("*.yaml")))
        raise FileNotFoundError(f"no configuration '{path}': give a YAML file, or one of {own}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"'{path}' is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"'{path}' must hold 'name: value' lines")
    return from_dict(values, str(path))


def parse_override(text: str) -> tuple[str, Any]:
    """`steps=2000` -> ("steps", 2000)."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"'{text}' is not NAME=VALUE, for example steps=2000")
    return name, yaml.safe_load(value)


def _checked(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ValueError(f"unknown setting '{name}': there are {', '.join(known)}")
    kind = known[name]
    if kind == "float" and isinstance(value, str):
        value = float(value)  # YAML takes 1e-3 for text
    right = {
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, (int, float)) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
        "tuple[float, float]": isinstance(value, (list, tuple)) and len(value) == 2,
        "dict[str, float]": isinstance(value, dict),
    }[str(kind)]
    if not right:
        raise ValueError(f"{name} must be {kind}, not {value!r}")
    if kind == "float":
        return float(value)
    if kind == "tuple[float, float]":
        return tuple(float(part) for part in value)
    if kind == "dict[str, float]":
        return {str(key): float(part) for key, part in value.items()}
    return value
