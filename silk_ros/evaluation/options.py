"""Settings that all evaluation tasks share, and the error for data sets that are not as they should be."""

from __future__ import annotations

from dataclasses import dataclass


class DatasetError(ValueError):
    """A data set is missing or malformed. The message names the file or folder and the expected layout."""


@dataclass(frozen=True)
class Options:
    """How features are used in an evaluation.

    top_k:          best keypoints used of each image.
    shorter_edge:   images are resized so that their shorter edge has this many pixels; None leaves them as they are.
    ratio, double_softmax: filters of `silk_ros.match`.
    pictures:       how many pictures of matches each method gets drawn.
    runs:           of the RANSAC of relative poses and odometry, whose outcome is partly luck: each sees the matches in
                    another order, and results are over all runs.
    disparity_offset: pixels added to the disparities of a badly rectified stereo pair; None for what fits each method's
                    own matches best.
    """

    top_k: int = 10_000
    shorter_edge: int | None = None
    ratio: float | None = None
    double_softmax: float | None = None
    pictures: int = 2
    runs: int = 5
    disparity_offset: float | None = None
