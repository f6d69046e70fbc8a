"""The front-end node: images in; features, matches, an overlay and diagnostics out.

The executor's thread only stores the newest image; one worker thread extracts, matches and publishes. A camera that is
faster than the node costs dropped frames, never a growing delay.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud, PointCloud2
from std_srvs.srv import SetBool, Trigger

from ..binary import encoder
from ..camera import Camera
from ..draw import draw_matches
from ..extractor import Extractor
from ..frame_slot import FrameSlot
from ..frontend import FrontEnd, Step
from .change_log import ChangeLog, no_data_warning
from .diagnostics import Statistics, diagnostics_message
from .images import camera_from_message, gray_from_message
from .log import NodeLog
from .messages import features_to_cloud, image_message, matches_to_cloud, stamp_nanoseconds
from .parameters import declare_parameters
from .process import WorkerNode, run_node
from .tracks import TrackMessages

STOP_TIMEOUT = 30.0  # seconds; an engine that is being built takes a while to give up
MAX_LATENCY = 3600.0  # seconds; an older stamp is of another clock, such as a recording's


class SilkNode(WorkerNode):
    """Subscribes to `image_raw` and `camera_info`; publishes `~/features`, `~/matches`, `~/image_overlay`.

    Raises rclpy's parameter exceptions, OSError, ValueError or ImportError when it cannot start.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__("silk", **node_options)
        self.settings = settings = declare_parameters(self)
        self._tracks = TrackMessages(settings.tracks)
        self._log = NodeLog(self.get_logger())
        started = time.monotonic()
        extractor = Extractor.load(
            settings.model_path,
            settings.max_keypoints,
            settings.backend,
            settings.precision,
            settings.scale,
            settings.threads,
            settings.selection,
            settings.engine,
        )
        self._front_end = FrontEnd(
            extractor,
            settings.ratio,
            settings.min_similarity,
            settings.double_softmax,
            settings.radius,
            settings.verification,
            settings.bridge,
            settings.max_published,
        )
        self._flags = bool(settings.verification) and settings.verification.outliers == "flag"
        self._backend = extractor.backend
        self._encode = encoder(settings.descriptor_format, self._backend.model)
        self.get_logger().info(f"{extractor}, loaded in {time.monotonic() - started:.1f} s")

        self._statistics = Statistics()
        self._problems = ChangeLog(self.get_logger().warning)
        self._slot: FrameSlot[Image] = FrameSlot()
        self._lock = threading.Lock()  # guards what the services change while the worker runs
        self._enabled = True
        self._camera: Camera | None = None
        self._camera_problem = ""  # why the last camera_info is not usable
        self._intrinsics: tuple[object, ...] | None = None  # of the last camera_info, usable or not

        self._features_publisher = self.create_publisher(PointCloud2, "~/features", 5)
        self._matches_publisher = self.create_publisher(PointCloud2, "~/matches", 5)
        self._tracks_publisher = self.create_publisher(PointCloud, "~/tracks", 5)
        self._overlay_publisher = self.create_publisher(Image, "~/image_overlay", 2)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 5)
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[settings.image_reliability.upper()])
        self._image_subscription = self.create_subscription(
            Image,
            "image_raw",
            self._on_image,
            qos,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._info_subscription = self.create_subscription(
            CameraInfo,
            "camera_info",
            self._on_camera_info,
            qos_profile_sensor_data,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/enable", self._on_enable)
        # These watch over the node itself: a simulated clock that stands still must not silence them.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(settings.diagnostics_period, self._publish_diagnostics, clock=steady)
        self.create_timer(min(1.0, settings.no_data_timeout), self._check_for_data, clock=steady)
        self._worker = threading.Thread(target=self._work, name="silk-worker", daemon=True)
        self._worker.start()

    # Callbacks, in the executor's thread.

    def _on_image(self, message: Image) -> None:
        self._statistics.received()
        if not self._enabled:
            self._statistics.count("ignored_frames")
        elif self._slot.put(message):
            self._statistics.count("dropped_frames")

    def _on_camera_info(self, message: CameraInfo) -> None:
        intrinsics = (message.width, message.height, message.distortion_model, tuple(message.k), tuple(message.d))
        if intrinsics == self._intrinsics:
            return
        self._intrinsics = intrinsics
        try:
            self._camera, self._camera_problem = camera_from_message(message), ""
        except ValueError as error:
            self._camera, self._camera_problem = None, str(error)
            self._statistics.error("rejected_camera_info", str(error))

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            self._front_end.reset()
        response.success, response.message = True, "the next image starts new tracks"
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self._lock:
            self._enabled = request.data
            if self._slot.clear():
                self._statistics.count("ignored_frames")
            self._front_end.reset()
        response.success, response.message = True, "enabled" if request.data else "disabled"
        return response

    def _publish_diagnostics(self) -> None:
        self._diagnostics_publisher.publish(
            diagnostics_message(
                self.get_clock().now().to_msg(),
                self.get_fully_qualified_name().lstrip("/"),
                self._statistics,
                self._enabled,
                self.settings.no_data_timeout,
                {
                    "backend": self._backend.name,
                    "device": self._backend.device,
                    "precision": self._backend.precision,
                    "model": str(self._backend.model),
                },
            )
        )

    def _check_for_data(self) -> None:
        timeout = self.settings.no_data_timeout
        if self._enabled and self._statistics.seconds_since_image() >= timeout:
            self._problems.report("no_data", no_data_warning(self, self._image_subscription, timeout))

    # The worker's thread.

    def _work(self) -> None:
        while (message := self._slot.take()) is not None:
            try:
                with self._lock:
                    if self._enabled:
                        self._process(message)
                    else:
                        self._statistics.count("ignored_frames")
            except ValueError as error:
                self._statistics.error("rejected_images", str(error))
                self._problems.report("image", f"image rejected: {error}")
            except Exception as error:
                if not self.context.ok():  # publishing fails once the context is shut down
                    return
                self._statistics.error("failed_frames", f"{type(error).__name__}: {error}")
                self._problems.report("failure", f"frame failed: {traceback.format_exc()}")

    def _process(self, message: Image) -> None:
        started = time.monotonic()
        stamp = stamp_nanoseconds(message.header.stamp)
        if stamp == 0:
            self._statistics.count("zero_stamps")
            self._problems.report(
                "stamp", "images have a zero stamp: set header.stamp in the driver; latency is unknown"
            )
        image = gray_from_message(message)
        extracting = time.monotonic()
        step = self._front_end.process(image, stamp, self._camera)
        front_end = time.monotonic() - extracting
        if step.restarted:
            self._statistics.count("restarts")
            self._problems.report("restart", f"starting new tracks: {step.restarted}")
        rays = self._rays(step)
        encoded = self._encode(step.frame.features.descriptors)
        self._features_publisher.publish(features_to_cloud(message.header, step.frame, rays, encoded))
        self._matches_publisher.publish(matches_to_cloud(message.header, step, self._flags))
        if rays is not None and self._tracks_publisher.get_subscription_count():
            self._tracks_publisher.publish(self._tracks.message(message.header, step.frame, rays))
        processing = time.monotonic() - started
        keypoints, matches = len(step.frame.features), len(step.matches)
        self._statistics.processed(self._latency(stamp), processing, front_end, keypoints, matches, step.verified)
        if self._overlay_publisher.get_subscription_count():
            self._publish_overlay(message, step)

    def _rays(self, step: Step) -> NDArray[np.float32] | None:
        """Rays of the keypoints, or None, counted and explained, without usable intrinsics for this image."""
        camera = self._camera
        height, width = step.frame.image.shape
        if camera is not None and (camera.width, camera.height) == (width, height):
            return camera.rays(step.frame.features.keypoints)
        if camera is not None:
            problem = (
                f"camera_info is for {camera.width}x{camera.height} images, but they are {width}x{height}: "
                "publish the intrinsics of these images (binning and regions of interest are not supported)"
            )
        else:
            problem = self._camera_problem
        if problem:
            self._statistics.error("frames_without_rays", problem)
            self._problems.report("camera_info", f"rays are not available: {problem}")
        else:
            self._statistics.count("frames_without_rays")
            topic = self._info_subscription.topic_name
            self._problems.report(
                "camera_info",
                f"no camera_info on {topic} yet: rays are not available; remap camera_info if you need them",
            )
        return None

    def _latency(self, stamp: int) -> float | None:
        age = (self.get_clock().now().nanoseconds - stamp) / 1e9
        return age if stamp and 0 <= age < MAX_LATENCY else None

    def _publish_overlay(self, message: Image, step: Step) -> None:
        previous = step.previous.features if step.previous else None
        caption = f"{len(step.frame.features)} keypoints, {len(step.matches)} matches"
        overlay = draw_matches(step.frame.image, step.frame.features, previous, step.matches, caption)
        self._overlay_publisher.publish(
            image_message(message.header, overlay, overlay.shape[0], "bgr8", width=overlay.shape[1])
        )

    def stop(self) -> None:
        self._slot.close()
        self._front_end.extractor.close()
        self._worker.join(timeout=STOP_TIMEOUT)
        self._log.close()


def main(args: list[str] | None = None) -> int:
    return run_node("silk_node", SilkNode, args)


if __name__ == "__main__":
    sys.exit(main())
