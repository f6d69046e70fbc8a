"""The choice of one camera where clouds of several come."""

from __future__ import annotations


class Followed:
    """The camera whose clouds are used: the first one, until nothing has come from it for a while.

    frame_id: of that camera; None before the first cloud. Times are in seconds of any one clock.
    """

    def __init__(self, patience: float) -> None:
        """patience: seconds of silence of the camera after which another one is followed."""
        self._patience = patience
        self.frame_id: str | None = None
        self._heard = -float("inf")  # time of its last cloud
        self._others: dict[str, float] = {}  # times of the last clouds of other cameras, by frame_id

    def take(self, frame_id: str, now: float) -> bool:
        """Whether a cloud of a frame_id is to be used."""
        if frame_id != self.frame_id and now - self._heard <= self._patience:
            self._others[frame_id] = now
            return False
        self._others.pop(frame_id, None)
        self.frame_id, self._heard = frame_id, now
        return True

    def problem(self, now: float) -> str:
        """Which cameras are left out at present, and the remedy; empty where none is."""
        self._others = {name: seen for name, seen in self._others.items() if now - seen <= self._patience}
        if not self._others or self.frame_id is None:
            return ""
        others = ", ".join(repr(name[:40]) for name in sorted(self._others)[:4])
        return (
            f"clouds of several cameras come: {self.frame_id[:40]!r} is followed, {others} left out; give each camera "
            "a silk_node and an odometry_node of its own"
        )
