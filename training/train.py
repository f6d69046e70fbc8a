"""Train a SiLK network on photographs, videos or ROS recordings; SiLK needs no labels.

    python -m training.train --data photos --output runs/mu                    # VGGnp-mu, the shipped recipe
    python -m training.train --data photos --output runs/mu --resume           # continue an interrupted training
    python -m training.train --data photos drive.mcap=0.2 --output runs/mu steps=20000 augmentation=pose
    python -m training.train --config vggnp_4 --data photos --output runs/4    # another of training/configs
    torchrun --nproc-per-node 4 -m training.train --config vggnp_4 --data photos --output runs/4      # on four GPUs
    python -m training.export runs/mu/best.safetensors silk.onnx               # the file that the node loads

Watch the training with `tensorboard --logdir runs`. OUTPUT/last.safetensors is the checkpoint that --resume continues,
OUTPUT/best.safetensors the network with the lowest loss on held-out photos. Ctrl-C and SIGTERM write the checkpoint
first; the exit status is then 130 or 143.
"""

from __future__ import annotations

import ctypes
import math
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Subset

from silk_ros.command_line import command_parser, executable
from silk_ros.words import counted

from .checkpoint import Checkpoint, load_checkpoint
from .config import TrainConfig, load_config, parse_override
from .data import HomographyPairs
from .distributed import Workplace, is_main_process, workplace
from .loss import SiLKLoss, pair_loss
from .options import add_data, add_training_options, program, readable_errors
from .photos import Photos
from .progress import TrainingBar
from .run import BEST, LAST, TrainingOutput, TrainingRun, start_run
from .stopping import Stopped, StopRequest
from .validation import Validation

LOG_EVERY = 50  # steps
SAVE_EVERY = 100  # steps


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine down to the final share."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.final_learning_rate + (1 - config.final_learning_rate) * (1 + math.cos(math.pi * progress)) / 2


def keep_large_buffers() -> None:
    """Make glibc reuse large buffers instead of returning them to the system at every step: 2-3x faster on a CPU."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        m_trim_threshold, m_mmap_max = -1, -4
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


def make_loader(pairs: HomographyPairs, first_step: int, place: Workplace, workers: int) -> DataLoader:
    """Loader of this process's pairs: every world-th one, starting at first_step."""
    if workers:
        cv2.setNumThreads(1)  # before the workers are forked: there is one for each core
    own = Subset(pairs, range(first_step * place.world + place.rank, pairs.steps, place.world))
    pin, prefetch = place.device.type == "cuda", 16 if workers else None
    return DataLoader(own, batch_size=None, num_workers=workers, prefetch_factor=prefetch, pin_memory=pin)


def optimise(model: nn.Module, run: TrainingRun, images: Tensor, correspondences: Tensor, step: int) -> SiLKLoss:
    """One optimisation step on a pair of images, uint8 (2, 1, H, W). Returns the loss before the step."""
    config = run.config
    run.optimizer.param_groups[0]["lr"] = config.learning_rate * learning_rate_factor(step, config)
    loss = pair_loss(model, images, correspondences, config.queries, step, config.in_bf16)
    run.optimizer.zero_grad()
    loss.total.backward()
    run.optimizer.step()
    return loss


def train(
    config: TrainConfig,
    photos: Photos,
    output: Path,
    place: Workplace,
    resume: bool = False,
    workers: int = 0,
    start: Checkpoint | None = None,
) -> Path:
    """Train, writing checkpoints and TensorBoard logs into `output`. Returns the path of the last checkpoint.

    workers: number of processes that prepare pairs. start: network to begin with, instead of a random one.

    Raises Stopped, with the last checkpoint written, after the step in which SIGINT or SIGTERM came.
    """
    keep_large_buffers()
    photos, held_out = photos.split(config.validation_photos)
    run = start_run(config, photos, place, output / LAST, resume, start)
    config, model, first_step = run.config, run.model, run.first_step
    output.mkdir(parents=True, exist_ok=True)

    parallel = DistributedDataParallel(model) if place.world > 1 else model
    count = config.steps * place.world
    pairs = HomographyPairs(photos, config, model.border, model.stride, count, config.map_size, config.seed)
    loader = make_loader(pairs, first_step, place, workers)
    validation = Validation(held_out, config, model) if len(held_out) and place.is_main else None
    written = TrainingOutput(output, run, validation) if place.is_main else None

    model.train()
    progress = TrainingBar(loader, model.name, first_step, config.steps, place.is_main)
    with StopRequest(place) as request:
        for step, (images, correspondences, _) in enumerate(progress, start=first_step):
            loss = optimise(parallel, run, images, correspondences, step)
            progress.add(loss)
            done = step + 1
            to_stop = request.after(done)
            to_log = step % LOG_EVERY == 0
            to_save = done % SAVE_EVERY == 0 or done == config.steps or to_stop
            to_validate = (done % config.validation_every == 0 or done == config.steps) and not to_stop
            # Reading the loss waits for the GPU: not at every step.
            if (to_log or to_save or to_validate) and not math.isfinite(loss.total.item()):
                raise FloatingPointError(f"the loss became {loss.total.item()} at step {step}: lower learning_rate")
            if written and to_log:
                written.log(step, loss)
            if written and to_validate:
                written.validate(done)
            if written and to_save:
                written.save(done)
            if to_stop:
                raise Stopped(request.number, done)
    if written:
        written.close()
    return output / LAST


@readable_errors
def main(arguments: list[str] | None = None) -> int:
    parser = command_parser(None, __doc__)
    add_data(
        parser,
        "--data",
        "folders of photographs (with all their sub-folders), videos, rosbag2 or .mcap recordings; each image is drawn "
        "WEIGHT times as often as those of weight 1 (1). A folder inside another may have its own weight",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and TensorBoard logs")
    parser.add_argument("--start", type=Path, help="checkpoint to begin with, instead of random weights")
    parser.add_argument("--resume", action="store_true", help=f"continue from OUTPUT/{LAST}")
    config_help = "YAML file, or a name in training/configs (%(default)s)"
    parser.add_argument("--config", type=Path, default="vggnp_mu", help=config_help)
    add_training_options(parser)
    options = parser.parse_intermixed_args(arguments)
    try:
        config = load_config(options.config)
        if options.data:
            config = config.changed(data=dict(options.data))
        config = config.changed(**dict(parse_override(text) for text in options.settings))
        with workplace(options.device) as place:
            start, photos = load_start(options.start, config), Photos.from_sources(config.data)
            path = train(config, photos, options.output, place, options.resume, options.workers, start)
            if place.is_main:
                print_written(path)
    except KeyboardInterrupt as stopped:
        if is_main_process():
            print(f"\n{advice_to_resume(options.output / LAST, arguments)}", file=sys.stderr)
        return stopped.status if isinstance(stopped, Stopped) else 128 + signal.SIGINT
    return 0


def print_written(last: Path) -> None:
    """Print the files of a finished training, and the command that exports it."""
    best = last.with_name(BEST)
    print(f"wrote {last}, the network after the last step, to continue from or to fine-tune")
    if best.exists():
        checkpoint = load_checkpoint(best)
        loss = checkpoint.scores["loss"]
        print(f"  and {best}, the lowest loss on held-out photos: {loss:.2f} after {counted(checkpoint.step, 'step')}")
    print(f"logs: {shlex.join([executable('tensorboard'), '--logdir', str(last.parent)])}")
    export = program("export", str(best if best.exists() else last), str(last.with_name("silk.onnx")))
    print(f"next: {export}")


def advice_to_resume(last: Path, arguments: Sequence[str] | None) -> str:
    """What a stopped training has left, and the command that continues it."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not last.exists():
        return "stopped: no checkpoint yet, start again"
    resume = [] if "--resume" in given else ["--resume"]
    steps = counted(load_checkpoint(last).step, "step")
    return f"stopped: wrote {last}, after {steps}\nnext: {program('train', *given, *resume)}"


def load_start(path: Path | None, config: TrainConfig) -> Checkpoint | None:
    """The checkpoint of --start, None without it. Raises ValueError if it does not fit the settings."""
    if path is None:
        if config.only_keypoints:
            raise ValueError("only_keypoints needs trained descriptors: give a checkpoint with --start")
        return None
    start = load_checkpoint(path)
    architecture = start.config["architecture"]
    if architecture != config.architecture:
        raise ValueError(f"'{path}' is a {architecture}, not a {config.architecture}: change architecture")
    return start


if __name__ == "__main__":
    sys.exit(main())
