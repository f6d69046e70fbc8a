"""New landmarks of a keyframe: tracks whose depth is known, by stereo or by the motion of the camera."""

from __future__ import annotations

import cv2
import numpy as np

from .observations import Floats, Rows, SeenTracks, Tracks
from .window import GONE, NEAR, Keyframe, Window

COUNT = 60  # landmarks that a keyframe sees; more do not make the path more accurate
UNTRIED = 300  # landmarks of the first keyframe: no other one has tried its stereo matches yet
LEAST_ANGLE = 1.0  # degrees between the rays of two keyframes to a new landmark
CELL = 0.1  # side of the cells of the image that get about as many landmarks each, in units of the rays


def triangulate(pose: Floats, other: Floats, rays: Floats, other_rays: Floats) -> tuple[Floats, Floats]:
    """Points (N, 3) in the odometry frame that cameras at two poses see along rays (N, 2), and the angles (N,) there.

    Angles are in degrees.
    """
    views = [np.asarray(np.linalg.inv(each)[:3]) for each in (pose, other)]
    found = cv2.triangulatePoints(views[0], views[1], rays.T, other_rays.T).T
    with np.errstate(divide="ignore", invalid="ignore"):
        points = np.asarray(found[:, :3] / found[:, 3:])
    lines = [(points - each[:3, 3]) / np.linalg.norm(points - each[:3, 3], axis=1)[:, None] for each in (pose, other)]
    return points, np.degrees(np.arccos(np.clip((lines[0] * lines[1]).sum(axis=1), -1, 1)))


def new_landmarks(window: Window, seen: SeenTracks, pose: Floats, agree: Tracks) -> tuple[Tracks, Floats]:
    """Tracks (N,), and their points (N, 3) in the odometry frame, that become landmarks with a keyframe at a pose.

    agree: tracks of the landmarks that the frame sees already; COUNT with the new ones, UNTRIED in a first keyframe.
    """
    points = np.full((len(seen), 3), np.nan)
    ages = np.zeros(len(seen))  # keyframes that saw the track before
    stereo = seen.disparities > _least_disparity(seen, window.focal_length)
    depths = seen.focal_baseline / seen.disparities[stereo]
    points[stereo] = _points(seen.rays[stereo], depths) @ pose[:3, :3].T + pose[:3, 3]
    for frame in window.keyframes.values():
        rows = frame.seen.find(seen.tracks)
        ages += rows >= 0
        both = np.flatnonzero((rows >= 0) & np.isnan(points[:, 0]))
        if not len(both):
            continue
        found, angles = triangulate(frame.pose, pose, frame.seen.rays[rows[both]], seen.rays[both])
        points[both[angles > LEAST_ANGLE]] = found[angles > LEAST_ANGLE]
    fits = np.isfinite(points[:, 0])
    for frame in (*window.keyframes.values(), Keyframe(seen, pose)):
        fits[fits] = frame.errors(seen.tracks[fits], points[fits], window.focal_length) <= GONE
    known = np.isin(seen.tracks, np.concatenate([window.tracks, window.gone]))
    rows = np.flatnonzero(fits & ~known)
    spread = _spread(seen.rays, seen.find(agree), rows[np.argsort(-ages[rows], kind="stable")])
    most = COUNT if window.keyframes else UNTRIED
    chosen = np.sort(spread[: max(0, most - len(agree))])
    return seen.tracks[chosen], points[chosen]


def _least_disparity(seen: SeenTracks, focal_length: float) -> float:
    """The disparity from which points are near enough; less where few are."""
    known = np.sort(seen.disparities[np.isfinite(seen.disparities)])[::-1]
    return min([focal_length / NEAR, *known[COUNT : COUNT + 1]]) if len(known) else focal_length


def _points(rays: Floats, depths: Floats) -> Floats:
    return np.column_stack([rays, np.ones(len(rays))]) * depths[:, None]


def _spread(rays: Floats, taken: Rows, rows: Rows) -> Rows:
    """Rows in the order in which they leave the fewest in one cell of the image, beside those that are taken."""
    cells = np.unique(np.floor(rays / CELL).astype(int), axis=0, return_inverse=True)[1].ravel()
    counts = np.bincount(cells[taken], minlength=cells.max(initial=0) + 1)
    ranks = np.empty(len(rows), int)
    for place, cell in enumerate(cells[rows].tolist()):
        ranks[place] = counts[cell]
        counts[cell] += 1
    return rows[np.argsort(ranks, kind="stable")]
