"""The features that a SLAM system gets: those of the preset orb_slam."""

from __future__ import annotations

from pathlib import Path

from silk_ros import Extractor
from silk_ros.parameters.given import preset_file, read_parameter_file
from silk_ros.parameters.settings import settings_with

PRESET = "orb_slam"


def slam_extractor(model: Path) -> Extractor:
    """The extractor of an exported network with the keypoints of the preset, in float32 on every machine.

    Raises what `Extractor.load` raises.
    """
    given = read_parameter_file(preset_file(PRESET))
    return settings_with(given | {"model_path": str(model), "precision": "fp32"}).network.load()
