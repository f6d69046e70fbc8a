"""The log and the progress bars on the terminal, for commands."""

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
def console_log(*programs: str) -> Iterator[None]:
    """Print warnings, and what the sources of images say they read. Also a decorator of `main`.

    programs: names of further loggers whose information is printed.
    """
    handler = _Console()
    loggers = [logging.getLogger(name) for name in ("silk_ros.images", *programs)]
    levels = [logger.level for logger in loggers]
    logging.root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def progress_bar(description: str, unit: str, total: int | None = None) -> tqdm:
    """A bar on standard error such as "matching: 40% |####      | pair 12 of 30 [00:08, 00:12 left]".

    unit: what is counted, in the singular. total: None where it is not known; there is a counter then.
    """
    layout = "{desc}: {unit} {n_fmt} [{elapsed}]"
    if total is not None:
        layout = "{desc}: {percentage:3.0f}% |{bar}| {unit} {n_fmt} of {total_fmt} [{elapsed}, {remaining} left]"
    return tqdm(desc=description, total=total, unit=unit, bar_format=layout, file=sys.stderr)
