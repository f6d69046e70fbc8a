"""The distortion of lenses and its inverse, in the plane z = 1.

A model maps undistorted positions to distorted ones. It holds up to its first fold, the radius at which the distorted
radius stops to grow; what it says beyond was never calibrated. The inverse finds the position below the fold, or none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from .homography import warp_points

SAMPLES = 4096  # of the table that Newton's method starts from
ITERATIONS = 12  # of Newton's method; one or two are usual
WIDEST = np.pi / 2 - 1e-6  # radians from the optical axis of the widest ray that has z = 1
FARTHEST = 1e6  # radius up to which the table may go
ROUNDING = 2.0**-24  # relative, of undistorted positions in float32
ROUGH = 400  # tolerances by which this rounding may move the distorted position

Floats = NDArray[np.float64]


class Lens(ABC):
    """A model of distortion, and a table of radii up to its fold.

    limit:     the fold, as the radius or angle that the model starts from; inf for none.
    reach:     largest distorted radius of the image; the table covers it.
    tolerance: error of distorted positions up to which an undistorted position is right.
    """

    def __init__(self, limit: float, reach: float, tolerance: float) -> None:
        self._tolerance = tolerance
        farthest = min(limit, FARTHEST)
        last = min(farthest, reach)
        while last < farthest and self._radial(np.array([last]))[0] < reach:
            last = min(2 * last, farthest)
        # Closest at the end, since distorted radii change least before a fold, and most before a pole.
        radii = last * (1 - np.linspace(1, 0, SAMPLES) ** 3)
        distorted = np.maximum.accumulate(np.nan_to_num(self._radial(radii)))
        # Before a pole, the radii are so close that float32 does not tell them apart.
        coarse = np.diff(distorted) * radii[1:] * ROUNDING > ROUGH * tolerance * np.diff(radii)
        self._limit = float(radii[np.argmax(coarse)]) if coarse.any() else limit
        ratios = np.divide(radii, distorted, out=np.ones_like(radii), where=distorted > 0)
        self._samples = SAMPLES / min(distorted[-1], reach) ** 2  # of the table, per unit of the squared radius
        self._ratios = np.interp((np.arange(SAMPLES) + 0.5) / self._samples, distorted**2, ratios)

    @abstractmethod
    def _radial(self, radii: Floats) -> Floats:
        """Distorted radii (N,) of radii or angles (N,)."""

    @abstractmethod
    def undistort(self, distorted: Floats) -> Floats:
        """Undistorted positions (2, N) of distorted ones (2, N); NaN where there is none below the fold."""

    def _guess(self, squares: Floats) -> Floats:
        """Ratios (N,) of the undistorted radii to the distorted ones, from the squares of these."""
        return self._ratios.take((squares * self._samples).astype(np.intp), mode="clip")


class EquidistantLens(Lens):
    """The model equidistant (Kannala-Brandt): the distorted radius is an odd polynomial of the angle to the axis."""

    def __init__(self, coefficients: Floats, reach: float, tolerance: float) -> None:
        self._growth = [1.0, *coefficients.tolist()]  # of the squared angle
        self._slope = [1.0, *(coefficients * [3, 5, 7, 9]).tolist()]
        super().__init__(min(np.sqrt(_first_fall(Polynomial(self._slope))), WIDEST), reach, tolerance)

    def _radial(self, radii: Floats) -> Floats:
        return radii * _value(self._growth, radii * radii)

    def undistort(self, distorted: Floats) -> Floats:
        squares = distorted[0] ** 2 + distorted[1] ** 2
        radii = np.sqrt(squares)
        angles, possible = radii * self._guess(squares), radii < self._radial(np.array([self._limit]))
        for _ in range(ITERATIONS):
            errors = self._radial(angles) - radii
            exact = np.abs(errors) <= self._tolerance
            if (exact | ~possible).all():
                break
            angles = np.clip(angles - errors / _value(self._slope, angles * angles), 0, self._limit)
        scale = np.divide(np.tan(angles), radii, out=np.ones_like(radii), where=radii > 0)
        return np.where(exact & (angles < self._limit), scale, np.nan) * distorted


class OpenCvLens(Lens):
    """OpenCV's model with up to 14 coefficients: k1 k2 p1 p2 k3, k4 k5 k6, s1 s2 s3 s4 and two angles of tilt."""

    def __init__(self, coefficients: Floats, reach: float, tolerance: float) -> None:
        k1, k2, self._p1, self._p2, k3, k4, k5, k6, *prism, tilt_x, tilt_y = np.pad(
            coefficients, (0, 14 - len(coefficients))
        ).tolist()
        above, below, square = Polynomial([1, k1, k2, k3]), Polynomial([1, k4, k5, k6]), Polynomial([0, 1])
        turn = above.deriv() * below - above * below.deriv()
        self._above, self._turn = above.coef.tolist(), (2 * turn).coef.tolist()
        self._below = below.coef.tolist() if k4 or k5 or k6 else [1.0]
        self._prism = ([0.0, *prism[:2]], [0.0, *prism[2:]]) if any(prism) else None
        self._untilt = np.linalg.inv(_tilt(tilt_x, tilt_y)) if tilt_x or tilt_y else None
        limit = np.sqrt(min(_first_fall(above * below + 2 * square * turn), _first_fall(below)))
        super().__init__(float(limit), reach, tolerance)
        # No position is distorted to a larger radius than at the fold, and what the other terms add to it at most.
        added = (3 * (abs(self._p1) + abs(self._p2)) + sum(map(abs, prism)) * (1 + limit**2)) * limit**2
        self._edge = np.nan_to_num(abs(self._radial(np.array([limit]))[0]) + added, nan=np.inf)

    def _radial(self, radii: Floats) -> Floats:
        square = radii * radii
        return radii * _value(self._above, square) / _value(self._below, square)

    def undistort(self, distorted: Floats) -> Floats:
        flat = distorted if self._untilt is None else warp_points(self._untilt, distorted.T, ahead=True).T
        squares = flat[0] ** 2 + flat[1] ** 2
        places, right = self._newton(flat * self._guess(squares), flat)
        possible = squares <= self._edge**2
        for _ in range(ITERATIONS):
            rows = np.flatnonzero(possible & ~right)
            if not len(rows):
                break
            places[:, rows], right[rows] = self._newton(places[:, rows], flat[:, rows])
        return np.where(right, places, np.nan)

    def _newton(self, places: Floats, wanted: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Places (2, N) after one more step to those that are distorted to `wanted`, and which of them (N,) are."""
        (a, b), (c, d) = self._slopes(*places)
        x, y = self._distort(*places) - wanted
        determinant = a * d - b * c
        places = self._inside(places - np.stack([d * x - b * y, a * y - c * x]) / determinant)
        x, y = self._distort(*places) - wanted
        right = (x * x + y * y <= self._tolerance**2) & (determinant > 0)
        return places, right & (places[0] ** 2 + places[1] ** 2 < self._limit**2)

    def _inside(self, places: Floats) -> Floats:
        """Positions (2, N), moved to the fold where they are beyond it."""
        squares = places[0] ** 2 + places[1] ** 2
        beyond = squares > self._limit**2
        if beyond.any():
            places[:, beyond] *= self._limit / np.sqrt(squares[beyond])
        return places

    def _distort(self, x: Floats, y: Floats) -> Floats:
        """Positions (2, N), distorted but for the tilt."""
        square, p1, p2 = x * x + y * y, self._p1, self._p2
        growth = _value(self._above, square) / _value(self._below, square)
        if p1 or p2:
            growth = growth + 2 * (p1 * y + p2 * x)
        seen = np.stack([x * growth + p2 * square, y * growth + p1 * square])
        if self._prism is not None:
            seen += [_value(prism, square) for prism in self._prism]
        return seen

    def _slopes(self, x: Floats, y: Floats) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Derivatives (N,) of both distorted coordinates by x and y, but for the tilt."""
        square, p1, p2 = x * x + y * y, self._p1, self._p2
        below = _value(self._below, square)
        growth, turn = _value(self._above, square) / below, _value(self._turn, square) / (below * below)
        across = x * y * turn + 2 * (p1 * x + p2 * y)
        top = growth + x * x * turn + 2 * (p1 * y + 3 * p2 * x), across
        bottom = across, growth + y * y * turn + 2 * (p2 * x + 3 * p1 * y)
        if self._prism is None:
            return top, bottom
        bend_x, bend_y = (2 * prism[1] + 4 * prism[2] * square for prism in self._prism)
        return (top[0] + bend_x * x, top[1] + bend_x * y), (bottom[0] + bend_y * x, bottom[1] + bend_y * y)


def _value(coefficients: list[float], x: Floats) -> Any:
    """The value of a polynomial, in half of the time that numpy's takes."""
    value: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _first_fall(slope: Polynomial) -> float:
    """The smallest positive value from which on a polynomial that is 1 at 0 is not positive; inf for none."""
    if not np.isfinite(slope.coef).all():
        return 0.0
    inverse = np.roots(slope.coef)  # 1 / x of the roots x, of which the smallest are the most exact
    inverse = inverse.real[(np.abs(inverse.imag) <= 1e-4 * np.abs(inverse)) & (inverse.real > FARTHEST**-2)]
    ends = np.sort(1 / inverse)
    for start, end in pairwise([*ends, 2 * ends[-1]] if len(ends) else []):
        if slope((start + end) / 2) <= 0:
            return float(start)
    return np.inf


def _tilt(x: float, y: float) -> Floats:
    """The homography (3, 3) of a sensor that is tilted by two angles in radians."""
    about_x = np.array([[1, 0, 0], [0, np.cos(x), np.sin(x)], [0, -np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    turned = about_y @ about_x
    onto_image = np.array([[turned[2, 2], 0, -turned[0, 2]], [0, turned[2, 2], -turned[1, 2]], [0, 0, 1]])
    return np.asarray(onto_image @ turned)
