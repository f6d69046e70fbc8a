"""The tasks of `evaluate`, and how one is run so that a method which fails does not lose the results of the others."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.hpatches import SHORTER_EDGE, find_sequences
from ..methods.load import Method
from ..options import DatasetError, Options
from ..report.report import Failure
from ..results import Curve, TaskResult
from .homography import evaluate_homography
from .invariance import evaluate_rotation, evaluate_scale, load_images
from .odometry import evaluate_odometry
from .registration import evaluate_registration
from .relative_pose import evaluate_relative_pose

logger = logging.getLogger("evaluate")


@dataclass(frozen=True)
class Task:
    """What `evaluate` can do with a folder.

    run:    the task, over methods, a folder and options.
    files:  patterns of file names; a folder that holds one of them is a data set of this task.
    layout: the same for people.
    skips:  whether `run` takes `skip`, the names of sequences to leave out.
    """

    run: Callable[..., TaskResult]
    files: tuple[str, ...]
    layout: str
    skips: bool = False

    def fits(self, folder: Path) -> bool:
        return any(next(folder.glob(pattern), None) for pattern in self.files)


def photographs(folder: Path, options: Options, skip: Sequence[str] = ()) -> list[NDArray[np.uint8]]:
    """The images of a folder, or the first image of each sequence of one in HPatches' layout; grey (H, W).

    Sequences named in `skip` are left out. Raises DatasetError as `find_sequences` and `load_images` do, and for
    something to skip among images.
    """
    if next(folder.glob("*/H_1_*"), None):
        return [sequence.read()[0] for sequence in find_sequences(folder, options.shorter_edge or SHORTER_EDGE, skip)]
    if skip:
        raise DatasetError(f"no sequence '{skip[0]}' to skip in '{folder}': it holds no sequences")
    return load_images(folder)


def _on_photographs(evaluate: Callable[..., TaskResult]) -> Callable[..., TaskResult]:
    def run(methods: Sequence[Method], folder: Path, options: Options, skip: Sequence[str] = ()) -> TaskResult:
        result = evaluate(methods, photographs(folder, options, skip), options)
        result.settings["skipped"] = list(skip)
        return result

    return run


KITTI = "image_0/*.png, poses.txt, calib.txt as of KITTI odometry"
SEVEN_SCENES = "frame-N.color.png, frame-N.depth.png, frame-N.pose.txt, camera-intrinsics.txt as of 7-Scenes"
HPATCHES = "SEQUENCE/1.png ... n.png, SEQUENCE/H_1_2 ... H_1_n as of HPatches"
PHOTOGRAPHS = "a folder of photographs, or of HPatches' sequences"
TASKS: dict[str, Task] = {
    "homography": Task(evaluate_homography, ("*/H_1_*",), HPATCHES, skips=True),
    "relative-pose": Task(evaluate_relative_pose, ("image_0/*.png", "frame-*.color.*"), f"{KITTI}; or {SEVEN_SCENES}"),
    "registration": Task(evaluate_registration, ("frame-*.depth.png",), SEVEN_SCENES),
    "odometry": Task(
        evaluate_odometry, ("image_1/*.png", "frame-*.depth.png"), f"image_1/*.png, {KITTI}; or {SEVEN_SCENES}"
    ),
    "rotation": Task(_on_photographs(evaluate_rotation), ("*/H_1_*",), PHOTOGRAPHS, skips=True),
    "scale": Task(_on_photographs(evaluate_scale), ("*/H_1_*",), PHOTOGRAPHS, skips=True),
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
    """The outcome for those of the methods that do not fail, None if none is left; the others are added to `failures`.

    Methods run one by one. Progress is logged, with `variant` for what is special of this run.
    """
    results = []
    for method in methods:
        started = time.perf_counter()
        try:
            results.append(task.run([method], folder, options))
        except DatasetError as error:  # the other methods would meet it too
            failures.append(Failure(name, str(folder), "", str(error)))
            break
        except Exception as error:  # whatever it is, the others go on
            message = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            failures.append(Failure(name, str(folder), method.name, message))
            logger.debug("%s", failures[-1], exc_info=True)
        what = ", ".join(filter(None, [method.name, variant]))
        logger.info("%s on %s: %s: %.1f s", name, folder.name, what, time.perf_counter() - started)
    return merged(results) if results else None


def protocol(options: Options, scale: float, result: TaskResult) -> dict[str, Any]:
    """All settings that bear on a result: `scale` is the input scale of networks."""
    given = {name: value for name, value in asdict(options).items() if name != "pictures"}
    return {"input_scale": scale, **given, **result.settings}


def merged(results: Sequence[TaskResult]) -> TaskResult:
    """One outcome of several that differ in their methods. Pictures of the same thing come one after the other."""
    first = results[0]
    whole = TaskResult(first.task, {}, settings=first.settings)
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    for result in results:
        whole.overall |= result.overall
        whole.details = _joined(whole.details, result.details)
        for group, table in result.groups.items():
            whole.groups.setdefault(group, {}).update(table)
        for curve in result.curves:
            lines.setdefault((curve.title, curve.x_label, curve.y_label), {}).update(curve.lines)
    whole.curves = [Curve(*labels, lines=by_method) for labels, by_method in lines.items()]
    rounds = itertools.zip_longest(*(result.pictures for result in results))
    whole.pictures = [picture for round_ in rounds for picture in round_ if picture is not None]
    return whole


def _joined(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Both, and where both have a mapping under the same key, that joined in turn."""
    joined = dict(a)
    for key, value in b.items():
        both = isinstance(value, Mapping) and isinstance(joined.get(key), Mapping)
        joined[key] = _joined(joined[key], value) if both else value
    return joined
