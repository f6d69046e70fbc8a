"""The images of a video file, or of a camera attached to this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from .source import Source, SourceImage


class VideoSource(Source):
    """The images of a video file, or of a camera by its index."""

    def __init__(self, source: Path | int) -> None:
        super().__init__(str(source))
        self._source = source if isinstance(source, int) else str(source)
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else 30.0
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._source)
        if not capture.isOpened():
            what = "camera" if isinstance(self._source, int) else "video"
            raise ValueError(
                f"cannot open the {what} '{self._source}': check that it exists and that OpenCV can decode it"
            )
        return capture

    def _read(self) -> Iterator[SourceImage]:
        capture = self._open()
        try:
            while True:
                more, image = capture.read()
                if not more:
                    return
                yield SourceImage.from_array(image)
        finally:
            capture.release()
