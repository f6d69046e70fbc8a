"""Parameters that take long to check: the node's other callbacks, and its other services, go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future

Prepare = Callable[[list[Parameter]], Awaitable[None]]


def in_thread(node: Node, work: Callable[[], Any]) -> Future:
    """A future of what `work` returns or raises, in a thread of its own, for a coroutine of the node to wait for."""
    future, executor = Future(), node.executor

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)
        if executor is not None:
            executor.wake()  # to look at the coroutine again

    threading.Thread(target=run, name="silk-load", daemon=True).start()
    return future


def answer_when_prepared(node: Node, prepare: Prepare) -> None:
    """Let the services that set parameters wait for `prepare` before the node's parameter callbacks are asked.

    rclpy answers these services at once, in the executor's thread; a callback that loads a network would hold up all
    others, and images would be lost. Requests that are no parameters are refused; rclpy raises.
    """
    group = MutuallyExclusiveCallbackGroup()
    waiting = {SetParameters: _one_by_one, SetParametersAtomically: _at_once}
    service: Any
    for service in node.services:
        if service.srv_type in waiting:
            service.callback = waiting[service.srv_type](service.callback, prepare)
            service.callback_group = group
            group.add_entity(service)


def _one_by_one(answer: Callable[[Any, Any], Any], prepare: Prepare) -> Callable[[Any, Any], Awaitable[Any]]:
    async def set_parameters(request: Any, response: Any) -> Any:
        for message in request.parameters:
            try:
                await prepare([Parameter.from_parameter_msg(message)])
                part = answer(SetParameters.Request(parameters=[message]), SetParameters.Response())
                response.results.extend(part.results)
            except (TypeError, ValueError) as error:
                response.results.append(SetParametersResult(successful=False, reason=str(error)))
        return response

    return set_parameters


def _at_once(answer: Callable[[Any, Any], Any], prepare: Prepare) -> Callable[[Any, Any], Awaitable[Any]]:
    async def set_parameters_atomically(request: Any, response: Any) -> Any:
        try:
            await prepare([Parameter.from_parameter_msg(message) for message in request.parameters])
            return answer(request, response)
        except (TypeError, ValueError) as error:
            response.result = SetParametersResult(successful=False, reason=str(error))
            return response

    return set_parameters_atomically
