from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from silk_ros.backends import processor, speed
from silk_ros.backends.speed import gain_of_int8


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "silk_ros" / "speed"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only runs of networks move on, so that the load of the machine does not."""
    seconds = [0.0]
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(speed.time, name, lambda: seconds[0])
    return seconds


class Loader:
    """Loads networks that take given times in turn, again and again; counts how often."""

    def __init__(self, clock: list[float], *seconds: float) -> None:
        self.clock, self.seconds, self.loaded = clock, itertools.cycle(seconds), 0

    def __call__(self) -> speed.Run:
        self.loaded += 1
        return self.run

    def run(self) -> None:
        self.clock[0] += next(self.seconds)


def test_the_gain_is_the_ratio_of_the_least_times(clock: list[float]) -> None:
    """The first run, which may compile, and those that something else slowed down do not count."""
    fp32, int8 = Loader(clock, 0.001, 0.03, 0.02), Loader(clock, 0.1, 0.01, 0.03)
    assert gain_of_int8("a", fp32, int8) == pytest.approx(0.001 / 0.01)


def test_it_is_remembered_for_a_processor_and_what_it_ran(
    monkeypatch: pytest.MonkeyPatch, own_cache: Path, clock: list[float]
) -> None:
    loader = Loader(clock, 0.001)
    first = gain_of_int8("a", loader, loader)
    assert loader.loaded == 2 and len(list(own_cache.iterdir())) == 1
    assert gain_of_int8("a", loader, loader) == first and loader.loaded == 2
    gain_of_int8("b", loader, loader)
    assert loader.loaded == 4
    monkeypatch.setattr(processor, "instruction_sets", lambda: "other ones")
    gain_of_int8("a", loader, loader)
    assert loader.loaded == 6


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"fp32": 1}', '{"fp32": 1, "int8": 0}', '{"fp32": "x", "int8": 1}']
)
def test_a_damaged_memory_is_measured_again(own_cache: Path, clock: list[float], content: str) -> None:
    loader = Loader(clock, 0.001)
    gain_of_int8("a", loader, loader)
    (file,) = own_cache.iterdir()
    file.write_text(content)
    assert gain_of_int8("a", loader, loader) > 0 and loader.loaded == 4


def test_without_a_cache_it_is_measured_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    loader = Loader(clock, 0.001)
    assert gain_of_int8("a", loader, loader) > 0 and gain_of_int8("a", loader, loader) > 0
    assert loader.loaded == 4
