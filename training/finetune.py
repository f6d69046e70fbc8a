"""Adapt a network to one camera and place: a few minutes on the robot's own CPU or GPU.

    python -m training.finetune drive.mcap --output runs/drive
    python -m training.finetune kitchen.mp4 --base photos --output runs/kitchen steps=5000
    python -m training.finetune "kitchen/*.color.jpg" --hold-out 0.5 --output runs/kitchen

The first part of the recording is for training, the last for the test: the matches that agree with the epipolar
geometry are counted there before and after. OUTPUT/silk_finetuned.onnx is a model for the node (model_path:=...),
written only if their number did not fall. A recording of 50 images is enough, 20 with --hold-out 0.5; at most 300
evenly spread ones train. With --base, photographs are mixed in so that the network does not forget
other places.
"""

from __future__ import annotations

import math
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from silk_ros.command_line import command_parser
from silk_ros.evaluation.pairs import Pair, epipolar_inliers, frame_pairs
from silk_ros.extractor import Extractor
from silk_ros.front_end_options import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from silk_ros.images.sampling import spaced_to_ends
from silk_ros.images.sources import open_recorded
from silk_ros.paths import share_directory
from silk_ros.words import counted

from .checkpoint import load_checkpoint
from .config import load_config, parse_override
from .distributed import workplace
from .export import export
from .options import add_data, add_training_options, how_to_use, program, readable_errors
from .photos import MAX_FRAMES, Image, Photos
from .run import LAST
from .stopping import Stopped
from .train import train

SHIPPED_WEIGHTS = "silk_vggnp_mu.safetensors"
ONNX_NAME = "silk_finetuned.onnx"
HOLD_OUT = 0.2  # share of the recording, at its end, that is held out as the test set
REPLAY = 0.5  # share of the pairs that come from the base photographs, if there are any
PAIRS = 20  # test pairs
MIN_PAIRS = 5  # fewest test pairs of a recording
GAP = 5  # frames from the first to the second image of a test pair
INLIER_THRESHOLD = 1.5  # pixels from the epipolar line


def fewest_images(hold_out: float) -> int:
    """The fewest images that a recording must have."""
    return math.ceil((GAP + MIN_PAIRS) / hold_out)


def read_recording(source: str, hold_out: float, topic: str = "") -> tuple[list[Image], list[Pair]]:
    """Evenly spread training frames, and test pairs of frames GAP apart, all grey uint8 (H, W).

    hold_out: share of the frames, at the end, for the test pairs. Raises ValueError naming the fix for a bad source.
    """
    if not 0 < hold_out < 1:
        raise ValueError(f"hold_out must be between 0 and 1, not {hold_out}: 0.2 holds out the last fifth")
    images = open_recorded(source, topic)
    count = sum(1 for _ in images)
    split = round(count * (1 - hold_out))
    if split < 1 or count - split < GAP + MIN_PAIRS:
        raise ValueError(
            f"'{source}' has {counted(count, 'image')}: too few for {split} training and {count - split} test frames, "
            f"at least {GAP + MIN_PAIRS}: record at least {fewest_images(hold_out)} images, or hold out a larger share "
            f"(--hold-out 0.5 needs {fewest_images(0.5)})"
        )
    kept = set(spaced_to_ends(0, split, MAX_FRAMES))
    frames = [image.gray() for index, image in enumerate(images) if index in kept]
    pairs = spaced_to_ends(split, count - GAP, PAIRS)
    print(
        f"'{source}' has {counted(count, 'image')}: {len(frames)} of the first {split} train (at most {MAX_FRAMES}), "
        f"{counted(len(pairs), 'pair')} of the last {count - split} test"
    )
    return frames, frame_pairs((image.gray() for image in images), pairs, GAP)


class Quality(NamedTuple):
    """Mean numbers over pairs of frames: matches, and inliers among them of the epipolar geometry found by MAGSAC."""

    matches: float
    inliers: float

    @property
    def share(self) -> float:
        """Share of the matches that are inliers."""
        return self.inliers / self.matches if self.matches else 0.0


def matching_quality(extractor: Extractor, pairs: list[Pair], label: str) -> Quality:
    """Match every pair as the node does, with a progress bar of this label."""
    counts = []
    for pair in tqdm(pairs, label, unit="pair"):
        inliers = epipolar_inliers(extractor(pair.first), extractor(pair.second), INLIER_THRESHOLD)
        counts.append((len(inliers), inliers.sum()))
    return Quality(*np.mean(counts, axis=0).tolist())


def export_better(weights: Path, tuned: Path, pairs: list[Pair], output: Path) -> Path:
    """Test checkpoints on pairs of frames, print their qualities, and export the tuned one. Returns the ONNX file.

    Raises ValueError instead of exporting a network with fewer correct matches than before.
    """
    with tempfile.TemporaryDirectory(dir=output) as folder:
        qualities = []
        for name, checkpoint in (("before", weights), ("after", tuned)):
            onnx_path = Path(folder) / f"{name}.onnx"
            export(checkpoint, onnx_path)
            extractor = Extractor.load(onnx_path, CAMERA_MAX_KEYPOINTS, precision="fp32", scale=CAMERA_SCALE)
            qualities.append(matching_quality(extractor, pairs, f"testing {name}"))
        before, after = qualities
        print(f"{'held-out frames':16}{'matches':>10}{'correct':>10}{'share':>8}")
        for name, quality in (("before", before), ("after", after)):
            print(f"{name:16}{quality.matches:10.1f}{quality.inliers:10.1f}{quality.share:8.1%}")
        if not before.inliers:
            raise ValueError("no held-out frames match: record a moving camera in a lit scene")
        if after.inliers < before.inliers:
            raise ValueError(
                "the tuned network has fewer correct matches, nothing was exported: lower learning_rate "
                f"({load_checkpoint(tuned).config['learning_rate']:g}), add --base photographs, or record more "
                f"('{tuned}' keeps the weights)"
            )
        return onnx_path.replace(output / ONNX_NAME)


@readable_errors
def main(arguments: list[str] | None = None) -> int:
    parser = command_parser(None, __doc__)
    parser.add_argument("source", help="folder of images, data set, video, or recording (rosbag2, .mcap, .bag)")
    parser.add_argument("--output", type=Path, required=True, help=f"folder for {ONNX_NAME}, checkpoints and logs")
    parser.add_argument("--topic", default="", help="image topic of a recording (the first usable one by name)")
    add_data(parser, "--base", "photographs to mix in, with weights as in training.train --data", default=[])
    parser.add_argument("--weights", type=Path, help=f"checkpoint to start from (default: {SHIPPED_WEIGHTS})")
    hold_out = (
        f"last share of the frames, for {PAIRS} test pairs (%(default)s; needs {fewest_images(HOLD_OUT)} images, "
    )
    hold_out += f"0.5 needs {fewest_images(0.5)})"
    parser.add_argument("--hold-out", type=float, default=HOLD_OUT, help=hold_out)
    add_training_options(parser)
    options = parser.parse_intermixed_args(arguments)
    weights = options.weights or share_directory() / "models" / SHIPPED_WEIGHTS
    config = load_config(Path("finetune")).changed(**dict(parse_override(text) for text in options.settings))
    start = load_checkpoint(weights)
    config = config.changed(architecture=start.config["architecture"], data={options.source: 1.0, **dict(options.base)})
    if (options.output / LAST).exists():
        raise FileExistsError(f"'{options.output}' holds a fine-tuning already: choose another --output")
    try:
        frames, pairs = read_recording(options.source, options.hold_out, options.topic)
        photos = Photos.from_frames(frames, options.source)
        if options.base:
            photos = photos.mixed_with(Photos.from_sources(dict(options.base)), REPLAY)
        with workplace(options.device) as place:
            last = train(config, photos, options.output, place, workers=options.workers, start=start)
        if not place.is_main:
            return 0
        path = export_better(weights, last, pairs, options.output)
    except KeyboardInterrupt as stopped:
        print("\nstopped: nothing was exported", file=sys.stderr)
        if isinstance(stopped, Stopped):
            tuned = options.output / LAST
            print(f"wrote {tuned}, after {counted(stopped.steps, 'step')}", file=sys.stderr)
            export_untested = program("export", str(tuned), str(options.output / ONNX_NAME))
            print(f"next: {export_untested}    # untested; or start again with another --output", file=sys.stderr)
        return stopped.status if isinstance(stopped, Stopped) else 128 + signal.SIGINT
    print(f"wrote {path}, and the weights {last}")
    print(f"next: {how_to_use(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
