"""Stopping a training between two steps when a signal asks for it."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType

from tqdm import tqdm

from .distributed import Workplace

SIGNALS = signal.SIGINT, signal.SIGTERM
AGREE_EVERY = 10  # steps between two agreements of several processes


class Stopped(KeyboardInterrupt):
    """A training stopped after a whole step, with its checkpoint written. `status` is the exit status of a program."""

    def __init__(self, number: int, steps: int) -> None:
        super().__init__(f"stopped after {steps} steps")
        self.status = 128 + number
        self.steps = steps


class StopRequest:
    """Context in which the first SIGINT (Ctrl-C) or SIGTERM asks to stop. The second one stops the program at once."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._handlers: dict[int, signal._HANDLER] = {}
        self.number = 0  # the signal that came

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
            self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.__exit__(None, None, None)
        if self._place.is_main:
            tqdm.write("stopping as soon as the checkpoint is written; again to stop at once", file=sys.stderr)

    def after(self, step: int) -> bool:
        """Whether to stop after this step: in all processes after the same one, when the main process was asked to."""
        if self._place.world == 1:
            return bool(self.number)
        return step % AGREE_EVERY == 0 and self._place.from_main(bool(self.number))
