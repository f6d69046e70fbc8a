"""Adapt a network to one camera and place: a few minutes on the robot's own CPU or GPU.

    python -m training.finetune drive.mcap --output runs/drive
    python -m training.finetune kitchen.mp4 --base photos --output runs/kitchen steps=5000
    python -m training.finetune "kitchen/*.color.jpg" --hold-out 0.5 --output runs/kitchen

The first part of the recording is the training set, the last part the test set: the matches that agree with the
epipolar geometry are counted there before and after. OUTPUT/silk_finetuned.onnx is a model for the node
(model_path:=...), written only if the number of correct matches did not fall. With --base, photographs are mixed in so
that the network does not forget other places.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from silk_ros.extractor import Extractor
from silk_ros.frontend import CAMERA_MAX_KEYPOINTS, CAMERA_SCALE
from silk_ros.paths import share_directory

from .checkpoint import load_checkpoint
from .config import TrainConfig, load_config, parse_override
from .distributed import workplace
from .export import export
from .options import add_training_options, parse_data, readable_errors
from .output import LAST
from .photos import Photos
from .recording import PAIRS, Quality, Recording, matching_quality, read_recording
from .train import train

SHIPPED_WEIGHTS = "silk_vggnp_mu.safetensors"
ONNX_NAME = "silk_finetuned.onnx"
HOLD_OUT = 0.2  # share of the recording, at its end, that is held out as the test set
REPLAY = 0.5  # share of the pairs that come from the base photographs, if there are any


def finetune(
    recording: Recording,
    photos: Photos,
    config: TrainConfig,
    output: Path,
    weights: Path,
    device: str | None,
    workers: int,
) -> Path | None:
    """Tune a network on `photos`, test it on the pairs of the recording, and export it; prints both qualities.

    Returns the path of the ONNX file; None in the processes of torchrun other than the main one.
    Raises ValueError instead of exporting a network with fewer correct matches than before.
    """
    print(f"{len(recording.frames)} frames for training, {len(recording.pairs)} pairs of frames for the test")
    with workplace(device) as place:
        last = train(config, photos, output, place, workers=workers, start=load_checkpoint(weights).network())
        if not place.is_main:
            return None

    with tempfile.TemporaryDirectory(dir=output) as folder:
        tuned = Path(folder) / "after.onnx"
        before = exported_quality(weights, Path(folder) / "before.onnx", recording)
        after = exported_quality(last, tuned, recording)
        print_table({"before": before, "after": after})
        if not before.inliers:
            raise ValueError("no held-out frames match: record a moving camera in a lit scene")
        if after.inliers < before.inliers:
            raise ValueError(
                f"the tuned network has fewer correct matches, nothing was exported: lower learning_rate "
                f"({config.learning_rate:g}), add --base photographs, or record more ('{last}' keeps the weights)"
            )
        return tuned.replace(output / ONNX_NAME)


def exported_quality(checkpoint: Path, onnx_path: Path, recording: Recording) -> Quality:
    """Export a checkpoint to `onnx_path` and match the held-out pairs of the recording as the node does."""
    export(checkpoint, onnx_path)
    extractor = Extractor.load(onnx_path, CAMERA_MAX_KEYPOINTS, precision="fp32", scale=CAMERA_SCALE)
    return matching_quality(extractor, recording.pairs, f"testing {onnx_path.stem}")


def print_table(quality: Mapping[str, Quality]) -> None:
    """Print the matches of the held-out pairs, one row per network."""
    print(f"{'held-out frames':16}{'matches':>10}{'correct':>10}{'share':>8}")
    for name, values in quality.items():
        print(f"{name:16}{values.matches:10.1f}{values.inliers:10.1f}{values.share:8.1%}")


@readable_errors
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder of images in order of time, video, rosbag2 or .mcap recording")
    parser.add_argument("--output", type=Path, required=True, help=f"folder for {ONNX_NAME}, checkpoints and logs")
    parser.add_argument("--topic", default="", help="image topic of a recording (default: the first one)")
    base = "photographs to mix in, with weights as in training.train --data"
    parser.add_argument("--base", type=parse_data, nargs="+", default=[], metavar="PATH[=WEIGHT]", help=base)
    parser.add_argument("--weights", type=Path, help=f"checkpoint to start from (default: {SHIPPED_WEIGHTS})")
    hold_out = f"last share of the frames, for {PAIRS} test pairs (%(default)s)"
    parser.add_argument("--hold-out", type=float, default=HOLD_OUT, help=hold_out)
    add_training_options(parser)
    options = parser.parse_intermixed_args(arguments)
    output, others = options.output, dict(options.base)
    weights = options.weights or share_directory() / "models" / SHIPPED_WEIGHTS
    config = load_config(Path("finetune")).changed(**dict(parse_override(text) for text in options.settings))
    architecture = load_checkpoint(weights).config["architecture"]
    config = config.changed(architecture=architecture, data={options.source: 1.0, **others})
    if (output / LAST).exists():
        raise FileExistsError(f"'{output}' holds a fine-tuning already: choose another --output")
    try:
        recording = read_recording(options.source, options.hold_out, options.topic)
        photos = Photos.from_frames(recording.frames, options.source)
        if others:
            photos = photos.mixed_with(Photos.from_sources(others), REPLAY)
        path = finetune(recording, photos, config, output, weights, options.device, options.workers)
    except KeyboardInterrupt:
        print("\nstopped: nothing was exported", file=sys.stderr)
        return 130
    if path is not None:
        print(f"wrote {path}\nros2 launch silk_ros silk.launch.py model_path:={path.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
