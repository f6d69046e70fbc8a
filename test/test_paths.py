from __future__ import annotations

import os
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


@pytest.mark.parametrize(("umask", "mode", "expected"), [(0o022, paths.SHARED, 0o644), (0o007, paths.SHARED, 0o660)])
def test_a_written_file_has_the_permissions_of_the_umask(tmp_path: Path, umask: int, mode: int, expected: int) -> None:
    before = os.umask(umask)
    try:
        paths.write_atomically(tmp_path / "file", b"content", mode)
        paths.write_atomically(tmp_path / "private", b"content", paths.PRIVATE)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "file").stat().st_mode & 0o777 == expected
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"file", "private"}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """models/ is allowed, secret/ is not; the process stands in models/ and calls it its home."""
    for name in ("models/own.onnx", "models/sub/deep.onnx", "secret/own.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "models" / "inside.onnx").symlink_to("sub/deep.onnx")
    (tmp_path / "models" / "link.onnx").symlink_to(tmp_path / "secret" / "own.onnx")
    (tmp_path / "models" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "models" / "loop.onnx").symlink_to("loop.onnx")
    (tmp_path / "way_in.onnx").symlink_to("models/own.onnx")
    monkeypatch.chdir(tmp_path / "models")
    monkeypatch.setenv("HOME", str(tmp_path / "models"))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("{tree}/models/own.onnx", "models/own.onnx"),
        ("{tree}/models/sub/../own.onnx", "models/own.onnx"),
        ("{tree}/secret/../models/own.onnx", "models/own.onnx"),
        ("{tree}/models/inside.onnx", "models/sub/deep.onnx"),
        ("{tree}/way_in.onnx", "models/own.onnx"),
        ("own.onnx", "models/own.onnx"),
        ("~/own.onnx", "models/own.onnx"),
        ("{tree}/models/not_there.onnx", "models/not_there.onnx"),
    ],
)
def test_a_model_inside_is_given_without_links(tree: Path, path: str, leads_to: str) -> None:
    assert paths.confined(path.format(tree=tree), [tree / "models"]) == tree / leads_to


@pytest.mark.parametrize(
    "path",
    [
        "{tree}/secret/own.onnx",
        "{tree}/models/../secret/own.onnx",
        "../secret/own.onnx",
        "~/../secret/own.onnx",
        "~nobody_of_this_name/own.onnx",
        "{tree}/models/link.onnx",
        "{tree}/models/folder/own.onnx",
        "{tree}/models/loop.onnx/../../secret/own.onnx",
        "{tree}/models_too/own.onnx",
        "{tree}/models/own.onnx\0",
        "/etc/passwd",
        "/",
        "",
    ],
)
def test_a_model_outside_is_refused(tree: Path, path: str) -> None:
    os.chdir(tree)  # of which an empty path would be
    path = path.format(tree=tree)
    with pytest.raises(ValueError, match=rf"outside '.*models', '{tree}/models': put the file there, or .* model_dirs"):
        paths.confined(path, [tree / "models"])


def test_the_refusal_does_not_tell_what_is_there(tree: Path) -> None:
    def refusal(name: str) -> str:
        with pytest.raises(ValueError) as caught:
            paths.confined(tree / "secret" / name, [tree / "models"])
        return str(caught.value).replace(name, "NAME")

    assert refusal("own.onnx") == refusal("not_there.onnx") == refusal("x" * 5000)


def test_folders_that_are_none_allow_nothing(tree: Path) -> None:
    for folder in ("", tree / "not_there", "~nobody_of_this_name", tree / "models" / "loop.onnx", "\0"):
        with pytest.raises(ValueError, match="model_dirs"):
            paths.confined(tree / "models" / "own.onnx", [folder])


def test_the_shipped_model_is_always_allowed() -> None:
    assert paths.confined(paths.default_model(), []) == paths.default_model().resolve()
    with pytest.raises(ValueError, match=r"model_path 'a\\nb' is outside"):
        paths.confined("a\nb", [])  # one line in a log
