"""`benchmark --rate`: print the settings that hold a camera's rate, and write them to a file of parameters."""

from __future__ import annotations

from pathlib import Path

from ..backends import processor
from ..evaluation.speed.extraction import automatic
from ..evaluation.speed.rate import MESSAGES_MS, RESERVE, TIME_LIMIT, Camera, Candidate, Timed, find
from ..evaluation.speed.tables import text_table

HEADS = ("scale", "keypoints", "precision", "radius", "ms", "holds Hz", "AUC@10", "of the defaults")
SHOWN = 11  # of the settings that were tried last
MARGIN = 0.9  # share of a measured rate that is worth another search


def run(camera: Camera, output: Path) -> int:
    """Find, print and write. Returns the exit status: 1 if no setting holds the rate. Raises OSError or ValueError."""
    images = f"{'pairs' if camera.stereo else 'images'} of {camera.width}x{camera.height} at {camera.rate:g} Hz"
    print(
        f"{processor.describe()}\n{automatic()}\n\n"
        f"{images}: extraction and matching may take {camera.budget_ms:.1f} ms.\n"
        f"{RESERVE:.0%} of the time is kept for the camera's driver and other programs, and {MESSAGES_MS:g} ms for "
        "messages."
    )
    search = find(camera)
    rows = [_row(each, search.defaults) for each in search.timed]
    if len(rows) > SHOWN + 1:
        rows = [rows[0], ("...",) * len(HEADS), *rows[-SHOWN:]]
    print(f"\n{text_table(HEADS, rows)}")
    print(
        "\nms: 90th percentile. AUC@10: of relative poses, as evaluate measured it on sequences of 640x480,\n"
        "uncertain by some hundredths; for other sizes that of the nearest one. A radius, in pixels, gives more\n"
        "right matches in smooth video, which the AUC does not show (docs/performance.md, Radius)."
    )
    if search.best is None:
        (fastest,) = search.timed
        print(
            f"\nno setting holds {camera.rate:g} Hz on this machine; the cheapest one holds {fastest.hertz:.0f} Hz:\n"
            f"    {_words(fastest.candidate)}\n"
            f"benchmark --rate {MARGIN * fastest.hertz:.0f} --size {camera.width}x{camera.height}"
            f"{' --stereo' if camera.stereo else ''} finds the best one for nearly that"
        )
        return 1
    if not search.complete:
        print(f"\nafter {TIME_LIMIT:g} s not all settings were tried: the cheapest one is taken")
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"silk_{camera.rate:g}hz.yaml"
    path.write_text(params_file(search.best.candidate, camera), encoding="utf-8")
    print(
        f"\n{_words(search.best.candidate)}: {search.best.ms:.1f} ms, holds {search.best.hertz:.0f} Hz\n\nwrote {path}"
    )
    print(f"ros2 launch silk_ros silk.launch.py params_file:={path.resolve()}")
    return 0


def params_file(candidate: Candidate, camera: Camera) -> str:
    """YAML that silk_node takes as its parameters."""
    lines = [
        f"# {'Pairs' if camera.stereo else 'Images'} of {camera.width}x{camera.height} at {camera.rate:g} Hz,"
        f" by benchmark --rate on {processor.describe()}.",
        "/**:",
        "  ros__parameters:",
        *(f"    {name}: {value}" for name, value in candidate.parameters().items()),
        *(["    stereo.sync: exact"] if camera.stereo else []),
    ]
    return "\n".join(lines) + "\n"


def _words(candidate: Candidate) -> str:
    return ", ".join(f"{name} {value}" for name, value in candidate.parameters().items())


def _row(timed: Timed, defaults: float) -> tuple[str, ...]:
    candidate = timed.candidate
    return (
        f"{candidate.scale:g}",
        f"{candidate.max_keypoints}",
        candidate.precision,
        f"{candidate.radius:g}" if candidate.radius else "none",
        f"{timed.ms:.1f}",
        f"{timed.hertz:.1f}",
        f"{candidate.auc:.3f}",
        f"{candidate.auc / defaults:.0%}",
    )
