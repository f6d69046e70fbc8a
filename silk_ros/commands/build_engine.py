"""Build TensorRT engines ahead of time, so that no node has to build one when it starts.

    build_engine                                     the shipped network as the node runs it: 640x480 at scale 0.5
    build_engine --size 640x480 --max-keypoints 1000
    build_engine my_model.onnx --size 320x240 --precision int8 --optimization-level 5

An engine is specific to one model, one image size (of the network: the camera's times `scale`), one number of
keypoints, one selection, one GPU and one version of TensorRT. It lies in the user's cache, where the node finds it.
Each engine is compared with ONNX Runtime's float32 result on photographs before it is kept; one that lost too much is
built again in the next wider precision. Without a GPU, TensorRT for RTX still parses and builds, which checks a model;
nothing is kept then.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from ..backends import PRECISIONS, BackendUnavailable
from ..backends.base import MAX_OPTIMIZATION_LEVEL, EngineOptions
from ..backends.model import Model
from ..command_line import command_parser, program
from ..front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from ..parameters.front_end import KNOWN
from ..paths import default_model
from ..selection import Selection
from .arguments import image_size, positive

CAMERA_SIZE = (640, 480)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser("build_engine", __doc__)
    add, defaults = parser.add_argument, EngineOptions()
    seen = tuple(round(side * CAMERA_SCALE) for side in CAMERA_SIZE)
    sizes = "of the network's images ({}x{})".format(*seen)
    add("model", type=Path, nargs="?", help="exported ONNX file (the shipped VGGnp-mu)")
    add("--size", type=image_size, nargs="+", default=[seen], metavar="WxH", help=sizes)
    add("--max-keypoints", type=positive, default=CAMERA_MAX_KEYPOINTS, metavar="K", help="maximum (%(default)s)")
    add("--precision", choices=("auto", *PRECISIONS["tensorrt"]), default="auto", help="auto is fp16")
    level = f"0 to {MAX_OPTIMIZATION_LEVEL}: higher tries more kernels (%(default)s)"
    add("--optimization-level", type=int, default=defaults.optimization_level, metavar="LEVEL", help=level)
    workspace = "maximum for a layer; 0: TensorRT decides (%(default)s)"
    add("--workspace-mb", type=int, default=defaults.workspace_mb, metavar="MB", help=workspace)
    add("--scale", type=float, default=CAMERA_SCALE, help="of the node, for the lengths below (%(default)s)")
    for name in ("border", "nms-radius", "cell-size"):
        add(
            f"--{name}",
            type=float,
            default=0.0,
            metavar="PIXELS",
            help=f"the node's selection.{name.replace('-', '_')}",
        )
    add("--max-per-cell", type=int, default=0, metavar="N", help="the node's selection.max_per_cell")
    add("--dla-core", type=int, default=defaults.dla_core, metavar="CORE", help="of a Jetson; -1: GPU (%(default)s)")
    return parser.parse_args(arguments)


def build_and_keep(options: argparse.Namespace, engine: EngineOptions) -> None:
    """Build the engines that are not in the cache yet, and print all of them."""
    from ..backends.tensorrt.backend import TensorRtBackend

    model = _model(options)
    backend = TensorRtBackend(model, options.max_keypoints, options.precision, options=engine, progress=True)
    for width, height in options.size:
        made = backend.prepare(height, width)
        state = "already built" if made.was_cached else f"built in {made.facts['build_seconds']:.1f} s"
        print(f"{width}x{height}, {made.precision}, up to {options.max_keypoints} keypoints: {state}")
        print(f"  {made.parity}")
        print(f"  {made.path or 'not kept: there is no usable cache folder'}")
    if made.path is not None:
        print(f"wrote the engines to {made.path.parent}; next: {_node(options, engine)}")


def _node(options: argparse.Namespace, engine: EngineOptions) -> str:
    """The command of a node that loads the engines."""
    values = {"backend": "tensorrt", "max_keypoints": options.max_keypoints, "scale": options.scale}
    others = {"model_path": options.model and options.model.resolve(), "precision": options.precision}
    others |= {f"tensorrt.{name}": value for name, value in vars(engine).items()}
    names = ("border", "nms_radius", "cell_size", "max_per_cell")
    others |= {f"selection.{name}": getattr(options, name) for name in names}
    values |= {name: value for name, value in others.items() if value not in (None, KNOWN[name].default)}
    given = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    return program("silk_node", "--ros-args", *given)


def check_only(options: argparse.Namespace, engine: EngineOptions) -> None:
    """Parse and build without a GPU, and print the result. Keeps nothing."""
    from ..backends.onnx_graph import read_network
    from ..backends.tensorrt.build import build
    from ..backends.tensorrt.graph import specialise
    from ..backends.tensorrt.library import VERSION

    precision = "fp16" if options.precision == "auto" else options.precision
    network = read_network(_model(options).file(precision))
    for width, height in options.size:
        graph = specialise(network, height, width, options.max_keypoints, precision != "fp32")
        built = build(graph, engine, progress=True)
        print(
            f"{width}x{height}, {precision}: {VERSION} built {len(built.engine) / 1e6:.1f} MB in {built.seconds:.1f} s"
        )
        for tensor in built.tensors:
            print(f"  {'in ' if tensor.is_input else 'out'} {tensor.name} {tensor.dtype} {tensor.shape}")


def _model(options: argparse.Namespace) -> Model:
    """The model with the selection in its graph."""
    selection = Selection(options.nms_radius, options.cell_size, options.max_per_cell, options.border)
    return Model(options.model or default_model(), selection.rules(options.scale))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        engine = EngineOptions(options.optimization_level, options.workspace_mb, options.dla_core)
        try:
            build_and_keep(options, engine)
        except BackendUnavailable as unavailable:
            check_only(options, engine)  # raises with the fix if more than the GPU is missing
            print(f"not kept: {unavailable}", file=sys.stderr)
            return 1
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        print(f"build_engine: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
