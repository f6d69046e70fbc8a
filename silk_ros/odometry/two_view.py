"""The motions between two views of one camera that matches allow.

A moving camera gives an essential matrix, and where it sees a plane a homography. Each leaves several motions that two
views cannot tell apart where the scene is nearly flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from .landmarks import triangulate
from .observations import Floats, SeenTracks
from .window import project

THRESHOLD = 1.5  # pixels, of matches to their epipolar line, homography or reprojection
SUPPORT = 0.6  # share of the matches that have to agree with a motion
ROUGH = 5.0  # times THRESHOLD, for motions that are not refined yet
MOST_REFINED = 300  # matches


@dataclass(frozen=True, eq=False)
class TwoViewMotion:
    """A motion between two frames.

    pose:     (4, 4) of the last in the axes of the first, at the distance 1.
    agree:    (N,) whether a match agrees.
    parallax: pixels by which the translation moves the median one of those that agree.
    """

    pose: Floats
    agree: NDArray[np.bool_]
    parallax: float

    @property
    def support(self) -> int:
        """Number of matches that agree."""
        return int(np.count_nonzero(self.agree))

    def like(self, other: TwoViewMotion) -> bool:
        """Whether two motions differ by some degrees only."""
        turn = np.linalg.norm(cv2.Rodrigues(self.pose[:3, :3].T @ other.pose[:3, :3])[0])
        return bool(turn < 0.05 and self.pose[:3, 3] @ other.pose[:3, 3] > 0.95)


def unturned(first: SeenTracks, last: SeenTracks) -> float:
    """How far the median match moves between two frames that are turned to each other, at z = 1."""
    rows = last.find(first.tracks)
    rays, other = (
        np.column_stack([each, np.ones(len(each))]) for each in (first.rays[rows >= 0], last.rays[rows[rows >= 0]])
    )
    turned = Rotation.align_vectors(other, rays)[0].apply(rays)
    return float(np.median(np.linalg.norm(turned[:, :2] / turned[:, 2:] - other[:, :2], axis=1)))


def two_view_motions(first: SeenTracks, last: SeenTracks, focal_length: float) -> list[TwoViewMotion]:
    """The motions with which enough matches of two frames agree, the best supported first; no two are alike.

    A general motion whose matches lie near a plane has a twin, which is found by the homography of these matches.
    """
    rows = last.find(first.tracks)
    rays, other, threshold = first.rays[rows >= 0], last.rays[rows[rows >= 0]], THRESHOLD / focal_length
    found = []
    homographies = [cv2.findHomography(rays, other, cv2.USAC_MAGSAC, threshold)[0]]
    for candidate in _general(rays, other, threshold):
        found += _judged(candidate, rays, other, focal_length)
    homographies += [cv2.findHomography(rays[motion.agree], other[motion.agree])[0] for motion in found]
    for homography in homographies:
        for candidate in _planar(homography):
            found += _judged(candidate, rays, other, focal_length)
    kept: list[TwoViewMotion] = []
    for motion in sorted(found, key=lambda motion: -motion.support):
        if not any(motion.like(better) for better in kept):
            kept.append(motion)
    return kept


def _general(rays: Floats, other: Floats, threshold: float) -> list[Floats]:
    """Poses of the second view, with a translation of length 1, by the essential matrix of matches of rays (N, 2)."""
    essential, _ = cv2.findEssentialMat(rays, other, np.eye(3), cv2.USAC_MAGSAC, 0.999, threshold)
    if essential is None or essential.shape != (3, 3):
        return []
    turn, other_turn, translation = cv2.decomposeEssentialMat(essential)
    return [_inverse(each, sign * translation) for each in (turn, other_turn) for sign in (1, -1)]


def _planar(homography: Any) -> list[Floats]:
    """Poses of the second view, with a translation of length 1, by the homography between two views of a plane."""
    if homography is None:
        return []
    motions = zip(*cv2.decomposeHomographyMat(homography, np.eye(3))[1:3])
    return [_inverse(rotation, translation) for rotation, translation in motions if translation.any()]


def _inverse(rotation: Any, translation: Any) -> Floats:
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = rotation, translation.ravel() / np.linalg.norm(translation)
    return np.asarray(np.linalg.inv(motion))


def _judged(candidate: Floats, rays: Floats, other: Floats, focal_length: float) -> list[TwoViewMotion]:
    """The motion, refined; none where too few matches agree with it."""
    threshold = THRESHOLD / focal_length
    if _agree(candidate, rays, other, ROUGH * threshold).sum() < SUPPORT * len(rays):
        return []
    pose = _refined(candidate, rays, other, threshold)
    agree = _agree(pose, rays, other, threshold)
    if agree.sum() < SUPPORT * len(rays):
        return []
    turned = np.column_stack([rays, np.ones(len(rays))])[agree] @ pose[:3, :3]
    moved = np.linalg.norm(turned[:, :2] / turned[:, 2:] - other[agree], axis=1)
    return [TwoViewMotion(pose, agree, float(focal_length * np.median(moved)))]


def _agree(pose: Floats, rays: Floats, other: Floats, threshold: float) -> NDArray[np.bool_]:
    """Whether matches (N,) meet in a point ahead of both cameras."""
    points, _ = triangulate(np.eye(4), pose, rays, other)
    views = (np.eye(4), rays), (pose, other)
    return np.maximum(*(np.linalg.norm(project(view, points) - seen, axis=1) for view, seen in views)) <= threshold


def _refined(pose: Floats, rays: Floats, other: Floats, threshold: float) -> Floats:
    """The pose of the second view with the least Sampson errors of matches of rays (N, 2).

    A homography gives a rough motion where the scene is only nearly flat.
    """
    some = np.linspace(0, len(rays) - 1, min(len(rays), MOST_REFINED)).astype(int)
    one, two = (np.column_stack([each[some], np.ones(len(some))]) for each in (rays, other))
    motion = np.linalg.inv(pose)
    sideways = np.linalg.svd(motion[None, :3, 3])[2][1:]  # directions in which a translation of length 1 can change

    def moved(step: Floats) -> Floats:
        found = np.eye(4)
        found[:3, :3] = cv2.Rodrigues(step[:3])[0] @ motion[:3, :3]
        translation = motion[:3, 3] + step[3:] @ sideways
        found[:3, 3] = translation / np.linalg.norm(translation)
        return found

    def errors(step: Floats) -> Floats:
        found = moved(step)
        essential = np.cross(np.eye(3), found[:3, 3]).T @ found[:3, :3]
        lines, back = one @ essential.T, two @ essential
        length = np.sqrt((lines[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1))
        return np.asarray((two * lines).sum(axis=1) / length)

    found = least_squares(errors, np.zeros(5), loss="cauchy", f_scale=threshold / 3, max_nfev=20)
    return np.asarray(np.linalg.inv(moved(found.x)))
