"""The log of the package on the terminal, for commands."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


class _Console(logging.Handler):
    """Writes to standard error, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        tqdm.write(f"{level}{record.getMessage()}", file=sys.stderr)


@contextmanager
def console_log() -> Iterator[None]:
    """Print the warnings of the package, and what its sources of images say they read. Also a decorator of `main`."""
    package, images = logging.getLogger("silk_ros"), logging.getLogger("silk_ros.images")
    handler, level, propagate = _Console(), images.level, package.propagate
    package.addHandler(handler)
    package.propagate = False
    images.setLevel(logging.INFO)
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.propagate = propagate
        images.setLevel(level)
