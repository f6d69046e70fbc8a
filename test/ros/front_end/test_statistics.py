import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from silk_ros.ros.front_end import statistics as diagnostics
from silk_ros.ros.front_end.statistics import FrontEndCount, ProcessedFrame, Statistics


def test_rates_and_percentiles_come_from_the_recent_frames() -> None:
    statistics = Statistics()
    for latency in (0.010, 0.020, 0.030):
        statistics.received(stamp=10**9)
        statistics.processed(ProcessedFrame(latency, 0.005, 0.004, keypoints=1000, matches=400))
    statistics.processed(ProcessedFrame(float("nan"), 0.005, 0.004, keypoints=1000, matches=400))
    values = statistics.snapshot()
    assert values["latency_p50_ms"] == "20.0" and (values["processing_p50_ms"], values["front_end_p50_ms"]) == (
        "5.0",
        "4.0",
    )
    assert (values["received_frames"], values["processed_frames"]) == ("3", "4")
    assert (values["keypoints"], values["matches"]) == ("1000", "400")
    assert values["rate_hz"] == f"{4 / diagnostics.WINDOW:.1f}"


def test_old_frames_leave_the_window_but_not_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = Statistics()
    statistics.received(stamp=10**9)
    statistics.processed(ProcessedFrame(0.01, 0.01, 0.01, 10, 5))
    later = time.monotonic() + 60
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: later)
    values = statistics.snapshot()
    assert (values["rate_hz"], values["latency_p50_ms"], values["processed_frames"]) == ("0.0", "nan", "1")


def test_level_follows_the_state_of_the_node() -> None:
    statistics = Statistics()
    assert statistics.status("", timeout=5.0) == (DiagnosticStatus.OK, "running")
    statistics._listening -= 10
    assert statistics.status("", timeout=5.0)[0] == DiagnosticStatus.STALE
    assert statistics.status("inactive", timeout=5.0) == (DiagnosticStatus.OK, "inactive")
    statistics.received(stamp=10**9)
    assert statistics.status("", timeout=5.0)[0] == DiagnosticStatus.OK
    statistics.error(FrontEndCount.REJECTED_IMAGES, "image rejected because of its size")
    assert statistics.status("", timeout=5.0) == (DiagnosticStatus.WARN, "image rejected because of its size")
    assert statistics.snapshot()["rejected_images"] == "1"


def test_whatever_is_counted_is_published() -> None:
    statistics = Statistics()
    for count in FrontEndCount:
        statistics.count(count, 3)
    assert {statistics.snapshot()[count.value] for count in FrontEndCount} == {"3"}


def test_gap_is_where_images_are_missing() -> None:
    statistics = Statistics()
    for index in (0, 1, 2, 3, 5, 6, 6, 7):  # one is missing, one comes twice
        statistics.received(stamp=index * 100_000_000)
    assert statistics.snapshot()["gaps"] == "1"


def test_age_of_the_last_frame_grows_while_none_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = Statistics()
    now = time.monotonic()
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: now)
    statistics.processed(ProcessedFrame(0.05, 0.01, 0.01, 10, 5))
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: now + 2)
    assert statistics.snapshot()["frame_age_ms"] == "2050"
