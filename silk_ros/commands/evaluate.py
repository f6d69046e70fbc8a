"""Evaluate an exported network beside SIFT, ORB and others.

    evaluate homography DATA                repeatability, homography accuracy and AUC, MMA
    evaluate relative-pose DATA             AUC of relative poses from essential matrices
    evaluate registration DATA              RGB-D registration: rotation, translation, Chamfer distance
    evaluate odometry DATA                  drift, ATE and RPE of stereo or RGB-D visual odometry
    evaluate rotation DATA                  matching under in-plane rotation
    evaluate scale DATA                     matching under change of scale
    evaluate all DATA                       every task that fits DATA, or else the folders in it
    evaluate sweep TASK DATA --over ...     a task over the values of a setting

for example

    evaluate homography DATA --methods silk my.onnx sift orb --skip evd_adam --output report
    evaluate sweep homography DATA --over top-k 1000 2000 5000 10000
    evaluate sweep odometry DATA --over scale 1 0.7 0.5 --over top-k 1000 2000 5000

Tables are printed. The output folder gets report.html (a single file, to open or send), results.json (its keys are
described in silk_ros/evaluation/report/report.py), plots/*.png and, for odometry, trajectories/*.txt in TUM's format.
The exit status is 1 if anything could not be evaluated; the rest is reported all the same.
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from ..command_line import command_parser
from ..extractor import DEFAULT_SCALE
from .arguments import positive

try:
    from ..evaluation.datasets.hpatches import SHORTER_EDGE
    from ..evaluation.methods.base import DEFAULT_PRECISION, Method
    from ..evaluation.methods.load import METHODS, OnnxMethod, load_method
    from ..evaluation.options import Options
    from ..evaluation.report.glossary import legend_text
    from ..evaluation.report.html import write_html
    from ..evaluation.report.plots import draw_outcome, method_styles
    from ..evaluation.report.report import Outcome, Report, slug, task_outcome
    from ..evaluation.report.tables import console_table
    from ..evaluation.results import Failure
    from ..evaluation.run_info import describe_run
    from ..evaluation.tasks.registry import TASKS, Task, protocol, run_task
    from ..evaluation.tasks.sweeps import AXES, run_sweep
    from ..geometry.trajectory import write_tum
except ModuleNotFoundError as error:
    raise SystemExit(f"evaluate needs {error.name}: pip install 'silk_ros[evaluate]'") from error

ALL, SWEEP = "all", "sweep"
DEFAULT_METHODS = ("silk", "sift", "orb")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Every default is in its help, in brackets."""
    parser = command_parser("evaluate", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, task in TASKS.items():
        _add_options(commands.add_parser(name, help=task.layout, description=f"DATA: {task.layout}."))
    everything = "every task that fits DATA, or else the folders in it"
    _add_options(commands.add_parser(ALL, help=everything, description=f"Run {everything}."))
    sweep = commands.add_parser(SWEEP, help="a task over the values of a setting", description="Sweep a setting.")
    sweep.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    _add_options(sweep)
    values = "; ".join(f"{name} {' '.join(f'{value:g}' for value in axis.values)}" for name, axis in AXES.items())
    over = (
        f"a setting and its values (default values: {values}). If given more than once, all combinations are evaluated"
    )
    sweep.add_argument("--over", nargs="+", action="append", required=True, metavar=("SETTING", "VALUE"), help=over)
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
    methods = f"ONNX files, silk (the shipped network), {', '.join(METHODS)}; NAME@2000 for at most 2000 keypoints"
    methods += f" ({' '.join(DEFAULT_METHODS)})"
    add("--methods", nargs="+", metavar="METHOD", default=DEFAULT_METHODS, help=methods)
    add("--output", type=Path, metavar="FOLDER", default=Path("report"), help="where to write (%(default)s)")
    add("--top-k", type=positive, metavar="K", default=Options.top_k, help="best keypoints per image (%(default)s)")
    resized = "factor by which images are resized for networks, like the node's parameter (%(default)s)"
    add("--scale", type=float, default=DEFAULT_SCALE, help=resized)
    precisions = "of networks, like the node's parameter: auto, fp32, bf16, int8 (%(default)s)"
    add("--precision", default=DEFAULT_PRECISION, help=precisions)
    add("--ratio", type=float, help="ratio test of the matches, 0 to 1, lower is stricter (none)")
    add("--double-softmax", type=float, help="threshold on the matching probability, networks only (none)")
    shorter_edge = f"resize images to this ({SHORTER_EDGE} for homography, otherwise as they are)"
    add("--shorter-edge", type=positive, metavar="PIXELS", help=shorter_edge)
    add("--skip", nargs="+", metavar="SEQUENCE", default=[], help="sequences in HPatches' layout to leave out")
    pictures = "pictures of matches per method and task (%(default)s)"
    add("--pictures", type=int, metavar="N", default=Options.pictures, help=pictures)
    runs = "of RANSAC for relative poses and odometry, which are averaged (%(default)s)"
    add("--runs", type=positive, metavar="N", default=Options.runs, help=runs)
    offset = "added to the disparities of a badly rectified stereo pair in odometry (fitted for each method)"
    add("--disparity-offset", type=float, metavar="PIXELS", help=offset)


def _axis(name: str, *values: str) -> tuple[str, list[float]]:
    """A setting of --over and its values. Raises ValueError for an unknown setting or a value that is not a number."""
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
        methods = _load_methods(args)
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    networks = {method.name: method.backend for method in methods if isinstance(method, OnnxMethod)}
    report = Report(describe_run(shlex.join(["evaluate", *arguments]), networks))
    for outcome in _outcomes(args, methods, report.failures):
        _print(outcome, explained=outcome.task in [before.task for before in report.outcomes])
        report.outcomes.append(outcome)
    report.failures = list(dict.fromkeys(report.failures))  # a sweep repeats them
    for failure in report.failures:
        print(f"evaluate: {failure}", file=sys.stderr)
    if report.outcomes:
        _write(report, [method.name for method in methods], args.output)
    return 1 if report.failures else 0


def _load_methods(args: argparse.Namespace) -> list[Method]:
    methods = [load_method(name, args.top_k, args.scale, args.precision) for name in args.methods]
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise ValueError(f"two methods have one name: {', '.join(names)}")
    return methods


def _outcomes(args: argparse.Namespace, methods: Sequence[Method], failures: list[Failure]) -> Iterator[Outcome]:
    """The outcome of each task as soon as it is done, until Ctrl-C. Failures are added to `failures`."""
    options = Options(**{field.name: getattr(args, field.name) for field in fields(Options)})
    loaders = [partial(load_method, name, precision=args.precision) for name in args.methods]
    for name, task, folder in _jobs(args, failures):
        try:
            if args.command == SWEEP:
                if sweep := run_sweep(name, task, loaders, folder, options, args.scale, args.over, failures):
                    yield sweep.outcome()
            elif result := run_task(name, task, methods, folder, options, failures):
                result.settings = protocol(options, args.scale, result)
                yield task_outcome(str(folder), result)
        except KeyboardInterrupt:
            failures.append(Failure(name, str(folder), "", "interrupted, as were all tasks after it"))
            break


def _jobs(args: argparse.Namespace, failures: list[Failure]) -> list[tuple[str, Task, Path]]:
    """Tasks by name, and their data sets."""
    skipping = {
        name: replace(task, run=partial(task.run, skip=args.skip)) for name, task in TASKS.items() if task.skips
    }
    tasks = TASKS | skipping
    if args.command != ALL:
        name = args.task if args.command == SWEEP else args.command
        return [(name, tasks[name], args.data)]
    folders = [args.data] if args.data.is_dir() else []
    if not any(task.fits(folder) for folder in folders for task in tasks.values()):
        folders = sorted(path for folder in folders for path in folder.iterdir() if path.is_dir())
    jobs = [(name, task, folder) for folder in folders for name, task in tasks.items() if task.fits(folder)]
    if not jobs:
        layouts = "".join(f"\n  {name}: {task.layout}" for name, task in tasks.items())
        failures.append(Failure(ALL, str(args.data), "", f"no data set in it or in a folder below, expected{layouts}"))
    return jobs


def _print(outcome: Outcome, explained: bool) -> None:
    """The tables of an outcome, with the meaning of their columns unless that is `explained` already."""
    print(f"\n{outcome.title}")
    for caption, grid in outcome.grids:
        print(*([f"\n{caption}"] if caption else []), console_table(grid), sep="\n")
    if not explained:
        print(f"\n{legend_text(outcome.legend)}")
    print(flush=True)


def _write(report: Report, names: Sequence[str], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    report.write_json(output / "results.json")
    styles = method_styles(names, report.run.models)
    plots = [draw_outcome(outcome, styles) for outcome in report.outcomes]
    for outcome, drawn in zip(report.outcomes, plots):
        for plot in drawn:
            (output / "plots").mkdir(exist_ok=True)
            (output / "plots" / f"{slug(outcome.title)}-{slug(plot.title)}.png").write_bytes(plot.light)
        for name, rows in outcome.trajectories.items():
            (output / "trajectories").mkdir(exist_ok=True)
            write_tum(output / "trajectories" / f"{slug(outcome.title)}-{slug(name)}.txt", rows)
    write_html(report, plots, output / "report.html")
    print(f"wrote {output / 'report.html'}, {output / 'results.json'}")
    print(f"next: open {output / 'report.html'} in a browser: plots, pictures of matches and how it was run")


if __name__ == "__main__":
    sys.exit(main())
