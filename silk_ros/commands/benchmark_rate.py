"""The part of `benchmark` with --rate: print the settings that hold a camera's rate, and write a parameter file."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

from ..backends import processor
from ..command_line import program
from ..evaluation.report.tables import text_table
from ..evaluation.speed.extraction import automatic
from ..evaluation.speed.rate import MESSAGES_MS, RESERVE, TIME_LIMIT, CameraLoad, Candidate, Search, Timed, find

HEADS = ("scale", "keypoints", "precision", "radius", "ms", "holds Hz", "AUC@10", "of the defaults")
SHOWN = 11  # settings, the last ones tried
MARGIN = 0.9  # share of a measured rate with which another search is advised


def run(camera: CameraLoad, output: Path) -> int:
    """Find, print and write. Returns the exit status: 1 if no setting holds the rate. Raises OSError or ValueError."""
    images = f"{'pairs' if camera.stereo else 'images'} of {camera.width}x{camera.height} at {camera.rate:g} Hz"
    print(
        f"{processor.describe()}\n{automatic()}\n\n"
        f"{images}: extraction and matching may take {camera.budget_ms:.1f} ms.\n"
        f"{RESERVE:.0%} of the time is reserved for the camera's driver and other programs, and {MESSAGES_MS:g} ms for "
        "messages."
    )
    search = find(camera)
    _print_table(search)
    if search.best is None:
        cheapest = search.timed[0]
        size, pairs = f"{camera.width}x{camera.height}", ["--stereo"] if camera.stereo else []
        again = program("benchmark", "--rate", f"{MARGIN * cheapest.hertz:.0f}", "--size", size, *pairs)
        print(
            f"\nno setting holds {camera.rate:g} Hz on this machine; the cheapest one holds {cheapest.hertz:.0f} Hz:\n"
            f"    {_words(cheapest.candidate)}\n"
            f"{again} finds the best one for nearly that"
        )
        return 1
    if not search.complete:
        print(f"\nafter {TIME_LIMIT:g} s not all settings were tried: the cheapest one is taken")
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"silk_{camera.rate:g}hz.yaml"
    path.write_text(params_file(search.best.candidate, camera), encoding="utf-8")
    print(
        f"\n{_words(search.best.candidate)}: {search.best.ms:.1f} ms, holds {search.best.hertz:.0f} Hz\n\n"
        f"wrote {path}; next: {program('silk_node', '--ros-args', '--params-file', str(path.resolve()))}"
    )
    return 0


def params_file(candidate: Candidate, camera: CameraLoad) -> str:
    """YAML of parameters for silk_node."""
    values = candidate.parameters() | ({"stereo.sync": "exact"} if camera.stereo else {})
    return (
        f"# {'Pairs' if camera.stereo else 'Images'} of {camera.width}x{camera.height} at {camera.rate:g} Hz,"
        f" by benchmark --rate on {processor.describe()}.\n/**:\n  ros__parameters:\n"
        + "".join(f"    {name}: {value}\n" for name, value in values.items())
    )


def _print_table(search: Search) -> None:
    rows = [_row(each, search.defaults) for each in search.timed]
    if len(rows) > SHOWN + 1:
        rows = [rows[0], ("...",) * len(HEADS), *rows[-SHOWN:]]
    print(f"\n{text_table(rows, HEADS)}")
    print(
        "\nms: 90th percentile. AUC@10: of relative poses, as evaluate measured it on sequences of 640x480, uncertain\n"
        "by some hundredths; other sizes have the value of the nearest one. A radius, a share of the image's width,\n"
        "gives more right matches in video, which the AUC does not show (docs/performance.md, Motion window)."
    )


def _words(candidate: Candidate) -> str:
    return ", ".join(f"{name} {value}" for name, value in candidate.parameters().items())


def _row(timed: Timed, defaults: float) -> tuple[str, ...]:
    scale, count, precision, radius, auc, _ = astuple(timed.candidate)
    near = f"{radius:g}" if radius else "none"
    times = f"{timed.ms:.1f}", f"{timed.hertz:.1f}"
    return f"{scale:g}", f"{count}", precision, near, *times, f"{auc:.3f}", f"{auc / defaults:.0%}"
