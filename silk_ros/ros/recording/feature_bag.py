"""Recording of the feature, match and stereo clouds of a whole sequence, without a running node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from ...frontend import FrontEnd
from ...images.sequence import SequenceFrame
from ...stereo import RightImage
from ..messages import features_to_cloud, matches_to_cloud, stereo_matches_to_cloud
from .recorder import Recorder

FEATURES_TOPIC, MATCHES_TOPIC, STEREO_TOPIC = "/silk/features", "/silk/matches", "/silk/stereo_matches"
FRAME_ID = "camera"  # for sources without a frame of their own


def write_bag(frames: Iterable[SequenceFrame], front_end: FrontEnd, folder: Path) -> int:
    """Record the clouds of all frames in a new rosbag2 folder, those of stereo pairs too. Returns the number of frames.

    Raises FileExistsError, ImportError without the rosbags library, and what reading and processing the frames raise.
    """
    count = 0
    with contextlib.closing(Recorder(folder)) as recorder:
        for frame in frames:
            seconds, nanoseconds = divmod(frame.stamp, 10**9)
            header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame.image.frame_id or FRAME_ID)
            camera = frame.camera
            fits = camera is not None and (camera.height, camera.width) == frame.gray.shape
            right = None if frame.right is None else RightImage(frame.right, frame.pair)
            step = front_end.process(frame.gray, frame.stamp, camera if fits else None, right=right)
            if step.right_problem:
                raise ValueError(f"right image {frame.index}: {step.right_problem}")
            recorder.write(FEATURES_TOPIC, features_to_cloud(header, step.frame), frame.stamp)
            recorder.write(MATCHES_TOPIC, matches_to_cloud(header, step), frame.stamp)
            if step.stereo is not None:
                recorder.write(STEREO_TOPIC, stereo_matches_to_cloud(header, step.frame, step.stereo), frame.stamp)
            count += 1
    return count
