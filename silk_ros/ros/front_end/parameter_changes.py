"""Changes of parameters: checked and converted once, with what they need loaded while the images go on."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
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

Answer = Callable[[Any, Any], Any]
Prepare = Callable[[list[Parameter]], Awaitable[None]]


@dataclass(frozen=True, eq=False)
class ParameterChange:
    """A change of parameters on its way through the node.

    values:        all parameters after the change, by name.
    settings:      the same values, converted.
    configuration: what the worker goes on with; None without a worker.
    """

    values: dict[str, Any]
    settings: Settings
    configuration: Configuration | None = None


@dataclass(frozen=True, eq=False)
class _Pending:
    """A change, or why it is refused, for parameters that are about to be set, and what it was made from."""

    parameters: list[tuple[str, Any]]
    before: dict[str, Any]
    worker: Worker | None
    outcome: ParameterChange | Exception


class ParameterChanges:
    """Makes the changes of a node's parameters, one at a time.

    rclpy asks `accept` whether a change may be made, and tells `apply` when it is. Where a request came by a service,
    `prepare` has made the change before, in a coroutine that waits while a network is loaded in a thread.
    """

    def __init__(
        self,
        node: Node,
        values: dict[str, Any],
        worker: Callable[[], Worker | None],
        is_active: Callable[[], bool],
        problems: ChangeLog,
    ) -> None:
        """Raises ValueError, naming the fix, for values that do not fit together."""
        self._node, self._worker, self._is_active, self._problems = node, worker, is_active, problems
        self.values, self.settings = values, settings_from(values)
        self._pending: _Pending | None = None
        answer_when_prepared(node, self.prepare)

    async def prepare(self, parameters: list[Parameter]) -> None:
        """Make the change that `accept` is going to be asked about, while the images go on."""
        self.discard()
        before, worker = self.values, self._worker()
        outcome = self._converted(parameters)
        if worker is not None and isinstance(outcome, ParameterChange):
            load = partial(_configured, outcome, worker)
            slow = outcome.settings.network != worker.configuration.settings.network
            outcome = await in_thread(self._node, load) if slow else load()
        self._pending = _Pending(_key(parameters), before, worker, outcome)

    def accept(self, parameters: list[Parameter]) -> SetParametersResult:
        """Accept a change as a whole, or refuse it with the reason; the old values then stay in force."""
        pending, worker = self._pending, self._worker()
        fits = pending is not None and pending.parameters == _key(parameters)
        if pending is None or not fits or pending.before is not self.values or pending.worker is not worker:
            self.discard()
            outcome = self._converted(parameters)
            if worker is not None and isinstance(outcome, ParameterChange):
                outcome = _configured(outcome, worker)
            self._pending = pending = _Pending(_key(parameters), self.values, worker, outcome)
        if isinstance(pending.outcome, Exception):
            self._pending = None
            self._problems.report("parameters", f"parameters refused: {pending.outcome}")
            return SetParametersResult(successful=False, reason=str(pending.outcome))
        return SetParametersResult(successful=True)

    def apply(self) -> ParameterChange:
        """Let the accepted change take effect: the worker adopts it between two images. Returns it."""
        pending, self._pending = self._pending, None
        assert pending is not None and isinstance(pending.outcome, ParameterChange)
        change = pending.outcome
        self.values, self.settings = change.values, change.settings
        if pending.worker is not None and change.configuration is not None:
            pending.worker.change(change.configuration)
        return change

    def discard(self) -> None:
        """Close the network of a change that was not made."""
        pending, self._pending = self._pending, None
        if pending is None or pending.worker is None or not isinstance(pending.outcome, ParameterChange):
            return
        loaded, used = pending.outcome.configuration, pending.worker.configuration.extractor
        if loaded is not None and loaded.extractor is not used:
            loaded.extractor.close()

    def _converted(self, parameters: Sequence[Parameter]) -> ParameterChange | Exception:
        """The change, checked and converted, or why it is refused."""
        known = {declaration.name: declaration for declaration in DECLARATIONS}
        try:
            if any(parameter.name == "use_sim_time" for parameter in parameters):
                raise ValueError("use_sim_time is read-only: it is set at start only")
            changed = {parameter.name: parameter.value for parameter in parameters if parameter.name in known}
            for name, value in changed.items():
                check_change(known[name], value, active=self._is_active())
            values = self.values | changed
            if changed.get("model_path"):
                values["model_path"] = str(confined(changed["model_path"], values["model_dirs"]))
            return ParameterChange(values, settings_from(values))
        except (TypeError, ValueError) as error:
            return error


def _key(parameters: Sequence[Parameter]) -> list[tuple[str, Any]]:
    return [(parameter.name, parameter.value) for parameter in parameters]


def _configured(change: ParameterChange, worker: Worker) -> ParameterChange | Exception:
    """The change with a configuration for the worker, or why there is none; for any thread."""
    try:
        return replace(change, configuration=worker.prepare(change.settings))
    except Exception as error:
        return error


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


def answer_when_prepared(node: Node, prepare: Prepare) -> None:
    """Let the services that set parameters wait for `prepare` before the node's parameter callbacks are asked.

    rclpy answers these services at once, in the executor's thread: a callback that loads a network would hold up all
    others, and images would be lost. A request that holds no valid parameter is refused, where rclpy raises.
    """
    group = MutuallyExclusiveCallbackGroup()
    waiting = {SetParameters: _one_by_one, SetParametersAtomically: _at_once}
    service: Any
    for service in node.services:
        if service.srv_type in waiting:
            service.callback = waiting[service.srv_type](service.callback, prepare)
            service.callback_group = group
            group.add_entity(service)


def _one_by_one(answer: Answer, prepare: Prepare) -> Callable[[Any, Any], Awaitable[Any]]:
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


def _at_once(answer: Answer, prepare: Prepare) -> Callable[[Any, Any], Awaitable[Any]]:
    async def set_parameters_atomically(request: Any, response: Any) -> Any:
        try:
            await prepare([Parameter.from_parameter_msg(message) for message in request.parameters])
            return answer(request, response)
        except (TypeError, ValueError) as error:
            response.result = SetParametersResult(successful=False, reason=str(error))
            return response

    return set_parameters_atomically
