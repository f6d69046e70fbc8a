"""What has arrived for each image of the demo, joined by stamps, and which process is silent when nothing comes."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

IMAGES, FEATURES, MATCHES, ODOMETRY = "images", "features", "matches", "odometry"
STAGES = {IMAGES: "image_player", FEATURES: "silk_node", MATCHES: "silk_node", ODOMETRY: "odometry_node"}  # and who
BUSY = 0.5  # share of a processor core above which a silent process works


class Answers:
    """Counts arrivals by image. An image is answered when one of each stage has come, of the odometry one per cloud.

    answered: number of images. last: stamp of the last one, nanoseconds. progress: when something new came, in seconds
    of the monotonic clock.
    """

    def __init__(self, clouds: int) -> None:
        """clouds: number of clouds that the odometry takes for each image, two in stereo."""
        self._needed = {FEATURES: 1, MATCHES: 1, ODOMETRY: clouds}
        self._arrived: dict[str, Counter[int]] = {stage: Counter() for stage in STAGES}
        self.answered, self.last = 0, 0
        self.progress = time.monotonic()

    def note_progress(self) -> None:
        self.progress = time.monotonic()

    def add(self, stage: str, stamp: int) -> bool:
        """Note an arrival. Returns whether it completes the answer to an image."""
        self.note_progress()
        self._arrived[stage][stamp] += 1
        needed = self._needed.get(stage)
        if self._arrived[stage][stamp] != needed or not self._complete(stamp):
            return False
        self.answered, self.last = self.answered + 1, stamp
        return True

    def _complete(self, stamp: int) -> bool:
        return all(self._arrived[stage][stamp] >= needed for stage, needed in self._needed.items())

    def counts(self) -> dict[str, int]:
        """Number of images for which something has arrived, by stage."""
        return {stage: len(arrived) for stage, arrived in self._arrived.items()}

    def silent(self) -> str:
        """The process from which something is missing for the last image."""
        images = self._arrived[IMAGES]
        if not images or self._complete(newest := max(images)):
            return STAGES[IMAGES]
        return next(STAGES[stage] for stage, needed in self._needed.items() if self._arrived[stage][newest] < needed)


def cpu_seconds(process_id: int) -> float:
    """Processor time that a process has used; 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def silence(process: str, answers: Answers, timeout: float, share: float, last_error: str) -> str:
    """The error text of a demo in which nothing has come for a while: what arrived, who is silent, and what to do.

    process: the silent one. share: of a processor core that it used meanwhile. last_error: that it published.
    """
    arrived = ", ".join(f"{stage} {count}" for stage, count in answers.counts().items())
    if share >= BUSY:
        advice = (
            "it is working: end other programs, lower --max-keypoints or --scale, or let it take longer with "
            f"--timeout {2 * timeout:g}"
        )
    elif last_error:
        advice = f"its last error: {last_error}"
    else:
        advice = (
            "it waits: its log above may say why; if not, look for another program that uses the processor (top) or "
            "fills shared memory (df /dev/shm)"
        )
    used = f"used {share:.0%} of a processor core meanwhile"
    return f"nothing new for {timeout:g} s. Arrived: {arrived}. {process} is silent and {used}; {advice}"
