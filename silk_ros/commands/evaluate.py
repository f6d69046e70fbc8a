"""Judge an exported network beside SIFT, ORB and others.

    evaluate homography DATA                repeatability, homography accuracy and AUC, MMA
    evaluate relative-pose DATA             AUC of relative poses from essential matrices
    evaluate registration DATA              RGB-D registration: rotation, translation, Chamfer distance
    evaluate odometry DATA                  drift, ATE and RPE of stereo or RGB-D visual odometry
    evaluate rotation DATA                  matching under in-plane rotation
    evaluate scale DATA                     matching under change of scale
    evaluate all DATA                       every task that fits DATA or a folder in it, in one report
    evaluate sweep TASK DATA --over ...     a task over the values of a setting

for example

    evaluate homography DATA --methods silk my.onnx sift orb --skip evd_adam --output report
    evaluate sweep homography DATA --over top-k 1000 2000 5000 10000
    evaluate sweep odometry DATA --over scale 1 0.7 0.5 --over top-k 1000 2000 5000

Tables are printed. The output folder gets report.html (one file, to be opened or sent on), results.json (its keys are
described in silk_ros/evaluation/report/report.py), plots/*.png and, of odometry, trajectories/*.txt in TUM's format.
The exit status is 1 if anything could not be evaluated; the rest is reported all the same.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from silk_ros.extractor import DEFAULT_SCALE

from .arguments import positive

try:
    from ..evaluation.datasets.hpatches import SHORTER_EDGE
    from ..evaluation.methods.load import DEFAULT_PRECISION, METHODS, Method, OnnxMethod, load_method
    from ..evaluation.options import Options
    from ..evaluation.report.html import write_html
    from ..evaluation.report.plots import draw_outcome, method_styles
    from ..evaluation.report.report import Failure, Outcome, Report, TaskOutcome, slug
    from ..evaluation.report.tables import console_table
    from ..evaluation.run_info import describe_run
    from ..evaluation.tasks.registry import TASKS, protocol, run_task
    from ..evaluation.tasks.sweeps import AXES, run_sweep
    from ..geometry.trajectory import write_tum
except ModuleNotFoundError as error:
    raise SystemExit(f"evaluate needs {error.name}: pip install 'silk_ros[evaluate]'") from error

ALL, SWEEP = "all", "sweep"
DEFAULT_METHODS = ("silk", "sift", "orb")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; every default is in its help."""
    parser = argparse.ArgumentParser(
        "evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, task in TASKS.items():
        _add_options(commands.add_parser(name, help=task.layout, description=f"DATA: {task.layout}."))
    everything = "every task that fits DATA or a folder in it"
    _add_options(commands.add_parser(ALL, help=everything, description=f"Run {everything}."))
    sweep = commands.add_parser(SWEEP, help="a task over the values of a setting", description="Sweep a setting.")
    sweep.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    _add_options(sweep)
    sweep.add_argument(
        "--over",
        nargs="+",
        action="append",
        required=True,
        metavar=("SETTING", "VALUE"),
        help="a setting and its values; without values these are taken: "
        + "; ".join(f"{name} {' '.join(f'{value:g}' for value in axis.values)}" for name, axis in AXES.items())
        + ". Given more than once: all combinations",
    )
    parsed = parser.parse_args(arguments)
    if parsed.command == SWEEP:
        try:
            parsed.over = dict(_axis(*given) for given in parsed.over)
        except ValueError as error:
            sweep.error(str(error))
        if {"ratio", "double-softmax"} <= parsed.over.keys():
            sweep.error("--over ratio and --over double-softmax are alternatives: sweep one at a time")
    return parsed


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", type=Path, metavar="DATA", help="folder of the data set")
    add(
        "--methods",
        nargs="+",
        metavar="METHOD",
        default=list(DEFAULT_METHODS),
        help=f"ONNX files, silk (the shipped network), {', '.join(METHODS)}; NAME@2000 for at most 2000 keypoints "
        f"(default: {' '.join(DEFAULT_METHODS)})",
    )
    add("--output", type=Path, metavar="FOLDER", default=Path("report"), help="where to write (default: %(default)s)")
    add(
        "--top-k",
        type=positive,
        metavar="K",
        default=Options.top_k,
        help="best keypoints used of an image (default: %(default)s)",
    )
    add(
        "--scale",
        type=float,
        default=DEFAULT_SCALE,
        help="networks see the image resized by this factor, like the node's parameter (default: %(default)s)",
    )
    add(
        "--precision",
        default=DEFAULT_PRECISION,
        help="what networks compute in, like the node's parameter: auto, fp32, bf16, int8 (default: %(default)s)",
    )
    add("--ratio", type=float, help="ratio test of the matches, 0 to 1, lower is stricter (default: none)")
    add("--double-softmax", type=float, help="the same by matching probability, networks only (default: none)")
    add(
        "--shorter-edge",
        type=positive,
        metavar="PIXELS",
        help=f"resize images to this (default: {SHORTER_EDGE} for homography, otherwise as they are)",
    )
    add("--skip", nargs="+", metavar="SEQUENCE", default=[], help="sequences in HPatches' layout to leave out")
    add(
        "--pictures",
        type=int,
        metavar="N",
        default=Options.pictures,
        help="pictures of matches of each method and task (default: %(default)s)",
    )
    add(
        "--runs",
        type=positive,
        metavar="N",
        default=Options.runs,
        help="of the RANSAC of relative poses and odometry, which are averaged (default: %(default)s)",
    )
    add(
        "--disparity-offset",
        type=float,
        metavar="PIXELS",
        help="of odometry: added to the disparities of a badly rectified stereo pair (default: fitted for each method)",
    )


def _axis(name: str, *values: str) -> tuple[str, list[float]]:
    if name not in AXES:
        raise ValueError(f"--over: no setting '{name}': choose from {', '.join(AXES)}")
    axis = AXES[name]
    return name, [(int if axis.whole else float)(value) for value in values] or list(axis.values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        methods = [load_method(name, args.top_k, args.scale, args.precision) for name in args.methods]
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        print(f"evaluate: two methods have one name: {', '.join(names)}", file=sys.stderr)
        return 2
    models = {method.name: method.path for method in methods if isinstance(method, OnnxMethod)}
    report = describe_run(shlex.join(["evaluate", *arguments]), models)

    _run(args, methods, report)
    for failure in report.failures:
        print(f"evaluate: {failure}", file=sys.stderr)
    if report.outcomes:
        _write(report, names, args.output)
    return 1 if report.failures else 0


def _run(args: argparse.Namespace, methods: Sequence[Method], report: Report) -> None:
    """Add to the report what each task gives; each is printed when it is done. Ctrl-C keeps what there is."""
    options = Options(
        args.top_k, args.shorter_edge, args.ratio, args.double_softmax, args.pictures, args.runs, args.disparity_offset
    )
    loaders = [partial(load_method, name, precision=args.precision) for name in args.methods]
    failures: list[Failure] = []
    for name, folder in _jobs(args, failures):
        task = TASKS[name]
        if task.skips:
            task = replace(task, run=partial(task.run, skip=args.skip))
        outcome: Outcome | None = None
        try:
            if args.command == SWEEP:
                outcome = run_sweep(name, task, loaders, folder, options, args.scale, args.over, failures)
            elif result := run_task(name, task, methods, folder, options, failures):
                result.settings = protocol(options, args.scale, result)
                outcome = TaskOutcome(str(folder), result)
        except KeyboardInterrupt:
            failures.append(Failure(name, str(folder), "", "interrupted, and so is all that was to follow"))
            break
        if outcome:
            report.outcomes.append(outcome)
            _print(outcome)
    report.failures += dict.fromkeys(failures)  # a sweep meets the same one again and again


def _jobs(args: argparse.Namespace, failures: list[Failure]) -> list[tuple[str, Path]]:
    """Tasks and their data sets."""
    if args.command != ALL:
        return [(args.task if args.command == SWEEP else args.command, args.data)]
    below = sorted(path for path in args.data.iterdir() if path.is_dir()) if args.data.is_dir() else []
    jobs = [(name, folder) for folder in [args.data, *below] for name, task in TASKS.items() if task.fits(folder)]
    if not jobs:
        layouts = "".join(f"\n  {name}: {task.layout}" for name, task in TASKS.items())
        failures.append(Failure(ALL, str(args.data), "", f"no data set here nor in a folder in it, expected{layouts}"))
    return jobs


def _print(outcome: Outcome) -> None:
    print(f"\n{outcome.title}")
    for caption, grid in outcome.grids():
        print(*([f"\n{caption}"] if caption else []), console_table(grid), sep="\n")
    print(flush=True)


def _write(report: Report, names: Sequence[str], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    report.write_json(output / "results.json")
    styles = method_styles(names, report.models)
    plots = [draw_outcome(outcome, styles) for outcome in report.outcomes]
    for outcome, drawn in zip(report.outcomes, plots):
        for plot in drawn:
            path = output / "plots" / f"{slug(outcome.title)}-{slug(plot.title)}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(plot.light)
        for name, rows in outcome.trajectories.items():
            path = output / "trajectories" / f"{slug(outcome.title)}-{slug(name)}.txt"
            path.parent.mkdir(exist_ok=True)
            write_tum(path, rows)
    write_html(report, plots, output / "report.html")
    print(f"wrote {output / 'report.html'}, {output / 'results.json'}")


if __name__ == "__main__":
    sys.exit(main())
