"""Where the view is shown: in a window, on a page for a browser, or later from a file."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from inspect import signature
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import rerun as rr
import rerun_cli

from .blueprint import blueprint

LOOPBACK = "127.0.0.1"
MEMORY = "1GB"  # of data that a viewer holds before it forgets the oldest
PORTS = 20  # that are tried for a page
START_TIMEOUT = 30.0  # seconds


class Viewer:
    """A recording, and the program that shows what is logged to it.

    kind: one of `VIEWERS`; auto is a window where there is a display, else a page. file: that of a recording, an old
    one is overwritten. port: on loopback, where a window or a page gets its data; the page itself is on the next one.
    A page takes later ports where these are in use. A window that is open there already is used again; it stays open
    at the end.

    Raises OSError, naming the fix, if a viewer cannot be started or a file cannot be written.
    """

    def __init__(self, kind: str, file: Path, port: int) -> None:
        self.recording = rr.RecordingStream("silk_ros", recording_id=uuid4())
        self._program: subprocess.Popen | None = None
        self._page: subprocess.Popen | None = None
        if kind == "auto":
            kind = "spawn" if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else "web"
        if kind == "file":
            file.open("wb").close()  # an error here is an OSError that names the file
            # A footer would be collected in memory for as long as the node runs; older versions of Rerun have none.
            has_footer = "write_footer" in signature(self.recording.save).parameters
            footer = {"write_footer": False} if has_footer else {}
            self.recording.save(file, default_blueprint=blueprint(), **footer)
            self.place = f"the view is recorded in {file}: open it with the program rerun"
            return
        if kind == "spawn":
            if not _answers(port):
                self._program = _start(port, "--memory-limit", MEMORY)
            self.place = "the view is in the window of Rerun"
        else:
            port = _free(port)
            self._program = self._page = _start(port, "--serve-web", "--web-viewer-port", str(port + 1))
            self.place = f"the view is at http://{LOOPBACK}:{port + 1}/?url={quote(_address(port), safe='')}"
        self.recording.connect_grpc(_address(port), default_blueprint=blueprint())

    @property
    def ended(self) -> bool:
        """Whether the program that shows the recording has ended, such as when its window was closed."""
        return self._program is not None and self._program.poll() is not None

    def close(self) -> None:
        """Write out what is left. The page ends, a window stays open. Safe to call twice."""
        self.recording.disconnect()
        if self._page is not None:
            self._page.terminate()
            self._page.wait()


def _start(port: int, *options: str) -> subprocess.Popen:
    """Start Rerun's program and wait until it listens. It is not in the terminal's group, whose Ctrl+C would end it
    before the last data has come."""
    binary = Path(rerun_cli.__file__).with_name("rerun")  # the wrapper around it would not pass a signal on
    command = [str(binary), "--bind", LOOPBACK, "--port", str(port), "--server-memory-limit", MEMORY, *options]
    environment = {"RUST_LOG": "warn", **os.environ}  # without this it logs its own addresses
    program = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, env=environment)
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(port):
        if program.poll() is not None or time.monotonic() > deadline:
            program.kill()
            fix = "without a display set viewer to web or file"
            raise OSError(f"Rerun's viewer does not start (exit code {program.poll()}), see the log above: {fix}")
        time.sleep(0.05)
    return program


def _address(port: int) -> str:
    return f"rerun+http://{LOOPBACK}:{port}/proxy"


def _free(first: int) -> int:
    """The first of PORTS ports that is free and so is the next one. Raises OSError where there is none."""
    for port in range(first, first + PORTS):
        if not _answers(port) and not _answers(port + 1):
            return port
    raise OSError(f"ports {first} to {first + PORTS} are in use: give the parameter port another value")


def _answers(port: int) -> bool:
    """Whether a program listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
