"""The images of a video file, or of a camera attached to this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import cv2

from ..words import counted
from .source import FIRST_STAMP, Lost, Source, SourceImage, usual_rate

UNKNOWN_RATE = 30.0  # Hz, of a camera or a video that does not tell
SAMPLES = 30  # frames whose times check the rate in the header
CAMERA_PATIENCE, MIN_PATIENCE = 3, 1000  # failures in turn after which a camera or a video has ended
MAX_FRAMES = 10_000_000  # a header that announces more is wrong


class VideoSource(Source):
    """The images of a video file, or of a camera by its index. Pixels stay where they are stored, without rotation.

    A video's images have stamps by their times, which start at FIRST_STAMP. Raises ValueError, naming the fix, for a
    file or a camera that cannot be opened.
    """

    def __init__(self, source: Path | int) -> None:
        super().__init__(str(source))
        self._source = source if isinstance(source, int) else str(source.absolute())  # "a:b" would be a protocol
        self._announced, self._patience = 0, CAMERA_PATIENCE
        with self._opened() as capture:
            header = capture.get(cv2.CAP_PROP_FPS)
            self.rate = header if 0 < header < 1000 else UNKNOWN_RATE
            if isinstance(source, Path):
                frames = capture.get(cv2.CAP_PROP_FRAME_COUNT)
                self._announced = int(frames) if 0 < frames <= MAX_FRAMES else 0
                self.length = self._announced or None
                self._patience = max(MIN_PATIENCE, self._announced)
                self._check_rate(capture, header)
                number = counted(self._announced, "frame") if self._announced else "an unknown number of frames"
                self.about = self.about or f"'{self.name}': a video of {number}, {self.rate:.1f} images per second"

    def _check_rate(self, capture: cv2.VideoCapture, header: float) -> None:
        """Take the rate of the frames' times where the header contradicts them."""
        times = [_time(capture) for _ in range(SAMPLES) if capture.grab()]
        if len(set(times)) < 2:
            return
        measured = usual_rate(times)
        if not 0.8 < header / measured < 1.25:  # times may be rounded to milliseconds
            self.rate = measured
            self.about = f"'{self.name}': {measured:.1f} images per second by their times, {header:g} in the header"

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        capture = cv2.VideoCapture(self._source)
        try:
            if not capture.isOpened():
                raise ValueError(self._refusal())
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # calibrations belong to the pixels as they are stored
            yield capture
        finally:
            capture.release()

    def _refusal(self) -> str:
        if isinstance(self._source, int):
            fix = f"check that it exists and that OpenCV can decode it; a folder of that name is './{self.name}'"
            return f"cannot open the camera '{self.name}': {fix}"
        path = Path(self._source)
        if path.is_file() and not path.stat().st_size:
            return f"cannot open the video '{self.name}': it is empty, record it again"
        fix = "check that it is a video and that OpenCV can decode it"
        if self.name.lower().endswith((".mp4", ".mov", ".m4v")):
            fix += "; one whose recording did not end lacks its index, which repair tools write again"
        return f"cannot open the video '{self.name}': {fix}"

    def _read(self) -> Iterator[SourceImage | Lost]:
        with self._opened() as capture:
            failures, stamp = 0, None
            for number in count():
                more, image = capture.read()
                if more:
                    for lost in range(number - failures, number):
                        yield Lost(f"frame {lost}", "it cannot be decoded: the video is damaged there")
                    failures, stamp = 0, self._stamp(capture, stamp)
                    yield SourceImage.from_array(image, stamp=stamp)
                    continue
                failures += 1
                if failures > self._patience:
                    self._say_end(number + 1 - failures)
                    return

    def _stamp(self, capture: cv2.VideoCapture, last: int | None) -> int | None:
        """The stamp of the frame that was read, after that of the last one; None for a camera."""
        if isinstance(self._source, int):
            return None
        stamp = FIRST_STAMP + _time(capture)
        return stamp if last is None or stamp > last else last + round(1e9 / self.rate)

    def _say_end(self, frames: int) -> None:
        """Warn of a camera that stopped, and of a video with fewer frames than its header announces.

        Some containers only estimate the number, by one more or less.
        """
        if isinstance(self._source, int):
            self._say("end", f"the camera '{self.name}' gives no more images: check its cable")
        elif frames < self._announced - 1:
            missing = self._announced - frames
            self._say(
                "end",
                f"'{self.name}' is cut off or damaged: it holds {frames:,} of the {counted(self._announced, 'frame')} "
                f"that its header announces, {missing:,} are missing",
            )


def _time(capture: cv2.VideoCapture) -> int:
    """The time of the frame that was read, in nanoseconds from the start of the video."""
    return round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
