from __future__ import annotations

from pathlib import Path

import pytest

from silk_ros import paths


def test_the_source_tree_holds_the_default_model() -> None:
    assert (paths.share_directory() / "package.xml").is_file()
    assert paths.default_model().is_file() and paths.default_model().suffix == ".onnx"


def test_an_installation_is_found_under_its_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path / "share" / "silk_ros"
    share.mkdir(parents=True)
    (share / "package.xml").touch()
    monkeypatch.setattr(
        paths, "__file__", str(tmp_path / "lib" / "python3.12" / "site-packages" / "silk_ros" / "paths.py")
    )
    assert paths.share_directory() == share
    assert paths.default_model().parent == share / "models"


def test_a_broken_installation_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "silk_ros" / "paths.py"))
    with pytest.raises(FileNotFoundError, match="install silk_ros again"):
        paths.share_directory()


def test_the_cache_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = paths.cache_directory("engines")
    assert folder == tmp_path / "silk_ros" / "engines"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_cache_where_none_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert paths.cache_directory("engines") is None
