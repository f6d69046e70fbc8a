import logging

import pytest
import rclpy
from rclpy.context import Context
from rclpy.logging import LoggingSeverity

from silk_ros.ros.node import logs
from silk_ros.ros.node.logs import ChangeLog, NodeLog


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(logs, "time", clock)
    return clock


def test_repeats_are_logged_once_and_other_kinds_at_once(clock: Clock) -> None:
    lines: list[str] = []
    log = ChangeLog(lines.append)
    for _ in range(5):
        log.report("image", "too small")
        log.report("stamp", "zero")
    assert lines == ["too small", "zero"]


def test_change_is_logged_and_a_lasting_problem_again_after_a_while(clock: Clock) -> None:
    lines: list[str] = []
    log = ChangeLog(lines.append)
    for clock.now, text in (
        (0, "too small"),
        (2, "unknown"),
        (20, "unknown"),
        (40, "unknown"),
    ):
        log.report("image", text)
    assert lines == ["too small", "unknown", "unknown"]


def test_problem_that_differs_with_every_frame_is_logged_once_a_second(clock: Clock) -> None:
    lines: list[str] = []
    log = ChangeLog(lines.append)
    for index in range(100):
        clock.now = index / 30
        log.report("image", f"{index} bytes are missing")
    assert len(lines) == 4


def test_what_the_package_logs_is_in_the_nodes_log(context: Context, capfd: pytest.CaptureFixture) -> None:
    node = rclpy.create_node("logging", context=context)
    log = NodeLog(node.get_logger())
    package = logging.getLogger("silk_ros.backends")
    package.info("backend auto: %s", "openvino")
    package.warning("building an engine")
    package.error("it failed")
    package.debug("not this")
    log.close()
    package.warning("not this either")
    node.destroy_node()
    printed = capfd.readouterr().err
    assert "[INFO]" in printed and "backend auto: openvino" in printed
    assert "[WARN]" in printed and "building an engine" in printed
    assert "[ERROR]" in printed and "it failed" in printed
    assert "[logging]: not this" not in printed


def test_what_is_for_debugging_is_in_the_nodes_log_where_that_is_asked_for(
    context: Context, capfd: pytest.CaptureFixture
) -> None:
    node = rclpy.create_node("debugging", context=context)
    node.get_logger().set_level(LoggingSeverity.DEBUG)
    log = NodeLog(node.get_logger())
    logging.getLogger("silk_ros.backends").debug("backend auto: not tensorrt")
    log.close()
    node.destroy_node()
    printed = capfd.readouterr().err
    assert "[DEBUG]" in printed and "backend auto: not tensorrt" in printed
