"""The services that set parameters, answered after a coroutine has prepared the change."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future


def in_thread(node: Node, work: Callable[[], Any]) -> Future:
    """A future of what `work` returns or raises in a thread of its own, for a coroutine of the node to wait for."""
    future, executor = Future(), node.executor

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)
        if executor is not None:
            executor.wake()  # so that it looks at the coroutine again

    threading.Thread(target=run, name="silk-load", daemon=True).start()
    return future


def answer_when_prepared(node: Node, prepare: Callable[[list[Parameter]], Awaitable[str]]) -> None:
    """Let the services that set parameters wait for `prepare` before rclpy looks at the change.

    prepare: returns why the change is refused; empty where it is not.

    In rclpy, a callback that loads a network would hold up all others, and images would be lost; what has a wrong type
    or range is refused, before any callback is asked, in words that name no fix; and a request that holds no valid
    parameter raises, which is refused here.
    """

    async def answer(messages: Sequence[Any]) -> SetParametersResult:
        try:
            parameters = [Parameter.from_parameter_msg(message) for message in messages]
            if refusal := await prepare(parameters):
                return SetParametersResult(successful=False, reason=refusal)
            return node.set_parameters_atomically(parameters)
        except (TypeError, ValueError, ParameterNotDeclaredException) as error:
            return SetParametersResult(successful=False, reason=str(error))

    async def one_by_one(request: Any, response: Any) -> Any:
        response.results = [await answer([message]) for message in request.parameters]
        return response

    async def at_once(request: Any, response: Any) -> Any:
        response.result = await answer(request.parameters)
        return response

    group = MutuallyExclusiveCallbackGroup()
    answers = {SetParameters: one_by_one, SetParametersAtomically: at_once}
    service: Any
    for service in node.services:
        if service.srv_type in answers:
            service.callback = answers[service.srv_type]
            service.callback_group = group
            group.add_entity(service)
