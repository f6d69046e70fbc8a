"""A synthetic flight through a room with photographs on its walls: images with exact poses, without a data set.

World axes: x east, y north, z up, in metres. Camera axes as in OpenCV: x right, y down, z forward.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..geometry.camera import Camera
from .source import DEFAULT_RATE, Source, SourceImage

WIDTH, HEIGHT, FOCAL_LENGTH = 640, 480, 420.0  # pixels; 75 degrees wide
ROOM = np.array([4.0, 3.0, 1.5])  # half sizes, metres
LAP = 60.0  # seconds; 0.2 m/s, as one flies indoors
PIXELS_PER_METRE = 200
NEAR = 0.05  # metres; what is closer than this is clipped away
NOISE = 2.0  # grey levels, standard deviation of the simulated sensor

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Panel:
    """A textured rectangle: texture x runs along `right`, texture y along `down`."""

    origin: Floats
    right: Floats
    down: Floats
    texture: NDArray[np.uint8]

    @property
    def corners(self) -> Floats:
        return np.array(
            [self.origin, self.origin + self.right, self.origin + self.right + self.down, self.origin + self.down]
        )

    @property
    def normal(self) -> Floats:
        """The normal (3,), which points to the side that shows the texture."""
        return -np.cross(self.right, self.down)


class SyntheticFlight:
    """Renders the flight at any time. The lap is closed: the time LAP is the time 0 again."""

    def __init__(self) -> None:
        matrix = np.array([[FOCAL_LENGTH, 0, (WIDTH - 1) / 2], [0, FOCAL_LENGTH, (HEIGHT - 1) / 2], [0, 0, 1]])
        self.camera = Camera(WIDTH, HEIGHT, matrix, np.zeros(5))
        photos = _photographs()
        self._walls = _box_panels(np.zeros(3), ROOM, photos, inside=True)
        self._pillars = [
            _box_panels(np.array([x, y, -0.5]), np.array([0.35, 0.35, 1.0]), photos[3 * index :] + photos, inside=False)
            for index, (x, y) in enumerate([(0.4, 0.3), (-3.2, 2.2), (3.1, -2.2)])
        ]
        self._noise = np.random.default_rng(0).normal(0, NOISE, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32)

    def pose(self, time: float) -> Floats:
        """Camera-to-world transform (4, 4) at a time in seconds."""
        angle = 2 * np.pi * time / LAP
        position = np.array([2.3 * np.cos(angle), 1.7 * np.sin(angle), 0.25 * np.sin(3 * angle)])
        velocity = np.array([-2.3 * np.sin(angle), 1.7 * np.cos(angle), 0.0])
        # Look ahead and a little outwards, at the nearer walls, swaying gently.
        yaw = np.arctan2(velocity[1], velocity[0]) - 0.6 + 0.15 * np.sin(5 * angle)
        pitch, roll = 0.08 * np.sin(4 * angle), 0.05 * np.sin(7 * angle)
        forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        pose = np.eye(4)
        pose[:3, 0] = np.cos(roll) * right + np.sin(roll) * down
        pose[:3, 1] = -np.sin(roll) * right + np.cos(roll) * down
        pose[:3, 2] = forward
        pose[:3, 3] = position
        return pose

    def render(self, time: float) -> NDArray[np.uint8]:
        """Grey image (HEIGHT, WIDTH) uint8 at a time in seconds."""
        pose = self.pose(time)
        image = np.zeros((HEIGHT, WIDTH), np.uint8)
        for panel in self._walls:
            self._draw(image, panel, pose)
        for pillar in sorted(self._pillars, key=lambda box: -_distance(box, pose[:3, 3])):
            for panel in pillar:
                if panel.normal @ (pose[:3, 3] - panel.origin) > 0:
                    self._draw(image, panel, pose)
        rng = np.random.default_rng(int(time * 1e6))
        y, x = rng.integers(HEIGHT), rng.integers(WIDTH)
        return np.asarray(cv2.add(image, self._noise[y : y + HEIGHT, x : x + WIDTH], dtype=cv2.CV_8U), np.uint8)

    def depths(self, time: float, pixels: NDArray[np.floating]) -> Floats:
        """Depths (N,) along z, in metres, of what is seen at pixels (N, 2) at a time in seconds."""
        pose = self.pose(time)
        rays = self.camera.rays(pixels) @ pose[:3, :3].T  # z = 1 in the camera
        nearest = np.full(len(rays), np.inf)
        for panel in itertools.chain(self._walls, *self._pillars):
            with np.errstate(divide="ignore", invalid="ignore"):
                depth = panel.normal @ (panel.origin - pose[:3, 3]) / (rays @ panel.normal)
                offsets = pose[:3, 3] + depth[:, None] * rays - panel.origin
                at = [offsets @ side / (side @ side) for side in (panel.right, panel.down)]
            seen = (depth > 0) & np.all([(part >= 0) & (part <= 1) for part in at], axis=0)
            nearest[seen] = np.minimum(nearest[seen], depth[seen])
        return nearest

    def _draw(self, image: NDArray[np.uint8], panel: _Panel, pose: Floats) -> None:
        world_to_camera = np.linalg.inv(pose)[:3]
        corners = panel.corners @ world_to_camera[:, :3].T + world_to_camera[:, 3]
        visible = _clip_near(corners)
        if len(visible) < 3:
            return
        outline = visible @ self.camera.matrix.T
        outline = np.clip(outline[:, :2] / outline[:, 2:], -1e5, 1e5)
        size = np.array([WIDTH, HEIGHT])
        if (outline.max(axis=0) < 0).any() or (outline.min(axis=0) > size).any():
            return
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 255)

        rows, columns = panel.texture.shape
        # Texture pixel (u, v) is the point origin + (u + 0.5) / columns * right + (v + 0.5) / rows * down.
        right, down = panel.right / columns, panel.down / rows
        plane = np.stack([right, down, panel.origin + (right + down) / 2], axis=1)
        homography = self.camera.matrix @ (world_to_camera[:, :3] @ plane + np.outer(world_to_camera[:, 3], [0, 0, 1]))
        warped = cv2.warpPerspective(panel.texture, homography, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        cv2.copyTo(warped, mask, image)


class FlightSource(Source):
    """One lap of the synthetic flight."""

    def __init__(self) -> None:
        super().__init__("flight")
        self.length = round(LAP * DEFAULT_RATE)
        self._flight = SyntheticFlight()

    def _read(self) -> Iterator[SourceImage]:
        for index in range(round(LAP * DEFAULT_RATE)):
            time = index / DEFAULT_RATE
            yield SourceImage.from_array(
                self._flight.render(time), pose=self._flight.pose(time), camera=self._flight.camera
            )


def _distance(box: list[_Panel], position: Floats) -> float:
    centre = np.mean([panel.corners.mean(axis=0) for panel in box], axis=0)
    return float(np.linalg.norm(centre - position))


def _clip_near(corners: Floats) -> Floats:
    """The part of a polygon (N, 3), in camera axes, that lies beyond the near plane."""
    clipped = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0)):
        if start[2] >= NEAR:
            clipped.append(start)
        if (start[2] >= NEAR) != (end[2] >= NEAR):
            clipped.append(start + (NEAR - start[2]) / (end[2] - start[2]) * (end - start))
    return np.array(clipped).reshape(-1, 3)


def _box_panels(centre: Floats, half: Floats, photos: list[NDArray[np.uint8]], inside: bool) -> list[_Panel]:
    """The six sides of an upright box with photographs on them, seen from inside or from outside."""
    x, y, z = np.diag(half)
    sides = [(x, -y), (y, x), (-x, y), (-y, -x)]  # (outward, right as seen from inside)
    panels = []
    for index, (outward, right) in enumerate(sides):
        right = right if inside else -right
        panels.append(_panel(centre + outward - right + z, 2 * right, -2 * z, photos[index:] + photos[:index]))
    up = z if inside else -z
    for index, (outward, down) in enumerate([(up, -y), (-up, y)]):
        panels.append(_panel(centre + outward - x - down, 2 * x, 2 * down, photos[4 + index :] + photos[: 4 + index]))
    return panels


def _panel(origin: Floats, right: Floats, down: Floats, photos: list[NDArray[np.uint8]]) -> _Panel:
    width, height = (round(float(np.linalg.norm(side)) * PIXELS_PER_METRE) for side in (right, down))
    return _Panel(origin, right, down, _collage(width, height, photos))


def _collage(width: int, height: int, photos: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Photographs side by side, in rows of about 1.5 m, until the canvas is full."""
    rows = max(1, round(height / (1.5 * PIXELS_PER_METRE)))
    edges = np.linspace(0, height, rows + 1).astype(int)
    canvas = np.zeros((height, width), np.uint8)
    index = 0
    for top, bottom in itertools.pairwise(edges):
        left = 0
        while left < width:
            photo = photos[index % len(photos)]
            index += 1
            scaled_width = max(1, round(photo.shape[1] * (bottom - top) / photo.shape[0]))
            scaled = cv2.resize(photo, (scaled_width, bottom - top), interpolation=cv2.INTER_AREA)
            visible = min(scaled_width, width - left)
            canvas[top:bottom, left : left + visible] = scaled[:, :visible]
            left += scaled_width
    return canvas


def _photographs() -> list[NDArray[np.uint8]]:
    """Grey photographs from the scikit-image wheel; nothing is downloaded."""
    try:
        from skimage import data
    except ImportError as error:
        raise ImportError(
            "the synthetic flight hangs its room with scikit-image's photographs: pip install scikit-image "
            "(or apt install python3-skimage), or choose another source"
        ) from error
    pictures = [
        data.astronaut(),
        data.coffee(),
        data.chelsea(),
        data.rocket(),
        data.camera(),
        data.brick(),
        data.stereo_motorcycle()[0],
        data.gravel(),
        data.coins(),
        data.grass(),
        data.page(),
    ]
    return [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture for picture in pictures]
