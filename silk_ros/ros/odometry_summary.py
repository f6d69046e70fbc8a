"""What the odometry node has done, in the line that it prints when it stops."""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..odometry.estimate import Estimate
from ..words import counted

MOST_REASONS = 3  # that the line names


class OdometrySummary:
    """Counts of images and poses, and the length of the path. One thread may add poses while another reads the text.

    images: the number of images whose matches came; the node counts them.
    """

    def __init__(self) -> None:
        self.images = 0
        self._lock = threading.Lock()
        self._poses = 0
        self._guessed: Counter[str] = Counter()  # by reasons, without their numbers
        self._mode, self._length = "", 0.0
        self._position: NDArray[np.float64] | None = None

    def add(self, estimate: Estimate, mode: str) -> None:
        """Take in a pose. mode: mono or stereo; where it changes, so does the unit, and the path starts again."""
        position = estimate.pose[:3, 3]
        with self._lock:
            if mode != self._mode or self._position is None:
                self._mode, self._length = mode, 0.0
            else:
                self._length += float(np.linalg.norm(position - self._position))
            self._position = position
            self._poses += 1
            if estimate.problem:
                self._guessed[re.sub(r"\d+", "N", estimate.problem)] += 1

    def text(self, state: str, file: Path | None) -> str:
        """The line. state: of the node, which says why there are no poses. file: to which they were written."""
        with self._lock:
            poses, guessed, mode, length = self._poses, self._guessed.copy(), self._mode, self._length
        if not poses:
            return f"no poses from {counted(self.images, 'image')}: {state}"
        parts = [counted(self.images, "image"), counted(poses, "pose")]
        if guessed:
            reasons = ", ".join(f"{count}x {reason}" for reason, count in guessed.most_common(MOST_REASONS))
            parts.append(f"{guessed.total():,} with a guessed motion ({reasons})")
        unit = " m" if mode == "stereo" else " up to an unknown scale"
        parts.append(f"a path of {length:.2f}{unit}")
        return ", ".join(parts) + (f"; the poses are in '{file}'" if file is not None else "")
