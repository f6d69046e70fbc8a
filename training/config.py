"""Settings of a training: one commented YAML file for each experiment in training/configs/."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

CONFIGS = Path(__file__).parent / "configs"
DEFAULT_CONFIG = CONFIGS / "vggnp_mu.yaml"
AUTO: Literal["auto"] = "auto"


def _number(value: Any) -> Any:
    """The number in a text: YAML reads 1e-3 as text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _switch(value: Any) -> Any:
    if isinstance(value, bool) or value == AUTO:
        return value
    raise PydanticCustomError("switch", "Input should be true, false or auto")


def _interval(value: tuple[float, float]) -> tuple[float, float]:
    if 0 < value[0] <= value[1] <= 1:
        return value
    raise PydanticCustomError("interval", "Input should be [low, high] with 0 < low <= high <= 1")


Number = Annotated[float, BeforeValidator(_number)]
Switch = Annotated[Literal[True, False, "auto"], BeforeValidator(_switch)]
Interval = Annotated[tuple[Number, Number], Field(strict=False), AfterValidator(_interval)]  # YAML and JSON give a list


class TrainConfig(BaseModel):
    """Everything that determines a training; stored in each checkpoint. Angles are in radians."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data: dict[Annotated[str, BeforeValidator(str)], Annotated[Number, Field(ge=0)]] = Field(
        description="folder, video or recording -> how often each of its images is drawn"
    )
    architecture: str = Field(description="name of a network in training/backbones")
    only_keypoints: bool = Field(description="train the keypoint head alone; needs --start")
    augmentation: str = Field(description="recipe of photometric changes: pose, homography or video")
    map_size: int = Field(ge=8, description="side of the dense map that is trained on, in positions")
    zoom: Number = Field(gt=0, le=1, description="photos are shrunk by a random factor between this one and 1")
    min_texture: Number = Field(ge=0, le=1, description="crops with a smaller share of textured 8x8 cells are redrawn")
    scale: Interval = Field(description="range of the visible share of the crop's side in its second view")
    tilt: Number = Field(ge=0, lt=math.pi / 2, description="largest rotation of the view about x and y, in radians")
    roll: Number = Field(ge=0, le=math.pi, description="largest rotation in the image plane, in radians")
    mixed_strength: bool = Field(description="scale the changes of each view by a random factor between 0 and 1")
    steps: int = Field(ge=1, description="optimisation steps, of one pair in each process")
    learning_rate: Number = Field(gt=0, description="peak of Adam's learning rate")
    final_learning_rate: Number = Field(ge=0, le=1, description="share of the peak at the end of the cosine")
    warmup: int = Field(ge=0, description="steps in which the learning rate rises to its peak")
    queries: int = Field(ge=0, description="correspondences scored at each step; 0 scores all of them")
    bf16: Switch = Field(description="compute in bfloat16; auto: where the device has instructions for it")
    seed: int = Field(ge=0, description="seed of weights and pairs")
    validation_photos: int = Field(ge=0, description="photos held out of training for validation; 0 disables it")
    validation_every: int = Field(ge=1, description="steps between validations")

    @property
    def in_bf16(self) -> bool:
        """`bf16`, resolved for a device by run.py. Raises ValueError while it is auto."""
        if self.bf16 == AUTO:
            raise ValueError("bf16 is auto: resolve it for a device first")
        return self.bf16

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values for JSON."""
        return self.model_dump(mode="json")

    def changed(self, **values: Any) -> TrainConfig:
        """A copy with other values, given as in YAML. Raises ValueError for unknown names and invalid values."""
        return from_dict(self.as_dict() | values)


def from_dict(values: Mapping[str, Any], source: str = "") -> TrainConfig:
    """A configuration from all of its values. Raises ValueError with one line per problem, each naming `source`."""
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        prefix = f"'{source}': " if source else ""
        raise ValueError("\n".join(prefix + _explained(problem) for problem in error.errors())) from None


def _explained(problem: ErrorDetails) -> str:
    """One readable line for a problem: the setting, what is wrong and what the setting means."""
    name, fields = ".".join(map(str, problem["loc"])), TrainConfig.model_fields
    if problem["type"] == "extra_forbidden":
        return f"unknown setting '{name}': choose one of {', '.join(fields)}"
    meaning = fields[str(problem["loc"][0])].description
    if problem["type"] == "missing":
        return f"{name} is missing ({meaning}): {DEFAULT_CONFIG.name} has an example"
    return f"{problem['msg'].replace('Input should', f'{name} must')}, not {problem['input']!r} ({meaning})"


def load_config(path: Path) -> TrainConfig:
    """Read a YAML file, or one of training/configs/ by its bare name. Raises FileNotFoundError or ValueError."""
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
