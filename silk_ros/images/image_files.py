"""Image files: their order, and their pixels."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .encoded import JPEG_START, PNG_START, check_pixels, decode_image
from .source import IMAGE_SUFFIXES

NaturalKey = list[tuple[str | int, ...]]
DECIMAL_STAMP = re.compile(r"(\d{9,})\.(\d+)")  # seconds with a fraction, whose digits are not a number of their own
FIX = "remove or replace the file"


def natural_key(path: Path) -> NaturalKey:
    """The key by which paths are sorted as people count: frame2 before frame10."""
    key: NaturalKey = []
    for part in path.parts:
        text = DECIMAL_STAMP.sub(lambda stamp: f"{stamp[1]}.{stamp[2]:0<18}", part)
        key.append(tuple(int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", text)))
        key.append((part,))  # 01 and 1
    return key


def image_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The image files of a folder that match a pattern of names, in natural order; "**/*" looks into sub-folders too.

    Hidden files and folders are left out.
    """
    inside = (path.relative_to(folder) for path in folder.glob(pattern) if path.suffix.lower() in IMAGE_SUFFIXES)
    shown = (path for path in inside if not any(part.startswith(".") for part in path.parts))
    return [folder / path for path in sorted(shown, key=natural_key) if not (folder / path).is_dir()]


def split_pattern(pattern: Path) -> tuple[Path, str] | None:
    """The folder that exists, and the pattern below it, of a path with wildcards; None without any."""
    folder = next(parent for parent in pattern.parents if parent.is_dir())
    below = str(pattern.relative_to(folder))
    return (folder, below) if glob.has_magic(below) else None


def order_note(paths: Iterable[Path]) -> str:
    """What to say of the order of paths where it is not the alphabetical one; else empty."""
    paths = list(paths)
    for path, alphabetical in zip(paths, sorted(paths)):
        if path != alphabetical:
            return f", in the order of the numbers in their names: '{path.name}' before '{alphabetical.name}'"
    return ""


def decode_file(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> NDArray[Any]:
    """The image (H, W) or (H, W, channels) in a file; the first one of an animation or of several pages.

    Pixels stay where the file stores them, whatever orientation its EXIF data asks for: calibrations belong to them.
    Raises ValueError, naming the fix but not the file, for a file that is empty, cut off, damaged or no image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror}): {FIX}") from error
    if not data:
        raise ValueError(f"it is empty: {FIX}")
    if data.startswith((PNG_START, JPEG_START)):
        try:
            return decode_image(data, flags)
        except ValueError as error:
            raise ValueError(f"{error}; {FIX}") from error
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"it is damaged, or no image that OpenCV decodes: {FIX}")
    check_pixels(*image.shape[:2])
    return image
