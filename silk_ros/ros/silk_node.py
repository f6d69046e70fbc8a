"""The front-end node: it takes images, and publishes features, matches, tracks, an overlay and diagnostics.

A managed node: `configure` loads the network, `activate` subscribes. With `autostart` it does both by itself.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from ..backends import forget_choice
from ..parameters.configuration import Configuration
from ..parameters.front_end import DECLARATIONS
from .front_end.drop_warning import DropWatch
from .front_end.inputs import Inputs
from .front_end.parameter_changes import ParameterChanges
from .front_end.statistics import FrontEndCount, Statistics
from .front_end.worker import Worker
from .node.declarations import declare
from .node.diagnostics import diagnostics_message
from .node.interface import DIAGNOSTICS, Interface
from .node.logs import ChangeLog, NodeLog
from .node.process import WorkerNode, guard_transitions, run_node

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
CONFIGURATION_ERRORS = (OSError, ValueError, ImportError, RuntimeError)
# Attributes of the backend by their keys on /diagnostics.
NETWORK_VALUES = dict(backend="name", device="device", precision="precision", precision_reason="reason", model="model")

INTERFACE = Interface(
    "silk_node",
    __doc__,
    DECLARATIONS,
    subscribed={
        "image_raw": "sensor_msgs/Image. With image_transport compressed, image_raw/compressed of "
        "sensor_msgs/CompressedImage. With stereo.sync, both in the namespaces left and right, as camera_info",
        "camera_info": "sensor_msgs/CameraInfo, for the rays of keypoints and the points of stereo matches",
        "mask": "sensor_msgs/Image of the size of the images: where it is black there are no keypoints",
    },
    published={
        "~/features": "sensor_msgs/PointCloud2, the keypoints with scores, descriptors, rays and track ids; of the "
        "right image of a pair on ~/right/features",
        "~/matches": "sensor_msgs/PointCloud2, matches with the image before",
        "~/stereo_matches": "sensor_msgs/PointCloud2, matches of left and right with points in metres",
        "~/tracks": "sensor_msgs/PointCloud, tracks as VINS-Mono and VINS-Fusion take them",
        "~/image_overlay": "sensor_msgs/Image, the image with its tracks, while someone subscribes",
        **DIAGNOSTICS,
    },
    services={
        "~/reset": "std_srvs/Trigger, the next image starts new tracks",
        "~/enable": "std_srvs/SetBool, switches the processing of images on and off",
        "~/change_state": "lifecycle_msgs/ChangeState, and the other services of a managed node",
    },
)


class SilkNode(LifecycleNode, WorkerNode):
    """Subscribes to `image_raw` and `camera_info`; publishes `~/features`, `~/matches` and more (docs/messages.md).

    Raises ValueError for parameters that cannot be; with `autostart`, also OSError,
    ValueError or ImportError when it cannot be configured.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("silk", **node_options)
        values = declare(self, DECLARATIONS)
        self._statistics = Statistics()
        self._problems = ChangeLog(self.get_logger().warning)
        self._drops = DropWatch(self.get_logger().warning)
        self._worker: Worker | None = None
        self._inputs: Inputs | None = None
        self._failure: Exception | None = None  # of the last attempt to configure or activate
        self._changes = ParameterChanges(self, values, lambda: self._worker, lambda: self._inputs is not None)
        self._log = NodeLog(self.get_logger())
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        # These watch over the node itself: neither a simulated clock that stands still nor a network that is being
        # loaded may silence them.
        steady, watch = Clock(clock_type=ClockType.STEADY_TIME), MutuallyExclusiveCallbackGroup()
        settings = self._changes.settings
        period = settings.diagnostics_period
        self._diagnostics_timer = self.create_timer(period, self._publish_diagnostics, watch, steady)
        self.create_timer(min(1.0, settings.no_data_timeout), self._watch_images, watch, steady)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)
        backwards = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(backwards, post_callback=self._on_jump)
        guard_transitions(self)
        self.add_on_set_parameters_callback(self._changes.accept)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        if values["autostart"] and (self.trigger_configure() != SUCCESS or self.trigger_activate() != SUCCESS):
            self.stop()
            raise self._failure or RuntimeError("the node could not be activated")

    # Transitions.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the network. Fails, with the reason in the log, where it cannot be loaded."""
        started = time.monotonic()
        forget_choice()
        try:
            configuration = Configuration.load(self._changes.settings)
            self._worker = Worker(self, configuration, self._statistics, self._problems)
        except CONFIGURATION_ERRORS as error:
            return self._failed("configured", error)
        self.get_logger().info(f"{configuration.summary}, loaded in {time.monotonic() - started:.1f} s")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to images. Fails, with the reason in the log, where that is not possible."""
        assert self._worker is not None
        self._statistics.listening()
        try:
            self._inputs = Inputs(self, self._changes.settings.input, self._worker, self._statistics, self._problems)
        except CONFIGURATION_ERRORS as error:
            return self._failed("activated", error)
        return SUCCESS

    def _failed(self, what: str, error: Exception) -> TransitionCallbackReturn:
        self._failure = error
        if self.executor is not None:  # a manager asked; at the start the process ends with the reason
            self.get_logger().error(f"cannot be {what}: {error}")
        return FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to images no more; the network stays loaded."""
        self._close_inputs()
        if self._worker is not None:
            self._worker.pause()
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the network."""
        self._close_inputs()
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        return SUCCESS

    on_shutdown = on_error = on_cleanup

    def _close_inputs(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None

    def _on_parameters_set(self, parameters: list[Parameter]) -> None:
        """Let an accepted change take effect."""
        old = self._changes.settings
        change = self._changes.apply(parameters)
        if change is None:
            return
        if change.configuration is not None and change.settings.network != old.network:
            self.get_logger().info(f"changed to {change.configuration.summary}")
        if change.settings.diagnostics_period != old.diagnostics_period:
            self._diagnostics_timer.timer_period_ns = round(change.settings.diagnostics_period * 1e9)

    # Services, timers and the clock.

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._worker is not None:
            self._worker.reset()
        response.success, response.message = True, "the next image starts new tracks"
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._worker is None:
            response.success, response.message = False, "the node is not configured"
        else:
            self._worker.enable(request.data)
            response.success, response.message = True, "enabled" if request.data else "disabled"
        return response

    def _on_jump(self, jump: TimeJump) -> None:
        self._statistics.count(FrontEndCount.CLOCK_JUMPS)
        self._problems.report("clock", f"the clock went back by {-jump.delta.nanoseconds / 1e9:.3f} s: new tracks")
        if self._worker is not None:
            self._worker.reset()

    def _watch_images(self) -> None:
        settings = self._changes.settings
        if self._inputs is not None:
            self._inputs.check_for_data(settings.no_data_timeout)
            self._inputs.check_streams()
        if self._worker is not None:
            stereo = settings.input.max_interval is not None
            self._drops.check(*self._statistics.images(), self._worker.last_shape, stereo)

    def _publish_diagnostics(self) -> None:
        worker, pause = self._worker, ""  # why no images are expected
        if worker is None or self._inputs is None:
            pause = "unconfigured" if worker is None else "inactive"
        elif not worker.enabled:
            pause = "disabled by the enable service"
        backend = worker.configuration.extractor.backend if worker is not None else None
        level, summary = self._statistics.status(pause, self._changes.settings.no_data_timeout)
        network = {key: str(getattr(backend, attribute, "")) for key, attribute in NETWORK_VALUES.items()}
        values = self._statistics.snapshot() | network
        self._diagnostics_publisher.publish(diagnostics_message(self, level, summary, values, network["device"]))

    def stop(self) -> None:
        self._close_inputs()
        self._changes.discard()
        if self._worker is not None:
            self._worker.close()
        self._log.close()


def main(args: list[str] | None = None) -> int:
    INTERFACE.check_arguments(args)
    return run_node("silk_node", SilkNode, args)


if __name__ == "__main__":
    sys.exit(main())
