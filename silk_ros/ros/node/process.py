"""Start and end of a node as a process."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from .logs import ChangeLog

WAKE_PERIOD = 0.5  # seconds between two looks at whether the context is shut down
MAX_FAILURES = 100  # callbacks in a row that may fail before the node gives up


class WorkerNode(Node):
    """A node with a thread of its own, which leaves two texts behind, empty where there is nothing to say.

    summary: what it did. failure: why it ended early.
    """

    summary = failure = ""

    def stop(self) -> None:
        """End the thread. Safe to call twice."""


def guard_transitions(node: LifecycleNode) -> None:
    """Refuse transitions that the node's state does not allow; in rclpy such a request ends the process."""

    def guarded(answer: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
        try:
            return answer(request, response)
        except RuntimeError as error:
            node.get_logger().warning(f"transition refused: {str(error).splitlines()[0]}")
            response.success = False
            return response

    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = partial(guarded, service.callback)


def spin(node: Node, executor: SingleThreadedExecutor) -> None:
    """Run the node's callbacks until the context is shut down. An exception in a callback is logged, and raised only
    after MAX_FAILURES in a row."""
    executor.add_node(node)
    problems = ChangeLog(node.get_logger().error)
    failures = 0
    while rclpy.ok():
        try:
            executor.spin_once()
            failures = 0
        except (KeyboardInterrupt, ExternalShutdownException):
            raise
        except Exception:
            failures += 1
            if failures > MAX_FAILURES:
                raise
            if rclpy.ok():
                problems.report("callback", f"callback failed: {traceback.format_exc()}")


def run_node(name: str, make_node: Callable[[], WorkerNode], args: list[str] | None) -> int:
    """Spin a node until SIGINT, SIGTERM or its own end. Returns the exit code, 0 in these cases.

    When the node cannot start, or fails, the reason is printed in one line and the exit code is 1. Its summary is
    printed too: a log that goes to the topic /rosout fails at the end.
    """
    node = executor = None
    summary = failure = ""
    try:
        rclpy.init(args=args)
        try:
            executor = SingleThreadedExecutor()
            node = make_node()
            # rclpy 7 wakes the executor for a signal before it shuts the context down; an executor that checks the
            # context in between goes on waiting. The timer makes it check again.
            node.create_timer(WAKE_PERIOD, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
            spin(node, executor)
        except Exception:
            # A signal can shut the context down at any moment; a failure after that is a normal end.
            if rclpy.ok():
                raise
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (ParameterException, OSError, ValueError, ImportError, RuntimeError) as error:
        if node is not None:
            raise
        failure = f"cannot start: {' '.join(str(error).split())}"
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # launch and the terminal both send a signal
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.stop()
            summary, failure = node.summary, node.failure
            node.destroy_node()
        rclpy.try_shutdown()
        # This waits for rclpy's signal thread, which may still use the executor: delete the executor afterwards.
        rclpy.uninstall_signal_handlers()
        del executor
    for text in filter(None, (summary, failure)):
        print(f"{name}: {text}", file=sys.stderr)
    return 1 if failure else 0
