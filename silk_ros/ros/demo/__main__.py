"""Runs the demo: `python -m silk_ros.ros.demo`, or `make demo`."""

from __future__ import annotations

import sys

from rclpy.executors import ExternalShutdownException

from .options import DemoOptions, check_source, parse
from .report import print_report
from .results import Results
from .session import DemoError, DemoSession


def run(options: DemoOptions) -> int:
    """Play a source through the nodes and report. Returns the exit code."""
    try:
        check_source(options)
        results = Results(options.output)
    except (OSError, ValueError, ImportError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    try:
        return _play(options, results)
    except (DemoError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        results.discard()


def _play(options: DemoOptions, results: Results) -> int:
    """Raises DemoError, and OSError or ValueError where the results cannot be put in place."""
    session = DemoSession(options, results.folder)
    try:
        session.watch()
    except (KeyboardInterrupt, ExternalShutdownException):
        print("stopped", file=sys.stderr)
    finally:
        session.close()
    if len(session.monitor.records) < 2:
        raise DemoError("fewer than two images were processed, which gives no matches: nothing is written")
    print_report(session.monitor, options, results)
    return 0


def main(arguments: list[str] | None = None) -> int:
    return run(parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
