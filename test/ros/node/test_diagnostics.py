from __future__ import annotations

from enum import Enum

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context

from silk_ros.ros.messages import stamp_nanoseconds
from silk_ros.ros.node.diagnostics import Counters, diagnostics_message


class Count(Enum):
    SEEN = "seen"
    LOST = "lost"


def test_every_counter_is_published_from_the_start() -> None:
    counters = Counters(Count)
    assert counters.values() == {"seen": "0", "lost": "0"}
    counters.add(Count.LOST)
    counters.add(Count.LOST, 2)
    assert counters[Count.LOST] == 3 and counters.values() == {"seen": "0", "lost": "3"}


def test_message_has_what_diagnostics_tools_show(context: Context) -> None:
    node = rclpy.create_node("silk", namespace="front", context=context)
    before = node.get_clock().now().nanoseconds
    message = diagnostics_message(node, DiagnosticStatus.WARN, "slow", {"a": "1"}, "CPU")
    node.destroy_node()
    (status,) = message.status
    assert before <= stamp_nanoseconds(message.header.stamp) <= before + 10**9
    assert (status.name, status.level) == ("front/silk", DiagnosticStatus.WARN)
    assert (status.message, status.hardware_id) == ("slow", "CPU")
    assert [(value.key, value.value) for value in status.values] == [("a", "1")]
