"""What the columns of a task's tables mean, for those who read them the first time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .tables import Column

ARROWS = {1: " ↑", 0: "", -1: " ↓"}
READING = "↑ higher is better, ↓ lower is better; @N: with the threshold N"

_KEYPOINTS = {
    "repeatability": "share of the keypoints, among those both images see, with one of the other image within N px",
    "MMA": "share of the matches within N px of their true position",
    "keypoints": "found in an image",
    "matches": "mutual nearest neighbours in a pair",
}
_VIEWS = _KEYPOINTS | {
    "correct matches": "matches within 3 px in a pair",
    "widest angle": "rotation in degrees up to which half of the MMA@3 of the unchanged image is left",
    "smallest scale": "scale down to which half of the MMA@3 of the unchanged image is left",
    "largest scale": "scale up to which half of the MMA@3 of the unchanged image is left",
}
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "homography": _KEYPOINTS
    | {
        "HA": "homography accuracy: share of pairs whose estimated homography is wrong by at most N px at the corners",
        "AUC": "area under the curve of HA from 0 to N px, 0 to 1",
    },
    "relative_pose": {
        "AUC": "area under the curve of the share of pairs with errors of rotation and translation up to N degrees",
        "mAA": "that share, mean over 1 to 10 degrees",
        "rotation error": "median over pairs",
        "translation error": "of its direction, as one camera does not see the scale; median over pairs",
        "inliers": "share of the matches that agree with the estimated motion",
        "matches": "mutual nearest neighbours in a pair",
    },
    "registration": {
        "rotation accuracy": "share of pairs with a rotation error of at most N degrees",
        "translation accuracy": "share of pairs with a translation error of at most N cm",
        "Chamfer accuracy": "share of pairs with a Chamfer distance of at most N",
        "rotation error": "of the estimated motion",
        "translation error": "of the estimated motion",
        "Chamfer error": "squared distance between the registered point clouds",
        "matches": "in a pair",
    },
    "odometry": {
        "drift": "distance between the true and the estimated end, of the length of the path",
        "segment drift": "the same over all parts of the path of eight lengths, as KITTI measures it",
        "ATE": "absolute trajectory error: distance from the true positions after alignment",
        "RPE": "relative pose error from frame to frame, in metres and degrees",
        "failures": "frames without a motion",
        "inliers": "matches a frame that agree with the estimated motion",
        "matches": "mutual nearest neighbours a frame",
        "drift spread": "standard deviation of the drift over the runs of RANSAC",
        "drift as calibrated": "drift without the correction of the disparities",
        "own disparity offset": "correction that fits the method's own matches; near 0 for a good calibration",
    },
    "rotation": _VIEWS,
    "scale": _VIEWS,
}


def legend(task: str, columns: Sequence[Column]) -> dict[str, str]:
    """The meaning of each column of a task's table, by its name with an arrow to the better values."""
    found: dict[str, str] = {}
    for column in columns:
        name = re.sub(r" \[.*?\]", "", column.name)
        if meaning := MEANINGS[task].get(name):
            found[name + ARROWS[column.sign]] = meaning
    return found


def legend_text(entries: Mapping[str, str]) -> str:
    """What `legend` returned, for the console."""
    width = max(map(len, entries), default=0)
    return "\n".join([READING, *(f"  {name:{width}}  {meaning}" for name, meaning in entries.items())])
