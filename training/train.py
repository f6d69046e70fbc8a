"""Train a SiLK network on photographs, videos or ROS recordings; SiLK needs no labels.

    python -m training.train --data photos --output runs/mu                    # VGGnp-mu, the shipped recipe
    python -m training.train --data photos --output runs/mu --resume           # go on after an interruption
    python -m training.train --data photos drive.mcap=0.2 --output runs/mu steps=20000 augmentation=pose
    python -m training.train --config vggnp_4 --data photos --output runs/4    # another of training/configs
    torchrun --nproc-per-node 4 -m training.train --config vggnp_4 --data photos --output runs/4      # on four GPUs
    python -m training.export runs/mu/best.safetensors silk.onnx               # what the node loads

Watch it with `tensorboard --logdir runs`. OUTPUT/last.safetensors is where --resume goes on, OUTPUT/best.safetensors
the network with the lowest loss on held-out photos.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import sys
from pathlib import Path

import cv2
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Subset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from .checkpoint import Checkpoint, git_commit, load_checkpoint, optimizer_tensors, restore_optimizer
from .config import AUTO, DEFAULT_CONFIG, TrainConfig, load_config, parse_override
from .data import HomographyPairs
from .distributed import Workplace, workplace
from .model import SiLK
from .photos import Photos
from .precision import resolve_bf16
from .step import pair_loss
from .validation import Validation

LOG_EVERY = 50  # steps
SAVE_EVERY = 100
PICTURES = 2  # of matches, at each validation


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine down to the final share."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.final_learning_rate + (1 - config.final_learning_rate) * (1 + math.cos(math.pi * progress)) / 2


def keep_large_buffers() -> None:
    """Let glibc reuse large buffers instead of returning them at every step: 2-3x on a CPU."""
    if sys.platform == "linux":
        m_trim_threshold, m_mmap_max = -1, -4
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(m_mmap_max, 0)
            libc.mallopt(m_trim_threshold, 2**31 - 1)


def find_start(path: Path, resume: bool, config: TrainConfig, provenance: dict[str, str]) -> Checkpoint | None:
    """The checkpoint to go on from, if any. Raises rather than mixing two trainings or overwriting one."""
    if not resume:
        if path.exists():
            raise FileExistsError(f"'{path}' exists: add --resume to go on with it, or choose another --output")
        return None
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint '{path}' to go on from: leave out --resume")
    checkpoint = load_checkpoint(path)
    before, now = checkpoint.config, config.as_dict()
    if now["bf16"] == AUTO and isinstance(before.get("bf16"), bool):
        now["bf16"] = before["bf16"]  # it was resolved when the training began
    # The data may lie elsewhere now: their contents count.
    names = [name for name in now if name != "data" and before.get(name) != now[name]]
    if names:
        changes = ", ".join(f"{name} {before.get(name)} -> {now[name]}" for name in names)
        raise ValueError(f"'{path}' was trained with other settings: {changes}")
    if list(before["data"].values()) != list(now["data"].values()):
        raise ValueError(f"'{path}' was trained with other settings: weights of the data")
    if checkpoint.provenance["data_hash"] != provenance["data_hash"]:
        raise ValueError(f"the training images have changed since '{path}': start a new --output")
    if (processes := checkpoint.provenance.get("processes", "1")) != provenance["processes"]:
        raise ValueError(f"'{path}' was trained by {processes} processes: start as many")
    return checkpoint


def make_loader(pairs: HomographyPairs, first_step: int, place: Workplace, workers: int) -> DataLoader:
    """The pairs of this process: every world-th one, from the first step on."""
    if workers:
        cv2.setNumThreads(1)  # before they are forked: there are as many of them as cores
    own = range(first_step * place.world + place.rank, pairs.steps, place.world)
    return DataLoader(
        Subset(pairs, own),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=16 if workers else None,
        pin_memory=place.device.type == "cuda",
    )


def train(
    config: TrainConfig,
    photos: Photos,
    output: Path,
    place: Workplace,
    resume: bool = False,
    workers: int = 0,
    start: SiLK | None = None,
) -> Path:
    """Train, writing checkpoints and TensorBoard logs into `output`. Returns the path of the last checkpoint.

    workers: processes that prepare pairs. start: a network to begin with, instead of a random one.
    """
    keep_large_buffers()
    last_path, best_path = output / "last.safetensors", output / "best.safetensors"
    photos, held_out = photos.split(config.validation_photos)
    provenance = {
        "commit": git_commit(),
        "data_hash": photos.hash(),
        "torch": str(torch.__version__),
        "processes": str(place.world),
    }
    checkpoint = find_start(last_path, resume, config, provenance)
    bf16, reason = resolve_bf16(config, place.device, checkpoint.config if checkpoint else None)
    config = config.changed(bf16=place.from_main(bf16))
    if reason and place.is_main:
        print(reason)
    output.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(config.seed)
    model = (start or SiLK(config.architecture)).to(place.device)
    if config.only_keypoints:
        model.freeze_descriptors()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=config.learning_rate, betas=(0.9, 0.999))
    first_step = 0
    if checkpoint:
        model.load_state_dict(checkpoint.model)
        restore_optimizer(optimizer, checkpoint.optimizer)
        first_step, provenance = checkpoint.step, checkpoint.provenance
    parallel = DistributedDataParallel(model) if place.world > 1 else model

    pairs = HomographyPairs(
        photos, config, model.border, model.stride, config.steps * place.world, config.map_size, config.seed
    )
    loader = make_loader(pairs, first_step, place, workers)
    validation = Validation(held_out, config, model) if len(held_out) and place.is_main else None
    best = load_checkpoint(best_path).scores["loss"] if checkpoint and best_path.exists() else math.inf
    writer = SummaryWriter(str(output), purge_step=first_step) if place.is_main else None

    def state(step: int, scores: dict[str, float], with_optimizer: bool) -> Checkpoint:
        tensors = optimizer_tensors(optimizer) if with_optimizer else {}
        return Checkpoint(model.state_dict(), tensors, step, config.as_dict(), provenance, scores)

    model.train()
    progress = tqdm(
        loader, config.architecture, config.steps, initial=first_step, unit="step", disable=not place.is_main
    )
    for step, (images, correspondences, _) in enumerate(progress, start=first_step):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(step, config)
        loss = pair_loss(parallel, images, correspondences, config.queries, step, config.in_bf16)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        optimizer.step()

        done = step + 1
        to_save = done % SAVE_EVERY == 0 or done == config.steps
        to_validate = validation is not None and (done % config.validation_every == 0 or done == config.steps)
        # Reading a value waits for a GPU: not at every step.
        if (step % LOG_EVERY == 0 or to_save or to_validate) and not math.isfinite(loss.total.item()):
            raise FloatingPointError(f"the loss became {loss.total.item()} at step {step}: lower learning_rate")
        if not writer:
            continue
        if step % LOG_EVERY == 0:
            progress.set_postfix(loss=f"{loss.total.item():.2f}", matched=f"{loss.match_rate.item():.2f}")
            for name, value in loss._asdict().items():
                writer.add_scalar(f"train/{name}", value.item(), step)
            writer.add_scalar("train/learning_rate", optimizer.param_groups[0]["lr"], step)
        if validation and to_validate:
            scores = validation(model)
            for name, score in scores.items():
                writer.add_scalar(f"validation/{name}", score, done)
            for index, picture in enumerate(validation.pictures(model, PICTURES)):
                writer.add_image(f"matches/{index}", picture, done, dataformats="HWC")
            if scores["loss"] < best:
                best = scores["loss"]
                state(done, scores, with_optimizer=False).save(best_path)
        if to_save:
            state(done, {}, with_optimizer=True).save(last_path)
    if writer:
        writer.close()
    return last_path


def parse_data(text: str) -> tuple[str, float]:
    """`PATH` or `PATH=WEIGHT`."""
    path, equals, weight = text.rpartition("=")
    if not equals:
        return text, 1.0
    if path in TrainConfig.__dataclass_fields__ and not Path(path).exists():
        raise argparse.ArgumentTypeError(f"'{text}' stands among the data: put settings behind --output OUTPUT")
    try:
        return path, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not PATH or PATH=WEIGHT, for example photos/sky=0.1") from None


def default_workers() -> int:
    """Processes that keep a GPU busy; none on a CPU, where preparing a pair costs little beside the step."""
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # processes that torchrun started on this machine
    return min(16, len(os.sched_getaffinity(0)) // beside) if torch.cuda.is_available() else 0


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """--device and --workers."""
    parser.add_argument("--device", choices=["cpu", "cuda"], help="where to compute (a GPU if there is one)")
    parser.add_argument(
        "--workers", type=int, default=default_workers(), help="processes that prepare pairs for a GPU (%(default)s)"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=parse_data,
        nargs="+",
        metavar="PATH[=WEIGHT]",
        help="folders of photographs (with all their sub-folders), videos, rosbag2 or .mcap recordings; each image is "
        "drawn WEIGHT times as often as those of weight 1 (1). A folder inside another may have its own weight",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and TensorBoard logs")
    parser.add_argument("--start", type=Path, help="checkpoint to begin with, instead of random weights")
    parser.add_argument("--resume", action="store_true", help="go on from OUTPUT/last.safetensors")
    parser.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_CONFIG,
        help=f"YAML file of settings, or the name of one in training/configs ({DEFAULT_CONFIG.stem})",
    )
    add_device_options(parser)
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="change a setting, for example steps=20000")
    options = parser.parse_intermixed_args(arguments)
    try:
        config = load_config(options.config)
        if options.data:
            config = config.changed(data=dict(options.data))
        config = config.changed(**dict(parse_override(text) for text in options.settings))
        with workplace(options.device) as place:
            start = load_checkpoint(options.start).network() if options.start else None
            if start and start.name != config.architecture:
                raise ValueError(
                    f"'{options.start}' is a {start.name}, not a {config.architecture}: change architecture"
                )
            if config.only_keypoints and not start:
                raise ValueError("only_keypoints trains on descriptors that are there: give a checkpoint with --start")
            photos = Photos.from_sources(config.data)
            path = train(config, photos, options.output, place, options.resume, options.workers, start)
            if place.is_main:
                print(f"wrote {path}")
    except (OSError, ValueError, ImportError, FloatingPointError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        saved = (options.output / "last.safetensors").exists()
        advice = (
            "add --resume to go on from the last checkpoint" if saved else "there is no checkpoint yet, start again"
        )
        print(f"\nstopped: {advice}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
