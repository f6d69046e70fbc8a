"""The log on the terminal, for commands."""

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
    """Print warnings, and what the sources of images say they read. Also a decorator of `main`."""
    images, handler = logging.getLogger("silk_ros.images"), _Console()
    level = images.level
    logging.root.addHandler(handler)
    images.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        images.setLevel(level)
