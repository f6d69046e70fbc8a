"""A COLMAP database of features and matches, and the model that COLMAP builds from it. Needs pycolmap.

COLMAP puts the centre of the top-left pixel at (0.5, 0.5), this package at (0, 0): keypoints and principal points are
shifted by half a pixel. Descriptors are not stored: COLMAP only has types for its own features, and maps from matches.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..extractor import Extractor
from ..geometry.camera import Camera
from ..images.sequence import SequenceFrame
from ..matcher import match
from ..types import Features, Matches

try:
    import pycolmap
except ImportError as error:
    raise ImportError("a COLMAP database needs pycolmap: pip install 'silk_ros[colmap]'") from error

log = logging.getLogger(__name__)

PIXEL_CENTRE = 0.5  # of the top-left pixel, in COLMAP's coordinates
FOCAL_GUESS = 1.2  # times the longer side, COLMAP's guess for an unknown camera
CAMERA_ID = 1
DATABASE, IMAGES, MODELS = "database.db", "images", "sparse"  # in the output folder


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


def _colmap_camera(calibration: Camera | None, width: int, height: int) -> Any:
    """pycolmap.Camera of a calibration; with a guess of the focal length for None."""
    name, parameters = camera_model(calibration) if calibration is not None else ("SIMPLE_RADIAL", None)
    guess = FOCAL_GUESS * max(width, height)
    camera = pycolmap.Camera.create_from_model_name(CAMERA_ID, name, guess, width, height)
    if parameters is not None:
        camera.params = parameters
        camera.has_prior_focal_length = True
    return camera


@dataclass(frozen=True)
class DatabaseSummary:
    """The numbers of images, of matched pairs and of pairs with a two-view geometry, and the mean inliers of these."""

    images: int
    pairs: int
    verified: int
    inliers: float


class DatabaseWriter:
    """Writer of the database and the images of a new folder, one image at a time.

    All images share the first calibration that one of them has. Keypoints without a ray in it are left out, since
    COLMAP would give them a wrong one; their number is logged at the end.

    window:  number of earlier images that each image is matched with.
    loop:    every `loop`-th image is also matched with all earlier such images, to close loops; 0: none.
    filters: of `silk_ros.match`.

    Raises FileExistsError if the folder exists.
    """

    def __init__(self, folder: Path, window: int, loop: int = 0, filters: Mapping[str, Any] | None = None) -> None:
        if folder.exists():
            raise FileExistsError(f"'{folder}' exists: choose another folder for the database, or remove it")
        self._images = folder / IMAGES
        self._images.mkdir(parents=True)
        self._database = pycolmap.Database.open(folder / DATABASE)
        self._recent: deque[tuple[int, Features]] = deque(maxlen=window)
        self._anchors: list[tuple[int, Features]] = []
        self._loop = loop
        self._match: Callable[[Features, Features], Matches] = partial(match, **filters or {})
        self._camera: Any = None
        self._calibration: Camera | None = None
        self._changed = False  # whether an image has another calibration
        self._verification = pycolmap.TwoViewGeometryOptions()
        self._verification.ransac.random_seed = 0
        self._threads = ThreadPoolExecutor()  # pycolmap releases the interpreter's lock
        self._count = self._pairs = self._left_out = 0
        self._inliers: list[int] = []

    def add(self, view: SequenceFrame, features: Features) -> None:
        """Store an image and its keypoints, and match it with earlier images.

        Raises ValueError for an image that differs in size from the first, since all share one camera.
        """
        self._take_camera(view)
        if self._calibration is not None:
            known = np.isfinite(self._calibration.rays(features.keypoints)).all(axis=1)
            self._left_out += int(np.count_nonzero(~known))
            features = features.rows(np.flatnonzero(known))
        image_id = self._write_image(view)
        self._database.write_keypoints(image_id, features.keypoints + np.float32(PIXEL_CENTRE))
        is_anchor = self._loop > 0 and self._count % self._loop == 0
        self._count += 1
        earlier = dict(self._recent)
        if is_anchor:
            earlier |= dict(self._anchors)
            self._anchors.append((image_id, features))
        pairs = [(self._match(other, features), other, features) for other in earlier.values()]
        for earlier_id, (matches, *_), geometry in zip(earlier, pairs, self._threads.map(self._verify, pairs)):
            self._database.write_matches(earlier_id, image_id, matches.indices.astype(np.uint32))
            self._database.write_two_view_geometry(earlier_id, image_id, geometry)
            self._pairs += 1
            if len(geometry.inlier_matches):
                self._inliers.append(len(geometry.inlier_matches))
        self._recent.append((image_id, features))

    def _take_camera(self, view: SequenceFrame) -> None:
        """Store the camera of the first image, and the first calibration, which may come with a later image."""
        height, width = view.gray.shape
        if self._camera is None:
            self._calibration = view.camera
            self._camera = _colmap_camera(view.camera, width, height)
            self._database.write_camera(self._camera, use_camera_id=True)
            rig = pycolmap.Rig(rig_id=CAMERA_ID)
            rig.add_ref_sensor(self._camera.sensor_id)
            self._database.write_rig(rig, use_rig_id=True)
        elif (self._camera.width, self._camera.height) != (width, height):
            raise ValueError(
                f"image {view.index} has {width}x{height} pixels, the first {self._camera.width}x"
                f"{self._camera.height}: split the sequence where the size changes"
            )
        elif self._calibration is None and view.camera is not None:
            self._calibration = view.camera
            self._camera = _colmap_camera(view.camera, width, height)
            self._database.update_camera(self._camera)
        elif view.camera is not None and self._calibration is not None and not self._changed:
            self._changed = not view.camera.same_intrinsics(self._calibration)
            if self._changed:
                log.warning("image %d has another calibration than those before: COLMAP gets the first", view.index)

    def _write_image(self, view: SequenceFrame) -> int:
        name = f"{view.index:06d}.png"
        if not cv2.imwrite(str(self._images / name), view.picture()):
            raise OSError(f"cannot write '{self._images / name}': is the disk full?")
        image = pycolmap.Image(name=name, camera_id=CAMERA_ID)
        image.image_id = self._database.write_image(image)
        frame = pycolmap.Frame(rig_id=CAMERA_ID)
        frame.add_data_id(image.data_id)
        self._database.write_frame(frame)
        return int(image.image_id)

    def _verify(self, pair: tuple[Matches, Features, Features]) -> Any:
        """The two-view geometry of the matches: a motion of a calibrated or uncalibrated camera, or a homography."""
        matches, *both = pair
        points = [features.keypoints.astype(np.float64) + PIXEL_CENTRE for features in both]
        return pycolmap.estimate_two_view_geometry(
            self._camera, points[0], self._camera, points[1], matches.indices.astype(np.uint32), self._verification
        )

    def close(self) -> DatabaseSummary:
        self._threads.shutdown()
        self._database.close()
        if self._left_out:
            log.warning("%d keypoints were left out: the calibration has no ray for them", self._left_out)
        inliers = float(np.mean(self._inliers)) if self._inliers else 0.0
        return DatabaseSummary(self._count, self._pairs, len(self._inliers), inliers)


def write_database(views: Iterable[SequenceFrame], extractor: Extractor, writer: DatabaseWriter) -> DatabaseSummary:
    """Extract and match a whole sequence."""
    try:
        for view in views:
            writer.add(view, extractor(view.gray))
    finally:
        summary = writer.close()
    return summary


def map_images(folder: Path) -> tuple[Path, Any]:
    """Incremental mapping of the database in a folder by COLMAP, which refines the camera unless it is calibrated.

    Writes models to sparse/0, 1, ... Returns the folder and pycolmap.Reconstruction of the model with most images.
    Raises ValueError, naming the fix, if nothing can be mapped.
    """
    database = pycolmap.Database.open(folder / DATABASE)
    count, refine = database.num_images(), not database.read_camera(CAMERA_ID).has_prior_focal_length
    database.close()
    options = pycolmap.IncrementalPipelineOptions(
        random_seed=0, ba_refine_focal_length=refine, ba_refine_extra_params=refine
    )
    options.mapper.abs_pose_refine_focal_length = options.mapper.abs_pose_refine_extra_params = refine
    (folder / MODELS).mkdir(exist_ok=True)
    level, pycolmap.logging.minloglevel = pycolmap.logging.minloglevel, int(pycolmap.logging.ERROR)
    try:
        with tqdm(desc="mapping", unit="image", total=count) as progress:
            models = pycolmap.incremental_mapping(
                folder / DATABASE,
                folder / IMAGES,
                folder / MODELS,
                options,
                initial_image_pair_callback=lambda: progress.update(2),
                next_image_callback=lambda: progress.update(1),
            )
    finally:
        pycolmap.logging.minloglevel = level
    if not models:
        raise ValueError(
            f"COLMAP could not map '{folder}': the camera must move sideways and its views overlap; try a larger "
            "--window or --every, and --camera if you know it"
        )
    largest = max(models, key=lambda number: models[number].num_reg_images())
    return folder / MODELS / str(largest), models[largest]
