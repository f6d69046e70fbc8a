"""Recording of the feature and match clouds of a whole sequence, without a running node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from ...frontend import FrontEnd
from ...images.sequence import SequenceFrame
from ..messages import features_to_cloud, matches_to_cloud
from .recorder import Recorder

FEATURES_TOPIC, MATCHES_TOPIC = "/silk/features", "/silk/matches"
FRAME_ID = "camera"  # for sources without a frame of their own


def write_bag(views: Iterable[SequenceFrame], front_end: FrontEnd, folder: Path) -> int:
    """Record the clouds of all views in a new rosbag2 folder. Returns the number of views.

    Raises FileExistsError, ImportError without the rosbags library, and what reading the views raises.
    """
    count = 0
    with contextlib.closing(Recorder(folder)) as recorder:
        for view in views:
            seconds, nanoseconds = divmod(view.stamp, 10**9)
            header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=view.image.frame_id or FRAME_ID)
            camera = view.camera
            fits = camera is not None and (camera.height, camera.width) == view.gray.shape
            step = front_end.process(view.gray, view.stamp, camera if fits else None)
            recorder.write(FEATURES_TOPIC, features_to_cloud(header, step.frame), view.stamp)
            recorder.write(MATCHES_TOPIC, matches_to_cloud(header, step), view.stamp)
            count += 1
    return count
