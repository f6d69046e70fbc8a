"""What the view shows of images, clouds and poses, as entities of a Rerun recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import cv2
import numpy as np
import rerun as rr
from numpy.typing import NDArray

from ...geometry.camera import Camera
from .blueprint import CAMERA, CURVES, DIAGNOSTICS, IMAGE, STATES, WORLD
from .landmark_map import LandmarkMap
from .paths import Paths

TIMELINE = "stamp"  # the header stamps of the messages
JPEG_QUALITY = 80
MOST_POINTS = 20_000  # of a message that are shown
MOST_TRACKS = 500  # that are drawn
TAIL = 8  # frames over which the motion of a track is drawn
RESTART = 10**9  # nanoseconds by which stamps go back where a source has started again
MAP_PERIOD = 10**9  # nanoseconds between two drawings of the former landmarks
KEYPOINT, PAST, ESTIMATE, TRUTH, KEYFRAME = (
    (150, 150, 150),
    (120, 120, 120),
    (70, 130, 255),
    (60, 200, 60),
    (255, 200, 0),
)
SEVERITIES = {
    1: rr.TextLogLevel.WARN,
    2: rr.TextLogLevel.ERROR,
    3: rr.TextLogLevel.WARN,
}  # by those of DiagnosticStatus
UI = rr.Radius.ui_points  # sizes in the units of the screen: mono has no scale

Positions = NDArray[np.floating]


class Scene:
    """Logs what it is told to a recording. Stamps are nanoseconds since 1970, pixels x y, positions in the odom frame.

    Memory is bounded: messages beyond MOST_POINTS points are cut, and paths and former landmarks are thinned out.
    """

    def __init__(self, recording: rr.RecordingStream) -> None:
        self._recording = recording
        self._newest = -RESTART
        self._states: dict[str, str] = {}
        self._metric = False
        self._restart()
        recording.log(WORLD, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def _restart(self) -> None:
        self._paths, self._map = Paths(), LandmarkMap()
        self._map_due = -RESTART
        self._tails: deque[tuple[NDArray[np.uint32], Positions]] = deque(maxlen=TAIL)

    def _at(self, stamp: int) -> None:
        """Log what follows at a stamp."""
        if stamp < self._newest - RESTART:
            self._restart()
            self._newest = stamp
        self._newest = max(self._newest, stamp)
        self._recording.set_time(TIMELINE, timestamp=np.datetime64(stamp, "ns"))

    def _scalar(self, entity: str, value: float) -> None:
        self._recording.log(entity, rr.Scalars(value))

    def show_image(self, stamp: int, image: NDArray[np.uint8]) -> None:
        """A grey image (H, W)."""
        self._at(stamp)
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        self._recording.log(IMAGE, rr.EncodedImage(contents=data, media_type="image/jpeg"))

    def show_camera(self, camera: Camera) -> None:
        """The frustum of the camera, without its distortion."""
        size = [camera.width, camera.height]
        pinhole = rr.Pinhole(image_from_camera=camera.matrix, resolution=size, camera_xyz=rr.ViewCoordinates.RDF)
        self._recording.log(IMAGE, pinhole, static=True)

    def show_keypoints(self, stamp: int, pixels: Positions) -> None:
        """All keypoints (N, 2) of an image."""
        self._at(stamp)
        self._scalar(f"{CURVES}/keypoints", len(pixels))
        points = rr.Points2D(pixels[:MOST_POINTS], radii=UI(1.0), colors=KEYPOINT)
        self._recording.log(f"{IMAGE}/keypoints", points)

    def show_matches(
        self, stamp: int, ids: NDArray[np.uint32], pixels: Positions, before: Positions, latency: float | None
    ) -> None:
        """Matches with the ids (N,) of their tracks and their pixels (N, 2) in this image and the one before.

        Of many, the MOST_TRACKS oldest tracks are drawn: more would hide the image, and one another.

        latency: seconds from the image to its matches; None where it is unknown.
        """
        self._at(stamp)
        self._scalar(f"{CURVES}/matches", len(ids))
        if latency is not None:
            self._scalar(f"{CURVES}/latency", 1e3 * latency)
        oldest = np.argsort(ids)[:MOST_TRACKS]
        ids, lines = ids[oldest], np.stack([before, pixels], axis=1)[oldest]
        if not len(ids):  # tracks have new ids from here on
            self._tails.clear()
        self._tails.append((ids, lines))
        tails = [(of, drawn, np.isin(of, ids)) for of, drawn in self._tails]
        segments = np.concatenate([drawn[kept] for _, drawn, kept in tails])
        colours = _colours(np.concatenate([of[kept] for of, _, kept in tails]))
        self._recording.log(f"{IMAGE}/tracks/lines", rr.LineStrips2D(segments, radii=UI(0.75), colors=colours))
        ends = rr.Points2D(lines[:, 1], radii=UI(2.0), colors=_colours(ids))
        self._recording.log(f"{IMAGE}/tracks/ends", ends)

    def show_landmarks(self, stamp: int, ids: NDArray[np.uint32], positions: Positions) -> None:
        """The landmarks of the odometry: ids (N,) of their tracks, which give the colours, and positions (N, 3).

        Former ones stay as a grey map, drawn once in a while.
        """
        self._at(stamp)
        ids, positions = ids[:MOST_POINTS], positions[:MOST_POINTS]
        finite = np.isfinite(positions).all(axis=1)
        ids, positions = ids[finite], positions[finite]
        self._scalar(f"{CURVES}/landmarks", len(ids))
        points = rr.Points3D(positions, radii=UI(2.0), colors=_colours(ids))
        self._recording.log(f"{WORLD}/landmarks", points)
        self._map.update(ids, positions)
        if stamp >= self._map_due:
            self._map_due = stamp + MAP_PERIOD
            past = rr.Points3D(self._map.past(), radii=UI(1.0), colors=PAST)
            self._recording.log(f"{WORLD}/past_landmarks", past)

    def show_keyframes(self, stamp: int, positions: Positions) -> None:
        """The positions (N, 3) of the keyframes."""
        self._at(stamp)
        points = rr.Points3D(positions[-MOST_POINTS:], radii=UI(4.0), colors=KEYFRAME)
        self._recording.log(f"{WORLD}/keyframes", points)

    def show_pose(self, stamp: int, pose: NDArray[np.float64]) -> None:
        """The pose (4, 4) of the camera's optical frame in the odom frame; it continues the path."""
        _check_finite(pose)
        self._at(stamp)
        self._recording.log(CAMERA, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
        self._paths.add_estimate(stamp, pose)
        self._draw_paths()

    def show_true_pose(self, stamp: int, pose: NDArray[np.float64]) -> None:
        """The true pose (4, 4) of the camera in its world, shown once the odometry has the one of this stamp."""
        _check_finite(pose)
        self._paths.add_truth(stamp, pose)

    def _draw_paths(self) -> None:
        paths = {
            "true": (self._paths.truth(self._metric), TRUTH, 3.0),  # wider, so that it is seen where both are the same
            "odometry": (self._paths.estimate(), ESTIMATE, 1.5),
        }
        for name, (positions, colour, radius) in paths.items():
            if len(positions) > 1:
                strip = rr.LineStrips3D([positions], radii=UI(radius), colors=[colour])
                self._recording.log(f"{WORLD}/path/{name}", strip)
                end = rr.Points3D(positions[-1:], radii=UI(2 * radius), colors=[colour])
                self._recording.log(f"{WORLD}/path/{name}/end", end)

    def show_state(self, node: str, level: int, summary: str, values: Mapping[str, str]) -> None:
        """The state of a node, as on /diagnostics: its values as curves, and its summary when that changes.

        It is logged at the newest stamp of an image or a cloud, since those may be of another clock.
        """
        if self._newest < 0:
            return
        self._at(self._newest)
        if node == "odometry":
            self._metric = values.get("mode") == "stereo"
        for key, text in values.items():
            if (value := _number(text)) is not None:
                self._scalar(f"{DIAGNOSTICS}/{node}/{key}", value)
        if self._states.get(node) != summary:
            self._states[node] = summary
            severity = SEVERITIES.get(level, rr.TextLogLevel.INFO)
            self._recording.log(f"{STATES}/{node}", rr.TextLog(summary, level=severity))


def _check_finite(pose: NDArray[np.float64]) -> None:
    if not np.isfinite(pose).all():
        raise ValueError("a pose with values that are not finite")


def _number(text: str) -> float | None:
    """The number that a text is; None for other texts."""
    try:
        return float(text)
    except ValueError:
        return None


def _colours(ids: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Colours (N, 3) uint8 RGB of tracks by their ids (N,), far apart for ids that follow one another."""
    hsv = np.full((len(ids), 1, 3), 230, np.uint8)
    hsv[:, 0, 0] = (ids * 0.618034 % 1) * 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)[:, 0] if len(ids) else hsv[:, 0]
