"""Log lines that repeat with every frame, reduced to what a person can read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.subscription import Subscription

REPEAT_AFTER = 30.0  # seconds
AT_MOST_EVERY = 1.0  # seconds; of a kind that differs with every frame


class ChangeLog:
    """Logs a message of a kind when it differs from the last of that kind, or when that was some time ago."""

    def __init__(
        self, log: Callable[[str], object], repeat_after: float = REPEAT_AFTER, at_most_every: float = AT_MOST_EVERY
    ) -> None:
        self._log = log
        self._repeat_after, self._at_most_every = repeat_after, at_most_every
        self._last: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def report(self, kind: str, message: str) -> None:
        now = time.monotonic()
        with self._lock:
            last_message, last_time = self._last.get(kind, ("", -float("inf")))
            if now - last_time < (self._repeat_after if message == last_message else self._at_most_every):
                return
            self._last[kind] = (message, now)
        self._log(message)


def no_data_warning(node: Node, subscription: Subscription, timeout: float) -> str:
    """Why a subscription may hear nothing: its topic, who publishes it, and the QoS of both sides."""
    topic, own = subscription.topic_name, subscription.qos_profile.reliability.name
    publishers = [
        f"{info.node_namespace.rstrip('/')}/{info.node_name} ({info.topic_type}, {info.qos_profile.reliability.name})"
        for info in node.get_publishers_info_by_topic(topic)
    ]
    if not publishers:
        return f"no data on {topic} for {timeout:g} s and nobody publishes it: remap it to your camera's topic"
    deaf = own == "RELIABLE" and any("BEST_EFFORT" in publisher for publisher in publishers)
    hint = (
        "a RELIABLE subscription does not hear a BEST_EFFORT publisher"
        if deaf
        else "large images need config/fastdds.xml"
    )
    return f"no data on {topic} for {timeout:g} s from {', '.join(publishers)}; this node asks for {own}: {hint}"
