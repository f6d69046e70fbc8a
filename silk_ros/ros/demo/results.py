"""The folder of the demo's results, which holds those of one run that succeeded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

FILES = ("overlay.mp4", "overlay.png", "trajectory.png", "frames.csv", "odometry.txt", "camera.yaml", "demo.rrd")


class Results:
    """The results of a run: written into the new folder `folder` beside `output`, which they replace at the end.

    Raises ValueError, naming the fix, for an `output` with other files, and OSError.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        if output.exists() and not output.is_dir():
            raise ValueError(f"'{output}' is a file: name a folder with --output")
        self._check()
        beside = next(folder for folder in output.absolute().parents if folder.is_dir())
        self.folder = beside / f".{output.absolute().name}.{os.getpid()}"
        self.folder.mkdir()

    def _check(self) -> None:
        others = sorted(path.name for path in self._old() if path.name not in FILES)
        if others:
            named = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            raise ValueError(
                f"'{self._output}' holds files that are not of the demo ({named}), and its results replace a folder: "
                "name another one with --output"
            )

    def _old(self) -> list[Path]:
        return list(self._output.iterdir()) if self._output.is_dir() else []

    def put_in_place(self) -> list[str]:
        """Replace what an earlier run left. Returns the names of the files. Raises OSError, and ValueError as above."""
        self._check()
        for old in self._old():
            old.unlink()
        self._output.mkdir(parents=True, exist_ok=True)
        written = [name for name in FILES if (self.folder / name).exists()]
        for name in written:
            shutil.move(self.folder / name, self._output / name)
        return written

    def discard(self) -> None:
        """Remove the new folder. Safe to call after `put_in_place`."""
        shutil.rmtree(self.folder, ignore_errors=True)
