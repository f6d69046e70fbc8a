"""Recording of the feature, match and stereo clouds of a whole sequence, without a running node."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from ...cameras import CameraFrontEnds, quoted
from ...images.sequence import SequenceFrame
from ...stereo import RightImage
from ..messages import features_to_cloud, matches_to_cloud, stereo_matches_to_cloud
from .recorder import Recorder

log = logging.getLogger(__name__)

FEATURES_TOPIC, MATCHES_TOPIC, STEREO_TOPIC = "/silk/features", "/silk/matches", "/silk/stereo_matches"
FRAME_ID = "camera"  # for sources without a frame of their own


def write_bag(frames: Iterable[SequenceFrame], front_ends: CameraFrontEnds, folder: Path) -> int:
    """Record the clouds of all frames in a new rosbag2 folder, those of stereo pairs too. Returns the number of frames.

    What is missing of stereo pairs, and restarts of the tracks, are counted and logged, and so are the cameras where
    there are several. Raises FileExistsError, ImportError without the rosbags library, and what reading and processing
    the frames raise.
    """
    cameras, problems = Counter[str](), Counter[str]()
    restarts: list[str] = []
    with contextlib.closing(Recorder(folder)) as recorder:
        for frame in frames:
            seconds, nanoseconds = divmod(frame.stamp, 10**9)
            frame_ids = [image.frame_id or "" for image in (frame.image, frame.image.right) if image is not None]
            cameras[" and ".join(frame_ids)] += 1
            header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_ids[0] or FRAME_ID)
            right, problem = _right_image(frame)
            step = front_ends.of(*frame_ids).process(frame.gray, frame.stamp, frame.camera, right=right)
            if step.restarted:
                restarts.append(f"image {frame.index}: {step.restarted}")
            if problem := problem or step.right_problem:
                problems[problem] += 1
            recorder.write(FEATURES_TOPIC, features_to_cloud(header, step.frame), frame.stamp)
            recorder.write(MATCHES_TOPIC, matches_to_cloud(header, step), frame.stamp)
            if step.stereo is not None:
                recorder.write(STEREO_TOPIC, stereo_matches_to_cloud(header, step.frame, step.stereo), frame.stamp)
    count = cameras.total()
    if len(cameras) > 1:
        log.warning("%d images are of several cameras, %s: each has tracks of its own", count, quoted(sorted(cameras)))
    if restarts:
        log.warning("the tracks start again at %d of %d images, first at %s", len(restarts), count, restarts[0])
    for problem, times in problems.items():
        log.warning("%d of %d stereo pairs: %s", times, count, problem)
    return count


def _right_image(frame: SequenceFrame) -> tuple[RightImage | None, str]:
    """The right image of a pair, with its geometry where that is known, and what is wrong with the two."""
    try:
        gray = frame.right()
    except ValueError as error:
        return None, f"no stereo matches: {error}"
    if gray is None:
        return None, ""
    try:
        return RightImage(gray, frame.geometry()), ""
    except ValueError as error:
        return RightImage(gray), f"stereo matches have no points: {error}"
