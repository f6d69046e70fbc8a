"""The registry of the tasks of `evaluate` with the layouts of their data, and running one for several methods."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...images.folders import find_layout
from ..methods.base import Method
from ..options import DatasetError, Options
from ..results import Curve, Failure, TaskResult
from .homography import evaluate_homography
from .invariance import evaluate_rotation, evaluate_scale
from .odometry import evaluate_odometry
from .registration import evaluate_registration
from .relative_pose import evaluate_relative_pose

logger = logging.getLogger("evaluate")


@dataclass(frozen=True)
class Task:
    """An evaluation `run` of a method on a folder with options; `skips`: with names of sequences to leave out, `skip`.

    fits: whether a folder is a data set of this task. layout: its description.
    """

    run: Callable[..., TaskResult]
    fits: Callable[[Path], bool]
    layout: str
    skips: bool = False


def _has(*parts: str) -> Callable[[Path], bool]:
    """Whether a folder is a data set with one of these parts of frames; one with a fault has images, and is named."""

    def fits(folder: Path) -> bool:
        try:
            layout = find_layout(folder)
        except (OSError, ValueError):
            return "image" in parts
        return layout is not None and any(getattr(frame, part) is not None for frame in layout.frames for part in parts)

    return fits


def _has_homographies(folder: Path) -> bool:
    return next(folder.glob("*/H_1_*"), None) is not None


KITTI = "image_0/*.png (or image_2), poses.txt, calib.txt as of KITTI odometry"
EUROC = "mav0/cam0 with data and sensor.yaml, mav0/state_groundtruth_estimate0 as of EuRoC"
TUM = "rgb.txt, groundtruth.txt, depth.txt as of TUM RGB-D"
SEVEN_SCENES = "frame-N.color.png, frame-N.depth.png, frame-N.pose.txt, camera-intrinsics.txt as of 7-Scenes"
HPATCHES = "SEQUENCE/1.png ... n.png, SEQUENCE/H_1_2 ... H_1_n as of HPatches"
PHOTOGRAPHS = "a folder of photographs, or of HPatches' sequences"
TASKS: dict[str, Task] = {
    "homography": Task(evaluate_homography, _has_homographies, HPATCHES, skips=True),
    "relative-pose": Task(
        evaluate_relative_pose,
        _has("image"),
        f"{KITTI}; or {SEVEN_SCENES}; or {EUROC}; or {TUM}",
    ),
    "registration": Task(evaluate_registration, _has("depth"), f"{SEVEN_SCENES}; or {TUM}"),
    "odometry": Task(
        evaluate_odometry,
        _has("right", "depth"),
        f"image_1/*.png (or image_3), {KITTI}; or {SEVEN_SCENES}; or mav0/cam1, {EUROC}; or {TUM}",
    ),
    "rotation": Task(evaluate_rotation, _has_homographies, PHOTOGRAPHS, skips=True),
    "scale": Task(evaluate_scale, _has_homographies, PHOTOGRAPHS, skips=True),
}


def run_task(
    name: str,
    task: Task,
    methods: Sequence[Method],
    folder: Path,
    options: Options,
    failures: list[Failure],
    variant: str = "",
) -> TaskResult | None:
    """The result of the methods that succeed, None if none does; the other methods are added to `failures`.

    Methods run one by one. Progress is logged; `variant` describes this run there.
    """
    results = []
    for method in methods:
        started = time.perf_counter()
        try:
            results.append(task.run(method, folder, options))
        except DatasetError as error:  # the other methods would meet it too
            failures.append(Failure(name, str(folder), "", str(error)))
            break
        except Exception as error:  # the other methods continue
            message = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            failures.append(Failure(name, str(folder), method.name, message))
            logger.debug("%s", failures[-1], exc_info=True)
        what = ", ".join(filter(None, [method.name, variant]))
        logger.info("%s on %s: %s: %.1f s", name, folder.name, what, time.perf_counter() - started)
    return merged(results) if results else None


def protocol(options: Options, scale: float, result: TaskResult) -> dict[str, Any]:
    """All settings that affect a result; `scale` is the input scale of networks."""
    given = {name: value for name, value in asdict(options).items() if name != "pictures"}
    return {"input_scale": scale, **given, **result.settings}


def merged(results: Sequence[TaskResult]) -> TaskResult:
    """One result from several that differ in their methods. The methods' pictures of one pair are put together."""
    first = results[0]
    whole = TaskResult(first.task, {}, settings=first.settings)
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    for result in results:
        whole.overall |= result.overall
        for group, table in result.groups.items():
            whole.groups.setdefault(group, {}).update(table)
        for name, detail in result.details.items():
            if isinstance(detail, dict):  # by method
                whole.details.setdefault(name, {}).update(detail)
            else:
                whole.details[name] = detail
        for curve in result.curves:
            lines.setdefault((curve.title, curve.x_label, curve.y_label), {}).update(curve.lines)
    whole.curves = [Curve(*labels, lines=by_method) for labels, by_method in lines.items()]
    rounds = itertools.zip_longest(*(result.pictures for result in results))
    whole.pictures = [picture for round_ in rounds for picture in round_ if picture is not None]
    return whole
