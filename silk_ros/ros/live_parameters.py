"""Parameters that take long to check: the node's other callbacks go on until the answer is known."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

from rcl_interfaces.srv import SetParameters, SetParametersAtomically
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
    others, and images would be lost.
    """
    service: Any
    for service in node.services:
        if service.srv_type is SetParameters:
            service.callback = _one_by_one(service.callback, prepare)
        elif service.srv_type is SetParametersAtomically:
            service.callback = _at_once(service.callback, prepare)


def _one_by_one(answer: Callable[[Any, Any], Any], prepare: Prepare) -> Callable[[Any, Any], Awaitable[Any]]:
    async def set_parameters(request: Any, response: Any) -> Any:
        for message in request.parameters:
            await prepare([Parameter.from_parameter_msg(message)])
            part = answer(SetParameters.Request(parameters=[message]), SetParameters.Response())
            response.results.extend(part.results)
        return response

    return set_parameters


def _at_once(answer: Callable[[Any, Any], Any], prepare: Prepare) -> Callable[[Any, Any], Awaitable[Any]]:
    async def set_parameters_atomically(request: Any, response: Any) -> Any:
        await prepare([Parameter.from_parameter_msg(message) for message in request.parameters])
        return answer(request, response)

    return set_parameters_atomically
