"""The front-end: features, matches with the previous frame, track ids and stereo matches of a sequence of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .extractor import Extractor
from .front_end_options import FrontEndOptions
from .geometry.camera import Camera
from .images.mask import mask_rows
from .interpolation import interpolated
from .matcher import match
from .prediction import MotionPrediction
from .refinement import REACH, Patches
from .step import Frame, Step
from .stereo import RightImage
from .stereo_refinement import match_right
from .track_refinement import Mask, TrackRefinement
from .tracker import Tracker, TrackIds, others
from .types import Features, Matches
from .verification import Verification

BRIDGED_AGE = 2  # least number of images that saw a track which is taken up again


class FrontEnd:
    """Matches every image with the previous one."""

    def __init__(
        self, extractor: Extractor, options: FrontEndOptions | None = None, ids: TrackIds | None = None
    ) -> None:
        """ids: source of the ids of new tracks, which front-ends may share."""
        self.extractor = extractor
        self._options = options or FrontEndOptions()
        self._tracker = Tracker(ids)
        self._prediction = MotionPrediction()
        self._refinement = TrackRefinement()
        self._previous: Frame | None = None
        self._lost: Frame | None = None  # rows of an older frame, whose tracks may be bridged
        self._published: NDArray[np.intp] | None = None  # rows of the previous frame; None for all

    def change(self, options: FrontEndOptions, extractor: Extractor | None = None) -> None:
        """Go on with other options from the next image on.

        Another extractor or `max_published` starts new tracks: the rows of the previous frame would not be comparable.
        """
        if extractor is not None or options.max_published != self._options.max_published:
            self.reset()
        self.extractor = extractor or self.extractor
        self._options = options
        self._prediction.forget()
        self._refinement.forget()
        self._lost = None

    def reset(self) -> None:
        """Forget the previous frame: the next image starts new tracks."""
        self._previous = self._lost = self._published = None
        self._prediction.forget()
        self._refinement.forget()
        self._tracker.forget()

    def process(
        self,
        image: NDArray[np.uint8],
        stamp: int,
        camera: Camera | None = None,
        mask: Mask = None,
        right: RightImage | None = None,
    ) -> Step:
        """Features of a grey image (H, W) uint8, and their matches with the previous image and the right one.

        image:  kept to be compared with the next ones, so that it must not be written to afterwards.
        stamp:  nanoseconds.
        camera: calibration of the image, for rays and for an essential matrix; by default that of `right`.
        mask:   (H, W) uint8; keypoints where it is 0 are left out.

        An image of another size, or one that is older than the previous one, starts new tracks.
        Raises what `Extractor` and `mask_rows` raise, and ValueError for a camera of another size, and then keeps the
        previous frame; any other exception starts new tracks. A right image that cannot be used is told in
        `Step.right_problem`.
        """
        if camera is None and right is not None and right.geometry is not None:
            camera = right.geometry.left
        if camera is not None:
            camera.check_size(image.shape)
        features, found = self._extract(image, mask)
        seen_right, right_problem = self._extract_right(right)  # may raise, so before the state changes
        frame = Frame(Patches(image), stamp, features)
        try:
            step = self._follow(frame, found, camera, mask)
            if right is None or seen_right is None:
                return replace(step, right_problem=right_problem)
            pair = match_right(step.frame, right, seen_right, self._options.stereo, self._pixel, self._reach)
            return replace(step, stereo=pair.published(count) if (count := self._options.max_published) else pair)
        except Exception:
            self.reset()  # the state may be of two images
            raise

    def _follow(self, frame: Frame, found: Matches | None, camera: Camera | None, mask: Mask) -> Step:
        """The step to a frame. found: its matches with the previous one where the backend made them."""
        if restarted := frame.unlike(self._previous):
            self.reset()
        if self._previous is not None and self._previous.rays is None and camera is not None:
            rays = camera.rays(self._previous.features.keypoints)  # the calibration is new
            self._previous = replace(self._previous, rays=rays)
        previous = self._previous
        frame, matches, refined = self._refine(frame, self._match_previous(frame, found), mask)
        if camera is not None:
            frame = replace(frame, rays=camera.rays(frame.features.keypoints))
        matches, inliers, verified = self._verify(frame, matches, camera)
        frame, bridges = self._bridges(frame, matches, camera, mask)
        frame = self._put_back(frame, matches, bridges, camera)
        tracks = self._tracker.update(matches, len(frame.features), bridges)
        if frame.detected is not None:
            described = interpolated(frame.features, frame.detected.keypoints, self._pixel)
            frame = replace(frame, features=described)
        self._previous = frame = replace(frame, tracks=tracks)
        if self._options.bridge and previous is not None:
            self._lost = previous.rows(self._tracker.lost_rows)
        step = Step(frame, previous, matches, inliers, verified, restarted, refined_share=refined)
        if self._options.max_published:
            step, self._published = step.published(self._options.max_published, self._published)
        return step

    @property
    def _pixel(self) -> float:
        """Side of a pixel of the network's image, in pixels of the images."""
        return 1 / self.extractor.scale

    @property
    def _reach(self) -> float | None:
        """Most pixels by which a refinement moves a keypoint from its start; None for no refinement."""
        return None if self._options.refinement == "none" else REACH * self._pixel

    @property
    def _radius(self) -> float | None:
        """Pixels around expected positions in which keypoints are matched; None for the whole image."""
        share, previous = self._options.radius, self._previous
        return share * previous.image.shape[1] if share and previous is not None else None

    def _extract(self, image: NDArray[np.uint8], mask: Mask) -> tuple[Features, Matches | None]:
        """Features of an image, and their matches with the previous frame where the backend finds them itself."""
        options = self._options
        # A backend's own matches are mutual nearest neighbours of all keypoints.
        if mask is None and options.ratio is None and options.double_softmax is None:
            return self.extractor.extract_and_match(image, self._previous.found if self._previous else None)
        features = self.extractor(image)
        if mask is not None:
            features = features.rows(np.flatnonzero(mask_rows(mask, features.keypoints, image.shape)))
        return features, None

    def _match(
        self, a: Features, b: Features, radius: float | None = None, expected: NDArray[np.float32] | None = None
    ) -> Matches:
        options = self._options
        return match(a, b, options.ratio, options.min_similarity, options.double_softmax, radius, expected)

    def _match_previous(self, frame: Frame, found: Matches | None) -> Matches:
        """Matches of a frame with the previous one. found: those of the backend, if it has any."""
        options, previous = self._options, self._previous
        if previous is None:
            return Matches.empty()
        a, b, radius = frame.found, previous.found, self._radius
        if found is not None and options.min_similarity is not None:
            found = found.at_least(options.min_similarity)
        if found is None and options.double_softmax is not None:
            found = self._match(a, b)

        def find(expected: NDArray[np.float32] | None = None) -> Matches:
            return self._match(a, b, None if expected is None else radius, expected) if found is None else found

        return find() if radius is None else self._prediction.matches(frame, previous, radius, find)

    def _refine(self, frame: Frame, matches: Matches, mask: Mask) -> tuple[Frame, Matches, float]:
        """The frame with refined keypoints, the matches to go on with, and the share of all that was refined."""
        previous, share = self._previous, float("nan")
        if previous is None:
            return frame, matches, share
        if self._reach is not None:
            frame, matches, share = self._refinement.update(frame, previous, matches, self._reach, self._pixel, mask)
        if (radius := self._radius) is not None:
            self._prediction.update(frame, previous, matches, radius)
        return frame, matches, share

    def _verify(
        self, frame: Frame, matches: Matches, camera: Camera | None
    ) -> tuple[Matches, NDArray[np.bool_] | None, float]:
        """The matches to go on with, which of them agree with the geometry, and the share of all that does."""
        verification = self._options.verification
        if self._previous is None or not verification:
            return matches, None, float("nan")
        inliers = verification.inliers_of(frame, self._previous, matches.indices, camera)
        verified = float(inliers.mean()) if len(inliers) else 0.0
        if verification.outliers == "drop":
            matches, inliers = matches.rows(inliers), inliers[inliers]
        return matches, inliers, verified

    def _bridges(
        self, frame: Frame, matches: Matches, camera: Camera | None, mask: Mask
    ) -> tuple[Frame, Matches | None]:
        """The frame, and matches of its unmatched keypoints with tracks that the previous frame lost.

        They are always verified: what matched nothing in between is wrong more often than not.
        """
        lost = self._lost
        if lost is None:
            return frame, None
        rows = others(len(frame.features), matches.indices[:, 0])
        lost_rows = np.flatnonzero(self._tracker.lost.ages >= BRIDGED_AGE)
        found = self._match(frame.found.rows(rows), lost.found.rows(lost_rows))
        pairs = np.stack([rows[found.indices[:, 0]], lost_rows[found.indices[:, 1]]], axis=1).astype(np.int32)
        bridges = replace(found, indices=pairs)
        if self._reach is not None:
            update = self._refinement.bridge
            frame, bridges = update(frame, lost, bridges, self._reach, self._pixel, rows, mask, camera)
        verification = self._options.verification or Verification("fundamental")
        return frame, bridges.rows(verification.inliers_of(frame, lost, bridges.indices, camera))

    def _put_back(self, frame: Frame, matches: Matches, bridges: Matches | None, camera: Camera | None) -> Frame:
        """The frame with keypoints where the network found them, if their matches were dropped after the refinement."""
        if frame.detected is None:
            return frame
        unmatched = others(len(frame.features), matches.indices[:, 0])
        moved = unmatched[frame.offsets[unmatched].any(axis=1)]
        rows = moved if bridges is None else np.setdiff1d(moved, bridges.indices[:, 0])
        return self._refinement.put_back(frame, rows, camera)

    def _extract_right(self, right: RightImage | None) -> tuple[Features | None, str]:
        """Features of a right image; None, and the reason, where it cannot be used."""
        try:
            if right is not None and right.geometry is not None:
                right.geometry.right.check_size(right.image.shape)
            return None if right is None else self.extractor(right.image), ""
        except ValueError as error:
            return None, str(error)
