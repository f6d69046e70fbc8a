from __future__ import annotations

from enum import Enum

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

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


def test_message_has_what_diagnostics_tools_show() -> None:
    message = diagnostics_message(Time(sec=1), "silk", DiagnosticStatus.WARN, "slow", {"a": "1"}, "CPU")
    (status,) = message.status
    assert (message.header.stamp.sec, status.name, status.level) == (1, "silk", DiagnosticStatus.WARN)
    assert (status.message, status.hardware_id) == ("slow", "CPU")
    assert [(value.key, value.value) for value in status.values] == [("a", "1")]
