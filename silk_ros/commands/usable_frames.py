"""The frames of a source that a command processes to its end."""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Iterable, Iterator

from ..extractor import Extractor
from ..images.sequence import SequenceFrame, read_frames
from ..images.source import NoUsableImage, Source
from ..parameters.configuration import Configuration
from ..parameters.front_end import KNOWN
from ..parameters.settings import Settings

log = logging.getLogger(__name__)


def usable_frames(source: Source, configuration: Configuration, options: argparse.Namespace) -> Iterator[SequenceFrame]:
    """The frames of a source, of which the first is read at once: a bad source must not leave an output behind.

    Raises ValueError, naming the fix, for a source of which no image can be used. The number of images that the
    extractor does not take is logged at the end.
    """
    read = read_frames(source, options.every, options.camera, configuration.mask)
    frames = _usable(read, configuration.extractor, source.name)
    try:
        first = next(frames)
    except NoUsableImage as error:
        if error.lost is not None and error.lost.unpaired:
            raise ValueError(f"{error}; {_pairing_remedy(configuration.settings)}") from error
        raise
    _check_first(first, configuration, options)
    if options.format == "colmap" and source.stereo:
        log.warning("COLMAP gets the left images only")
    return itertools.chain([first], frames)


def frame_count(source: Source, every: int) -> int | None:
    """The number of frames when every N-th image is taken; None where the source does not know its length."""
    return None if source.length is None else -(-source.length // every)


def _pairing_remedy(settings: Settings) -> str:
    """What lets images form pairs whose stamps differ by more than the settings allow."""
    if not settings.input.max_interval:
        return "--set stereo.sync=approximate lets the stamps of a pair differ"
    allowed, (_, longest) = 1e-9 * settings.input.max_interval, KNOWN["stereo.max_interval"].range or (0, 0)
    if allowed >= longest:
        return "the two topics do not belong together: give those of one stereo camera"
    return f"--set stereo.max_interval={min(2 * allowed, longest):g} lets the stamps differ by more seconds"


def _check_first(first: SequenceFrame, configuration: Configuration, options: argparse.Namespace) -> None:
    """Raise ValueError, naming the fix, for what the first frame lacks; warn of what the output will lack."""
    if configuration.mask is not None and first.mask is None:
        size, (height, width) = f"{first.image.width}x{first.image.height}", configuration.mask.shape
        raise ValueError(f"the mask is {width}x{height}, but the images are {size}: make it the size of the images")
    if options.format == "colmap" and first.camera is None and first.image.camera_problem:
        raise ValueError(f"{first.image.camera_problem}; or give the intrinsics with --camera")
    tracks = configuration.settings.tracks
    if options.format == "bag" and first.camera is None and tracks != type(tracks)():
        log.warning("the bag gets no tracks, as the images have no calibration: give their intrinsics with --camera")


def _usable(frames: Iterable[SequenceFrame], extractor: Extractor, source: str) -> Iterator[SequenceFrame]:
    """The frames that the extractor takes; the number of the others is logged at the end.

    Raises ValueError, with the reason, if it takes none.
    """
    used, left_out = False, list[str]()
    for frame in frames:
        try:
            extractor.part_of(frame.gray)
        except ValueError as error:
            left_out.append(f"image {frame.index}: {error}")
            continue
        used = True
        yield frame
    if not used:
        raise ValueError(f"no image of '{source}' can be used: {left_out[0] if left_out else 'it holds none'}")
    if len(left_out) == 1:
        log.warning("one image was left out: %s", left_out[0])
    elif left_out:
        log.warning("%d images were left out, first %s", len(left_out), left_out[0])
