from __future__ import annotations

from collections.abc import Callable

import pytest

from silk_ros.ros.front_end import drop_warning
from silk_ros.ros.front_end.drop_warning import DropWatch


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A function that has a node receive and drop so many images in each second, and returns what it says."""

    def run(*seconds: tuple[int, int], stereo: bool = False, idle: int = 0) -> list[str]:
        said: list[str] = []
        watch, now, received, dropped = DropWatch(said.append), 100, 0, 0
        monkeypatch.setattr(drop_warning.time, "monotonic", lambda: now)
        for _ in range(idle + 1):
            now += 1
            watch.check(0, 0, None, stereo)
        for more, lost in seconds:
            now, received, dropped = now + 1, received + more, dropped + lost
            watch.check(received, dropped, (480, 640), stereo)
        return said

    return run


def test_drops_for_ten_seconds_are_told_once_with_the_command(
    run: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_warning, "program", lambda *words: " ".join(words))
    assert run(*[(30, 10)] * 40) == [
        "100 of 300 images of the last 10 s were dropped: this machine does not hold 30 Hz with these settings; "
        "'benchmark --rate 30 --size 640x480' finds settings that it holds"
    ]


def test_time_before_the_first_image_does_not_count(run: Callable[..., list[str]]) -> None:
    assert "does not hold 30 Hz" in run(*[(30, 10)] * 10, idle=60)[0]


def test_of_a_pair_the_command_is_for_pairs(run: Callable[..., list[str]]) -> None:
    assert "--size 640x480 --stereo'" in run(*[(15, 5)] * 10, stereo=True)[0]


@pytest.mark.parametrize(
    "seconds",
    [[(30, 3)] * 60, [(30, 30)] * 9, [(30, 11)] + [(30, 2)] * 60, [(0, 0)] * 60],
    ids=["a tenth", "not yet ten seconds", "a moment", "no images"],
)
def test_less_is_borne_in_silence(run: Callable[..., list[str]], seconds: list[tuple[int, int]]) -> None:
    assert run(*seconds) == []


def test_a_camera_that_was_fast_enough_before_is_told_of_when_it_is_not(run: Callable[..., list[str]]) -> None:
    assert len(run(*[(30, 0)] * 60, *[(30, 9)] * 20)) == 1
