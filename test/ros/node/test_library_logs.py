import logging

import pytest
import rclpy
from rclpy.context import Context

from silk_ros.ros.log import NodeLog


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
