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
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ..extractor import Extractor
from ..images.mask import mask_rows
from ..images.sequence import SequenceFrame
from ..matcher import match
from ..types import Features, Matches
from .colmap_cameras import PIXEL_CENTRE, ColmapCamera, ColmapCameras, pycolmap

log = logging.getLogger(__name__)

DATABASE, IMAGES, MODELS = "database.db", "images", "sparse"  # in the output folder


@dataclass(frozen=True)
class DatabaseSummary:
    """The numbers of images, of matched pairs and of pairs with a two-view geometry, and the mean inliers of these."""

    images: int
    pairs: int
    verified: int
    inliers: float


class _Stored(NamedTuple):
    """An image of the database, with the features that it keeps."""

    id: int
    camera: ColmapCamera
    features: Features


class DatabaseWriter:
    """Writer of the database and the images of a new folder, one image at a time.

    Keypoints without a ray in the calibration of their camera are left out, since COLMAP would give them a wrong one;
    their number is logged at the end.

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
        self._recent: deque[_Stored] = deque(maxlen=window)
        self._anchors: list[_Stored] = []
        self._loop = loop
        self._match: Callable[[Features, Features], Matches] = partial(match, **filters or {})
        self._cameras = ColmapCameras(self._database)
        self._verification = pycolmap.TwoViewGeometryOptions()
        self._verification.ransac.random_seed = 0
        self._threads = ThreadPoolExecutor()  # pycolmap releases the interpreter's lock
        self._count = self._pairs = self._left_out = 0
        self._inliers: list[int] = []

    def add(self, view: SequenceFrame, features: Features) -> None:
        """Store an image and its keypoints, and match it with earlier images."""
        camera = self._cameras.of(view)
        if camera.calibration is not None:
            known = np.isfinite(camera.calibration.rays(features.keypoints)).all(axis=1)
            self._left_out += int(np.count_nonzero(~known))
            features = features.rows(np.flatnonzero(known))
        stored = _Stored(self._write_image(view, camera), camera, features)
        self._database.write_keypoints(stored.id, features.keypoints + np.float32(PIXEL_CENTRE))
        earlier = {other.id: other for other in self._recent}
        if self._loop > 0 and self._count % self._loop == 0:
            earlier |= {other.id: other for other in self._anchors}
            self._anchors.append(stored)
        self._count += 1
        pairs = [(self._match(other.features, features), other, stored) for other in earlier.values()]
        for (matches, other, _), geometry in zip(pairs, self._threads.map(self._verify, pairs)):
            self._database.write_matches(other.id, stored.id, matches.indices.astype(np.uint32))
            self._database.write_two_view_geometry(other.id, stored.id, geometry)
            self._pairs += 1
            if len(geometry.inlier_matches):
                self._inliers.append(len(geometry.inlier_matches))
        self._recent.append(stored)

    def _write_image(self, view: SequenceFrame, camera: ColmapCamera) -> int:
        name = f"{view.index:06d}.png"
        if not cv2.imwrite(str(self._images / name), view.picture()):
            raise OSError(f"cannot write '{self._images / name}': is the disk full?")
        image = pycolmap.Image(name=name, camera_id=camera.id)
        image.image_id = self._database.write_image(image)
        frame = pycolmap.Frame(rig_id=camera.id)
        frame.add_data_id(image.data_id)
        self._database.write_frame(frame)
        return int(image.image_id)

    def _verify(self, pair: tuple[Matches, _Stored, _Stored]) -> Any:
        """The two-view geometry of the matches: a motion of a calibrated or uncalibrated camera, or a homography."""
        matches, *both = pair
        views = [(image.camera.model, image.features.keypoints.astype(np.float64) + PIXEL_CENTRE) for image in both]
        rows = matches.indices.astype(np.uint32)
        return pycolmap.estimate_two_view_geometry(*views[0], *views[1], rows, self._verification)

    def close(self) -> DatabaseSummary:
        self._threads.shutdown()
        self._database.close()
        if not self._cameras.are_calibrated:
            log.warning("COLMAP starts from a guess of the focal length: give --camera if you know the intrinsics")
        if self._left_out:
            log.warning("%d keypoints were left out: the calibration has no ray for them", self._left_out)
        inliers = float(np.mean(self._inliers)) if self._inliers else 0.0
        return DatabaseSummary(self._count, self._pairs, len(self._inliers), inliers)


def write_database(views: Iterable[SequenceFrame], extractor: Extractor, writer: DatabaseWriter) -> DatabaseSummary:
    """Extract and match a whole sequence, without the keypoints that masks leave out."""
    try:
        for view in views:
            features = extractor(view.gray)
            if view.mask is not None:
                features = features.rows(np.flatnonzero(mask_rows(view.mask, features.keypoints, view.gray.shape)))
            writer.add(view, features)
    finally:
        summary = writer.close()
    return summary


def map_images(folder: Path) -> tuple[Path, Any]:
    """Incremental mapping of the database in a folder by COLMAP, which refines the camera unless it is calibrated.

    Writes models to sparse/0, 1, ... Returns the folder and pycolmap.Reconstruction of the model with most images.
    Raises ValueError, naming the fix, if nothing can be mapped.
    """
    database = pycolmap.Database.open(folder / DATABASE)
    count = database.num_images()
    refine = not all(camera.has_prior_focal_length for camera in database.read_all_cameras())
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
