"""Changes of parameters: checked and converted once, with what they need loaded while the images go on."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future

from ...paths import confined
from ..node.declarations import check_change
from ..node.logs import ChangeLog
from .configuration import Configuration
from .parameters import DECLARATIONS
from .settings import Settings, settings_from
from .worker import Worker


@dataclass(frozen=True, eq=False)
class ParameterChange:
    """A change of parameters on its way through the node.

    asked, before, worker: what it was made from: the parameters to set, all values, and the worker of that time.
    values, settings:      all values after the change by name, and the same converted.
    configuration:         what the worker goes on with; None without a worker.
    refusal:               why the change is refused; None where it is not.
    """

    asked: list[tuple[str, Any]]
    before: dict[str, Any]
    worker: Worker | None
    values: dict[str, Any]
    settings: Settings
    configuration: Configuration | None = None
    refusal: Exception | None = None

    def loaded(self) -> ParameterChange:
        """The change with a configuration for the worker, or refused where there can be none; for any thread."""
        if self.worker is None or self.refusal is not None:
            return self
        try:
            return replace(self, configuration=self.worker.prepare(self.settings))
        except Exception as error:
            return replace(self, refusal=error)


class ParameterChanges:
    """Makes the changes of a node's parameters, one at a time.

    rclpy asks `accept` whether a change may be made, and tells `apply` when it is. Where a request came by a service,
    `prepare` has made the change before, in a coroutine that waits while a network is loaded in a thread.
    """

    def __init__(
        self, node: Node, values: dict[str, Any], worker: Callable[[], Worker | None], is_active: Callable[[], bool]
    ) -> None:
        """Raises ValueError, naming the fix, for values that do not fit together."""
        self._node, self._worker, self._is_active = node, worker, is_active
        self._problems = ChangeLog(node.get_logger().warning)
        self.values, self.settings = values, settings_from(values)
        self._pending: ParameterChange | None = None
        answer_when_prepared(node, self.prepare)

    async def prepare(self, parameters: list[Parameter]) -> None:
        """Make the change that `accept` is going to be asked about, while the images go on."""
        self.discard()
        change = self._converted(parameters)
        slow = change.worker is not None and change.settings.network != change.worker.configuration.settings.network
        self._pending = await in_thread(self._node, change.loaded) if slow else change.loaded()

    def accept(self, parameters: list[Parameter]) -> SetParametersResult:
        """Accept a change as a whole, or refuse it with the reason; the old values then stay in force."""
        change = self._pending
        fits = change is not None and change.before is self.values and change.worker is self._worker()
        if change is None or not fits or change.asked != _names_and_values(parameters):
            self.discard()
            change = self._pending = self._converted(parameters).loaded()
        if change.refusal is None:
            return SetParametersResult(successful=True)
        self._pending = None
        self._problems.report("parameters", f"parameters refused: {change.refusal}")
        return SetParametersResult(successful=False, reason=str(change.refusal))

    def apply(self) -> ParameterChange:
        """Let the accepted change take effect: the worker adopts it between two images. Returns it."""
        change, self._pending = self._pending, None
        assert change is not None
        self.values, self.settings = change.values, change.settings
        if change.worker is not None and change.configuration is not None:
            change.worker.change(change.configuration)
        return change

    def discard(self) -> None:
        """Close the network of a change that was not made."""
        change, self._pending = self._pending, None
        if change is None or change.worker is None or change.configuration is None:
            return
        if change.configuration.extractor is not change.worker.configuration.extractor:
            change.configuration.extractor.close()

    def _converted(self, parameters: list[Parameter]) -> ParameterChange:
        """The change, checked and converted, but not loaded."""
        known = {declaration.name: declaration for declaration in DECLARATIONS}
        change = ParameterChange(_names_and_values(parameters), self.values, self._worker(), self.values, self.settings)
        try:
            if any(parameter.name == "use_sim_time" for parameter in parameters):
                raise ValueError("use_sim_time is read-only: it is set at start only")
            changed = {name: value for name, value in change.asked if name in known}
            for name, value in changed.items():
                check_change(known[name], value, active=self._is_active())
            values = self.values | changed
            if changed.get("model_path"):
                values["model_path"] = str(confined(changed["model_path"], values["model_dirs"]))
            return replace(change, values=values, settings=settings_from(values))
        except (TypeError, ValueError) as error:
            return replace(change, refusal=error)


def _names_and_values(parameters: list[Parameter]) -> list[tuple[str, Any]]:
    return [(parameter.name, parameter.value) for parameter in parameters]


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


def answer_when_prepared(node: Node, prepare: Callable[[list[Parameter]], Awaitable[None]]) -> None:
    """Let the services that set parameters wait for `prepare` before the node's parameter callbacks are asked.

    In rclpy, a callback that loads a network would hold up all others, and images would be lost; and a request that
    holds no valid parameter raises, which is refused here.
    """

    async def answer(messages: Sequence[Any]) -> SetParametersResult:
        try:
            parameters = [Parameter.from_parameter_msg(message) for message in messages]
            await prepare(parameters)
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
