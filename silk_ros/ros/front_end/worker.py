"""The worker: one thread that processes the newest image and publishes what it finds.

The executor's thread never waits for it. A camera that is faster than the worker costs dropped frames, never a growing
delay. Changes are queued as commands, which the worker runs before the next image.
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

from ...frontend import FrontEnd
from ...geometry.camera import Camera
from ...stereo import RightImage
from ..messages import stamp_nanoseconds
from ..node.logs import ChangeLog
from .calibration import Calibration, StereoCalibration
from .configuration import Configuration
from .frame_slot import FrameSlot
from .images import gray_from_compressed, gray_from_message
from .outputs import Outputs
from .settings import Settings
from .statistics import FrontEndCount, Statistics

STOP_TIMEOUT = 30.0  # seconds; an engine that is being built takes a while to give up
MAX_LATENCY = 3600.0  # seconds; an older stamp comes from another clock, such as that of a recording

ImageMessage: TypeAlias = Image | CompressedImage


class Moment(NamedTuple):
    """The image of one camera, or the images of a stereo pair, at one moment; `image` is the left one."""

    image: ImageMessage
    right: ImageMessage | None = None


class _Waiting(NamedTuple):
    """A moment, and the number of pauses when it came: one from before the last pause is not published."""

    moment: Moment
    pauses: int


class Worker:
    """Processes images with a configuration until it is closed.

    The methods are for the executor's thread, but for `_work` and what it calls.
    """

    def __init__(self, node: Node, configuration: Configuration, statistics: Statistics, problems: ChangeLog) -> None:
        self._node = node
        self._configuration = self._adopted = configuration  # the newest, and the one that the worker has adopted
        self._statistics, self._problems = statistics, problems
        self._outputs = Outputs(node, configuration)
        self._front_end = FrontEnd(configuration.extractor, configuration.settings.front_end)
        self._slot: FrameSlot[_Waiting] = FrameSlot()
        self._commands: deque[Callable[[], None]] = deque()  # for the worker, before the next image
        self._pauses = 0
        self._last_shape: tuple[int, ...] | None = None
        self.enabled = True
        self.calibration = StereoCalibration(Calibration(""), Calibration(""))  # of the cameras that are subscribed to
        self.mask: NDArray[np.uint8] | None = None  # the newest that was received
        self._thread = threading.Thread(target=self._work, name="silk-worker", daemon=True)
        self._thread.start()

    @property
    def configuration(self) -> Configuration:
        return self._configuration

    @property
    def last_shape(self) -> tuple[int, ...] | None:
        """Height and width of the last image; None before the first."""
        return self._last_shape

    def listen_to(self, calibration: StereoCalibration) -> None:
        """Take images of other subscriptions from now on, with these calibrations; of one camera, `left` counts."""
        self.calibration, self.mask = calibration, None

    def put(self, moment: Moment) -> None:
        """Take the newest image or pair."""
        self._statistics.received(stamp_nanoseconds(moment.image.header.stamp))
        if not self.enabled:
            self._statistics.count(FrontEndCount.IGNORED_FRAMES)
        elif self._slot.put(_Waiting(moment, self._pauses)):
            self._statistics.count(FrontEndCount.DROPPED_FRAMES)

    def prepare(self, settings: Settings) -> Configuration:
        """A configuration for other settings, for any thread; the worker goes on with the old one meanwhile.

        A new network is run once at the size of the last image: what it cannot run, or has to compile, shows here.
        Raises what loading and running the network raise.
        """
        configuration = self._configuration.changed(settings)
        if configuration.extractor is not self._configuration.extractor and self._last_shape is not None:
            configuration.warm_up(self._last_shape)
        return configuration

    def change(self, configuration: Configuration) -> None:
        """Go on with another configuration from the next image on."""
        old, self._configuration = self._configuration, configuration
        self._commands.append(partial(self._adopt, old, configuration))

    def _adopt(self, old: Configuration, new: Configuration) -> None:
        extractor = new.extractor if new.extractor is not old.extractor else None
        self._adopted = new
        if extractor is not None or new.settings.front_end != old.settings.front_end:
            self._front_end.change(new.settings.front_end, extractor)
        if extractor is not None:
            old.extractor.close()

    def enable(self, enabled: bool) -> None:
        self.enabled = enabled
        self.pause()

    def reset(self) -> None:
        """Let the next image start new tracks."""
        self._commands.append(self._front_end.reset)

    def pause(self) -> None:
        """Publish nothing of what was received so far, and forget the previous frame."""
        self._pauses += 1
        if self._slot.clear():
            self._statistics.count(FrontEndCount.IGNORED_FRAMES)
        self.reset()

    def close(self) -> None:
        """End the thread and the publishers. Safe to call twice."""
        self._slot.close()
        for configuration in (self._configuration, self._adopted):
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
                self._statistics.error(FrontEndCount.REJECTED_IMAGES, str(error))
                self._problems.report("image", f"image rejected: {error}")
            except Exception as error:
                if not self._node.context.ok():  # publishing fails once the context is shut down
                    return
                self._statistics.error(FrontEndCount.FAILED_FRAMES, f"{type(error).__name__}: {error}")
                self._problems.report("failure", f"frame failed: {traceback.format_exc()}")

    def _process(self, moment: Moment, pauses: int) -> None:
        started = time.monotonic()
        header = moment.image.header
        stamp = self._stamp(moment)
        image = _gray(moment.image)
        right = None if moment.right is None else self._right(moment.right)
        self._last_shape = image.shape
        camera, mask = self._camera(image.shape), self._mask(image.shape)
        pair = None if right is None else self._pair(image.shape, right)
        extracting = time.monotonic()
        step = self._front_end.process(image, stamp, camera, mask, pair)
        front_end = time.monotonic() - extracting
        if step.restarted:
            self._statistics.count(FrontEndCount.RESTARTS)
            self._problems.report("restart", f"starting new tracks: {step.restarted}")
        if step.right_problem:
            self._reject_right(step.right_problem)
        if pauses != self._pauses:
            self._statistics.count(FrontEndCount.IGNORED_FRAMES)
            return
        self._outputs.publish(header, step, self._adopted)
        processing = time.monotonic() - started
        keypoints, matches = len(step.frame.features), len(step.matches)
        self._statistics.processed(self._latency(stamp), processing, front_end, keypoints, matches, step.verified)
        self._outputs.publish_overlay(header, step)

    def _stamp(self, moment: Moment) -> int:
        """The stamp in nanoseconds; a zero one is counted and explained."""
        stamp = stamp_nanoseconds(moment.image.header.stamp)
        if stamp == 0:
            self._statistics.count(FrontEndCount.ZERO_STAMPS)
            self._problems.report("stamp", "images have a zero stamp, so latency is unknown: set it in the driver")
        return stamp

    def _mask(self, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Where both masks keep keypoints; a mask of another size than the image is not used, counted and explained."""
        kept = None
        for name, mask in (("mask_file", self._adopted.mask), ("mask", self.mask)):
            if mask is None:
                continue
            if mask.shape != shape:
                problem = f"the {name} is {mask.shape[1]}x{mask.shape[0]}, but the images are {shape[1]}x{shape[0]}"
                self._statistics.error(FrontEndCount.FRAMES_WITHOUT_MASK, problem)
                self._problems.report(name, f"{problem}: it is not used; make it the size of the images")
                continue
            kept = mask if kept is None else np.minimum(kept, mask)
        return kept

    def _camera(self, shape: tuple[int, ...]) -> Camera | None:
        """The calibration of an image; None, counted and explained, where none can be used."""
        calibration = self.calibration.left
        try:
            return calibration.of(shape)
        except ValueError as error:
            if calibration.received:
                self._statistics.error(FrontEndCount.FRAMES_WITHOUT_RAYS, str(error))
            else:
                self._statistics.count(FrontEndCount.FRAMES_WITHOUT_RAYS)
            self._problems.report("camera_info", f"rays are not available: {error}")
            return None

    def _right(self, message: ImageMessage) -> NDArray[np.uint8] | None:
        """The right image in grey; None, counted and explained, where it cannot be used: the left one goes on alone."""
        try:
            return _gray(message)
        except ValueError as error:
            self._reject_right(str(error))
            return None

    def _reject_right(self, problem: str) -> None:
        self._statistics.error(FrontEndCount.FRAMES_WITHOUT_STEREO, problem)
        self._problems.report("right", f"right image rejected: {problem}")

    def _pair(self, shape: tuple[int, ...], right: NDArray[np.uint8]) -> RightImage:
        """The right image with the geometry of the pair, or without, counted and explained."""
        try:
            return RightImage(right, self.calibration.of(shape, right.shape))
        except ValueError as error:
            self._statistics.count(FrontEndCount.FRAMES_WITHOUT_POINTS)
            self._problems.report("stereo", f"stereo matches have no points: {error}")
            return RightImage(right)

    def _latency(self, stamp: int) -> float | None:
        """Seconds since an image's stamp; None where the stamp tells nothing."""
        age = (self._node.get_clock().now().nanoseconds - stamp) / 1e9
        return age if stamp and 0 <= age < MAX_LATENCY else None


def _gray(message: ImageMessage) -> NDArray[np.uint8]:
    return gray_from_message(message) if isinstance(message, Image) else gray_from_compressed(message)
