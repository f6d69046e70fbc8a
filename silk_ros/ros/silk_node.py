"""The front-end node: images in; features, matches, tracks, an overlay and diagnostics out.

A managed node: `configure` loads the network, `activate` subscribes. With `autostart` it does both by itself.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from ..paths import confined
from .front_end.configuration import Plan
from .front_end.drop_watch import DropWatch
from .front_end.inputs import Inputs
from .front_end.parameter_changes import answer_when_prepared, in_thread
from .front_end.parameters import DECLARATIONS
from .front_end.settings import Settings, settings_from
from .front_end.statistics import Statistics, diagnostics_message
from .front_end.worker import Pipeline
from .log import NodeLog
from .node.declarations import check_change, declare
from .node.logs import ChangeLog
from .node.process import WorkerNode, guard_transitions, run_node

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
CONFIGURATION_ERRORS = (OSError, ValueError, ImportError, RuntimeError)


class SilkNode(LifecycleNode, WorkerNode):
    """Subscribes to `image_raw` and `camera_info`; publishes `~/features`, `~/matches` and more (docs/messages.md).

    Raises rclpy's parameter exceptions or ValueError for parameters that cannot be; with `autostart`, also OSError,
    ValueError or ImportError when it cannot be configured.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("silk", **node_options)
        self._values = declare(self, DECLARATIONS)
        self._settings = settings_from(self._values)
        self._log = NodeLog(self.get_logger())
        self._statistics = Statistics()
        self._problems = ChangeLog(self.get_logger().warning)
        self._drops = DropWatch(self.get_logger().warning)
        self._pipeline: Pipeline | None = None
        self._inputs: Inputs | None = None
        self._failure: Exception | None = None  # of the last try to configure
        self._prepared: tuple[Settings, Plan | Exception] | None = None  # for a change of parameters that is under way

        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        # These watch over the node itself: neither a simulated clock that stands still nor a network that is being
        # loaded must silence them.
        steady, watch = Clock(clock_type=ClockType.STEADY_TIME), MutuallyExclusiveCallbackGroup()
        period, patience = self._settings.diagnostics_period, self._settings.no_data_timeout
        self._diagnostics_timer = self.create_timer(period, self._publish_diagnostics, watch, steady)
        self.create_timer(min(1.0, patience), self._watch_images, watch, steady)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)
        backwards = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(backwards, post_callback=self._on_jump)
        guard_transitions(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        answer_when_prepared(self, self._prepare)
        if self._values["autostart"] and (self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS):
            self.stop()
            raise self._failure or RuntimeError("the node could not be activated")

    # Transitions.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network. Fails, with the reason in the log, where that cannot be."""
        started = time.monotonic()
        try:
            plan = Plan.of(self._settings)
            self._pipeline = Pipeline(self, plan, self._statistics, self._problems)
        except CONFIGURATION_ERRORS as error:
            return self._failed("configured", error)
        self.get_logger().info(f"{plan.extractor}, loaded in {time.monotonic() - started:.1f} s")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take images in. Fails, with the reason in the log, where that cannot be."""
        assert self._pipeline is not None
        self._statistics.listening()
        try:
            self._inputs = Inputs(self, self._settings.input, self._pipeline, self._statistics, self._problems)
        except CONFIGURATION_ERRORS as error:
            return self._failed("activated", error)
        return SUCCESS

    def _failed(self, what: str, error: Exception) -> TransitionCallbackReturn:
        self._failure = error
        if self.executor is not None:  # a manager asked; at the start the process ends with the reason
            self.get_logger().error(f"cannot be {what}: {error}")
        return FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more images in; the network stays loaded."""
        self._close_inputs()
        if self._pipeline is not None:
            self._pipeline.pause()
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the network."""
        self._close_inputs()
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.on_cleanup(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.on_cleanup(state)

    def _close_inputs(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None

    # Parameters.

    def _changed(self, parameters: list[Parameter]) -> dict[str, Any]:
        """The values after a change. Raises ValueError, naming the fix, where it cannot be."""
        known = {declaration.name: declaration for declaration in DECLARATIONS}
        changes = {parameter.name: parameter.value for parameter in parameters if parameter.name in known}
        for name, value in changes.items():
            check_change(known[name], value, active=self._inputs is not None)
        values = self._values | changes
        if "model_path" in changes and values["model_path"]:
            values["model_path"] = str(confined(values["model_path"], values["model_dirs"]))
        return values

    async def _prepare(self, parameters: list[Parameter]) -> None:
        """Load and try what a change asks for, while the images go on."""
        self._discard_prepared()
        pipeline = self._pipeline
        if pipeline is None:
            return
        try:
            settings = settings_from(self._changed(parameters))
        except (ValueError, TypeError):
            return  # refused in a moment, with the reason
        if settings.network != pipeline.plan.settings.network:
            self._prepared = settings, await in_thread(self, lambda: pipeline.plan_or_error(settings))
            if self._pipeline is not pipeline:  # cleaned up meanwhile
                self._discard_prepared()

    def _discard_prepared(self) -> None:
        """Let go of a network that was loaded for a change which did not come about."""
        prepared, self._prepared = self._prepared, None
        used = self._pipeline.plan.extractor if self._pipeline is not None else None
        if prepared is not None and isinstance(prepared[1], Plan) and prepared[1].extractor is not used:
            prepared[1].extractor.close()

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Accept a change as a whole, or refuse it with the reason; the old values then stay in force."""
        try:
            if any(parameter.name == "use_sim_time" for parameter in parameters):
                raise ValueError("use_sim_time is read-only: it is set at start only")
            settings = settings_from(self._changed(parameters))
            if self._pipeline is not None and settings != self._settings:
                if self._prepared is None or self._prepared[0] != settings:
                    self._discard_prepared()
                    self._prepared = settings, self._pipeline.plan_or_error(settings)
                if isinstance(self._prepared[1], Exception):
                    raise self._prepared[1]
        except (*CONFIGURATION_ERRORS, TypeError) as error:
            self._problems.report("parameters", f"parameters refused: {error}")
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _on_parameters_set(self, parameters: list[Parameter]) -> None:
        """What was accepted takes effect, between two images."""
        self._values = self._changed(parameters)
        old, self._settings = self._settings, settings_from(self._values)
        prepared, self._prepared = self._prepared, None
        if self._pipeline is not None and prepared is not None and isinstance(prepared[1], Plan):
            self._pipeline.change(prepared[1])
            if self._settings.network != old.network:
                self.get_logger().info(f"changed to {prepared[1].extractor}")
        if self._settings.diagnostics_period != old.diagnostics_period:
            self._diagnostics_timer.timer_period_ns = round(self._settings.diagnostics_period * 1e9)

    # Services, timers and the clock.

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._pipeline is not None:
            self._pipeline.reset()
        response.success, response.message = True, "the next image starts new tracks"
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._pipeline is None:
            response.success, response.message = False, "the node is not configured"
            return response
        self._pipeline.enable(request.data)
        response.success, response.message = True, "enabled" if request.data else "disabled"
        return response

    def _on_jump(self, jump: TimeJump) -> None:
        self._statistics.count("clock_jumps")
        self._problems.report("clock", f"the clock went back by {-jump.delta.nanoseconds / 1e9:.3f} s: new tracks")
        if self._pipeline is not None:
            self._pipeline.reset()

    def _watch_images(self) -> None:
        if self._inputs is not None:
            self._inputs.check_for_data(self._settings.no_data_timeout)
        if self._pipeline is not None:
            stereo = self._settings.input.max_interval is not None
            self._drops.check(self._statistics.images(), self._pipeline.last_shape, stereo)

    def _publish_diagnostics(self) -> None:
        pause = ""  # why no images are expected
        if self._inputs is None:
            pause = "inactive" if self._pipeline is not None else "unconfigured"
        elif self._pipeline is not None and not self._pipeline.enabled:
            pause = "disabled by the enable service"
        backend = self._pipeline.plan.extractor.backend if self._pipeline is not None else None
        self._diagnostics_publisher.publish(
            diagnostics_message(
                self.get_clock().now().to_msg(),
                self.get_fully_qualified_name().lstrip("/"),
                self._statistics,
                pause,
                self._settings.no_data_timeout,
                {name: str(getattr(backend, name, "")) for name in ("device", "precision", "model")}
                | {"backend": getattr(backend, "name", ""), "precision_reason": getattr(backend, "reason", "")},
            )
        )

    def stop(self) -> None:
        self._close_inputs()
        self._discard_prepared()
        if self._pipeline is not None:
            self._pipeline.close()
        self._log.close()


def main(args: list[str] | None = None) -> int:
    return run_node("silk_node", SilkNode, args)


if __name__ == "__main__":
    sys.exit(main())
