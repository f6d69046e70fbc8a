"""One thread, small photographs that come with scikit-image, and the shipped recipe in small."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import skimage.data
import torch
from torch import nn

from training.config import DEFAULT_CONFIG, TrainConfig, load_config
from training.model import SiLK


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two textured photographs, one in each of the sub-folders `cat` and `wall`."""
    root = tmp_path_factory.mktemp("photos")
    for name, image in (("cat", skimage.data.chelsea()[60:220, 100:300, ::-1]), ("wall", skimage.data.brick())):
        (root / name).mkdir()
        cv2.imwrite(str(root / name / "photo.png"), image[:200, :200])
    return root


@pytest.fixture
def config(photos: Path) -> TrainConfig:
    """The shipped recipe on `photos`, small enough for a test."""
    return load_config(DEFAULT_CONFIG).changed(
        data={str(photos): 1}, map_size=20, steps=7, warmup=2, queries=64, bf16=False, validation_photos=0
    )


@pytest.fixture(scope="session")
def random_network() -> Callable[[str], SiLK]:
    """A function that builds the network of an architecture, in eval mode, with BatchNorms that have seen something."""

    def build(architecture: str) -> SiLK:
        torch.manual_seed(0)
        network = SiLK(architecture).eval()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 2)
                nn.init.uniform_(layer.bias, -1, 1)
                nn.init.uniform_(layer.running_mean, -1, 1)
                nn.init.uniform_(layer.running_var, 0.5, 2)
        return network

    return build
