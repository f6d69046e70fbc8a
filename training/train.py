"""Train a SiLK network on a folder of photographs.

    python -m training.train --data photos --output runs/mu                    # VGGnp-mu, the shipped recipe
    python -m training.train --data photos --output runs/mu --resume           # go on after an interruption
    python -m training.export runs/mu/last.pt models/silk_vggnp_mu.onnx        # what the node loads

Any photographs will do: SiLK needs no labels. Watch it with `tensorboard --logdir runs`.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from .augmentation import RECIPES
from .data import MIN_TEXTURE, HomographyPairs, data_hash
from .loss import SiLKLoss, silk_loss
from .model import ARCHITECTURES, SiLK


@dataclass
class TrainConfig:
    """Everything that decides a training; stored in each checkpoint."""

    data: str = ""
    weights: dict[str, float] = field(default_factory=dict)  # folder of the data -> how often it is drawn
    architecture: str = "vggnp-mu"
    augmentation: str = "video"
    map_size: int = 82  # side of the dense map; the crop is larger by the border
    steps: int = 15_000
    learning_rate: float = 1e-3  # peak; the paper's constant 1e-4 needs 100,000 steps
    final_learning_rate: float = 0.02  # share of the peak that the cosine ends at
    warmup: int = 500
    queries: int = 512  # correspondences scored per step, 0 = all of them
    min_texture: float = MIN_TEXTURE
    seed: int = 0


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


def pair_loss(model: SiLK, images: Tensor, correspondences: Tensor, queries: int, step: int) -> SiLKLoss:
    """Loss of one pair, images uint8 (2, 1, H, W), on at most `queries` of its correspondences."""
    if queries and len(correspondences) > queries:
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randperm(len(correspondences), generator=generator)[:queries]
        correspondences = correspondences[chosen]
    device = next(model.parameters()).device
    inputs = (images.to(device).float() / 255).to(memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        logits, descriptors = model(inputs)
    flat_logits = logits.flatten(1)
    flat_descriptors = descriptors.flatten(2).transpose(1, 2)
    return silk_loss(
        flat_logits[0], flat_logits[1], flat_descriptors[0], flat_descriptors[1], correspondences.to(device)
    )


def git_commit() -> str:
    """The commit this code runs from, `-dirty` with local changes, `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def train(config: TrainConfig, output: Path, resume: bool = False, workers: int = 1, save_every: int = 1000) -> Path:
    """Train, writing `last.pt` and TensorBoard logs into `output`. Returns the checkpoint's path."""
    if config.steps < 1 or config.map_size < 8:
        raise ValueError(f"steps ({config.steps}) must be at least 1 and map_size ({config.map_size}) at least 8")
    keep_large_buffers()
    output.mkdir(parents=True, exist_ok=True)
    checkpoint_path = output / "last.pt"
    if resume and not checkpoint_path.exists():
        raise FileNotFoundError(f"no checkpoint '{checkpoint_path}' to go on from: leave out --resume")
    if checkpoint_path.exists() and not resume:
        raise FileExistsError(f"'{checkpoint_path}' exists: add --resume to go on with it, or choose another --output")

    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = SiLK(config.architecture).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.999))
    first_step = 0
    provenance = {"commit": git_commit(), "data_hash": data_hash(config.data), "torch": str(torch.__version__)}
    if resume:
        checkpoint = torch.load(checkpoint_path, map_location=device, weights_only=True)
        before, now = checkpoint["config"], asdict(config)
        if changed := [f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]]:
            raise ValueError(f"'{checkpoint_path}' was trained with other settings: {', '.join(changed)}")
        if checkpoint["provenance"]["data_hash"] != provenance["data_hash"]:
            raise ValueError(
                f"the photos in '{config.data}' have changed since '{checkpoint_path}': start a new --output"
            )
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        first_step, provenance = checkpoint["step"], checkpoint["provenance"]

    pairs = HomographyPairs(
        config.data,
        size=config.map_size + 2 * model.border,
        border=model.border,
        steps=config.steps,
        recipe=config.augmentation,
        seed=config.seed,
        weights=config.weights,
        min_texture=config.min_texture,
    )
    loader = DataLoader(
        Subset(pairs, range(first_step, config.steps)),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=16 if workers else None,
    )
    writer = SummaryWriter(str(output), purge_step=first_step)

    def save(step: int) -> None:
        partial = checkpoint_path.with_suffix(".partial")
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        torch.save(state | {"config": asdict(config), "provenance": provenance}, partial)
        partial.replace(checkpoint_path)

    model.train()
    progress = tqdm(loader, desc=config.architecture, initial=first_step, total=config.steps, unit="step")
    for step, (images, correspondences) in enumerate(progress, start=first_step):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(step, config)
        loss = pair_loss(model, images, correspondences, config.queries, step)
        if not math.isfinite(loss.total.item()):
            raise FloatingPointError(f"the loss became {loss.total.item()} at step {step}: lower --learning-rate")
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        optimizer.step()
        if step % 10 == 0:
            progress.set_postfix(loss=f"{loss.total.item():.2f}", matched=f"{loss.match_rate.item():.2f}")
        if step % 50 == 0:
            values = {name: value.item() for name, value in loss._asdict().items()}
            for name, value in values.items():
                writer.add_scalar(f"train/{name}", value, step)
            writer.add_scalar("train/learning_rate", optimizer.param_groups[0]["lr"], step)
        if (step + 1) % save_every == 0:
            save(step + 1)
    save(config.steps)
    writer.close()
    return checkpoint_path


def parse_weight(text: str) -> tuple[str, float]:
    folder, _, weight = text.partition("=")
    try:
        return folder, float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not FOLDER=WEIGHT, for example clothing=0.2") from None


def main(arguments: list[str] | None = None) -> int:
    default = TrainConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of photographs, searched through all its sub-folders")
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and TensorBoard logs")
    parser.add_argument("--resume", action="store_true", help="go on from OUTPUT/last.pt")
    parser.add_argument(
        "--weight",
        type=parse_weight,
        action="append",
        default=[],
        metavar="FOLDER=W",
        help="draw the photos of this sub-folder of DATA W times as often as the others; repeatable",
    )
    parser.add_argument("--architecture", choices=ARCHITECTURES, default=default.architecture, help="(%(default)s)")
    parser.add_argument(
        "--augmentation",
        choices=RECIPES,
        default=default.augmentation,
        help="photometric changes: the paper's for pose or homography, or milder ones for video (%(default)s)",
    )
    parser.add_argument("--map-size", type=int, default=default.map_size, help="side of the dense map (%(default)s)")
    parser.add_argument("--steps", type=int, default=default.steps, help="pairs to train on (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate, help="peak (%(default)s)")
    parser.add_argument(
        "--queries",
        type=int,
        default=default.queries,
        help="correspondences scored per step, against all positions; 0 = every one (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="of weights and pairs (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare pairs (%(default)s)")
    options = parser.parse_args(arguments)
    config = TrainConfig(
        data=options.data,
        weights=dict(options.weight),
        architecture=options.architecture,
        augmentation=options.augmentation,
        map_size=options.map_size,
        steps=options.steps,
        learning_rate=options.learning_rate,
        queries=options.queries,
        seed=options.seed,
    )
    try:
        path = train(config, options.output, options.resume, options.workers)
    except (FileNotFoundError, FileExistsError, ValueError, FloatingPointError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        saved = (options.output / "last.pt").exists()
        advice = (
            "add --resume to go on from the last checkpoint" if saved else "there is no checkpoint yet, start again"
        )
        print(f"\nstopped: {advice}", file=sys.stderr)
        return 130
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
