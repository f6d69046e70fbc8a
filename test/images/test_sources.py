from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from layouts import numbered, view, write_euroc, write_images, write_kitti, write_stereo, write_video

from silk_ros.images.flight import FlightSource
from silk_ros.images.sources import open_recorded, open_source


@pytest.mark.parametrize("name", ["missing", "missing.mcap", "missing.mp4", "9999", ""])
@pytest.mark.parametrize("topic", ["", "/image_raw"])
def test_a_missing_path_lists_what_can_be_played(tmp_path: Path, name: str, topic: str) -> None:
    missing = str(tmp_path / "nowhere" / name)
    with pytest.raises(ValueError, match=r"no source .*: give 'flight', a folder of images or"):
        open_source(missing, topic)


@pytest.mark.parametrize("name", ["", " ", "9999", "~nobody/images", "a\0b", "x" * 300])
def test_no_path_at_all_is_no_source(name: str) -> None:
    with pytest.raises(ValueError, match=r"no source|cannot read"):
        open_source(name)


@pytest.mark.parametrize("name", ["00", "5", "flight", "run #1", "50%", "a?b", "[left]", "drive*", "my.bag of photos"])
def test_a_path_that_exists_is_a_path_whatever_it_is_called(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / name, numbered())
    monkeypatch.chdir(tmp_path)
    for given in (name, f"{name}/", f"./{name}", str(tmp_path / name), f"{name}/*.png"):
        assert len(list(open_source(given))) == 4
        assert len(list(open_recorded(given))) == 4


def test_a_name_of_nothing_is_what_it_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_source("flight"), FlightSource)
    with pytest.raises(ValueError, match="cannot open the camera '97'"):
        open_source("97")
    with pytest.raises(ValueError, match="'97' is a camera, which never ends: record it first"):
        open_recorded("97")


@pytest.mark.parametrize("pattern", ["*.png", "00000?.png", "00000[0-3].png", "../*/00*.png", "**/*.png"])
def test_patterns_choose_images(tmp_path: Path, pattern: str) -> None:
    write_images(tmp_path / "images", [*numbered(), "other.jpg"])
    assert len(list(open_source(f"{tmp_path / 'images'}/{pattern}"))) == 4


def test_a_pattern_in_a_folder_with_a_bracket(tmp_path: Path) -> None:
    write_images(tmp_path / "run[1]", numbered())
    assert len(list(open_source(str(tmp_path / "run[1]" / "*.png")))) == 4


def test_one_image_is_a_source(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png", "[a]*.png"])
    (image,) = open_source(str(tmp_path / "[a]*.png"))
    assert image.gray().tobytes() == view(1).tobytes()


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"no source '.*images': it is a link to '.*gone', which does not exist"):
        open_source(str(tmp_path / "images"))


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_source_that_may_not_be_read_says_so(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may read everything, so the system's answer is simulated."""
    source = write_images(tmp_path / "images", numbered()) if kind == "folder" else tmp_path / "v.avi"

    def denied(path: object, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    if kind == "file":
        monkeypatch.setattr(Path, "exists", denied)
    else:
        monkeypatch.setattr(os, "listdir", denied)
        monkeypatch.setattr(os, "scandir", denied)
        monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(ValueError, match=r"cannot read '.*' \(Permission denied\): check its permissions"):
        open_source(str(source))


@pytest.mark.parametrize("write", [write_kitti, write_stereo, write_video])
@pytest.mark.parametrize(("topic", "rectified"), [("/image_raw", "auto"), ("", "true"), ("", "false")])
def test_what_is_of_recordings_only_is_refused_for_others(
    tmp_path: Path, write: Callable[[Path], Path], topic: str, rectified: str
) -> None:
    source = write(tmp_path / "v.avi")
    with pytest.raises(ValueError, match=r"is of a recording, but '.*v.avi' is none: leave it out"):
        open_source(str(source), topic, rectified)


@pytest.mark.parametrize("name", ["drive.bag", "drive.db3", "drive.mcap.zstd"])
def test_a_data_set_beside_its_recording_is_the_data_set(tmp_path: Path, name: str) -> None:
    """EuRoC is published as both, and people keep both in one folder."""
    write_euroc(tmp_path)
    (tmp_path / name).write_bytes(b"a recording")
    assert "EuRoC" in open_source(str(tmp_path)).about
    with pytest.raises(ValueError, match="recording"):
        open_source(str(tmp_path), "/cam0/image_raw")
    with pytest.raises(ValueError, match="recording"):
        open_source(str(tmp_path / name))


def test_an_empty_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no images '.*': there should be .*\.png.* or one of these layouts: EuRoC"):
        open_source(str(tmp_path))


def test_folders_and_videos_know_their_length_and_files_their_names(tmp_path: Path) -> None:
    write_images(tmp_path / "all" / "a", numbered())
    write_images(tmp_path / "all" / "b", numbered())
    source = open_source(str(tmp_path / "all" / "**" / "*"))
    images = list(source)
    assert source.length == len(images) == 8
    assert len({image.name for image in images}) == 8 and all(image.name[:2] in ("a/", "b/") for image in images)
    assert all(image.path == tmp_path / "all" / image.name for image in images)
    video = open_source(str(write_video(tmp_path / "v.avi")))
    assert video.length == 20 and {(image.name, image.path) for image in video} == {("", None)}
    assert FlightSource().length == 600
