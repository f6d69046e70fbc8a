from __future__ import annotations

from pathlib import Path

import pytest

from silk_ros.images.sources import open_source


@pytest.mark.parametrize("name", ["missing", "missing.mcap", "missing.mp4", ""])
def test_a_missing_path_lists_what_can_be_played(tmp_path: Path, name: str) -> None:
    missing = str(tmp_path / "nowhere" / name)
    with pytest.raises(ValueError, match=r"no source .*: give 'flight', a camera index, a folder of images or"):
        open_source(missing)
