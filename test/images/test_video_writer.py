from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from silk_ros.images.sources import open_source
from silk_ros.images.video_writer import open_video_writer


def write(path: Path, width: int, height: int) -> None:
    writer = open_video_writer(path, 7.5, width, height)
    for level in range(12):
        writer.write(np.full((height, width, 3), (20 * level, 100, 240 - 20 * level), np.uint8))
    writer.release()


@pytest.mark.parametrize(("width", "height"), [(64, 48), (65, 48), (64, 47), (125, 37)])
def test_the_video_is_one_that_browsers_play(tmp_path: Path, width: int, height: int) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "overlay.mp4"
    write(path, width, height)
    with av.open(str(path)) as file:
        (stream,) = file.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (width + width % 2, height + height % 2)
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")  # it plays before it has loaded
    source = open_source(str(path))
    images = [np.asarray(image.data).reshape(image.height, image.width, 3) for image in source]
    assert source.rate == pytest.approx(7.5) and len(images) == 12
    for level, image in enumerate(images):
        np.testing.assert_allclose(image.mean(axis=(0, 1)), (20 * level, 100, 240 - 20 * level), atol=12)


def test_without_pyav_there_is_a_video_and_the_log_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    write(tmp_path / "overlay.mp4", 64, 48)
    assert len(list(open_source(str(tmp_path / "overlay.mp4")))) == 12
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "browsers will not play this video" in said and said.endswith("pip install av")


@pytest.mark.parametrize("installed", [True, False])
def test_a_folder_that_does_not_exist_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if installed:
        pytest.importorskip("av")
    else:
        monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OSError, match=r"overlay\.mp4"):
        write(tmp_path / "nowhere" / "overlay.mp4", 64, 48)
