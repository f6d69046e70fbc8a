"""A COLMAP database of features and matches. Needs pycolmap.

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

import numpy as np

from ..extractor import Extractor
from ..images.console import progress_bar
from ..images.mask import mask_rows
from ..images.sequence import SequenceFrame
from ..matcher import match
from ..paths import check_new
from ..types import Features, Matches
from ..words import counted, was
from .colmap_cameras import PIXEL_CENTRE, ColmapCamera, ColmapCameras, pycolmap
from .colmap_images import ColmapImages
from .colmap_mapping import DATABASE, IMAGES

log = logging.getLogger(__name__)


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
        check_new(folder)
        self._images = ColmapImages(folder / IMAGES)
        self._database = pycolmap.Database.open(folder / DATABASE)
        self._recent: deque[_Stored] = deque(maxlen=window)
        self._anchors: list[_Stored] = []
        self._window, self._loop = window, loop
        self._match: Callable[[Features, Features], Matches] = partial(match, **filters or {})
        self._cameras = ColmapCameras(self._database)
        self._verification = pycolmap.TwoViewGeometryOptions()
        self._verification.ransac.random_seed = 0
        self._threads = ThreadPoolExecutor()  # pycolmap releases the interpreter's lock
        self._count = self._pairs = self._left_out = 0
        self._inliers: list[int] = []

    def pairs(self, images: int) -> int:
        """The number of pairs that are matched for a number of images."""
        looped = range(0, images, self._loop) if self._loop else ()
        # Of the earlier images with which every loop-th is matched, those in the window are not matched again.
        further = sum(-(-(number - self._window) // self._loop) for number in looped if number > self._window)
        return sum(min(number, self._window) for number in range(images)) + further

    def add(self, view: SequenceFrame, features: Features) -> int:
        """Store an image and its keypoints, and match it with earlier images, whose number is returned."""
        camera = self._cameras.of(view)
        if camera.calibration is not None:
            known = np.isfinite(camera.calibration.rays(features.keypoints)).all(axis=1)
            self._left_out += int(np.count_nonzero(~known))
            features = features.rows(np.flatnonzero(known))
        stored = _Stored(self._write_image(self._images.add(view), camera), camera, features)
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
        return len(pairs)

    def _write_image(self, name: str, camera: ColmapCamera) -> int:
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
            what = f"{counted(self._left_out, 'keypoint')} {was(self._left_out)}"
            log.warning("%s left out: the calibration has no ray", what)
        inliers = float(np.mean(self._inliers)) if self._inliers else 0.0
        return DatabaseSummary(self._count, self._pairs, len(self._inliers), inliers)


def write_database(
    views: Iterable[SequenceFrame], extractor: Extractor, writer: DatabaseWriter, total: int | None = None
) -> DatabaseSummary:
    """Extract and match a whole sequence, without the keypoints that masks leave out.

    total: number of images, for the progress bars; None where it is not known.
    """
    pairs = None if total is None else writer.pairs(total)
    try:
        with (
            progress_bar("extraction", "image", total) as extracted,
            progress_bar("matching", "pair", pairs) as matched,
        ):
            for view in views:
                features = extractor(view.gray)
                if view.mask is not None:
                    features = features.rows(np.flatnonzero(mask_rows(view.mask, features.keypoints, view.gray.shape)))
                extracted.update()
                matched.update(writer.add(view, features))
    finally:
        summary = writer.close()
    return summary
