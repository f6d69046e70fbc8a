"""The messages of the front-end's results: what the node publishes, and what the recording of a sequence holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from sensor_msgs.msg import PointCloud, PointCloud2
from std_msgs.msg import Header

from ...cameras import PerCamera
from ...parameters.configuration import Configuration
from ...step import Frame, Step
from ...stereo import StereoPair
from ...tracker import TrackRules
from ..messages import features_to_cloud, matches_to_cloud, right_features_to_cloud, stereo_matches_to_cloud
from .tracks import Observations, TrackMessages

# Names of the messages: those of the node's topics.
FEATURES, MATCHES, STEREO_MATCHES = "features", "matches", "stereo_matches"
RIGHT_FEATURES, TRACKS = "right/features", "tracks"

StepMessage: TypeAlias = PointCloud2 | PointCloud


class StepMessages:
    """Makes the messages of the steps of a stream, which are given in order."""

    def __init__(self, rules: TrackRules) -> None:
        self._tracks = PerCamera(lambda: TrackMessages(rules))

    def of(
        self, headers: tuple[Header, ...], step: Step, configuration: Configuration
    ) -> dict[str, Callable[[], StepMessage]]:
        """What makes the messages that a step has, by their names; each takes time only when it is called.

        headers: of the image, or of both images of a pair.
        """
        header, frame, pair, encode = headers[0], step.frame, step.stereo, configuration.encode
        flagged = configuration.settings.front_end.verification.flags
        messages: dict[str, Callable[[], StepMessage]] = {
            FEATURES: lambda: features_to_cloud(header, frame, encode(frame.features.descriptors)),
            MATCHES: partial(matches_to_cloud, header, step, flagged),
        }
        if pair is not None:
            messages[STEREO_MATCHES] = partial(stereo_matches_to_cloud, header, frame, pair)
            messages[RIGHT_FEATURES] = partial(_right_features, headers[1], frame, pair, configuration)
        if frame.rays is not None:
            messages[TRACKS] = partial(self._track_message, headers, frame, pair, configuration.settings.tracks)
        return messages

    def _track_message(
        self, headers: tuple[Header, ...], frame: Frame, pair: StereoPair | None, rules: TrackRules
    ) -> PointCloud:
        tracks = self._tracks.of(*(header.frame_id for header in headers)) or TrackMessages(rules)
        tracks.rules = rules
        assert frame.rays is not None
        return tracks.message(headers[0], frame, frame.rays, _seen_right(frame, pair))


def _right_features(header: Header, frame: Frame, pair: StereoPair, configuration: Configuration) -> PointCloud2:
    return right_features_to_cloud(header, frame, pair, configuration.encode(pair.right.descriptors))


def _seen_right(frame: Frame, pair: StereoPair | None) -> Observations | None:
    """Where the right camera sees the tracks of a frame; None without a calibrated pair."""
    if pair is None or pair.rays is None:
        return None
    rows, right_rows = pair.matches.indices.T
    return Observations(frame.tracks.ids[rows], pair.right.keypoints[right_rows], pair.rays[right_rows])
