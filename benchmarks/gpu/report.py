"""What `benchmarks.gpu` says of its results: the machine, tables in Markdown, and a chart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence, Set
from importlib import metadata
from pathlib import Path
from typing import Any

from silk_ros.backends import BackendUnavailable
from silk_ros.backends.tensorrt import cuda

VERSIONS = ("tensorrt", "cuda-", "onnxruntime", "nvidia-cudnn", "torch", "triton")  # how the libraries' names begin
COLOURS = {"TensorRT": "#D55E00", "ONNX": "#0072B2", "torch": "#6b6b6b"}  # by how pipelines' names begin

Row = Mapping[str, Any]  # of the results


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


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown: words to the left, numbers to the right."""
    rule = ["---" if head in ("pipeline", "engine") else "--:" for head in heads]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def markdown(results: Mapping[str, Any]) -> str:
    """Everything that was found, for people."""
    return "\n\n".join(_sections(results)) + "\n"


def _sections(results: Mapping[str, Any]) -> Iterator[str]:
    device = results["device"] or {"name": "an unknown device"}
    yield f"# From image to matches on {device['name']}"
    yield (
        "Grey image in host memory to keypoints, scores, descriptors and matches with the frame before in host memory: "
        f"upload, download and one wait included. All take turns frame by frame, {results['repeats']} rounds; "
        "images/s are back to back, one frame at a time. ONNX Runtime's features are matched on the CPU. PyTorch "
        "describes every position, with its defaults (TF32 in float32 convolutions) and cuDNN's search for the fastest "
        "ones; torch.compile is in its mode reduce-overhead, with CUDA graphs. GPU MB is what free memory lost by "
        "loading; the first user of a library pays for its kernels."
    )
    libraries = device.get("libraries", {})
    facts = {name: value for name, value in device.items() if name not in ("name", "libraries")}
    facts["host"] = "{processor}, {cores} cores".format(**results["machine"])
    facts = {name: ", ".join(value) if isinstance(value, list) else value for name, value in facts.items()}
    lines = [f"- {name.replace('_', ' ')}: {value}" for name, value in {**facts, **libraries}.items()]
    yield "\n".join(lines)
    yield "## Targets\n\n" + "\n".join(target_line(target) for target in results["targets"])
    rows = results["pipelines"]
    for setting in dict.fromkeys(map(_setting, rows)):
        yield setting_tables([row for row in rows if _setting(row) == setting])
    if results["engines"]:
        heads = ["engine", "build s", "MB", "same keypoints", "cosine", "displacement px"]
        yield "## Engines, against ONNX Runtime's float32\n\n" + table(heads, list(map(_engine, results["engines"])))
    if results["skipped"]:
        settings = {_setting(row) for row in rows} | {entry["setting"] for entry in results["skipped"]}
        yield "## Skipped\n\n" + "\n".join(_skipped(results["skipped"], settings))


def setting_tables(rows: Sequence[Row]) -> str:
    """Times of what was measured at one setting, fastest first, and the stages where they are known."""
    own = sorted(rows, key=lambda row: row["ms"]["median"])
    heads = ["pipeline", "p50 ms", "p99 ms", "mean ms", "images/s", "keypoints", "matches", "GPU MB"]
    text = f"## {_setting(rows[0])}\n\n" + table(heads, [_cells(row) for row in own])
    if staged := [_stages(row) for row in own if row["stages"]]:
        heads = ["pipeline", "upload", "engine", "download", "host and waiting", "GPU's by events in"]
        text += "\n\nms, and share of the p50, of each stage:\n\n" + table(heads, staged)
    return text


def _setting(row: Row) -> str:
    return "{width}x{height}, K = {keypoints}".format(**row["setting"])


def target_line(target: Row) -> str:
    """What was wanted, what came out, and whether that is enough."""
    state = {True: "met", False: "missed", None: "open"}[target["met"]]
    value = "not measured" if target["value"] is None else f"{target['value']:.2f}"
    bound = f"{'at least' if target['at_least'] else 'at most'} {target['bound']:g}"
    return f"- {target['what']}: {value}, should be {bound}: {state}"


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
    """Write a PNG: a panel for each size of image, a group of bars for each pipeline, a bar for each K."""
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    from silk_ros.evaluation.speed.chart import BAR_HEIGHT, FAINT, INK, PANEL_WIDTH

    sizes = list(dict.fromkeys((row["setting"]["width"], row["setting"]["height"]) for row in rows))
    counts = sorted({row["setting"]["keypoints"] for row in rows})
    fastest = {row["pipeline"]: row["ms"]["median"] for row in reversed(rows)}  # at the first setting it ran at
    order = sorted(fastest, key=lambda name: fastest[name])
    height = 1.7 + BAR_HEIGHT * (len(counts) + 1) * len(order)
    figure = Figure(figsize=(2.2 + PANEL_WIDTH * len(sizes), height), dpi=144, layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    thickness = 0.8 / len(counts)
    for axes, size in zip(panels, sizes):
        own = [row for row in rows if (row["setting"]["width"], row["setting"]["height"]) == size]
        longest = max(row["ms"]["p75"] for row in own)
        for row in own:
            place = counts.index(row["setting"]["keypoints"])
            y = order.index(row["pipeline"]) - 0.4 + (place + 0.5) * thickness
            white = 0.5 * (1 - (place + 1) / len(counts))  # the fewer keypoints, the lighter
            full = next(to_rgb(colour) for name, colour in COLOURS.items() if row["pipeline"].startswith(name))
            colour = [(1 - white) * channel + white for channel in full]
            axes.barh(y, row["ms"]["median"], 0.9 * thickness, color=colour)
            axes.plot([row["ms"]["p25"], row["ms"]["p75"]], [y, y], color=INK, linewidth=1)
            text = f"{row['ms']['median']:.3g}" + (f"  (K = {row['setting']['keypoints']})" if len(counts) > 1 else "")
            axes.text(row["ms"]["p75"] + 0.015 * longest, y, text, va="center", fontsize=8, color=INK)
        axes.set_yticks(range(len(order)), order)
        axes.set_ylim(len(order) - 0.45, -0.55)  # the fastest on top
        axes.set_xlim(0, 1.25 * longest)
        axes.tick_params(length=0)
        axes.grid(axis="x", linewidth=0.7, color=FAINT)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title("{}x{}".format(*size), loc="left")
        axes.set_xlabel("ms per frame, median")
    figure.suptitle(title, fontweight="bold", fontsize=12)
    figure.savefig(path)
