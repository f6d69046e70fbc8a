"""The settings of a training: one commented YAML file for each experiment in training/configs/."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

CONFIGS = Path(__file__).parent / "configs"
DEFAULT_CONFIG = CONFIGS / "vggnp_mu.yaml"
AUTO = "auto"

Switch = bool | Literal["auto"]


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training; stored in each checkpoint. What the values mean: configs/vggnp_mu.yaml."""

    data: dict[str, float]
    architecture: str
    only_keypoints: bool
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
    bf16: Switch
    seed: int
    validation_photos: int
    validation_every: int

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "map_size": 8, "validation_every": 1}
        at_least |= dict.fromkeys(("warmup", "queries", "seed", "validation_photos"), 0)
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least {least}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate ({self.learning_rate}) must be positive")

    @property
    def in_bf16(self) -> bool:
        """`bf16` of a training that runs. Raises ValueError while it is still auto: precision.py resolves that."""
        if self.bf16 == AUTO:
            raise ValueError("bf16 is auto: resolve it for a device first")
        return bool(self.bf16)

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
    if not path.is_file() and (CONFIGS / f"{path}.yaml").exists():
        path = CONFIGS / f"{path}.yaml"
    if not path.is_file():
        own = ", ".join(sorted(config.stem for config in CONFIGS.glob("*.yaml")))
        raise FileNotFoundError(f"no configuration '{path}': give a YAML file, or one of {own}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"'{path}' must hold 'name: value' lines")
    return from_dict(values, str(path))


def parse_override(text: str) -> tuple[str, Any]:
    """`steps=2000` -> ("steps", 2000)."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"'{text}' is not NAME=VALUE, for example steps=2000")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"the value in '{text}' is not YAML: {error}") from error


def _checked(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ValueError(f"unknown setting '{name}': there are {', '.join(known)}")
    kind = str(known[name])
    with contextlib.suppress(TypeError, ValueError):
        if kind == "float":
            return _number(value)
        if kind == "tuple[float, float]" and isinstance(value, (list, tuple)) and len(value) == 2:
            return tuple(_number(part) for part in value)
        if kind == "dict[str, float]" and isinstance(value, dict):
            return {str(key): _number(part) for key, part in value.items()}
        if kind == "Switch" and (isinstance(value, bool) or value == AUTO):
            return value
        if kind == type(value).__name__:
            return value
    raise ValueError(f"{name} must be {'true, false or auto' if kind == 'Switch' else kind}, not {value!r}")


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)  # also of text: YAML takes 1e-3 for it
