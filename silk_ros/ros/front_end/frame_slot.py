"""The slot of the newest frame, which spares a busy worker a growing queue."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class FrameSlot(Generic[T]):
    """Holds one item. `put` never waits and replaces an item that nobody took; `take` waits."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: T | None = None
        self._closed = False

    def put(self, item: T | None) -> bool:
        """Store an item. Returns True if that dropped an older one."""
        with self._condition:
            dropped = self._item is not None
            self._item = item
            self._condition.notify()
            return dropped

    def take(self) -> T | None:
        """Wait for an item and take it; None once the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def clear(self) -> bool:
        """Throw away an item that nobody took. Returns True if there was one."""
        return self.put(None)

    def close(self) -> None:
        """End all waiting, now and later."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
