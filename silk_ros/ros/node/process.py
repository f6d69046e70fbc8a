"""How every node of the package starts and ends as a process."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from .logs import ChangeLog

WAKE_PERIOD = 0.5  # seconds
MAX_FAILURES = 100  # callbacks in a row that may fail


class WorkerNode(Node):
    """A node with a thread of its own. `failure` says what ended it early, and is empty otherwise."""

    failure = ""

    def stop(self) -> None:
        """End the thread. Safe to call twice."""


def guard_transitions(node: LifecycleNode) -> None:
    """Refuse transitions that the node's state does not have; rclpy lets such a request end the process."""

    def guarded(answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def change_state(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
            try:
                return answer(request, response)
            except RuntimeError as error:
                node.get_logger().warning(f"transition refused: {str(error).splitlines()[0]}")
                response.success = False
                return response

        return change_state

    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = guarded(service.callback)


def spin(node: Node, executor: SingleThreadedExecutor) -> None:
    """Call back until the context is shut down. What a callback raises, as for a malformed request, is logged."""
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
    """Spin a node until SIGINT, SIGTERM or its own end. Returns the exit code: 0 for these.

    When the node cannot start, or fails, the reason is printed in one readable line and the code is 1.
    """
    node = executor = None
    failure = ""
    try:
        rclpy.init(args=args)
        try:
            executor = SingleThreadedExecutor()
            node = make_node()
            # rclpy 7 wakes the executor for a signal before it shuts the context down: who looks between, waits on.
            node.create_timer(WAKE_PERIOD, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
            spin(node, executor)
        except Exception:
            # A signal shuts the context down at any moment; what fails because of that is a normal end.
            if rclpy.ok():
                raise
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (ParameterException, OSError, ValueError, ImportError, RuntimeError) as error:
        if node is not None:
            raise
        failure = f"cannot start: {' '.join(str(error).split())}"
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # launch and the terminal both send one
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.stop()
            failure = node.failure
            node.destroy_node()
        rclpy.try_shutdown()
        # This waits for rclpy's thread for signals, which may still be about to wake the executor: no sooner may it go.
        rclpy.uninstall_signal_handlers()
        del executor
    if failure:
        print(f"{name}: {failure}", file=sys.stderr)
    return 1 if failure else 0
