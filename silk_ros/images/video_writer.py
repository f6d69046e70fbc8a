"""Writing of videos that browsers play."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

PIXELS = "yuv420p"  # colours of half the resolution: the form of H.264 that every browser decodes
OPTIONS = {"preset": "ultrafast", "crf": "23"}  # 3 ms for an image of 640x480 on one core; VP9 in OpenCV needs 230 ms


class VideoWriter(Protocol):
    """A video file that is being written. Images (H, W, 3) uint8 BGR of one size; finished by `release`."""

    def write(self, image: NDArray[np.uint8]) -> object: ...

    def release(self) -> object: ...


def open_video_writer(path: Path, rate: float, width: int, height: int) -> VideoWriter:
    """A writer of an .mp4 file of images of one size: H.264 by PyAV, which browsers play.

    rate: images per second. Without PyAV, OpenCV writes MPEG-4, and the log says that browsers do not play it: the
    encoders of OpenCV's packages for browsers are missing, or take longer than the rest of a front-end.

    Raises OSError for a file that cannot be written.
    """
    path.open("wb").close()  # its error names the file
    try:
        return _H264Writer(path, rate, width, height)
    except (ImportError, ValueError):  # PyAV, or the encoder in it, is missing
        log.warning("'%s': browsers will not play this video, other players do: pip install av", path)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    if not writer.isOpened():
        raise OSError(f"cannot write the video '{path}', since OpenCV lacks the encoder: pip install av")
    return writer


class _H264Writer:
    """H.264 in an .mp4 file, whose index comes first so that it plays while it loads."""

    def __init__(self, path: Path, rate: float, width: int, height: int) -> None:
        import av

        # Colours have half the resolution, which needs even sides: an odd one gets its last line of pixels twice.
        self._more = height % 2, width % 2
        self._file = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        stream = self._file.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000), options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width + self._more[1], height + self._more[0], PIXELS
        self._stream, self._frame = stream, av.VideoFrame.from_ndarray

    def write(self, image: NDArray[np.uint8]) -> None:
        even = np.pad(image, ((0, self._more[0]), (0, self._more[1]), (0, 0)), mode="edge")
        self._file.mux(self._stream.encode(self._frame(even, format="bgr24")))

    def release(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()
