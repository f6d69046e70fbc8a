from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from silk_ros.images.sources import open_source


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


@pytest.mark.parametrize("name", ["video.mp4", "notes.txt"])
def test_a_file_that_is_no_video_is_explained(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("nothing to see here")
    with pytest.raises(ValueError, match=f"cannot open the video '.*{name}': check that it exists and that OpenCV"):
        open_source(str(tmp_path / name))


def test_a_missing_camera_is_explained() -> None:
    with pytest.raises(ValueError, match="cannot open the camera '97'"):
        open_source("97")
