"""Lock-step of a player: nominal stamps, and the wait for the answer to each image."""

from __future__ import annotations

import threading

from builtin_interfaces.msg import Time
from rclpy.node import Node
from std_msgs.msg import Header

from ..images.source import FIRST_STAMP

LOOK = 0.1  # seconds between two looks at whether the node ends


class LockStep:
    """Subscribes to `~/next`, a header with the stamp of the image that is answered."""

    def __init__(self, node: Node) -> None:
        self._nanoseconds: int | None = None  # the stamp of the last image
        self._stamp = Time()
        self._answered = threading.Event()
        self._lock = threading.Lock()  # of the two: an answer that comes twice is never one to the next image
        node.create_subscription(Header, "~/next", self._on_next, 10)

    def _on_next(self, message: Header) -> None:
        with self._lock:
            if message.stamp == self._stamp:
                self._answered.set()

    def next_stamp(self, interval: float, recorded: int | None) -> Time:
        """The stamp of the next image, which depends on the source only and never on the time of day.

        interval: seconds since the last image. recorded: its own stamp in nanoseconds, for the first image to start at.
        """
        if self._nanoseconds is None:
            self._nanoseconds = recorded or FIRST_STAMP
        else:
            self._nanoseconds += round(interval * 1e9)
        sec, nanosec = divmod(self._nanoseconds, 10**9)
        with self._lock:
            self._answered.clear()
            self._stamp = Time(sec=sec, nanosec=nanosec)
        return self._stamp

    def wait_for_answer(self, stopping: threading.Event) -> None:
        """Wait until the last image is answered, or `stopping` is set."""
        while not self._answered.wait(LOOK) and not stopping.is_set():
            pass
