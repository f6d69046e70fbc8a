"""The values of the parameters of silk_node, converted to the types that its parts take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..backends import EngineOptions
from ..extractor import Extractor, Region
from ..front_end_options import FrontEndOptions
from ..selection import Selection
from ..stereo import StereoRules
from ..tracker import TrackRules
from ..verification import Verification
from .declarations import check_choices, given_path
from .front_end import DECLARATIONS
from .given import value_of


@dataclass(frozen=True)
class NetworkSettings:
    """The arguments of `Extractor.load`; a change of any of them needs a new extractor."""

    path: Path | None
    backend: str
    precision: str
    max_keypoints: int
    scale: float
    threads: int
    selection: Selection
    engine: EngineOptions
    region: Region

    def load(self) -> Extractor:
        """The extractor. Raises as `Extractor.load` does."""
        return Extractor.load(**{field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True)
class InputSettings:
    """The subscriptions of the node.

    rectified:    one of RECTIFIED.
    max_interval: nanoseconds between the stamps of the two images of a stereo pair; None for one camera.
    """

    image_transport: str
    image_reliability: str
    rectified: str
    max_interval: int | None


@dataclass(frozen=True)
class Settings:
    """All settings of the node."""

    network: NetworkSettings
    front_end: FrontEndOptions
    input: InputSettings
    tracks: TrackRules
    descriptor_format: str
    mask_file: Path | None
    diagnostics_period: float
    no_data_timeout: float


def settings_with(given: Mapping[str, Any]) -> Settings:
    """Settings from some parameters by name, as `read_parameter_file` gives them, and the defaults of the others.

    Raises ValueError, naming the fix, for unknown parameters, and for values that cannot be or do not fit together.
    """
    defaults = {declaration.name: declaration.default for declaration in DECLARATIONS}
    return settings_from(defaults | {name: value_of(name, value) for name, value in given.items()})


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Settings from the values of the parameters by name.

    Raises ValueError, naming the choices or the fix, for values that do not fit together.
    """
    check_choices(DECLARATIONS, values)

    def group(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    def named(kind: type) -> dict[str, Any]:
        return {field.name: values[field.name] for field in fields(kind) if field.name in values}

    off = {declaration.name.removeprefix("matcher."): declaration.off for declaration in DECLARATIONS}
    filters: dict[str, Any] = {name: None if value == off[name] else value for name, value in group("matcher.").items()}
    tracks, stereo = group("tracks."), group("stereo.")
    seconds = {"none": None, "exact": 0.0, "approximate": stereo.pop("max_interval")}[stereo.pop("sync")]
    front_end = FrontEndOptions(
        **filters,
        verification=Verification(**group("verification.")),
        bridge=tracks.pop("bridge"),
        refinement=values["refinement"],
        max_published=values["max_published"],
        stereo=StereoRules(**stereo, min_similarity=filters["min_similarity"]),
    )
    network = named(NetworkSettings) | {
        "path": given_path(values["model_path"]),
        "selection": Selection(**group("selection.")),
        "engine": EngineOptions(**group("tensorrt.")),
        "region": Region(**group("roi.")),
    }
    return Settings(
        **named(Settings) | {"mask_file": given_path(values["mask_file"])},
        network=NetworkSettings(**network),
        front_end=front_end,
        input=InputSettings(**named(InputSettings), max_interval=None if seconds is None else round(seconds * 1e9)),
        tracks=TrackRules(**tracks),
    )
