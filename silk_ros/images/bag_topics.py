"""The choice of the image topic of a recording."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from .bag_messages import image_from_message
from .gray import DEPTH_ENCODINGS
from .source import Lost
from .storage.base import COMPRESSED, IMAGE

if TYPE_CHECKING:
    from .storage.recording import Recorded, Recording

TRIED = 3  # messages of a topic that are looked at
DEPTH = re.compile(r"depth|disparity", re.IGNORECASE)
MAYBE_DEPTH_ENCODINGS = {"16UC1", "mono16"}  # also those of thermal cameras
# Names of what programs draw or compute from the images of a camera: taken only where there is nothing else.
DERIVED = re.compile(
    "depth|disparity|mask|debug|overlay|label|semantic|segment|confidence|heat_?map|thumbnail|marker|detect|feature",
    re.IGNORECASE,
)
MOST_NAMES = 20  # in a message


class ImageTopics:
    """The image topics of a recording.

    usable: their names, in the order in which they are taken, first those whose images can be read.
    unusable: the reasons why others are not.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.unusable: dict[str, str] = {}
        self._first_problems: dict[str, str] = {}
        for topic, channels in sorted(recording.topics.items()):
            if any(channel.type in (IMAGE, COMPRESSED) for channel in channels):
                reason, is_final = _problem(recording, topic)
                if is_final:
                    self.unusable[topic] = reason
                else:
                    self._first_problems[topic] = reason
        self.usable = sorted(
            self._first_problems,
            key=lambda topic: (bool(self._first_problems[topic]), DERIVED.search(topic) is not None, topic),
        )

    def choose(self, wanted: str) -> str:
        """The wanted topic, or the first usable one. Raises ValueError, naming the topics, where there is none."""
        if not wanted and self.usable:
            return self.usable[0]
        topics, path = self._recording.topics, self._recording.path
        topic = wanted if wanted in topics else f"/{wanted}"  # a name of ROS 1 may have no slash
        if topic in self.usable:
            return topic
        if topic in self.unusable:
            raise ValueError(f"'{topic}' in '{path}' cannot be used ({self.unusable[topic]}): {self._usable()}")
        if topic in topics:
            raise ValueError(f"'{topic}' in '{path}' is no image topic ({topics[topic][0].type}): {self._usable()}")
        what = f"image topic '{wanted}'" if wanted else f"{'usable ' if self.unusable else ''}image topic"
        raise ValueError(f"no {what} in '{path}': {self._usable()}")

    def about(self, chosen: str) -> str:
        """Which topic is read, and why not the others, if there are any."""
        others = [topic for topic in self.usable if topic != chosen]
        if not others and not self.unusable:
            return f"the images are those of {chosen}"
        reasons = [self._rank(topic) for topic in others]
        reasons += [f"{topic} ({reason})" for topic, reason in self.unusable.items()]
        rank = "the only usable topic"
        if others:
            rank = (
                f"one of {len(self.usable)} usable topics (whole images of cameras come first, then the order of names)"
            )
        return f"the images are those of {chosen}, {rank}; not {listed(reasons)}; choose with topic"

    def _rank(self, topic: str) -> str:
        """A usable topic with what puts it behind others."""
        if problem := self._first_problems[topic]:
            return f"{topic} (its first images cannot be used: {problem})"
        return f"{topic} (by its name not of a camera)" if DERIVED.search(topic) else topic

    def _usable(self) -> str:
        """The topics to choose from; where there are none, those that there are."""
        if self.usable:
            return f"its image topics are {listed(self.usable)}"
        if self.unusable:
            return f"its image topics are {listed([f'{topic} ({why})' for topic, why in self.unusable.items()])}"
        topics = sorted(self._recording.topics.items())
        return f"its topics are {listed([f'{topic} ({channels[0].type})' for topic, channels in topics])}"


def _problem(recording: Recording, topic: str) -> tuple[str, bool]:
    """Why the first images of a topic cannot be used, if they cannot, and whether that holds for all of them."""
    channels = recording.topics[topic]
    if not any(channel.is_readable for channel in channels):
        return f"its messages are encoded as {channels[0].encoding}", True
    reason, is_final = "it has no messages", True
    for item in islice(recording.read([topic]), TRIED):
        if _is_depth(item):
            return "it holds depths", True
        reason, is_final = _image_problem(item), False
        if not reason:
            break
    return reason, is_final


def _is_depth(item: Recorded) -> bool:
    if isinstance(item.message, Lost):
        return False
    text = item.message.format if item.type == COMPRESSED else item.message.encoding
    encoding, _, compression = text.partition(";")
    return (
        encoding.strip() in DEPTH_ENCODINGS
        or "compresseddepth" in compression.replace(" ", "").lower()
        or (encoding.strip() in MAYBE_DEPTH_ENCODINGS and DEPTH.search(item.topic) is not None)
    )


def _image_problem(item: Recorded) -> str:
    if isinstance(item.message, Lost):
        return item.message.reason
    try:
        image_from_message(item.message, item.type)
    except ValueError as error:
        return str(error)
    return ""


def listed(names: list[str]) -> str:
    """Names for a message to people, the first MOST_NAMES of them."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more if names else "none"
