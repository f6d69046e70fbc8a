"""The report of `benchmarks.gpu`: the machine, tables in Markdown, and a chart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence, Set
from importlib import metadata
from pathlib import Path
from typing import Any

from silk_ros.backends import BackendUnavailable
from silk_ros.backends.tensorrt import cuda

from ..common import table, verdict_line

VERSIONS = ("tensorrt", "cuda-", "onnxruntime", "nvidia-cudnn", "torch", "triton")  # prefixes of the names of libraries
COLOURS = {"TensorRT": "#D55E00", "ONNX": "#0072B2", "torch": "#6b6b6b"}  # by the prefix of a pipeline's name

Row = dict[str, Any]  # an entry of the results


def describe_device() -> dict[str, Any] | None:
    """The GPU, its driver and the libraries; None without a GPU."""
    try:
        gpu = cuda.gpu()
        found: dict[str, Any] = {"name": gpu.name, "compute_capability": gpu.compute_capability}
        versions = {f"CUDA of the {name.lower()}": cuda.call(f"cuda{name}GetVersion") for name in ("Driver", "Runtime")}
        found |= {name: f"{value // 1000}.{value % 1000 // 10}" for name, value in versions.items()}
    except BackendUnavailable:
        try:
            import torch
        except ImportError:
            return None
        if not torch.cuda.is_available():
            return None
        capability = "{}.{}".format(*torch.cuda.get_device_capability())
        found = {"name": torch.cuda.get_device_name(), "compute_capability": capability}
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        found["driver"] = subprocess.run(query, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        found["driver"] = f"unknown ({error})"
    try:
        from silk_ros.backends.tensorrt.library import IS_RTX, VERSION, trt

        found["TensorRT"] = VERSION
        if IS_RTX:
            found["targets of TensorRT for RTX"] = [name for name in dir(trt.ComputeCapability) if name[:2] == "SM"]
    except ImportError as error:
        found["TensorRT"] = f"none: {error}"
    names = {distribution.name for distribution in metadata.distributions()}
    found["libraries"] = {name: metadata.version(name) for name in sorted(names) if name.startswith(VERSIONS)}
    return found


def markdown(results: Mapping[str, Any]) -> str:
    """All results as a document in Markdown."""
    return "\n\n".join(_sections(results)) + "\n"


def _sections(results: Mapping[str, Any]) -> Iterator[str]:
    device = results["device"] or {"name": "an unknown device"}
    yield f"# From image to matches on {device['name']}"
    yield (
        "Grey image in host memory to keypoints, scores, descriptors and matches with the frame before in host memory: "
        "upload, download and one wait included. All take turns frame by frame, "
        f"{results['repeats']} rounds; images/s are back to back, one frame at a time. ONNX Runtime's features are "
        "matched on the CPU. PyTorch describes every position, with its defaults (TF32 in float32 convolutions) and "
        "cuDNN's search for the fastest kernels; torch.compile uses its mode reduce-overhead, with CUDA graphs. GPU MB "
        "is the memory that loading took; the first pipeline of a library pays for the library's kernels."
    )
    libraries = device.get("libraries", {})
    facts = {name: value for name, value in device.items() if name not in ("name", "libraries")}
    facts["host"] = "{processor}, {cores} cores".format(**results["machine"])
    facts = {name: ", ".join(value) if isinstance(value, list) else value for name, value in facts.items()}
    yield "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in {**facts, **libraries}.items())
    yield "## Targets\n\n" + "\n".join(f"- {verdict_line(target)}" for target in results["targets"])
    rows = results["pipelines"]
    for setting in dict.fromkeys(map(_setting, rows)):
        yield setting_tables([row for row in rows if _setting(row) == setting])
    if results["engines"]:
        heads = ["engine", "build s", "MB", "same keypoints", "cosine", "displacement px"]
        yield "## Engines, against ONNX Runtime's float32\n\n" + table(heads, list(map(_engine, results["engines"])), 1)
    if results["skipped"]:
        settings = {_setting(row) for row in rows} | {entry["setting"] for entry in results["skipped"]}
        yield "## Skipped\n\n" + "\n".join(_skipped(results["skipped"], settings))


def setting_tables(rows: Sequence[Row]) -> str:
    """Times of the pipelines at one setting, fastest first, and of their stages where they were measured."""
    own = sorted(rows, key=lambda row: row["ms"]["median"])
    heads = ["pipeline", "p50 ms", "p99 ms", "mean ms", "images/s", "keypoints", "matches", "GPU MB"]
    text = f"## {_setting(rows[0])}\n\n" + table(heads, [_cells(row) for row in own], 1)
    if staged := [_stages(row) for row in own if row["stages"]]:
        heads = ["pipeline", "upload", "engine", "download", "host and waiting", "GPU stages timed in"]
        text += "\n\nms, and share of the p50, of each stage:\n\n" + table(heads, staged, 1)
    return text


def _setting(row: Row) -> str:
    return "{width}x{height}, K = {keypoints}".format(**row["setting"])


def _skipped(entries: Sequence[Row], settings: Set[str]) -> Iterator[str]:
    where: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        where.setdefault((entry["what"], entry["reason"]), []).append(entry["setting"])
    for (what, reason), skipped in where.items():
        yield f"- {what} ({'everywhere' if set(skipped) == settings else '; '.join(skipped)}): {reason}"


def _cells(row: Row) -> list[str]:
    times = [f"{row['ms'][name]:.3f}" for name in ("median", "p99", "mean")]
    memory = "" if row["gpu_megabytes"] is None else f"{row['gpu_megabytes']:.0f}"
    return [row["pipeline"], *times, f"{row['images_per_second']:.0f}", f"{row['found']}", f"{row['matches']}", memory]


def _stages(row: Row) -> list[str]:
    total, names = row["ms"]["median"], ("upload", "engine", "download")
    own = [row["stages"][name] for name in names]
    shares = [f"{value:.3f} ({value / total:.0%})" for value in (*own, total - sum(own))]
    return [row["pipeline"], *shares, row["stages"]["by"]]


def _engine(fact: Row) -> list[str]:
    numbers = f"{fact['build_seconds']:.1f}", f"{fact['megabytes']:.1f}", f"{fact['overlap']:.1%}"
    return [f"{fact['precision']}, {_setting(fact)}", *numbers, f"{fact['cosine']:.5f}", f"{fact['displacement']:.3f}"]


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Write a PNG with a panel for each setting: a bar for each pipeline, the fastest on top, with its quartiles."""
    from matplotlib.figure import Figure

    settings = list(dict.fromkeys(map(_setting, rows)))
    figure = Figure(figsize=(8, 1 + len(settings) + 0.22 * len(rows)), dpi=144, layout="constrained")
    heights = [1 + sum(_setting(row) == setting for row in rows) for setting in settings]
    panels = figure.subplots(len(settings), squeeze=False, height_ratios=heights)[:, 0]
    for axes, setting in zip(panels, settings):
        own = sorted((row for row in rows if _setting(row) == setting), key=lambda row: -row["ms"]["median"])
        low, median, high = ([row["ms"][name] for row in own] for name in ("p25", "median", "p75"))
        colours = [next(c for name, c in COLOURS.items() if row["pipeline"].startswith(name)) for row in own]
        spread = [[b - a for a, b in zip(low, median)], [b - a for a, b in zip(median, high)]]
        bars = axes.barh([row["pipeline"] for row in own], median, xerr=spread, color=colours)
        axes.bar_label(bars, fmt=" %.3g", fontsize=8)
        axes.set_title(setting, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("ms per frame, median")
    figure.suptitle(title, fontweight="bold", fontsize=12)
    figure.savefig(path)
