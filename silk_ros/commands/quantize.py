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
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..backends.model import check_gate, int8_path
from ..command_line import command_parser
from ..evaluation.datasets.gray_images import Image, resize
from ..evaluation.pairs import KEYPOINTS, Pair, QuantizationReport, compare, read_gray_frames, read_pairs
from ..extractor import Extractor
from ..images.console import console_log
from ..images.sampling import spaced_to_ends, spread

CALIBRATION_IMAGES = 48
CALIBRATION_SIZE = 320, 240  # width and height, those of a camera with 640x480 at half size


def calibration_images(source: str, topic: str = "") -> list[Image]:
    """At most CALIBRATION_IMAGES images of a source, evenly spread and cut to CALIBRATION_SIZE. topic: of a recording.

    Raises ValueError if there is none.
    """
    frames = tqdm(read_gray_frames(source, topic), desc="reading", unit="image", leave=False)
    kept = spread(map(_middle, frames), 2 * CALIBRATION_IMAGES)
    return [kept[index] for index in spaced_to_ends(0, len(kept), CALIBRATION_IMAGES)]


def _middle(image: Image) -> Image:
    """The central part of an image, resized to CALIBRATION_SIZE."""
    width, height = CALIBRATION_SIZE
    factor = max(height / image.shape[0], width / image.shape[1])
    size = max(width, round(image.shape[1] * factor)), max(height, round(image.shape[0] * factor))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(resize(image, size)[0][top : top + height, left : left + width])


def check_before(model: Path, output: Path) -> Extractor:
    """The float network. Checks it, the output and the installation before the slow steps; raises with the fix."""
    from ..backends import quantization  # noqa: F401 - says what to install

    if output.resolve() == model.resolve():
        raise ValueError(f"--output '{output}' is the float file: give another name")
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder '{output.parent}' for --output: make it first")
    return Extractor.load(model, KEYPOINTS, precision="fp32")


def quantize(reference: Extractor, images: Sequence[Image], pairs: Sequence[Pair], output: Path) -> QuantizationReport:
    """Write the int8 version of the float network that `check_before` returned.

    Raises ValueError, with the figures, and writes nothing if it lost too much.
    """
    from ..backends import quantization

    with tqdm(images, desc="calibrating", unit="image") as progress:
        network = quantization.quantize_network(reference.backend.model, images, iter(progress))
    with tempfile.TemporaryDirectory() as folder:
        # A file without figures, which is not called int8 yet.
        candidate = Path(folder) / "candidate.onnx"
        quantization.save(network, candidate)
        report = compare(reference, Extractor.load(candidate, KEYPOINTS), pairs)
    figures = {name: str(value) for name, value in asdict(report).items()}
    check_gate(output, figures)
    quantization.set_metadata(network, {"precision": "int8", "images": len(images), **figures})
    partial = output.with_suffix(".partial")
    quantization.save(network, partial)
    partial.replace(output)
    return report


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_parser("quantize", __doc__)
    add = parser.add_argument
    add("model", type=Path, help="the float ONNX file")
    add("--images", required=True, metavar="SOURCE", help="images for the ranges of the activations")
    add("--pairs", required=True, metavar="SOURCE", help="pairs of images for the comparison")
    add("--topic", default="", help="image topic of the recordings (the first usable one by name; the log names it)")
    add("--skip", nargs="+", metavar="SEQUENCE", default=[], help="sequences of the pairs to leave out")
    add("--output", type=Path, help="where to write (default: NAME_int8.onnx beside the model)")
    options = parser.parse_args(arguments)
    options.output = options.output or int8_path(options.model)
    return options


@console_log()
def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = parse(arguments)
    try:
        reference = check_before(options.model, options.output)
        pairs = read_pairs(options.pairs, options.skip, options.topic)
        report = quantize(reference, calibration_images(options.images, options.topic), pairs, options.output)
    except (OSError, ValueError, ImportError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.output}; means of {report.pairs} pairs:")
    print(f"  share of the best {KEYPOINTS} keypoints that the float network also finds: {report.topk_overlap:.1%}")
    print(f"  cosine between their descriptors: {report.descriptor_cosine:.4f}")
    print(f"  share of right matches: {report.match_precision:.4f}, float {report.float_match_precision:.4f}")
    if np.isfinite(report.mma_1):
        print(f"  share of matches within a pixel: {report.mma_1:.4f}, float {report.float_mma_1:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
