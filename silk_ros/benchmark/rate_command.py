"""`benchmark --rate`: print the settings that hold a camera's rate, and write them to a file of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..backends import processor
from ..frontend import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from .pipelines import automatic
from .rate import MESSAGES_MS, RESERVE, Camera, Candidate, Timed, find
from .tables import text_table

HEADS = ("scale", "keypoints", "precision", "radius", "ms", "holds Hz", "AUC@10", "of the first")
SHOWN = 12  # settings


def run(camera: Camera, output: Path) -> int:
    """Find, print and write. Returns the exit status: 1 if no setting holds the rate. Raises OSError or ValueError."""
    images = f"{'pairs' if camera.stereo else 'images'} of {camera.width}x{camera.height} at {camera.rate:g} Hz"
    print(
        f"{processor.describe()}\n{automatic()}\n\n"
        f"{images}: extraction and matching may take {camera.budget_ms:.1f} ms.\n"
        f"{RESERVE:.0%} of the time is kept for the camera's driver and other programs, and {MESSAGES_MS:g} ms for "
        "messages."
    )
    found, timed = find(camera)
    tried = [each for each in timed[1:] if each.candidate.threads == 0] or timed
    print(f"\n{text_table(HEADS, _rows(tried[-SHOWN:], tried[0].candidate))}")
    print(
        "\nAUC@10: of relative poses, as evaluate measured it on sequences of 640x480. A radius in pixels matches only "
        "around\nwhere the last motion leads: an eighth more matches are right in smooth video, and it costs some time."
    )
    if found is None:
        fastest = min(timed, key=lambda each: each.ms)
        print(
            f"\nno setting holds {camera.rate:g} Hz on this machine; the fastest one holds {fastest.hertz:.0f} Hz:\n"
            f"    {_words(fastest.candidate)}\n"
            f"benchmark --rate {max(1, int(fastest.hertz))} --size {camera.width}x{camera.height}"
            f"{' --stereo' if camera.stereo else ''} finds the best one for that"
        )
        return 1
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"silk_{camera.rate:g}hz.yaml"
    path.write_text(params_file(found, camera), encoding="utf-8")
    print(f"\n{_words(found.candidate)}: {found.ms:.1f} ms, holds {found.hertz:.0f} Hz\n\nwrote {path}")
    print(f"ros2 launch silk_ros silk.launch.py params_file:={path.resolve()}")
    return 0


def params_file(found: Timed, camera: Camera) -> str:
    """YAML that silk_node takes as its parameters."""
    lines = [
        f"# {'Pairs' if camera.stereo else 'Images'} of {camera.width}x{camera.height} at {camera.rate:g} Hz,"
        f" by benchmark --rate on {processor.describe()}.",
        "/**:",
        "  ros__parameters:",
        *(f"    {name}: {value}" for name, value in found.candidate.parameters().items()),
        *(["    stereo.sync: exact"] if camera.stereo else []),
    ]
    return "\n".join(lines) + "\n"


def _words(candidate: Candidate) -> str:
    defaults = (candidate.scale, candidate.max_keypoints) == (CAMERA_SCALE, CAMERA_MAX_KEYPOINTS)
    values = ", ".join(f"{name} {value}" for name, value in candidate.parameters().items())
    return values + (" (the node's defaults but for the radius)" if defaults and candidate.radius else "")


def _rows(timed: Sequence[Timed], first: Candidate) -> list[tuple[str, ...]]:
    return [
        (
            f"{each.candidate.scale:g}",
            f"{each.candidate.max_keypoints}",
            each.candidate.precision,
            f"{each.candidate.radius:g}" if each.candidate.radius else "none",
            f"{each.ms:.1f}",
            f"{each.hertz:.1f}",
            f"{each.candidate.auc:.3f}",
            f"{each.candidate.auc / first.auc:.0%}",
        )
        for each in timed
    ]
