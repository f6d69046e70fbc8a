"""Images with known homographies between them, in the folder layout of HPatches (Balntas et al., CVPR 2017).

ROOT/SEQUENCE/1.ppm ... n.ppm (or .png, .jpg) and H_1_2 ... H_1_n: nine numbers each, which map pixels of image 1 to
pixels of image k.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from silk_ros.images.source import IMAGE_SUFFIXES

from ..options import DatasetError

SHORTER_EDGE = 480  # pixels (paper, Sec. 4.2)
LAYOUT = "a folder per sequence with 1.png ... n.png (or .ppm, .jpg) and H_1_2 ... H_1_n of 3x3 numbers each"
GROUPS = {"i_": "illumination", "v_": "viewpoint"}  # HPatches' prefixes


@dataclass(frozen=True, eq=False)
class View:
    """Image k of a sequence: grey (H, W) uint8, and the homography (3, 3) from pixels of image 1 to its pixels."""

    number: int
    image: NDArray[np.uint8]
    homography: NDArray[np.float64]


class HomographySequence:
    """One folder: image 1, and the others as views of it. Files are checked here, images are read when asked for."""

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

    def read(self) -> tuple[NDArray[np.uint8], Iterator[View]]:
        """Image 1, grey (H, W) uint8, and the views, lazily; all resized. Raises DatasetError for unreadable images."""
        image, from_original = resize_shorter_edge(read_image(self._first), self._shorter_edge)
        return image, self._read_views(np.linalg.inv(from_original))

    def _read_views(self, to_original: NDArray[np.floating]) -> Iterator[View]:
        for number, path, homography in self._views:
            image, from_original = resize_shorter_edge(read_image(path), self._shorter_edge)
            yield View(number, image, from_original @ homography @ to_original)


def find_sequences(root: Path, shorter_edge: int = SHORTER_EDGE, skip: Sequence[str] = ()) -> list[HomographySequence]:
    """The sequences below `root` by name, without those named in `skip`. Images will be resized to `shorter_edge`.

    Raises DatasetError, naming the file and the layout, for a missing folder, one without sequences, an image that is
    missing, a homography that is not one, and a name to skip that is none of the sequences.
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


def read_image(path: Path) -> NDArray[np.uint8]:
    """A grey image (H, W). Raises DatasetError for a file that is none."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DatasetError(f"cannot read the image '{path}': replace it with one that OpenCV can decode")
    return np.asarray(image, np.uint8)


def resize_shorter_edge(image: NDArray[np.uint8], shorter_edge: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """An image resized to so many pixels on its shorter edge, and the transform (3, 3) of pixels into it."""
    height, width = image.shape
    factor = shorter_edge / min(height, width)
    return resize(image, (round(width * factor), round(height * factor)))


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """An image resized to (width, height), and the transform (3, 3) of its pixel coordinates to the new ones."""
    height, width = image.shape
    x, y = size[0] / width, size[1] / height
    # Pixel areas correspond, not pixel centres.
    transform = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    interpolation = cv2.INTER_AREA if min(x, y) < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8), transform


def _homography_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and re.fullmatch(r"H_1_\d+", path.name)]


def _find_image(folder: Path, number: int, needed_by: Path) -> Path:
    for path in sorted(folder.glob(f"{number}.*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return path
    raise DatasetError(f"no image '{folder / str(number)}.png' (or .ppm, .jpg) for '{needed_by}': expected {LAYOUT}")


def _read_homography(path: Path) -> NDArray[np.float64]:
    try:
        homography = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"'{path}' is not a homography ({error}): write 3 rows of 3 numbers") from error
    if homography.shape != (3, 3) or not np.isfinite(homography).all() or not np.linalg.det(homography):
        raise DatasetError(f"'{path}' is not an invertible homography: write 3 rows of 3 numbers")
    return homography
