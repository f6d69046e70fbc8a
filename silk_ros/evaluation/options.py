"""Settings that all evaluation tasks share, and the error for unusable data sets."""

from __future__ import annotations

from dataclasses import dataclass


class DatasetError(ValueError):
    """A data set is missing or malformed. The message names the file or folder and the expected layout."""


@dataclass(frozen=True)
class Options:
    """Settings of the extraction, the matching and the protocol.

    top_k:          number of best keypoints used of each image.
    shorter_edge:   pixels to which the shorter edge of images is resized; None leaves them as they are.
    ratio, double_softmax: filters of `silk_ros.match`.
    pictures:       number of pictures of matches for each method.
    runs:           of RANSAC for relative poses and odometry, each with the matches in another order, since its outcome
                    depends on random samples; results are over all runs.
    disparity_offset: pixels added to the disparities of a badly rectified stereo pair; None for the offset that fits
                    each method's own matches best.
    """

    top_k: int = 10_000
    shorter_edge: int | None = None
    ratio: float | None = None
    double_softmax: float | None = None
    pictures: int = 2
    runs: int = 5
    disparity_offset: float | None = None
