"""The names and the coefficients of distortion models, as drivers and calibration tools write them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The numbers of coefficients of each model. OpenCV's models, from none to thin prism and tilt, continue one another:
# the number decides between them, whatever the name.
_PLUMB_BOB = (0, 4, 5)
_OPENCV = (*_PLUMB_BOB, 8, 12, 14)
_EQUIDISTANT = (0, 4)
_NONE = (0,)
# In lower case and with _ between words.
DISTORTION_MODELS = {
    **dict.fromkeys(("plumb_bob", "rational_polynomial", "", "radtan", "radial_tangential"), _OPENCV),
    **dict.fromkeys(("brown_conrady", "rational", "opencv"), _OPENCV),
    **dict.fromkeys(("equidistant", "equi", "fisheye", "opencv_fisheye"), _EQUIDISTANT),
    **dict.fromkeys(("kannala_brandt", "kannala_brandt4"), _EQUIDISTANT),
    **dict.fromkeys(("none", "pinhole", "perspective", "rectilinear"), _NONE),
}


def canonical_model(name: str, coefficients: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
    """ROS's name (plumb_bob, rational_polynomial, equidistant) and coefficients of a model with any usual name.

    Zeros beyond the coefficients of a model are cut off. Raises ValueError, naming the fix, for models and numbers of
    coefficients that mean none of the three.
    """
    word = name.strip().lower().replace("-", "_").replace(" ", "_")
    if word not in DISTORTION_MODELS:
        raise ValueError(
            f"unknown distortion model {name[:40]!r} in camera_info: use one of plumb_bob, rational_polynomial, "
            "equidistant to calibrate the camera, or rectify the images and set rectified to true"
        )
    counts, given, used = DISTORTION_MODELS[word], len(coefficients), len(np.trim_zeros(coefficients, "b"))
    fitting = [count for count in counts if used <= count <= given]
    if not fitting:
        known = "plumb_bob, rational_polynomial or equidistant"
        fix = f"name its model, {known}" if counts == _NONE else "calibrate the camera"
        numbers = " or ".join(map(str, counts))
        raise ValueError(f"camera_info.d must hold {numbers} finite numbers for '{word}', not {given}: {fix}")
    if counts == _EQUIDISTANT:
        return "equidistant", coefficients[:4] if given else np.zeros(4)
    length = given if given in _PLUMB_BOB else fitting[0]
    return "plumb_bob" if length in _PLUMB_BOB else "rational_polynomial", coefficients[:length]
