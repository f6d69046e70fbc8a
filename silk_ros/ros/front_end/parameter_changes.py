"""Changes of parameters: checked and converted once, with what they need loaded while the images go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from ...parameters.configuration import Configuration
from ...parameters.declarations import check_change, unknown_parameter
from ...parameters.front_end import KNOWN
from ...parameters.settings import Settings, settings_from
from ...paths import confined
from ..node.logs import ChangeLog
from ..node.parameter_services import answer_when_prepared, in_thread
from .worker import Worker


@dataclass(frozen=True, eq=False)
class ParameterChange:
    """A change of parameters on its way through the node.

    asked, before, worker, active: what it was made from: the parameters to set, all values, the worker, and whether the
                                   node was active.
    values, settings:              all values after the change by name, and the same converted.
    configuration:                 what the worker goes on with; None without a worker.
    refusal:                       why the change is refused; None where it is not.
    """

    asked: list[tuple[str, Any]]
    before: dict[str, Any]
    worker: Worker | None
    active: bool
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

    async def prepare(self, parameters: list[Parameter]) -> str:
        """Make the change that `accept` is going to be asked about, while the images go on.

        Returns why it is refused; empty where it is not.
        """
        self.discard()
        change = self._converted(parameters)
        slow = change.worker is not None and change.settings.network != change.worker.configuration.settings.network
        self._pending = change = await in_thread(self._node, change.loaded) if slow else change.loaded()
        return "" if change.refusal is None else self._refused(change.refusal)

    def accept(self, parameters: list[Parameter]) -> SetParametersResult:
        """Accept a change as a whole, or refuse it with the reason; the old values then stay in force."""
        if not _concerns(parameters):  # rclpy declares the overrides of QoS while a change is under way
            return SetParametersResult(successful=True)
        change = self._pending
        if change is None or (change.asked, change.before, change.worker) != (
            _names_and_values(parameters),
            self.values,
            self._worker(),
        ):
            self.discard()
            change = self._pending = self._converted(parameters).loaded()
        elif change.refusal is None and change.active != self._is_active():  # activated while the network was loaded
            change = replace(change, refusal=self._converted(parameters).refusal)
        if change.refusal is None:
            return SetParametersResult(successful=True)
        return SetParametersResult(successful=False, reason=self._refused(change.refusal))

    def _refused(self, refusal: Exception) -> str:
        """Give up the pending change. Returns the reason."""
        self.discard()
        reason = str(refusal) or repr(refusal)
        self._problems.report("parameters", f"parameters refused: {reason}")
        return reason

    def apply(self, parameters: list[Parameter]) -> ParameterChange | None:
        """Let the accepted change take effect: the worker adopts it between two images.

        Returns the change; None for parameters that are none of the node's own.
        """
        if not _concerns(parameters):
            return None
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
        asked, active = _names_and_values(parameters), self._is_active()
        change = ParameterChange(asked, self.values, self._worker(), active, self.values, self.settings)
        try:
            if any(parameter.name == "use_sim_time" for parameter in parameters):
                raise ValueError("use_sim_time is read-only: it is set at start only")
            for name, _ in asked:
                if name not in KNOWN and not self._node.has_parameter(name):
                    raise ValueError(unknown_parameter(name, KNOWN))
            changed = {name: KNOWN[name].value(value) for name, value in asked if name in KNOWN}
            for name, value in changed.items():
                check_change(KNOWN[name], value, active)
            values = self.values | changed
            if changed.get("model_path"):
                values["model_path"] = str(confined(changed["model_path"], values["model_dirs"]))
            return replace(change, values=values, settings=settings_from(values))
        except (TypeError, ValueError) as error:
            return replace(change, refusal=error)


def _concerns(parameters: list[Parameter]) -> bool:
    """Whether any of the parameters is the node's own, or is refused by it."""
    return any(parameter.name in KNOWN or parameter.name == "use_sim_time" for parameter in parameters)


def _names_and_values(parameters: list[Parameter]) -> list[tuple[str, Any]]:
    return [(parameter.name, parameter.value) for parameter in parameters]
