"""The cameras of a COLMAP database. Needs pycolmap."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry.camera import Camera
from ..images.sequence import SequenceFrame

try:
    import pycolmap
except ImportError as error:
    raise ImportError("a COLMAP database needs pycolmap: pip install 'silk_ros[colmap]'") from error

log = logging.getLogger(__name__)

PIXEL_CENTRE = 0.5  # of the top-left pixel, in COLMAP's coordinates
FOCAL_GUESS = 1.2  # times the longer side, COLMAP's guess for an unknown camera


def camera_model(camera: Camera) -> tuple[str, list[float]]:
    """Name and parameters of COLMAP's model of a calibrated camera.

    Raises ValueError for a distortion, or a skew, without a model in COLMAP.
    """
    fix = "rectify the images and give their --camera"
    if camera.matrix[0, 1]:
        raise ValueError(f"COLMAP has no camera model with skew, which is camera_info.k[1]: {fix}")
    fx, fy, cx, cy = camera.matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
    pinhole = [fx, fy, cx + PIXEL_CENTRE, cy + PIXEL_CENTRE]
    if camera.model == "equidistant":
        return "OPENCV_FISHEYE", [*pinhole, *camera.distortion]
    if camera.distortion[8:].any():
        raise ValueError(f"COLMAP has no camera model with thin-prism or tilt distortion: {fix}")
    radial = np.zeros(8)
    radial[: len(camera.distortion)] = camera.distortion[:8]
    if radial[4:].any():
        return "FULL_OPENCV", [*pinhole, *radial]
    return ("OPENCV", [*pinhole, *radial[:4]]) if radial.any() else ("PINHOLE", pinhole)


@dataclass(frozen=True, eq=False)
class ColmapCamera:
    """A camera of the database: its id, its pycolmap.Camera, and the calibration behind it, None for a guess."""

    id: int
    model: Any
    calibration: Camera | None


class ColmapCameras:
    """The cameras of a database, one for each frame_id and size of images, with the first calibration of each."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._cameras: dict[tuple[str | None, int, int], ColmapCamera] = {}
        self._changed = False  # whether an image has another calibration than its camera

    def of(self, view: SequenceFrame) -> ColmapCamera:
        """The camera of an image, stored when it is new; a calibration that comes later replaces a guess."""
        height, width = view.gray.shape
        key = view.image.frame_id, width, height
        known = self._cameras.get(key)
        if known is None:
            self._cameras[key] = known = self._store(len(self._cameras) + 1, view.camera, width, height)
        elif view.camera is not None and known.calibration is None:
            model = _colmap_camera(known.id, view.camera, width, height)
            self._database.update_camera(model)
            self._cameras[key] = known = ColmapCamera(known.id, model, view.camera)
        elif view.camera is not None and known.calibration is not None and not self._changed:
            self._changed = not view.camera.same_intrinsics(known.calibration)
            if self._changed:
                log.warning("image %d has another calibration than those before: COLMAP gets the first", view.index)
        return known

    @property
    def are_calibrated(self) -> bool:
        """Whether no camera has a guess of its focal length."""
        return all(camera.calibration is not None for camera in self._cameras.values())

    def _store(self, number: int, calibration: Camera | None, width: int, height: int) -> ColmapCamera:
        model = _colmap_camera(number, calibration, width, height)
        self._database.write_camera(model, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=number)
        rig.add_ref_sensor(model.sensor_id)
        self._database.write_rig(rig, use_rig_id=True)
        if number == 2:
            log.warning("the images differ in size or frame_id: COLMAP gets a camera for each")
        return ColmapCamera(number, model, calibration)


def _colmap_camera(number: int, calibration: Camera | None, width: int, height: int) -> Any:
    """pycolmap.Camera of a calibration; with a guess of the focal length for None."""
    name, parameters = camera_model(calibration) if calibration is not None else ("SIMPLE_RADIAL", None)
    camera = pycolmap.Camera.create_from_model_name(number, name, FOCAL_GUESS * max(width, height), width, height)
    if parameters is not None:
        camera.params = parameters
        camera.has_prior_focal_length = True
    return camera
