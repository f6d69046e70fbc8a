from __future__ import annotations

import pytest

from silk_ros.images.pace import Pace

SECOND = 10**9


def intervals(*seconds: float | None) -> list[float]:
    pace = Pace(10.0)
    stamps = [None if value is None else round(value * SECOND) for value in seconds]
    return [round(pace.after_last(stamp), 6) for stamp in stamps][1:]


def test_gaps_are_kept() -> None:
    assert intervals(5.0, 5.1, 5.25, 8.25, 8.35) == [0.1, 0.15, 3.0, 0.1]


@pytest.mark.parametrize("wild", [0.1, 1e9, 4.9], ids=["1970", "2001", "just before"])
def test_one_wild_stamp_changes_nothing(wild: float, caplog: pytest.LogCaptureFixture) -> None:
    assert intervals(5.0, 5.1, wild, 5.3, 5.4) == [0.1, 0.1, 0.1, 0.1]
    assert len(caplog.messages) == 1


def test_gaps_after_a_clock_was_set_are_kept() -> None:
    assert intervals(1000.0, 1000.1, 3.0, 3.2, 8.2, 8.3) == [0.1, 0.1, 0.2, 5.0, 0.1]
    assert intervals(5.0, 1e6, 1e6 + 0.2, 1e6 + 5.2) == [0.1, 0.2, 5.0]


def test_stamps_that_stand_still_come_at_the_usual_rate() -> None:
    assert intervals(5.0, 5.0, 5.1) == [0.1, 0.1]


def test_images_without_stamps_come_at_the_usual_rate() -> None:
    assert intervals(None, None, None) == [0.1, 0.1]
