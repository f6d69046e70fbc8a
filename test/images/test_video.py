from __future__ import annotations

import itertools
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from layouts import SIZE, view, write_video

from silk_ros.images.sources import open_source
from silk_ros.images.video import VideoSource


def levels(path: Path) -> list[int]:
    """Which frame of the video each image is, by the nearest view."""
    images = np.array([image.gray() for image in open_source(str(path))], float)
    views = np.array([view(index) for index in range(20)], float)
    return [int(np.abs(views - image).mean(axis=(1, 2)).argmin()) for image in images]


def test_a_video_is_played_in_order_at_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (64, 48))
    assert writer.isOpened()
    for level in range(8):
        writer.write(np.full((48, 64, 3), 30 * level, np.uint8))
    writer.release()
    source = open_source(str(path))
    assert source.rate == pytest.approx(12)
    for _ in range(2):
        images = list(source)
        assert {(image.encoding, image.width, image.height, image.step) for image in images} == {("bgr8", 64, 48, 192)}
        np.testing.assert_allclose([image.data.mean() for image in images], 30 * np.arange(8), atol=4)


@pytest.mark.parametrize(
    ("name", "codec"), [("v.avi", "MJPG"), ("v.mp4", "mp4v"), ("v.mkv", "MJPG"), ("v.avi", "FFV1")]
)
def test_images_have_the_times_of_the_video(
    tmp_path: Path, name: str, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / name, codec)
    assert levels(path) == [*range(20)]
    stamps = [image.stamp for image in open_source(str(path))]
    np.testing.assert_allclose(np.array(stamps, float), 1e9 + 1e8 * np.arange(20), atol=2e6)
    assert not caplog.messages


def frames_of(data: bytes) -> list[int]:
    """Where the data of each frame of an .avi starts."""
    return [match.end() - 2 for match in re.finditer(rb"00dc....\xff\xd8", data, re.DOTALL)]


@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        ([8, 9, 10, 11, 12], "15 images were read, 5 were left out"),
        ([0], "19 images were read, 1 was left out"),
        ([*range(19)], "1 image was read, 19 were left out"),
    ],
)
def test_damaged_frames_in_the_middle_are_left_out_and_counted(
    tmp_path: Path, damaged: list[int], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "v.avi")
    data = bytearray(path.read_bytes())
    starts = frames_of(data)
    for frame in damaged:
        at = starts[frame]
        size = int.from_bytes(data[at - 4 : at], "little")
        data[at : at + size] = bytes(size)
    path.write_bytes(data)
    whole = [index for index in range(20) if index not in damaged]
    assert levels(path) == whole
    assert f"'{path}', frame {damaged[0]}: left out: it cannot be decoded" in caplog.messages[0]
    assert caplog.messages[-1] == f"'{path}': {told}"
    stamps = [image.stamp for image in open_source(str(path))]
    np.testing.assert_allclose(np.array(stamps, float), 1e9 + 1e8 * np.array(whole), atol=2e6)


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "MJPG"), ("v.avi", "XVID"), ("v.mkv", "MJPG")])
def test_a_video_that_was_cut_off_says_what_is_missing(
    tmp_path: Path, name: str, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / name, codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    used = len(levels(path))
    assert 8 <= used <= 14
    assert f"it holds {used} of the 20 frames that its header announces, {20 - used} are missing" in caplog.messages[-1]


def test_damage_in_a_compressed_stream_leaves_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "v.mp4", "mp4v")
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + len(data) // 5] = bytes(len(data) // 5)
    path.write_bytes(data)
    found = list(open_source(str(path)))
    assert 10 <= len(found) < 20
    assert caplog.messages


@pytest.mark.parametrize("name", ["video.mp4", "notes.txt", "notes.pdf"])
def test_a_file_that_is_no_video_is_explained(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("nothing to see here")
    with pytest.raises(ValueError, match=f"cannot open the video '.*{name}': check that it is a video and"):
        open_source(str(tmp_path / name))


def test_a_video_without_its_index_is_explained(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", "mp4v")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match="one whose recording did not end lacks its index, which repair tools"):
        open_source(str(path))


def test_an_empty_video_is_explained(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    with pytest.raises(ValueError, match=r"cannot open the video '.*v.mp4': it is empty, record it again"):
        open_source(str(tmp_path / "v.mp4"))


def test_a_missing_camera_is_explained() -> None:
    with pytest.raises(ValueError, match="cannot open the camera '97'"):
        open_source("97")


@pytest.mark.parametrize("name", ["a:b.avi", "file:x.avi", "50%.avi", "v #1?.avi", "über.avi", "-.avi"])
def test_a_video_may_be_called_anything(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "v.avi").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(open_source(name))) == 20


def test_a_video_that_is_to_be_shown_turned_keeps_its_pixels(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", "mp4v")
    data = path.read_bytes()
    upright = b"".join(value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))
    turned = b"".join(value.to_bytes(4, "big") for value in (0, 1 << 16, 0, (1 << 32) - (1 << 16), 0, 0, 0, 0, 1 << 30))
    header = data.index(b"tkhd")
    at = data.index(upright, header)
    path.write_bytes(data[:at] + turned + data[at + len(upright) :])
    assert cv2.VideoCapture(str(path)).read()[1].shape[:2] == SIZE  # the test means something
    assert {(image.width, image.height) for image in open_source(str(path))} == {SIZE}


class Footage:
    """A cv2.VideoCapture of frames at given times in milliseconds, with a header of its own; None fails."""

    def __init__(self, times: list[float | None], fps: float, count: float) -> None:
        self.left, self.time = list(times), 0.0
        self.header = {cv2.CAP_PROP_FPS: fps, cv2.CAP_PROP_FRAME_COUNT: count}

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        return True

    def release(self) -> None:
        pass

    def get(self, key: int) -> float:
        return self.time if key == cv2.CAP_PROP_POS_MSEC else self.header[key]

    def grab(self) -> bool:
        time = self.left.pop(0) if self.left else None
        self.time = time or 0.0
        return time is not None

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, np.zeros((4, 6, 3), np.uint8)) if self.grab() else (False, None)


def footage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: list[float | None], fps: float, count: float
) -> Path:
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: Footage(times, fps, count))
    (tmp_path / "v.mkv").write_bytes(b"footage")
    return tmp_path / "v.mkv"


@pytest.mark.parametrize(
    ("times", "fps", "rate"),
    [
        ([0, 33, 67, 100, 133], 29.97, 29.97),
        ([0, 100, 200, 300, 400], 1000.0, 10),  # the unit of time of a container
        ([0, 100, 200, 300, 400], 0.0, 10),
        ([0, 100, 200, 300, 400], float("nan"), 10),
        ([0, 50, 100, 5000, 5050], 0.99, 20),  # the mean of a video with a pause
        ([0, 0, 0], 0.0, 30),
        ([0, 0, 0], 25.0, 25),
    ],
)
def test_the_rate_is_that_of_the_frames(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: list[float | None], fps: float, rate: float
) -> None:
    source = VideoSource(footage(monkeypatch, tmp_path, times, fps, len(times)))
    assert source.rate == pytest.approx(rate)
    assert ("in the header" in source.about) == (rate not in (fps, 30))


def test_gaps_are_kept_and_time_never_goes_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = footage(monkeypatch, tmp_path, [0, 100, 200, 3200, 3100, 3300], 10, 6)
    stamps = [image.stamp for image in VideoSource(path) if image.stamp is not None]
    assert stamps[:4] == [10**9, 10**9 + 10**8, 10**9 + 2 * 10**8, 10**9 + 32 * 10**8]
    assert all(after > before for before, after in itertools.pairwise(stamps))


@pytest.mark.parametrize("count", [0.0, -9.2e18, float("nan"), 1e18, 3.0, 4.0])
def test_a_wrong_number_of_frames_in_the_header_is_harmless(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: float, caplog: pytest.LogCaptureFixture
) -> None:
    path = footage(monkeypatch, tmp_path, [0, 100, None, 300], 10, count)
    assert len(list(VideoSource(path))) == 3
    assert len(caplog.messages) == 2 and "frame 2: left out" in caplog.messages[0]


def test_a_camera_that_stops_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: Footage([0, None, 100, 200], 30, -1))
    images = list(VideoSource(0))
    assert [image.stamp for image in images] == [None] * 3
    assert "the camera '0' gives no more images: check its cable" in caplog.messages
