"""Features and matches: numpy arrays that are checked when they are made and cannot be reassigned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .words import counted


def _array(value: object, dtype: type, shape: tuple[int | None, ...], name: str) -> np.ndarray:
    array: np.ndarray = np.ascontiguousarray(value, dtype=dtype)
    expected = "(" + ", ".join("any" if side is None else str(side) for side in shape) + ")"
    if array.ndim != len(shape) or any(side not in (None, actual) for side, actual in zip(shape, array.shape)):
        raise ValueError(f"{name} must have shape {expected}, not {array.shape}")
    return array


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Keypoints of one image with their descriptors, best score first.

    keypoints:   (N, 2) float32, x y in pixels of the given image; the centre of the top-left pixel is (0, 0).
    scores:      (N,)   float32 in [0, 1], the predicted probability of a correct match.
    descriptors: (N, D) float32 of unit L2 norm.

    Raises ValueError when the shapes do not fit together.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    descriptors: NDArray[np.float32]

    def __post_init__(self) -> None:
        keypoints = _array(self.keypoints, np.float32, (None, 2), "keypoints")
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "scores", _array(self.scores, np.float32, (len(keypoints),), "scores"))
        descriptors = _array(self.descriptors, np.float32, (len(keypoints), None), "descriptors")
        object.__setattr__(self, "descriptors", descriptors)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        return f"Features({counted(len(self), 'keypoint')}, {self.descriptors.shape[1]}-D)"

    def rows(self, rows: NDArray[np.intp]) -> Features:
        """The features of some rows, in the order of `rows`."""
        return Features(self.keypoints[rows], self.scores[rows], self.descriptors[rows])

    def moved(self, rows: NDArray[np.integer], points: NDArray[np.float32]) -> Features:
        """The features with the keypoints of some rows at other positions (M, 2)."""
        keypoints = self.keypoints.copy()
        keypoints[rows] = points
        return Features(keypoints, self.scores, self.descriptors)


@dataclass(frozen=True, eq=False, repr=False)
class Matches:
    """Pairs of rows of two `Features`, in the order of the first.

    indices:    (M, 2) int32, rows of a and b; no row appears twice.
    similarity: (M,)   float32, cosine of the two descriptors.
    refined:    (M,)   bool, which keypoints of a have a sub-pixel position from the comparison of the two images; None
                       where no images were compared.

    Raises ValueError when the shapes do not fit together.
    """

    indices: NDArray[np.int32]
    similarity: NDArray[np.float32]
    refined: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        indices = _array(self.indices, np.int32, (None, 2), "indices")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "similarity", _array(self.similarity, np.float32, (len(indices),), "similarity"))
        if self.refined is not None:
            object.__setattr__(self, "refined", _array(self.refined, np.bool_, (len(indices),), "refined"))

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"Matches({len(self)})"

    def rows(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Matches:
        """The matches of some rows, in the order of `rows`, or those that a mask (M,) keeps."""
        refined = None if self.refined is None else self.refined[rows]
        return Matches(self.indices[rows], self.similarity[rows], refined)

    def at_least(self, similarity: float) -> Matches:
        """The matches of at least this similarity."""
        return self.rows(self.similarity >= similarity)

    @classmethod
    def empty(cls) -> Matches:
        return cls(indices=np.empty((0, 2), np.int32), similarity=np.empty(0, np.float32))
