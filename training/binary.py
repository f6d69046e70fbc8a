"""Learn the binary code of an exported network and store it in its ONNX file.

    python -m training.binary models/silk_vggnp_mu.onnx --images train_photos train_photos/clothing_cc0=0.15

A bit is a half-space of the network's float descriptors: 256 directions, each with a threshold that splits the
descriptors in half. The directions start as random rotations and are learned so that the Hamming distance separates
true matches from the other keypoints of an image. The data are pairs of photographs under random homographies, as in
training; the loss is that of training (double softmax, paper Sec. 3.4.4) on the bits, with the gradient of a smooth
sign.

The network itself does not change: the code is an entry in the file's metadata. An int8 version beside the file gets
the same code. Learning takes minutes on two cores; some hundred photographs suffice. For a network of your own, give
the images that it was trained on, or a recording of the camera.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import onnx

from silk_ros import Extractor
from silk_ros.backends.model import int8_path, sha256
from silk_ros.backends.quantization import save, set_metadata
from silk_ros.binary import BinaryCode

from .binary_learning import STEPS, descriptor_pairs, learn, mean_recall, random_code
from .options import parse_data, readable_errors
from .photos import Photos

KEYPOINTS = 2000  # per crop: about the density of 5000 in a camera image
PAIRS, HELD_OUT_PAIRS, HELD_OUT_PHOTOS = 200, 20, 16


def check_files(model: Path, output: Path) -> None:
    """Raise ValueError or FileNotFoundError, before the slow part, for files that cannot be written at the end."""
    if not output.parent.is_dir():
        raise FileNotFoundError(f"no folder '{output.parent}' for --output: make it first")
    if int8_path(model).is_file() and _metadata(onnx.load(int8_path(model))).get("float_sha256") != sha256(model):
        raise ValueError(f"'{int8_path(model)}' was made from another version of '{model}': quantize the model again")


def write_code(model: Path, output: Path, code: BinaryCode) -> list[Path]:
    """Store a code in a network's file and in its int8 version, if there is one. Returns the paths written.

    Only metadata change. The int8 file holds the digest of its float file; it is replaced by that of the new file.
    """
    check_files(model, output)
    quantised = onnx.load(int8_path(model)) if int8_path(model).is_file() else None
    _write(onnx.load(model), output, code.to_metadata())
    if quantised is None:
        return [output]
    _write(quantised, int8_path(output), code.to_metadata() | {"float_sha256": sha256(output)})
    return [output, int8_path(output)]


def _metadata(network: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in network.metadata_props}


def _write(network: onnx.ModelProto, path: Path, entries: dict[str, str]) -> None:
    set_metadata(network, entries)
    partial = path.with_suffix(".partial")
    save(network, partial)
    partial.replace(path)


@readable_errors
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the float ONNX file that training.export wrote")
    parser.add_argument(
        "--images",
        type=parse_data,
        nargs="+",
        required=True,
        metavar="PATH[=WEIGHT]",
        help="as training.train --data",
    )
    parser.add_argument("--output", type=Path, help="file to write (default: the model itself)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of views to learn from (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimisation steps, of one pair each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of pairs and directions (%(default)s)")
    options = parser.parse_args(arguments)
    output = options.output or options.model
    if min(options.pairs, options.steps) < 1 or options.seed < 0:
        raise ValueError("--pairs and --steps must be at least 1, --seed at least 0")
    extractor = Extractor.load(options.model, KEYPOINTS, precision="fp32")
    check_files(options.model, output)
    photos = Photos.from_sources(dict(options.images))
    if len(photos) < 2:
        raise ValueError("one image is not enough for a training set and a test set: give --images more of them")
    photos, held_out = photos.split(min(HELD_OUT_PHOTOS, len(photos) // 2))
    code = learn(descriptor_pairs(extractor, photos, options.pairs, options.seed), options.steps, options.seed)
    tested = descriptor_pairs(extractor, held_out, HELD_OUT_PAIRS, options.seed)
    written = write_code(options.model, output, code)
    print("share of the same points that are mutual nearest neighbours, on held-out photographs:")
    random = random_code(code.descriptor_dim, options.seed)
    for name, candidate in (("float descriptors", None), ("this code", code), ("random hyperplanes", random)):
        print(f"  {name}: {mean_recall(tested, candidate):.3f}")
    print("wrote " + ", ".join(map(str, written)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
