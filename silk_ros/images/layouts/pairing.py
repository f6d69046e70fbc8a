"""Which image of one camera, and which row of a text file, belongs to an image: by name, never by position alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..image_files import image_files, natural_key
from ..source import IMAGE_SUFFIXES, Lost

SIDE_WORDS = re.compile(r"left|right|cam(era)?_?[0-9](?=[_-])|(?<![a-z])[lr](?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class NamedFrame:
    """An image, or a pair; place: among the images of its folder. moment: among the names in both folders."""

    place: int
    moment: int
    image: Path
    right: Path | None = None


@dataclass(frozen=True)
class NamedFrames:
    """The images of a folder, or the pairs of two.

    images: number in the (left) folder. moments: number of different names. lost: images without the other one.
    """

    frames: Sequence[NamedFrame]
    images: int
    moments: int
    lost: Sequence[Lost] = field(default_factory=list)

    def rows(self, count: int, file: Path) -> list[int]:
        """The row of a file with `count` rows that belongs to each frame.

        A file with a row for each image is in their order. Otherwise the number that is the image's name counts, as in
        a part of a KITTI sequence. Raises ValueError, naming the fix, where neither fits.
        """
        if count == self.images:
            return [frame.place for frame in self.frames]
        stems = [frame.image.stem for frame in self.frames]
        numbers = [int(stem) for stem in stems] if all(stem.isdecimal() for stem in stems) else []
        if numbers and max(numbers) < count and min(numbers) != 1:  # from 1 on, row 0 may be that of image 1
            return numbers
        if count == self.moments:
            return [frame.moment for frame in self.frames]
        raise ValueError(
            f"{count} rows in '{file}' for {self.images} images: give one for each, or name the images by the number "
            "of their row, from 0"
        )


def row_notes(named: NamedFrames, rows: Sequence[int], file: Path) -> list[str]:
    """What to say of the rows of a file, counted from 0, where the first image has another one than the first."""
    first = named.frames[0]
    if rows[0] == first.place:
        return []
    return [f"rows of '{file.name}' belong to the images by number, from 0: row {rows[0]} to '{first.image.name}'"]


def required_images(folder: Path, remedy: str = "") -> list[Path]:
    """The image files of a folder. Raises ValueError, with a remedy in addition to the usual one, for none."""
    images = image_files(folder)
    if not images:
        raise ValueError(
            f"no images '{folder / '*'}': there should be {', '.join(sorted(IMAGE_SUFFIXES))} files{remedy}"
        )
    return images


def frames_by_name(left: Path, right: Path | None = None) -> NamedFrames:
    """The images of one folder, or the pairs of images that have the same name in two.

    Names may differ in a word for the side, such as left_1.png and right_1.png.
    Raises ValueError, naming the fix, for a folder without images, and for two that have no name in common.
    """
    images = required_images(left)
    if right is None:
        return NamedFrames([NamedFrame(at, at, path) for at, path in enumerate(images)], len(images), len(images))
    others = required_images(right, f"; to use one camera alone, name '{left}'")
    ours, theirs = _by_name(images, _stem), _by_name(others, _stem)
    if len(ours.keys() & theirs.keys()) < min(len(ours), len(theirs)):
        with suppress(ValueError):  # the word for the side may be all that tells two images of a folder apart
            without = _by_name(images, _without_side), _by_name(others, _without_side)
            if len(without[0].keys() & without[1].keys()) > len(ours.keys() & theirs.keys()):
                ours, theirs = without
    if not ours.keys() & theirs.keys():
        raise ValueError(
            f"no image in '{left}' has the name of one in '{right}' ('{images[0].name}' and '{others[0].name}'): "
            "give the two images of a pair one name"
        )
    names = sorted(ours.keys() | theirs.keys(), key=lambda key: natural_key(Path(key)))
    places = {path: place for place, path in enumerate(images)}
    frames = [
        NamedFrame(places[ours[key]], moment, ours[key], theirs[key])
        for moment, key in enumerate(names)
        if key in ours and key in theirs
    ]
    lost = [_alone(ours[key], right) for key in names if key not in theirs]
    lost += [_alone(theirs[key], left) for key in names if key not in ours]
    return NamedFrames(frames, len(images), len(names), lost)


def _alone(path: Path, other: Path) -> Lost:
    return Lost(
        f"{path.parent.name}/{path.name}", f"'{other}' has no image of that name: add the other one of the pair"
    )


def _stem(path: Path) -> str:
    return path.stem


def _without_side(path: Path) -> str:
    return SIDE_WORDS.sub("", path.stem)


def _by_name(paths: Sequence[Path], name: Callable[[Path], str]) -> dict[str, Path]:
    """The paths by their names. Raises ValueError, naming the fix, for two with one name."""
    named: dict[str, Path] = {}
    for path in paths:
        if (other := named.setdefault(name(path), path)) is not path:
            raise ValueError(f"'{other}' and '{path}' are images of one moment: leave one of them in the folder")
    return named


def nearest(stamps: Sequence[int], others: Sequence[int], within: int) -> list[int | None]:
    """For each stamp the place of the nearest of the others, up to `within` nanoseconds away; none is taken twice."""
    if not len(others):
        return [None] * len(stamps)
    order = np.argsort(np.asarray(others, np.int64), kind="stable")
    known = np.asarray(others, np.int64)[order]
    after = np.clip(np.searchsorted(known, np.asarray(stamps, np.int64)), 1, max(1, len(known) - 1))
    found: list[int | None] = []
    best: dict[int, int] = {}  # place of the other -> place of the stamp that is nearest to it
    for place, (stamp, at) in enumerate(zip(stamps, after.tolist())):
        choices = order[max(0, at - 1) : at + 1].tolist()
        other = min(choices, key=lambda choice: abs(others[choice] - stamp))
        distance = abs(others[other] - stamp)
        if distance <= within and (other not in best or distance < abs(others[other] - stamps[best[other]])):
            if other in best:
                found[best[other]] = None
            best[other] = place
            found.append(other)
        else:
            found.append(None)
    return found
