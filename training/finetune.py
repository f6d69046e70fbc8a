"""Adapt a network to one camera and place: a few minutes on the robot's own CPU or GPU.

    python -m training.finetune drive.mcap --output runs/drive
    python -m training.finetune kitchen.mp4 --base photos --output runs/kitchen steps=5000
    python -m training.finetune "kitchen/*.color.jpg" --hold-out 0.5 --output runs/kitchen

The first part of the recording is learned from, the last is only judged by: matches that agree with the epipolar
geometry, before and after. OUTPUT/silk_finetuned.onnx drops into the node (model_path:=...), and is written only if the
network did not get worse. With --base, photographs are replayed in between, so that it does not forget other places.
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
from .photos import Photos
from .recording import PAIRS, Quality, matching_quality, read_recording
from .train import add_device_options, parse_data, train

SHIPPED_WEIGHTS = "silk_vggnp_mu.safetensors"
ONNX_NAME = "silk_finetuned.onnx"
HOLD_OUT = 0.2  # share of the recording, at its end, that is only judged by
REPLAY = 0.5  # share of the pairs that come from the base photographs, if there are any


class GotWorse(Exception):
    """The tuned network matches fewer of the held-out frames' points than the one it came from."""


def finetune(
    source: str,
    output: Path,
    weights: Path,
    config: TrainConfig,
    base: Mapping[str, float] | None = None,
    hold_out: float = HOLD_OUT,
    topic: str = "",
    device: str | None = None,
    workers: int = 0,
) -> Path | None:
    """Tune, judge and export; prints both qualities. Returns the path of the ONNX file; None from torchrun's helpers.

    Raises GotWorse instead of exporting a network with fewer correct matches, ValueError or OSError for bad input.
    """
    if (output / "last.safetensors").exists():
        raise FileExistsError(f"'{output}' holds a fine-tuning already: choose another --output")
    checkpoint = load_checkpoint(weights)
    recording = read_recording(source, hold_out, topic)
    photos = Photos.from_frames(recording.frames, source)
    if base:
        photos = photos.mixed_with(Photos.from_sources(base), REPLAY)
    config = config.changed(architecture=checkpoint.config["architecture"], data={source: 1.0, **(base or {})})
    print(f"{len(recording.frames)} frames to learn from, {len(recording.pairs)} pairs of frames to judge by")

    with workplace(device) as place:
        last = train(config, photos, output, place, workers=workers, start=checkpoint.network())
        if not place.is_main:
            return None

    with tempfile.TemporaryDirectory(dir=output) as folder:
        quality: dict[str, Quality] = {}
        for name, path in (("before", weights), ("after", last)):
            onnx_path = Path(folder) / f"{name}.onnx"
            export(path, onnx_path)
            extractor = Extractor.load(onnx_path, CAMERA_MAX_KEYPOINTS, precision="fp32", scale=CAMERA_SCALE)
            quality[name] = matching_quality(extractor, recording.pairs, f"judging {name}")
        print_table(quality)
        if not quality["before"].inliers:
            raise ValueError(f"no held-out frames of '{source}' match: record a moving camera in a lit scene")
        if quality["after"].inliers < quality["before"].inliers:
            raise GotWorse(
                f"the tuned network has fewer correct matches, nothing was exported: lower learning_rate "
                f"({config.learning_rate:g}), add --base photographs, or record more ('{last}' keeps the weights)"
            )
        return (Path(folder) / "after.onnx").replace(output / ONNX_NAME)


def print_table(quality: Mapping[str, Quality]) -> None:
    """Matches of the held-out pairs, before and after."""
    print(f"{'held-out frames':16}{'matches':>10}{'correct':>10}{'share':>8}")
    for name, values in quality.items():
        print(f"{name:16}{values.matches:10.1f}{values.inliers:10.1f}{values.share:8.1%}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder of images in the order of time, video, rosbag2 or .mcap recording")
    parser.add_argument("--output", type=Path, required=True, help=f"folder for {ONNX_NAME}, checkpoints and logs")
    parser.add_argument("--topic", default="", help="image topic of a recording (its first)")
    parser.add_argument("--base", type=parse_data, nargs="+", default=[], metavar="PATH[=WEIGHT]", help="to replay")
    parser.add_argument("--weights", type=Path, help=f"where to start (the shipped {SHIPPED_WEIGHTS})")
    parser.add_argument(
        "--hold-out",
        type=float,
        default=HOLD_OUT,
        help=f"last share of the frames, to judge {PAIRS} pairs by (%(default)s)",
    )
    add_device_options(parser)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="of configs/finetune.yaml, as steps=5000")
    options = parser.parse_intermixed_args(arguments)
    try:
        path = finetune(
            options.source,
            options.output,
            options.weights or share_directory() / "models" / SHIPPED_WEIGHTS,
            load_config(Path("finetune")).changed(**dict(parse_override(text) for text in options.settings)),
            dict(options.base),
            options.hold_out,
            options.topic,
            options.device,
            options.workers,
        )
    except (OSError, ValueError, ImportError, FloatingPointError, GotWorse) as error:
        print(f"finetune: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped: nothing was exported", file=sys.stderr)
        return 130
    if path is not None:
        print(f"wrote {path}\nros2 launch silk_ros silk.launch.py model_path:={path.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
