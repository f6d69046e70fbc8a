"""The training step beside one that holds the whole similarity matrix: time and peak memory.

python -m benchmarks.training [--threads N] [--device cuda]

Network (VGGnp-mu) and pairs are the same; the loss is computed in float32 and at once, or block by block. Network and
blocks are in bfloat16 where the device computes in it, which is the default of training. Each peak is measured in a
process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import SUPPRESS
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.common import interleaved, parser, save, verdict
from silk_ros.matcher import TEMPERATURE
from training.config import DEFAULT_CONFIG, load_config
from training.homography import HomographyRange, dense_correspondences, random_homography
from training.loss import dense_maps, pair_loss
from training.model import SiLK
from training.run import computes_in_bf16
from training.train import keep_large_buffers

MAP_SIZES = (82, 146)
STEPS = 2  # steps before the peak is read
GIGABYTE = 2**30

Pair = tuple[Tensor, Tensor]


def random_pair(map_size: int, border: int) -> Pair:
    """Noise images (2, 1, H, W) and the correspondences of a random view; the cost of a step depends on no more."""
    rng = np.random.default_rng(0)
    side = map_size + 2 * border
    correspondences = dense_correspondences(random_homography(side, HomographyRange(), rng), map_size, border)
    return torch.from_numpy(rng.integers(0, 256, (2, 1, side, side), dtype=np.uint8)), torch.from_numpy(correspondences)


def full_matrix_loss(model: SiLK, images: Tensor, correspondences: Tensor, bf16: bool) -> Tensor:
    """The paper's loss as printed: all similarities, then log-softmax of rows and columns (App. A)."""
    logits, descriptors = dense_maps(model, images, bf16)
    correspondences = correspondences.to(logits.device)
    first, second = F.normalize(descriptors.float().flatten(2).transpose(1, 2), dim=2)
    index0, index1 = correspondences.unbind(dim=1)
    similarity = first @ second.T / TEMPERATURE
    rows, columns = F.log_softmax(similarity, dim=1), F.log_softmax(similarity, dim=0)
    descriptor = -(rows[index0, index1] + columns[index0, index1]).mean()
    success = (similarity.argmax(dim=1)[index0] == index1) & (similarity.argmax(dim=0)[index1] == index0)
    flat = logits.float().flatten(1)
    labels = success.float().repeat(2)
    return descriptor + F.binary_cross_entropy_with_logits(torch.cat([flat[0][index0], flat[1][index1]]), labels)


def step_of(kind: str, map_size: int, device: str) -> Callable[[], None]:
    """One optimisation step of one of KINDS: full matrix, exact, or with the shipped number of queries."""
    model = SiLK("vggnp-mu").train().to(device)
    optimizer = torch.optim.Adam(model.parameters())
    images, correspondences = random_pair(map_size, model.border)
    queries, bf16 = load_config(DEFAULT_CONFIG).queries, computes_in_bf16(torch.device(device))

    def loss() -> Tensor:
        if kind == "full matrix":
            return full_matrix_loss(model, images, correspondences, bf16)
        return pair_loss(model, images, correspondences, queries if kind == "queries" else 0, 0, bf16).total

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


KINDS = ("full matrix", "exact", "queries")


def peak_gigabytes(kind: str, map_size: int, threads: int, device: str) -> float:
    """Peak memory of a process that takes a few steps, minus that of a process that only builds the network."""

    def peak(steps: int) -> float:
        command = [sys.executable, "-m", "benchmarks.training", "--peak", kind, str(map_size), str(steps)]
        own = ["--threads", str(threads), "--device", device]
        return float(subprocess.check_output([*command, *own], text=True))

    return peak(STEPS) - peak(0)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(%(default)s)")
    arguments.add_argument("--repeats", type=int, default=5, help="timed rounds (%(default)s)")
    arguments.add_argument("--peak", nargs=3, metavar=("KIND", "SIZE", "STEPS"), help=SUPPRESS)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        kind, size, steps = options.peak
        step = step_of(kind, int(size), options.device)
        for _ in range(int(steps)):
            step()
        if options.device == "cuda":
            print(torch.cuda.max_memory_allocated() / GIGABYTE)
        else:  # not getrusage: its maximum includes the parent process before the fork
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            print(int(status.split("VmHWM:")[1].split()[0]) * 1024 / GIGABYTE)
        return

    keep_large_buffers()
    results: dict[str, object] = {}
    for size in MAP_SIZES:
        # Before the timing, which keeps the buffers of the full matrix: 15 GB at 146x146.
        peaks = {kind: round(peak_gigabytes(kind, size, options.threads, options.device), 3) for kind in KINDS}
        steps = {kind: step_of(kind, size, options.device) for kind in KINDS}
        times = interleaved(steps, options.repeats, f"{size}x{size}")
        results[f"{size}x{size}"] = {kind: {"milliseconds": times[kind], "gigabytes": peaks[kind]} for kind in KINDS}
        print(json.dumps(results[f"{size}x{size}"], indent=2))
        if size == 82:
            full = times["full matrix"]["median"]
            verdicts = [
                verdict("exact step at 82x82, times faster", full / times["exact"]["median"], 1.7, at_least=True),
                verdict("step with queries, times faster", full / times["queries"]["median"], 3.5, at_least=True),
            ]
        else:
            verdicts.append(verdict("peak at 146x146, GB", peaks["exact"], 1.5, at_least=False))
    name = "training" if options.device == "cpu" else "training-gpu"
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"{options.threads} threads"
    bf16 = computes_in_bf16(torch.device(options.device))
    save(name, {"device": device, "bf16": bf16, "steps": results, "verdicts": verdicts})


if __name__ == "__main__":
    main()
