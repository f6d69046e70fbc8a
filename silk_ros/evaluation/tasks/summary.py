"""Parts of a result that several tasks make alike: means of rows, curves of errors and pictures of matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...draw import draw_pair
from ..datasets.gray_images import Image
from ..metrics import Points, share_within
from ..results import Curve, Picture, Row


def means(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> Row:
    """The mean of each of the named values over the rows."""
    return {name: float(np.mean([row[name] for row in rows])) for name in names}


def error_curve(title: str, unit: str, method: str, errors: Sequence[float], thresholds: Points) -> Curve:
    """The share of pairs with an error of at most each threshold."""
    shares = [share_within(errors, threshold) for threshold in thresholds]
    return Curve(title, f"error at most [{unit}]", "share of pairs", {method: (thresholds.tolist(), shares)})


def match_picture(
    views: str, images: Sequence[Image], points: Sequence[Points], correct: NDArray[np.bool_], rule: str
) -> Picture:
    """Two grey images joined by their matches, with the number of those that are `correct` (M,) by a rule.

    points: pixels (M, 2) in each image. views: the names of the method and of the images.
    """
    caption = f"{views}: {correct.sum()} of {len(correct)} {rule}"
    return Picture(caption, draw_pair(images[0], images[1], points[0], points[1], correct))
