"""Recording of what the node would publish for a whole sequence, without a running node."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from ...cameras import CAMERAS, CameraFrontEnds
from ...images.sequence import SequenceFrame
from ...parameters.configuration import Configuration
from ...stereo import RightImage
from ..front_end.step_messages import StepMessages
from .recorder import Recorder

log = logging.getLogger(__name__)

NAMESPACE = "/silk"  # of the topics: the name of the node
NO_GEOMETRY = "the source has no calibration of both cameras"


def write_bag(frames: Iterable[SequenceFrame], configuration: Configuration, folder: Path) -> int:
    """Record the messages of all frames in a new rosbag2 folder. Returns the number of frames.

    They are those of the node with this configuration, while someone subscribes to all of its topics, without the
    overlay. Each camera has tracks of its own. What is missing of stereo pairs, restarts of the tracks, and images of
    too many cameras are counted and logged. Raises FileExistsError, ImportError without the rosbags library, and what
    reading and processing the frames raise.
    """
    front_ends = CameraFrontEnds(configuration.extractor, configuration.settings.front_end)
    messages = StepMessages(configuration.settings.tracks)
    problems, restarts = Counter[str](), list[str]()
    count = crowded = 0  # images, and those of further cameras
    with contextlib.closing(Recorder(folder)) as recorder:
        for frame in frames:
            count += 1
            right, problem = _right_image(frame)
            front_end = front_ends.of(*frame.frame_ids)
            crowded += front_ends.crowded
            step = front_end.process(frame.gray, frame.stamp, frame.camera, frame.mask, right)
            if step.restarted:
                restarts.append(f"image {frame.index}: {step.restarted}")
            if step.right_problem:
                problem = f"no stereo matches: {step.right_problem}"
            if problem:
                problems[problem] += 1
            for name, message in messages.of(_headers(frame), step, configuration).items():
                recorder.write(f"{NAMESPACE}/{name}", message(), frame.stamp)
    if crowded:
        log.warning("%d images are of more than %d cameras and have no matches: choose topic", crowded, CAMERAS)
    if restarts:
        log.warning("the tracks start again at %d of %d images, first at %s", len(restarts), count, restarts[0])
    for problem, times in problems.items():
        log.warning("%d of %d stereo pairs: %s", times, count, problem)
    return count


def _headers(frame: SequenceFrame) -> tuple[Header, ...]:
    """The headers of an image, or of both images of a pair."""
    stamps = (divmod(nanoseconds, 10**9) for nanoseconds in (frame.stamp, frame.right_stamp))
    return tuple(
        Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
        for (seconds, nanoseconds), frame_id in zip(stamps, frame.frame_ids)
    )


def _right_image(frame: SequenceFrame) -> tuple[RightImage | None, str]:
    """The right image of a pair, with its geometry where that is known, and what is missing."""
    try:
        gray = frame.right()
    except ValueError as error:
        return None, f"no stereo matches: {error}"
    if gray is None:
        return None, "no stereo matches: the right image is missing" if len(frame.frame_ids) > 1 else ""
    try:
        geometry, problem = frame.geometry(), NO_GEOMETRY
    except ValueError as error:
        geometry, problem = None, str(error)
    return RightImage(gray, geometry), "" if geometry else f"stereo matches have no points: {problem}"
