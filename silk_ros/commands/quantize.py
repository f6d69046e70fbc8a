"""Write the int8 version of an exported network, unless it loses too much.

    quantize models/silk_vggnp_mu.onnx --images photos --pairs hpatches
    quantize my_model.onnx --images recording.mcap --pairs recording.mcap

--images (a folder, video or recording) calibrates the ranges of the activations; a few dozen images of what the camera
will see are enough. --pairs compares both networks: on sequences with homographies in HPatches' layout, or on any video
or recording, whose frames are paired and whose matches are checked by the epipolar geometry that most of them share. A
file that lost too much is not written, and the runtime refuses a file whose metadata says so. The int8 file lies beside
the float one and is used with precision:=int8.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..backends.model import int8_path
from ..command_line import command_parser, program
from ..evaluation.datasets.gray_images import Image, resize
from ..evaluation.pairs import (
    FRAME_PAIRS,
    KEYPOINTS,
    MAX_FRAME_PAIRS,
    Pair,
    PairSource,
    read_gray_frames,
)
from ..evaluation.quantization_loss import CONFIDENCE, QuantizationReport, compare
from ..extractor import Extractor
from ..front_end_options import CAMERA_SCALE
from ..images.console import console_log
from ..images.sampling import spaced_to_ends, spread
from ..words import counted

CALIBRATION_IMAGES = 48
MIN_FLOAT_PRECISION = 0.1  # share of right matches below which pairs judge nothing
CALIBRATION_SIZE = 320, 240  # width and height, those of a camera with 640x480 at half size


def calibration_images(source: str, topic: str = "") -> list[Image]:
    """At most CALIBRATION_IMAGES images of a source, evenly spread and cut to CALIBRATION_SIZE. topic: of a recording.

    Raises ValueError if there is none.
    """
    frames = tqdm(read_gray_frames(source, topic), desc="reading", unit=" image", leave=False)
    kept = spread(map(_middle, frames), 2 * CALIBRATION_IMAGES)
    chosen = [kept[index] for index in spaced_to_ends(0, len(kept), CALIBRATION_IMAGES)]
    print(
        f"calibrating with {len(chosen)} of the {counted(frames.n, 'image')} of '{source}' (best: {CALIBRATION_IMAGES})"
    )
    return chosen


def _middle(image: Image) -> Image:
    """The central part of an image, resized to CALIBRATION_SIZE."""
    width, height = CALIBRATION_SIZE
    factor = max(height / image.shape[0], width / image.shape[1])
    size = max(width, round(image.shape[1] * factor)), max(height, round(image.shape[0] * factor))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(resize(image, size)[0][top : top + height, left : left + width])


def check_before(model: Path, output: Path, scale: float) -> Extractor:
    """The float network. Checks it, the output and the installation before the slow steps; raises with the fix."""
    from ..backends import quantization  # noqa: F401 - says what to install

    if output.resolve() == model.resolve():
        raise ValueError(f"--output '{output}' is the float file: give another name")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder '{output.parent}' for --output: make it first")
    return Extractor.load(model, KEYPOINTS, precision="fp32", scale=scale)


def quantize(
    reference: Extractor, images: Sequence[Image], pairs: Iterable[Sequence[Pair]], output: Path
) -> QuantizationReport:
    """Write the int8 version of the float network that `check_before` returned.

    Raises ValueError, with the figures, and writes nothing if it lost too much or the pairs are too few to tell.
    """
    from ..backends import quantization

    with tqdm(images, desc="calibrating", unit="image") as progress:
        network = quantization.quantize_network(reference.backend.model, images, iter(progress))
    with tempfile.TemporaryDirectory() as folder:
        # A file without figures, which is not called int8 yet.
        candidate = Path(folder) / "candidate.onnx"
        quantization.save(network, candidate)
        report = compare(reference, Extractor.load(candidate, KEYPOINTS, scale=reference.scale), pairs)
    check_report(report, reference.scale, output)
    figures = report.figures() | {"judged_at_scale": reference.scale}
    quantization.set_metadata(network, {"precision": "int8", "images": len(images), **figures})
    quantization.save(network, output)
    return report


def check_report(report: QuantizationReport, scale: float, output: Path) -> None:
    """Raise ValueError, naming the fix, unless the report says that the network keeps enough."""
    judged = f"{report} ({CONFIDENCE:.0%} confidence, {counted(report.pairs, 'pair')}, scale {scale:g})"
    if report.float_match_precision < MIN_FLOAT_PRECISION:
        raise ValueError(
            f"only {report.float_match_precision:.0%} of the float network's own matches are right in these pairs, too "
            "few to judge by: give --pairs consecutive images of a moving camera, or sequences in HPatches' layout"
        )
    if report.lost_too_much:
        raise ValueError(
            f"'{output}' lost too much by quantisation: {judged}: use another precision, or calibrate with --images "
            "that are more like what the camera sees"
        )
    if not report.keeps_enough:
        raise ValueError(f"too few pairs to tell whether '{output}' lost too much: {judged}: {_advice(report)}")


def _advice(report: QuantizationReport) -> str:
    """How to come to a decision."""
    needed = max(FRAME_PAIRS, report.pairs_to_decide())
    if needed > MAX_FRAME_PAIRS:
        return "it is too near a limit for more images to tell: calibrate with other --images, or try another --scale"
    return f"give --pairs about {counted(max(1, math.ceil(needed) - report.pairs), 'more image')}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser("quantize", __doc__)
    add = parser.add_argument
    add("model", type=Path, help="the float ONNX file")
    add("--images", required=True, metavar="SOURCE", help="images for the ranges of the activations")
    add("--pairs", required=True, metavar="SOURCE", help="pairs of images for the comparison")
    add("--topic", default="", help="image topic of the recordings (the first usable one by name; the log names it)")
    add("--skip", nargs="+", metavar="SEQUENCE", default=[], help="sequences of the pairs to leave out")
    add("--scale", type=float, default=CAMERA_SCALE, help="of the comparison, as the node's parameter (%(default)s)")
    add("--output", type=Path, help="where to write (default: NAME_int8.onnx beside the model)")
    options = parser.parse_args(arguments)
    options.output = options.output or int8_path(options.model)
    return options


@console_log()
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parse(arguments)
    try:
        reference = check_before(options.model, options.output, options.scale)
        pairs = PairSource.open(options.pairs, options.skip, options.topic)
        images = calibration_images(options.images, options.topic)
        most = counted(sum(pairs.counts), "pair")
        print(f"judging by {pairs.counts[0]} of at most {most} of '{options.pairs}', by more if these leave doubt")
        report = quantize(reference, images, pairs, options.output)
    except (OSError, ValueError, ImportError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 1
    print(f"{counted(report.pairs, 'pair')} at scale {options.scale:g}, ± the {CONFIDENCE:.0%} confidence interval:")
    overlap, loss = report.topk_overlap, report.precision_loss
    print(
        f"  best {KEYPOINTS} keypoints that the float network also finds: {overlap.mean:.1%} ± {100 * overlap.half:.1f}"
    )
    print(f"  cosine between their descriptors (1: the same): {report.descriptor_cosine:.4f}")
    print(
        f"  right matches: {report.match_precision:.1%}, of the float network {report.float_match_precision:.1%}; "
        f"lost: {100 * loss.mean:.2f} ± {100 * loss.half:.2f} %"
    )
    if np.isfinite(report.mma_1):
        print(f"  matches within a pixel: {report.mma_1:.1%}, of the float network {report.float_mma_1:.1%}")
    print(f"wrote {options.output}")
    parameters = "-p", f"model_path:={options.output.resolve()}", "-p", "precision:=int8"
    print(f"next: {program('silk_node', '--ros-args', *parameters)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
