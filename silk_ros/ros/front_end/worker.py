"""The worker: one thread that processes the newest image, publishes the results and counts what is lost.

The executor's thread never waits for it. A camera that is faster than the worker costs dropped frames, never a growing
delay. Changes are queued as commands, which the worker runs before the next image.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from ...cameras import CAMERAS, CameraFrontEnds, PerCamera
from ...images.value_range import ValueRange
from ...parameters.configuration import Configuration
from ...parameters.settings import Settings
from ...stereo import RightImage
from ..messages import stamp_nanoseconds
from ..node.calibration import Calibration, StereoCalibration
from ..node.logs import ChangeLog
from .frame_slot import FrameSlot
from .images import gray_from_compressed, gray_from_message
from .outputs import Outputs
from .statistics import FrontEndCount, ProcessedFrame, Statistics

STOP_TIMEOUT = 30.0  # seconds; an engine that is being built takes a while to give up
MAX_LATENCY = 3600.0  # seconds; an older stamp comes from another clock, such as that of a recording

ImageMessage: TypeAlias = Image | CompressedImage

# An image, the right one of a pair, and the number of pauses when they came: those before the last are not published.
_Waiting: TypeAlias = tuple[ImageMessage, ImageMessage | None, int]


class Worker:
    """Processes images with a configuration until it is closed.

    The methods are for the executor's thread, but for `_work` and what it calls.
    """

    def __init__(self, node: Node, configuration: Configuration, statistics: Statistics, problems: ChangeLog) -> None:
        self._node, self._statistics, self._problems = node, statistics, problems
        self.configuration = self._adopted = configuration  # the newest, and the one that the worker has adopted
        self._outputs = Outputs(node, configuration)
        self._front_ends = CameraFrontEnds(configuration.extractor, configuration.settings.front_end)
        self._slot: FrameSlot[_Waiting] = FrameSlot()
        self._commands: deque[Callable[[], None]] = deque()  # for the worker, before the next image
        self._pauses = 0
        self.last_shape: tuple[int, ...] | None = None  # height and width of the last image
        self.enabled = True
        self.calibration = StereoCalibration(Calibration(""), Calibration(""))  # of the cameras that are subscribed to
        self._ranges = PerCamera(ValueRange), PerCamera(ValueRange)  # of their values, left and right
        self.mask: NDArray[np.uint8] | None = None  # the newest that was received
        self._thread = threading.Thread(target=self._work, name="silk-worker", daemon=True)
        self._thread.start()

    def listen_to(self, calibration: StereoCalibration) -> None:
        """Take images of other subscriptions from now on, with these calibrations; of one camera, `left` counts."""
        self.calibration, self.mask = calibration, None
        self._ranges = PerCamera(ValueRange), PerCamera(ValueRange)

    def put(self, image: ImageMessage, right: ImageMessage | None = None) -> None:
        """Take the newest image, or the two of a stereo pair. Raises ValueError for an invalid stamp."""
        self._statistics.received(stamp_nanoseconds(image.header.stamp))
        if not self.enabled:
            self._statistics.count(FrontEndCount.IGNORED_FRAMES)
        elif self._slot.put((image, right, self._pauses)):
            self._statistics.count(FrontEndCount.DROPPED_FRAMES)

    def prepare(self, settings: Settings) -> Configuration:
        """A configuration for other settings, for any thread; the worker goes on with the old one meanwhile.

        A new network is run once at the size of the last image: what it cannot run, or has to compile, shows here.
        Raises what loading and running the network raise.
        """
        configuration = self.configuration.changed(settings)
        if configuration.extractor is not self.configuration.extractor and self.last_shape is not None:
            configuration.warm_up(self.last_shape)
        return configuration

    def change(self, configuration: Configuration) -> None:
        """Go on with another configuration from the next image on."""
        old, self.configuration = self.configuration, configuration
        self._commands.append(partial(self._adopt, old, configuration))

    def _adopt(self, old: Configuration, new: Configuration) -> None:
        extractor = new.extractor if new.extractor is not old.extractor else None
        self._adopted = new
        if extractor is not None or new.settings.front_end != old.settings.front_end:
            self._front_ends.change(new.settings.front_end, extractor)
        if extractor is not None:
            old.extractor.close()

    def enable(self, enabled: bool) -> None:
        self.enabled = enabled
        self.pause()

    def reset(self) -> None:
        """Let the next image start new tracks."""
        self._commands.append(self._front_ends.reset)

    def pause(self) -> None:
        """Publish nothing of what was received so far, and forget the previous frame."""
        self._pauses += 1
        if self._slot.clear():
            self._statistics.count(FrontEndCount.IGNORED_FRAMES)
        self.reset()

    def close(self) -> None:
        """End the thread and the publishers. Safe to call twice."""
        self._slot.close()
        for configuration in (self.configuration, self._adopted):
            configuration.extractor.close()
        self._thread.join(timeout=STOP_TIMEOUT)
        self._outputs.close()

    # The worker's thread.

    def _work(self) -> None:
        while (waiting := self._slot.take()) is not None:
            while self._commands:
                self._commands.popleft()()
            try:
                self._process(*waiting)
            except ValueError as error:
                self._explain(FrontEndCount.REJECTED_IMAGES, "image", f"image rejected: {error}", str(error))
            except Exception as error:
                if not self._node.context.ok():  # publishing fails once the context is shut down
                    return
                reason = f"{type(error).__name__}: {error}"
                self._explain(FrontEndCount.FAILED_FRAMES, "failure", f"frame failed: {traceback.format_exc()}", reason)

    def _explain(self, what: FrontEndCount, kind: str, message: str, error: str = "") -> None:
        """Count and log a problem; an error also becomes the state of the node."""
        if error:
            self._statistics.error(what, error)
        else:
            self._statistics.count(what)
        self._problems.report(kind, message)

    def _process(self, message: ImageMessage, right_message: ImageMessage | None, pauses: int) -> None:
        started = time.monotonic()
        header = message.header
        stamp = stamp_nanoseconds(header.stamp)
        if stamp == 0:
            problem = "images have a zero stamp, so latency is unknown: set it in the driver"
            self._explain(FrontEndCount.ZERO_STAMPS, "stamp", problem)
        messages = (message,) if right_message is None else (message, right_message)
        headers = tuple(each.header for each in messages)
        frame_ids = tuple(each.frame_id for each in headers)
        image = _gray(message, self._ranges[0])
        right, right_problem, no_points = self._right(right_message, image.shape, *frame_ids)
        self.last_shape = image.shape
        camera, no_rays, calibration = None, "", self.calibration.left
        try:
            camera = calibration.of(image.shape, header.frame_id)
        except ValueError as error:
            no_rays = str(error)
        mask = self._mask(image.shape)
        extracting = time.monotonic()
        step = self._front_ends.of(*frame_ids).process(image, stamp, camera, mask, right)
        front_end = time.monotonic() - extracting
        if step.restarted:
            self._explain(FrontEndCount.RESTARTS, "restart", f"starting new tracks: {step.restarted}")
        if pauses != self._pauses:
            self._statistics.count(FrontEndCount.IGNORED_FRAMES)
            return
        if self._front_ends.crowded:
            said = f"cameras beyond the first {CAMERAS} of a topic have no matches: remap each to a node of its own"
            self._explain(FrontEndCount.FRAMES_OF_FURTHER_CAMERAS, "cameras", said, said)
        if no_rays:
            said, reason = f"rays are not available: {no_rays}", no_rays if calibration.received else ""
            self._explain(FrontEndCount.FRAMES_WITHOUT_RAYS, "camera_info", said, reason)
        if problem := right_problem or step.right_problem:
            self._explain(FrontEndCount.FRAMES_WITHOUT_STEREO, "right", f"right image rejected: {problem}", problem)
        elif no_points:
            said = f"stereo matches have no points: {no_points}"
            self._explain(FrontEndCount.FRAMES_WITHOUT_POINTS, "stereo", said)
        self._outputs.publish(headers, step, self._adopted)
        latency, processing = self._latency(stamp), time.monotonic() - started
        keypoints, matches = len(step.frame.features), len(step.matches)
        frame = ProcessedFrame(latency, processing, front_end, keypoints, matches, step.verified, step.refined_share)
        self._statistics.processed(frame)
        self._outputs.publish_overlay(header, step)

    def _mask(self, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """The mask of both masks; one of another size than the image is left out, counted and explained."""
        kept = None
        for name, mask in (("mask_file", self._adopted.mask), ("mask", self.mask)):
            if mask is None:
                continue
            if mask.shape != shape:
                problem = f"the {name} is {mask.shape[1]}x{mask.shape[0]}, but the images are {shape[1]}x{shape[0]}"
                said = f"{problem}: it is not used; make it the size of the images"
                self._explain(FrontEndCount.FRAMES_WITHOUT_MASK, name, said, said)
            else:
                kept = mask if kept is None else np.minimum(kept, mask)
        return kept

    def _right(
        self, message: ImageMessage | None, shape: tuple[int, ...], *frame_ids: str
    ) -> tuple[RightImage | None, str, str]:
        """The right image with the geometry of the pair; why there is no image, and why there is no geometry."""
        if message is None:
            return None, "", ""
        try:
            right = RightImage(_gray(message, self._ranges[1]))
        except ValueError as error:
            return None, str(error), ""
        try:
            return replace(right, geometry=self.calibration.of(shape, right.image.shape, *frame_ids)), "", ""
        except ValueError as error:
            return right, "", str(error)

    def _latency(self, stamp: int) -> float:
        """Seconds since an image's stamp; NaN where the stamp tells nothing."""
        age = (self._node.get_clock().now().nanoseconds - stamp) / 1e9
        return age if stamp and 0 <= age < MAX_LATENCY else np.nan


def _gray(message: ImageMessage, ranges: PerCamera[ValueRange]) -> NDArray[np.uint8]:
    convert = gray_from_message if isinstance(message, Image) else gray_from_compressed
    return convert(message, value_range=ranges.of(message.header.frame_id))
