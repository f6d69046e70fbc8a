"""Counters of a node, and its message on /diagnostics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from std_msgs.msg import Header

Member = TypeVar("Member", bound=Enum)


class Counters(Generic[Member]):
    """One counter for each member of an enum; thread-safe. The value of a member is its key on /diagnostics.

    `values` has every member, so that nothing can be counted without being published.
    """

    def __init__(self, members: type[Member]) -> None:
        self._members = members
        self._counts: Counter[Member] = Counter()
        self._lock = threading.Lock()

    def add(self, member: Member, by: int = 1) -> None:
        with self._lock:
            self._counts[member] += by

    def __getitem__(self, member: Member) -> int:
        with self._lock:
            return self._counts[member]

    def values(self) -> dict[str, str]:
        """All counters as they are published, in the order of the enum."""
        with self._lock:
            return {member.value: str(self._counts[member]) for member in self._members}


def diagnostics_message(
    node: Node, level: bytes, summary: str, values: Mapping[str, str], hardware: str = ""
) -> DiagnosticArray:
    """The DiagnosticArray of a node at present.

    level, summary: of DiagnosticStatus. values: the key-value pairs. hardware: the device that does the work.
    """
    name = node.get_fully_qualified_name().lstrip("/")
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=summary, hardware_id=hardware, values=pairs)
    return DiagnosticArray(header=Header(stamp=node.get_clock().now().to_msg()), status=[status])
