"""The pose of a frame by the landmarks that it sees (PnP)."""

from __future__ import annotations

import cv2
import numpy as np

from .observations import Floats, SeenTracks, Tracks

THRESHOLD = 4.0  # standard deviations up to which an observation agrees with a pose
FEWEST = 10  # observations that have to agree
SHARE = 0.3  # share of the observations that have to agree
ROUNDS = 3


def localise(
    seen: SeenTracks, tracks: Tracks, points: Floats, focal_length: float
) -> tuple[Floats, Tracks, int] | None:
    """The pose (4, 4) of a frame, the landmarks that agree with it, and the number that it sees; None if too few agree.

    tracks, points: (L,) and (L, 3) of the landmarks, in the odometry frame. focal_length: pixels.
    """
    rows = seen.find(tracks)
    points, tracks, rows = points[rows >= 0], tracks[rows >= 0], rows[rows >= 0]
    if len(rows) < FEWEST:
        return None
    places, matrix = focal_length * seen.rays[rows], np.diag([focal_length, focal_length, 1.0])
    threshold = THRESHOLD * float(np.median(seen.noise[rows]))
    found, rotation, translation, agree = cv2.solvePnPRansac(
        points, places, matrix, None, reprojectionError=threshold, confidence=0.999, flags=cv2.SOLVEPNP_SQPNP
    )
    if not found:
        return None
    inliers, fewest = np.isin(np.arange(len(rows)), agree), max(FEWEST, SHARE * len(rows))
    for _ in range(ROUNDS):
        if inliers.sum() < fewest:
            return None
        rotation, translation = cv2.solvePnPRefineLM(
            points[inliers], places[inliers], matrix, None, rotation, translation
        )
        projected = cv2.projectPoints(points, rotation, translation, matrix, None)[0][:, 0]
        ahead = points @ cv2.Rodrigues(rotation)[0][2] + translation[2] > 0
        inliers = ahead & (np.linalg.norm(projected - places, axis=1) <= threshold)
    if inliers.sum() < fewest:
        return None
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(rotation)[0].T
    pose[:3, 3] = -pose[:3, :3] @ np.ravel(translation)
    return pose, tracks[inliers], len(rows)
