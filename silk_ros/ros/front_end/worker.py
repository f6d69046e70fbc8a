"""From the newest image to what is published: one worker thread, for which the executor's never waits.

A camera that is faster than the worker costs dropped frames, never a growing delay. What is to change is left for the
worker to do before the next image.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from ...frontend import FrontEnd, Step
from ...stereo import match_stereo
from ...types import Features
from ..messages import stamp_nanoseconds
from ..node.logs import ChangeLog
from .calibration import Calibration, StereoCalibration
from .configuration import Plan
from .frame_slot import FrameSlot
from .images import gray_from_compressed, gray_from_message
from .outputs import Outputs, StereoPair
from .settings import Settings
from .statistics import Statistics

STOP_TIMEOUT = 30.0  # seconds; an engine that is being built takes a while to give up
MAX_LATENCY = 3600.0  # seconds; an older stamp is of another clock, such as a recording's

ImageMessage: TypeAlias = Image | CompressedImage


class Moment(NamedTuple):
    """What one camera sees at a moment, or a stereo pair; `image` is the left one's."""

    image: ImageMessage
    right: ImageMessage | None = None


class _Waiting(NamedTuple):
    """A moment, and the count of pauses when it came: one from before the last pause is not published."""

    moment: Moment
    pauses: int


class Pipeline:
    """Processes images by a plan until it is closed. All but `_work` and what it calls is the executor's thread's."""

    def __init__(self, node: Node, plan: Plan, statistics: Statistics, problems: ChangeLog) -> None:
        self._node = node
        self._plan = self._adopted = plan  # the newest, and that of the worker
        self._statistics, self._problems = statistics, problems
        self._outputs = Outputs(node, plan)
        self._front_end = FrontEnd(plan.extractor, plan.settings.front_end)
        self._slot: FrameSlot[_Waiting] = FrameSlot()
        self._commands: deque[Callable[[], None]] = deque()  # for the worker, before the next image
        self._pauses = 0
        self._last_shape: tuple[int, ...] | None = None
        self.enabled = True
        self.calibration = StereoCalibration(Calibration(""), Calibration(""))  # of whom the pipeline listens to
        self.mask: NDArray[np.uint8] | None = None  # the newest that was received
        self._worker = threading.Thread(target=self._work, name="silk-worker", daemon=True)
        self._worker.start()

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def last_shape(self) -> tuple[int, ...] | None:
        """Height and width of the last image; None before the first."""
        return self._last_shape

    def listen_to(self, calibration: StereoCalibration) -> None:
        """Images come from other subscriptions from now on, with these calibrations; of one camera, `left` counts."""
        self.calibration, self.mask = calibration, None

    def put(self, moment: Moment) -> None:
        """The newest image or pair."""
        self._statistics.received(stamp_nanoseconds(moment.image.header.stamp))
        if not self.enabled:
            self._statistics.count("ignored_frames")
        elif self._slot.put(_Waiting(moment, self._pauses)):
            self._statistics.count("dropped_frames")

    def plan_or_error(self, settings: Settings) -> Plan | Exception:
        """A plan of other settings, or why there is none; for any thread. The old one goes on meanwhile.

        A new network is tried at the size of the last image: what it cannot run, or has to compile, shows here.
        """
        try:
            plan = self._plan.changed(settings)
            if plan.extractor is not self._plan.extractor and self._last_shape is not None:
                plan.try_on(self._last_shape)
            return plan
        except Exception as error:
            return error

    def change(self, plan: Plan) -> None:
        """Go on by another plan from the next image on."""
        old, self._plan = self._plan, plan
        self._commands.append(partial(self._adopt, old, plan))

    def _adopt(self, old: Plan, plan: Plan) -> None:
        new = plan.extractor if plan.extractor is not old.extractor else None
        self._adopted = plan
        if new is not None or plan.settings.front_end != old.settings.front_end:
            self._front_end.change(plan.settings.front_end, new)
        if new is not None:
            old.extractor.close()

    def enable(self, enabled: bool) -> None:
        self.enabled = enabled
        self.pause()

    def reset(self) -> None:
        """The next image starts new tracks."""
        self._commands.append(self._front_end.reset)

    def pause(self) -> None:
        """Publish nothing of what was received so far, and forget the previous frame."""
        self._pauses += 1
        if self._slot.clear():
            self._statistics.count("ignored_frames")
        self.reset()

    def close(self) -> None:
        """End the worker and the publishers. Safe to call twice."""
        self._slot.close()
        for plan in (self._plan, self._adopted):
            plan.extractor.close()
        self._worker.join(timeout=STOP_TIMEOUT)
        self._outputs.close()

    # The worker's thread.

    def _work(self) -> None:
        while (waiting := self._slot.take()) is not None:
            while self._commands:
                self._commands.popleft()()
            try:
                self._process(*waiting)
            except ValueError as error:
                self._statistics.error("rejected_images", str(error))
                self._problems.report("image", f"image rejected: {error}")
            except Exception as error:
                if not self._node.context.ok():  # publishing fails once the context is shut down
                    return
                self._statistics.error("failed_frames", f"{type(error).__name__}: {error}")
                self._problems.report("failure", f"frame failed: {traceback.format_exc()}")

    def _process(self, moment: Moment, pauses: int) -> None:
        started = time.monotonic()
        header = moment.image.header
        stamp = stamp_nanoseconds(header.stamp)
        if stamp == 0:
            self._statistics.count("zero_stamps")
            self._problems.report(
                "stamp", "images have a zero stamp: set header.stamp in the driver; latency is unknown"
            )
        image = _gray(moment.image)
        right = None if moment.right is None else self._right(moment.right)
        self._last_shape = image.shape
        extracting = time.monotonic()
        step = self._front_end.process(image, stamp, self.calibration.left.camera, self._mask(image.shape))
        pair = None if right is None else self._stereo(step, *right)
        front_end = time.monotonic() - extracting
        if step.restarted:
            self._statistics.count("restarts")
            self._problems.report("restart", f"starting new tracks: {step.restarted}")
        if pauses != self._pauses:
            self._statistics.count("ignored_frames")
            return
        self._outputs.publish(header, step, self._rays(step), self._adopted, pair)
        processing = time.monotonic() - started
        keypoints, matches = len(step.frame.features), len(step.matches)
        self._statistics.processed(self._latency(stamp), processing, front_end, keypoints, matches, step.verified)
        self._outputs.publish_overlay(header, step)

    def _mask(self, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Where both masks keep keypoints; one of another size than the image is left out, counted and explained."""
        kept = None
        for name, mask in (("mask_file", self._adopted.mask), ("mask", self.mask)):
            if mask is None:
                continue
            if mask.shape != shape:
                problem = f"the {name} is {mask.shape[1]}x{mask.shape[0]}, but the images are {shape[1]}x{shape[0]}"
                self._statistics.error("frames_without_mask", problem)
                self._problems.report(name, f"{problem}: it is not used; make it the size of the images")
                continue
            kept = mask if kept is None else np.minimum(kept, mask)
        return kept

    def _right(self, message: ImageMessage) -> tuple[Features, tuple[int, ...]] | None:
        """Features of the right image, and its shape; the left one goes on alone, counted, where it cannot be used."""
        try:
            image = _gray(message)
            return self._front_end.extractor(image), image.shape
        except ValueError as error:
            self._statistics.error("frames_without_stereo", str(error))
            self._problems.report("right", f"right image rejected: {error}")
            return None

    def _stereo(self, step: Step, right: Features, shape: tuple[int, ...]) -> StereoPair:
        """Matches with the right image; without usable calibrations of both, counted and explained, without points."""
        geometry = rays = None
        try:
            geometry = self.calibration.of(step.frame.image.shape, shape)
            rays = geometry.right.rays(right.keypoints)
        except ValueError as error:
            self._statistics.count("frames_without_points")
            self._problems.report("stereo", f"stereo matches have no points: {error}")
        matches = match_stereo(step.frame.features, right, geometry, self._adopted.settings.stereo)
        return StereoPair(right, matches, rays)

    def _rays(self, step: Step) -> NDArray[np.float32] | None:
        """Rays of the keypoints, or None, counted and explained, without usable intrinsics for this image."""
        calibration = self.calibration.left
        try:
            return calibration.of(step.frame.image.shape).rays(step.frame.features.keypoints)
        except ValueError as error:
            if calibration.received:
                self._statistics.error("frames_without_rays", str(error))
            else:
                self._statistics.count("frames_without_rays")
            self._problems.report("camera_info", f"rays are not available: {error}")
            return None

    def _latency(self, stamp: int) -> float | None:
        age = (self._node.get_clock().now().nanoseconds - stamp) / 1e9
        return age if stamp and 0 <= age < MAX_LATENCY else None


def _gray(message: ImageMessage) -> NDArray[np.uint8]:
    return gray_from_message(message) if isinstance(message, Image) else gray_from_compressed(message)
