"""Images with known homographies between them, in the folder layout of HPatches (Balntas et al., CVPR 2017).

ROOT/SEQUENCE/1.ppm ... n.ppm (or .png, .jpg) and H_1_2 ... H_1_n: nine numbers each, which map pixels of image 1 to
pixels of image k.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...images.image_files import image_files
from ...images.text_files import read_matrix
from ..options import DatasetError
from .gray_images import Image, read_image, resize_shorter_edge

SHORTER_EDGE = 480  # pixels (paper, Sec. 4.2)
LAYOUT = "a folder per sequence with 1.png ... n.png (or .ppm, .jpg) and H_1_2 ... H_1_n of 3x3 numbers each"
GROUPS = {"i_": "illumination", "v_": "viewpoint"}  # HPatches' prefixes


@dataclass(frozen=True, eq=False)
class HomographyView:
    """Image k of a sequence: grey (H, W) uint8, and the homography (3, 3) from pixels of image 1 to its pixels."""

    number: int
    image: Image
    homography: NDArray[np.float64]


class HomographySequence:
    """A sequence folder: image 1, and the others as its views. Files are checked at once, images read on demand."""

    def __init__(self, folder: Path, shorter_edge: int) -> None:
        self.name = folder.name
        self.group = GROUPS.get(folder.name[:2], folder.name)
        self._shorter_edge = shorter_edge
        files = {int(path.name[4:]): path for path in _homography_files(folder)}
        self._first = _find_image(folder, 1, needed_by=folder / f"H_1_{min(files)}")
        self._views = [
            (number, _find_image(folder, number, needed_by=files[number]), _read_homography(files[number]))
            for number in sorted(files)
        ]

    def __len__(self) -> int:
        return len(self._views)

    def read(self) -> tuple[Image, Iterator[HomographyView]]:
        """Image 1, grey (H, W) uint8, and the views, lazily; all resized. Raises DatasetError for unreadable images."""
        image, from_original = resize_shorter_edge(read_image(self._first), self._shorter_edge)
        return image, self._read_views(np.linalg.inv(from_original))

    def _read_views(self, to_original: NDArray[np.floating]) -> Iterator[HomographyView]:
        for number, path, homography in self._views:
            image, from_original = resize_shorter_edge(read_image(path), self._shorter_edge)
            yield HomographyView(number, image, from_original @ homography @ to_original)


def is_hpatches(root: Path) -> bool:
    """Whether a folder holds sequences in this layout."""
    return next(root.glob("*/H_1_*"), None) is not None


def find_sequences(root: Path, shorter_edge: int = SHORTER_EDGE, skip: Sequence[str] = ()) -> list[HomographySequence]:
    """The sequences below `root` by name, without those named in `skip`. Images are resized to `shorter_edge`.

    Raises DatasetError, naming the file and the layout, for a missing folder, a folder without sequences, a missing
    image, a file that is not a homography, and a name in `skip` that no sequence has.
    """
    if not root.is_dir():
        raise DatasetError(f"no folder '{root}': it should hold {LAYOUT}")
    folders = {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and _homography_files(path)}
    if not folders:
        raise DatasetError(f"no sequences in '{root}': it should hold {LAYOUT}")
    if unknown := sorted(set(skip) - set(folders)):
        raise DatasetError(f"no sequence '{unknown[0]}' to skip in '{root}': it has {', '.join(folders)}")
    chosen = [HomographySequence(path, shorter_edge) for name, path in folders.items() if name not in skip]
    if not chosen:
        raise DatasetError(f"all sequences of '{root}' are skipped: leave one")
    return chosen


def _homography_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and re.fullmatch(r"H_1_\d+", path.name)]


def _find_image(folder: Path, number: int, needed_by: Path) -> Path:
    if found := image_files(folder, f"{number}.*"):
        return found[0]
    raise DatasetError(f"no image '{folder / str(number)}.png' (or .ppm, .jpg) for '{needed_by}': expected {LAYOUT}")


def _read_homography(path: Path) -> NDArray[np.float64]:
    try:
        homography = read_matrix(path, 3, 3)
    except ValueError as error:
        raise DatasetError(f"'{path}' is not a homography ({error}): write 3 rows of 3 numbers") from error
    if not np.isfinite(homography).all() or not np.linalg.det(homography):
        raise DatasetError(f"'{path}' is not an invertible homography: write 3 rows of 3 numbers")
    return homography
